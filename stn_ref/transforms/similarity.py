"""The similarity family: scale, rotation and translation; shapes stay as they are, in another size."""

import numpy as np

from stn_ref import checks
from stn_ref.transforms.base import Transform, columns, homogeneous, total


class Similarity(Transform):
    """Rotation by alpha, isotropic scale and translation, in pixels; r = width / height of the image.

        (x_s)   [s cos(alpha)     -s sin(alpha) / r  t_x]  (x_t)
        (y_s) = [s sin(alpha) r    s cos(alpha)      t_y]  (y_t)
                                                           ( 1 )

    theta is (N, 4): s, alpha, t_x, t_y; alpha in radians. y points down, so alpha > 0 turns the sampling points
    clockwise as seen on the screen, and what they show, the content of the output, counterclockwise.

    A normalised unit is W/2 pixels along x and H/2 along y. Without r a rotation in normalised coordinates would shear
    every image that is not square; with it, squares of pixels stay squares.

    Args:
        aspect: r, W / H in pixels, or (W - 1) / (H - 1) with align_corners: coordinates.aspect(size, align_corners).
            Of the image that is sampled; the output shows the same shapes if it has the same proportions.

    Source: Jaderberg et al. 2015, Sec. 3.2: T may have any parameters by which it can be differentiated. r is ours.
    """

    name = "similarity"
    identity = (1.0, 0.0, 0.0, 0.0)
    symbols = ("s", "alpha", "t_x", "t_y")
    preserves = ("angles", "parallelism", "straight lines")

    def __init__(self, aspect: float = 1.0):
        self.aspect = checks.between("aspect", aspect, 1e-6, 1e6)

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return (p x - q y / r + t_x, q x r + p y + t_y), p = s cos(alpha) - 1, q = s sin(alpha); (N, ..., 2).

        p is (s - 1) - 2 s sin^2(alpha / 2): of a small angle, 1 - cos(alpha) would lose every digit.
        """
        s, alpha, t_x, t_y = columns(theta, xy)
        x, y, r = xy[..., 0], xy[..., 1], self.aspect
        p, q = _p_q(s, alpha)
        return np.stack([p * x - q / r * y + t_x, q * r * x + p * y + t_y], axis=-1)

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, 4), gxy (N, ..., 2)), through p and q.

        dp = cos(alpha) ds - s sin(alpha) dalpha,   dq = sin(alpha) ds + s cos(alpha) dalpha
        """
        x, y, gdx, gdy, r = xy[..., 0], xy[..., 1], gd[..., 0], gd[..., 1], self.aspect
        gtheta = gxy = None
        if needs[0]:
            s, alpha = theta[:, 0], theta[:, 1]
            sin, cos = np.sin(alpha), np.cos(alpha)
            gp, gq = total(gdx * x + gdy * y), total(gdy * (r * x) - gdx * (y / r))
            gs, galpha = cos * gp + sin * gq, s * (cos * gq - sin * gp)
            gtheta = np.stack([gs, galpha, total(gdx), total(gdy)], axis=1)
        if needs[1]:
            p, q = _p_q(*columns(theta, xy)[:2])
            gxy = np.stack([p * gdx + q * r * gdy, p * gdy - q / r * gdx], axis=-1)
        return gtheta, gxy

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return (N, 3, 3): the matrix above, and the row (0, 0, 1)."""
        self.check(theta)
        s, alpha, t_x, t_y = theta.T
        with np.errstate(all="ignore"):
            cos, sin = s * np.cos(alpha), s * np.sin(alpha)
        rows = [cos, -sin / self.aspect, t_x, sin * self.aspect, cos, t_y]
        return homogeneous(np.stack(rows, axis=1).reshape(-1, 2, 3))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.aspect == 1 else f'aspect={self.aspect:g}'})"


def _p_q(s: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (s cos(alpha) - 1, s sin(alpha))."""
    return (s - 1) - 2 * s * np.sin(alpha / 2) ** 2, s * np.sin(alpha)
