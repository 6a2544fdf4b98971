"""The attention family, Eq. (2): isotropic scale and translation; a window that is moved and resized."""

import numpy as np

from stn_ref import checks
from stn_ref.transforms.base import Transform, columns, homogeneous, total


class Attention(Transform):
    """Eq. (2), the attention transform of Sec. 3.2: cropping, translation and isotropic scaling.

        (x_s)   [s 0 t_x]  (x_t)
        (y_s) = [0 s t_y]  (y_t)
                           ( 1 )

    theta is (N, 3): s, t_x, t_y. s < 1 looks at a part of the image, enlarged.

    Args:
        scale: None, or the value at which s is fixed, between 1e-6 and 1e6. Then theta is (N, 2): t_x, t_y, and
            `identity`, (0, 0), is the window in the middle of the image; the map is the identity at scale 1 only.

    Source: Jaderberg et al. 2015, Eq. (2); with the scale fixed at 0.5, Sec. 4.3.
    """

    name = "attention"
    identity = (1.0, 0.0, 0.0)
    symbols = ("s", "t_x", "t_y")
    preserves = ("angles", "parallelism", "straight lines")

    def __init__(self, scale: float | None = None):
        self.scale = scale
        if scale is not None:
            self.scale = checks.between("scale", scale, 1e-6, 1e6)
            self.identity, self.symbols = self.identity[1:], self.symbols[1:]

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return ((s - 1) x + t_x, (s - 1) y + t_y), (N, ..., 2)."""
        s, t_x, t_y = self._parameters(theta, xy)
        x, y = xy[..., 0], xy[..., 1]
        return np.stack([(s - 1) * x + t_x, (s - 1) * y + t_y], axis=-1)

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, K), gxy (N, ..., 2)): Eq. (2) transposed."""
        s, _, _ = self._parameters(theta, xy)
        x, y, gdx, gdy = xy[..., 0], xy[..., 1], gd[..., 0], gd[..., 1]
        gtheta = gxy = None
        if needs[0]:
            gs = [total(gdx * x + gdy * y)] if self.scale is None else []
            gtheta = np.stack([*gs, total(gdx), total(gdy)], axis=1)
        if needs[1]:
            gxy = np.stack([(s - 1) * gdx, (s - 1) * gdy], axis=-1)
        return gtheta, gxy

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return (N, 3, 3): Eq. (2) above the row (0, 0, 1)."""
        self.check(theta)
        rows = np.zeros((len(theta), 2, 3), theta.dtype)
        rows[:, 0, 0] = rows[:, 1, 1] = theta[:, 0] if self.scale is None else self.scale
        rows[:, :, 2] = theta[:, -2:]
        return homogeneous(rows)

    def _parameters(self, theta: np.ndarray, xy: np.ndarray) -> list:
        fixed = [] if self.scale is None else [self.scale]
        return fixed + columns(theta, xy)

    def __repr__(self) -> str:
        return "Attention()" if self.scale is None else f"Attention(scale={self.scale:g})"
