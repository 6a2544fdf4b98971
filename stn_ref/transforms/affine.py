"""The affine family, Eq. (1): six parameters; parallel lines stay parallel."""

from stn_ref.transforms.base import Matrix, Sums


class Affine(Matrix):
    """Eq. (1), the affine transform of Sec. 3.2.

        (x_s)   [theta11 theta12 theta13]  (x_t)
        (y_s) = [theta21 theta22 theta23]  (y_t)
                                           ( 1 )

    theta is (N, 6): the entries of the matrix, row by row.

    Source: Jaderberg et al. 2015, Eq. (1).
    """

    name = "affine"
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    symbols = ("theta11", "theta12", "theta13", "theta21", "theta22", "theta23")
    preserves = ("parallelism", "straight lines")

    def rows(self, t11, t12, t13, t21, t22, t23) -> tuple:
        """Return the rows of the matrix in Eq. (1)."""
        return (t11, t12, t13), (t21, t22, t23)

    def gradient(self, sums: Sums, *theta) -> tuple:
        """Return the gradient of each entry: Eq. (1) transposed."""
        return sums[:6]
