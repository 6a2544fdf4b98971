"""The translation family: two parameters; the image is moved as it is."""

import numpy as np

from stn_ref.transforms.base import Transform, columns, homogeneous, total


class Translation(Transform):
    """Translation, Eq. (2) with s = 1.

        (x_s)   [1 0 t_x]  (x_t)
        (y_s) = [0 1 t_y]  (y_t)
                           ( 1 )

    theta is (N, 2): t_x, t_y, normalised. t_x > 0 looks further right, so that the content moves left.

    Source: Jaderberg et al. 2015, Sec. 3.2; the part of Eq. (2) that moves.
    """

    name = "translation"
    identity = (0.0, 0.0)
    symbols = ("t_x", "t_y")
    preserves = ("lengths", "angles", "parallelism", "straight lines")

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return (t_x, t_y) for every point, (N, ..., 2)."""
        t_x, t_y = columns(theta, xy)
        still = np.zeros(xy.shape[:-1], theta.dtype)
        return np.stack([still + t_x, still + t_y], axis=-1)

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, 2), gxy (N, ..., 2)); gxy is 0, the displacement is the same everywhere."""
        gtheta = np.stack([total(gd[..., 0]), total(gd[..., 1])], axis=1) if needs[0] else None
        return gtheta, np.zeros_like(gd) if needs[1] else None

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return (N, 3, 3): the matrix above, and the row (0, 0, 1)."""
        self.check(theta)
        rows = np.zeros((len(theta), 2, 3), theta.dtype)
        rows[:, 0, 0] = rows[:, 1, 1] = 1
        rows[:, :, 2] = theta
        return homogeneous(rows)
