"""The affine family, Eq. (1): six parameters; parallel lines stay parallel."""

import numpy as np

from stn_ref.transforms.base import Transform, columns, homogeneous, total


class Affine(Transform):
    """Eq. (1), the affine transform of Sec. 3.2.

        (x_s)   [theta11 theta12 theta13]  (x_t)
        (y_s) = [theta21 theta22 theta23]  (y_t)
                                           ( 1 )

    theta is (N, 6): the rows of the matrix, one after the other.

    Source: Jaderberg et al. 2015, Eq. (1).
    """

    name = "affine"
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    symbols = ("theta11", "theta12", "theta13", "theta21", "theta22", "theta23")
    preserves = ("parallelism", "straight lines")

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return ((theta11 - 1) x + theta12 y + theta13, theta21 x + (theta22 - 1) y + theta23), (N, ..., 2)."""
        t11, t12, t13, t21, t22, t23 = columns(theta, xy)
        x, y = xy[..., 0], xy[..., 1]
        return np.stack([(t11 - 1) * x + t12 * y + t13, t21 * x + (t22 - 1) * y + t23], axis=-1)

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, 6), gxy (N, ..., 2)): Eq. (1) transposed."""
        t11, t12, _, t21, t22, _ = columns(theta, xy)
        x, y, gdx, gdy = xy[..., 0], xy[..., 1], gd[..., 0], gd[..., 1]
        gtheta = gxy = None
        if needs[0]:
            gtheta = np.stack(
                [total(gdx * x), total(gdx * y), total(gdx), total(gdy * x), total(gdy * y), total(gdy)], axis=1
            )
        if needs[1]:
            gxy = np.stack([(t11 - 1) * gdx + t21 * gdy, t12 * gdx + (t22 - 1) * gdy], axis=-1)
        return gtheta, gxy

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return (N, 3, 3): Eq. (1) above the row (0, 0, 1)."""
        self.check(theta)
        return homogeneous(theta.reshape(-1, 2, 3))
