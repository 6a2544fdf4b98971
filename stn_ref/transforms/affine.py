"""The affine family, Eq. (1): six parameters; parallel lines stay parallel."""

import numpy as np

from stn_ref.transforms.base import Transform, broadcast


class Affine(Transform):
    """Eq. (1), the affine transform of Sec. 3.2.

        (x_s)   [theta11 theta12 theta13]  (x_t)
        (y_s) = [theta21 theta22 theta23]  (y_t)
                                           ( 1 )

    theta is (N, 6): the rows of the matrix, one after the other.
    """

    name = "affine"
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    symbols = ("theta11", "theta12", "theta13", "theta21", "theta22", "theta23")

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return ((theta11 - 1) x + theta12 y + theta13, theta21 x + (theta22 - 1) y + theta23), (N, ..., 2)."""
        t11, t12, t13, t21, t22, t23 = broadcast(theta, xy)
        x, y = xy[..., 0], xy[..., 1]
        return np.stack([(t11 - 1) * x + t12 * y + t13, t21 * x + (t22 - 1) * y + t23], axis=-1)

    def backward(self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray) -> np.ndarray:
        """Return gtheta (N, 6): Eq. (1) transposed."""
        x, y = xy[..., 0].reshape(-1), xy[..., 1].reshape(-1)
        gdx, gdy = gd[..., 0].reshape(len(theta), len(x)), gd[..., 1].reshape(len(theta), len(x))
        return np.stack(
            [(gdx * x).sum(1), (gdx * y).sum(1), gdx.sum(1), (gdy * x).sum(1), (gdy * y).sum(1), gdy.sum(1)], axis=1
        )
