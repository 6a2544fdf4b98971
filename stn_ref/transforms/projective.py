"""The projective family: eight parameters; what a camera sees of a plane. Straight lines stay straight."""

import numpy as np

from stn_ref.transforms.base import Transform, at_infinity, columns, replaced, total

HORIZON = 1e-6  # a point is seen where w is above this


class Projective(Transform):
    """The plane projective transform (homography).

        (X)   [h11 h12 h13]  (x_t)
        (Y) = [h21 h22 h23]  (y_t)        x_s = X / w,   y_s = Y / w
        (w)   [h31 h32  1 ]  ( 1 )

    theta is (N, 8): the rows of the matrix, one after the other, without its last entry. That is 1, so that the centre
    of the output is always seen.

    Where w <= 1e-6 a point lies on the horizon or behind the camera: both coordinates are +inf, outside every image,
    and no gradient comes from it. NaN stays NaN.

    Source: Jaderberg et al. 2015, Sec. 3.2 and 4.1, which names the family; Hartley and Zisserman 2004, Sec. 2.3.
    """

    name = "projective"
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    symbols = ("h11", "h12", "h13", "h21", "h22", "h23", "h31", "h32")
    preserves = ("straight lines",)

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return ((h11 - 1) x + h12 y + h13 - e x, h21 x + (h22 - 1) y + h23 - e y) / w, e = w - 1 = h31 x + h32 y."""
        h11, h12, h13, h21, h22, h23, h31, h32 = columns(theta, xy)
        x, y = xy[..., 0], xy[..., 1]
        e = h31 * x + h32 * y
        unseen, w = _seen(e)
        d_x = ((h11 - 1) * x + h12 * y + h13 - e * x) / w
        d_y = (h21 * x + (h22 - 1) * y + h23 - e * y) / w
        return replaced(np.stack([d_x, d_y], axis=-1), unseen, np.inf)

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, 8), gxy (N, ..., 2)): through X, Y and w.

        gX = gd_x / w,   gY = gd_y / w,   gw = -(gX x_s + gY y_s)

        A product of 0 and infinity is never formed: where a point is not seen, 0 stands for gd, the point and e.
        """
        h11, h12, _, h21, h22, _, h31, h32 = columns(theta, xy)
        x, y = xy[..., 0], xy[..., 1]
        d = self.displacement(theta, xy)
        infinite = at_infinity(d)
        gd, d = replaced(gd, infinite, 0), replaced(d, infinite, 0)
        e = np.where(infinite, 0, h31 * x + h32 * y)
        _, w = _seen(e)
        gX, gY = gd[..., 0] / w, gd[..., 1] / w
        gw = -(gX * (x + d[..., 0]) + gY * (y + d[..., 1]))
        gtheta = gxy = None
        if needs[0]:
            gtheta = [total(gX * x), total(gX * y), total(gX), total(gY * x), total(gY * y), total(gY)]
            gtheta = np.stack([*gtheta, total(gw * x), total(gw * y)], axis=1)
        if needs[1]:  # the matrix transposed, less gd = w gX, w gY
            gx = (h11 - 1 - e) * gX + h21 * gY + h31 * gw
            gy = h12 * gX + (h22 - 1 - e) * gY + h32 * gw
            gxy = np.stack([gx, gy], axis=-1)
        return gtheta, gxy

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return (N, 3, 3): the matrix above."""
        self.check(theta)
        return np.concatenate([theta, np.ones((len(theta), 1), theta.dtype)], axis=1).reshape(-1, 3, 3)


def _seen(e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whether w = e + 1 puts a point on the horizon or behind it, and w, or 1 there, to divide by."""
    w = e + 1
    unseen = w <= HORIZON
    return unseen, np.where(unseen, 1, w)
