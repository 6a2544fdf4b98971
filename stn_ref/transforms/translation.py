"""The translation family: two parameters; the image moves and keeps its shape."""

from stn_ref.transforms.base import Matrix, Sums


class Translation(Matrix):
    """Translation, Eq. (2) with s = 1.

        (x_s)   [1 0 t_x]  (x_t)
        (y_s) = [0 1 t_y]  (y_t)
                           ( 1 )

    theta is (N, 2): t_x, t_y, normalised. t_x > 0 samples further right, so the content moves left.

    Source: Jaderberg et al. 2015, Sec. 3.2; the translation part of Eq. (2).
    """

    name = "translation"
    identity = (0.0, 0.0)
    symbols = ("t_x", "t_y")
    preserves = ("lengths", "angles", "parallelism", "straight lines")

    def rows(self, t_x, t_y) -> tuple:
        """Return the rows of the matrix above."""
        return (1, 0, t_x), (0, 1, t_y)

    def gradient(self, sums: Sums, t_x, t_y) -> tuple:
        """Return (gt_x, gt_y)."""
        return sums.T13, sums.T23
