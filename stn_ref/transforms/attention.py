"""The attention family, Eq. (2): isotropic scale and translation; a window that moves and changes its size."""

from stn_ref import checks
from stn_ref.transforms.base import Matrix, Sums


class Attention(Matrix):
    """Eq. (2), the attention transform of Sec. 3.2: cropping, translation and isotropic scaling.

        (x_s)   [s 0 t_x]  (x_t)
        (y_s) = [0 s t_y]  (y_t)
                           ( 1 )

    theta is (N, 3): s, t_x, t_y. With s < 1 the output shows a part of the image, enlarged.

    Args:
        scale: a fixed s, between 1e-6 and 1e6; None: s is a parameter. With a fixed s theta is (N, 2): t_x, t_y, and
            `identity` = (0, 0) is the window in the middle of the image. It is the identity map only for s = 1.

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
            self.fixed, self.identity, self.symbols = (self.scale,), self.identity[1:], self.symbols[1:]

    def rows(self, s, t_x, t_y) -> tuple:
        """Return the rows of the matrix in Eq. (2)."""
        return (s, 0, t_x), (0, s, t_y)

    def gradient(self, sums: Sums, s, t_x, t_y) -> tuple:
        """Return (gs, gt_x, gt_y): Eq. (2) transposed."""
        return sums.stretch, sums.T13, sums.T23

    def __repr__(self) -> str:
        return "Attention()" if self.scale is None else f"Attention(scale={self.scale:g})"
