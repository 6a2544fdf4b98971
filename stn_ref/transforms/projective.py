"""The projective family: eight parameters; what a camera sees of a plane. Straight lines stay straight."""

from stn_ref.transforms.base import Matrix, Sums


class Projective(Matrix):
    """The plane projective transform (homography).

        (X)   [h11 h12 h13]  (x_t)
        (Y) = [h21 h22 h23]  (y_t)        x_s = X / w,   y_s = Y / w
        (w)   [h31 h32  1 ]  ( 1 )

    theta is (N, 8): the rows of the matrix, one after the other, without its last entry. That is 1, so that the centre
    of the output is always seen.

    Where w <= 1e-6 a point lies on the horizon or behind the camera: both coordinates are +inf, outside every image,
    and no gradient comes from it. NaN stays NaN.

    Source: Jaderberg et al. 2015, Sec. 3.2 and 4.1, which names the family; Hartley and Zisserman 2004, Sec. 2.3.
    """

    name = "projective"
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    symbols = ("h11", "h12", "h13", "h21", "h22", "h23", "h31", "h32")
    preserves = ("straight lines",)

    def rows(self, h11, h12, h13, h21, h22, h23, h31, h32) -> tuple:
        """Return the matrix above."""
        return (h11, h12, h13), (h21, h22, h23), (h31, h32, 1)

    def gradient(self, sums: Sums, *theta) -> tuple:
        """Return the gradient of each entry but the last, through X, Y and w.

        gX = gd_x / w,   gY = gd_y / w,   gw = -(gX x_s + gY y_s)
        """
        return sums
