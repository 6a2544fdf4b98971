"""The similarity family: scale, rotation and translation; shapes keep their angles."""

import numpy as np

from stn_ref import checks
from stn_ref.transforms.base import Matrix, Sums


class Similarity(Matrix):
    """Rotation by alpha, isotropic scale and translation, in pixels; r = width / height of the image.

        (x_s)   [s cos(alpha)     -s sin(alpha) / r  t_x]  (x_t)
        (y_s) = [s sin(alpha) r    s cos(alpha)      t_y]  (y_t)
                                                           ( 1 )

    theta is (N, 4): s, alpha, t_x, t_y; alpha in radians. On the screen, where y points down, alpha > 0 rotates the
    sampling points clockwise and the content of the output counterclockwise.

    A normalised unit is W/2 pixels along x and H/2 along y. Without r a rotation in normalised coordinates would shear
    every image that is not square; with r, squares of pixels stay squares.

    Args:
        aspect: r = coordinates.aspect(size, align_corners) of the sampled image: W / H, or (W - 1) / (H - 1) with
            align_corners. The output shows the same shapes if it has the same aspect.

    Source: Jaderberg et al. 2015, Sec. 3.2: T may be any map that is differentiable in its parameters. r is added here.
    """

    name = "similarity"
    identity = (1.0, 0.0, 0.0, 0.0)
    symbols = ("s", "alpha", "t_x", "t_y")
    preserves = ("angles", "parallelism", "straight lines")

    def __init__(self, aspect: float = 1.0):
        self.aspect = checks.between("aspect", aspect, 1e-6, 1e6)

    def rows(self, s, alpha, t_x, t_y) -> tuple:
        """Return the rows of the matrix above."""
        p, q, r = s * np.cos(alpha), s * np.sin(alpha), self.aspect
        return (p, -q / r, t_x), (q * r, p, t_y)

    def less_identity(self, s, alpha, t_x, t_y) -> tuple:
        """Return the rows of T - identity, p - 1 as (s - 1) - 2 s sin^2(alpha / 2): cos(alpha) - 1 loses digits."""
        (_, T12, _), (T21, _, _) = self.rows(s, alpha, t_x, t_y)
        p_1 = (s - 1) - 2 * s * np.sin(alpha / 2) ** 2
        return (p_1, T12, t_x), (T21, p_1, t_y)

    def gradient(self, sums: Sums, s, alpha, t_x, t_y) -> tuple:
        """Return (gs, galpha, gt_x, gt_y), through p = s cos(alpha) and q = s sin(alpha).

        dp = cos(alpha) ds - s sin(alpha) dalpha,   dq = sin(alpha) ds + s cos(alpha) dalpha
        """
        sin, cos, gp, gq = np.sin(alpha), np.cos(alpha), sums.stretch, sums.turn
        return cos * gp + sin * gq, s * (cos * gq - sin * gp), sums.T13, sums.T23

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.aspect == 1 else f'aspect={self.aspect:g}'})"
