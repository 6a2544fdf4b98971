"""The attention family, Eq. (2): isotropic scale and translation; a window that is moved and resized."""

import numpy as np

from stn_ref.transforms.base import Transform, broadcast


class Attention(Transform):
    """Eq. (2), the attention transform of Sec. 3.2: cropping, translation and isotropic scaling.

        (x_s)   [s 0 t_x]  (x_t)
        (y_s) = [0 s t_y]  (y_t)
                           ( 1 )

    theta is (N, 3): s, t_x, t_y. s < 1 looks at a part of the image, enlarged.
    """

    name = "attention"
    identity = (1.0, 0.0, 0.0)
    symbols = ("s", "t_x", "t_y")

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return ((s - 1) x + t_x, (s - 1) y + t_y), (N, ..., 2)."""
        s, t_x, t_y = broadcast(theta, xy)
        x, y = xy[..., 0], xy[..., 1]
        return np.stack([(s - 1) * x + t_x, (s - 1) * y + t_y], axis=-1)

    def backward(self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray) -> np.ndarray:
        """Return gtheta (N, 3): Eq. (2) transposed."""
        x, y = xy[..., 0].reshape(-1), xy[..., 1].reshape(-1)
        gdx, gdy = gd[..., 0].reshape(len(theta), len(x)), gd[..., 1].reshape(len(theta), len(x))
        return np.stack([(gdx * x + gdy * y).sum(1), gdx.sum(1), gdy.sum(1)], axis=1)
