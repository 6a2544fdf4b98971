"""The projective family: eight parameters; a camera's view of a plane. Straight lines stay straight."""

from stn_ref.transforms.base import Matrix, Sums


class Projective(Matrix):
    """The plane projective transform (homography).

        (X)   [h11 h12 h13]  (x_t)
        (Y) = [h21 h22 h23]  (y_t)        x_s = X / w,   y_s = Y / w
        (w)   [h31 h32  1 ]  ( 1 )

    theta is (N, 8): the entries of the matrix, row by row, without the last one. That is 1, so the centre of the output
    is always in front of the camera.

    A point with w <= 1e-6 lies on the horizon or behind the camera: both coordinates are +inf, outside every image,
    and it has no gradient. NaN stays NaN.

    Source: Jaderberg et al. 2015, Sec. 3.2 and 4.1, which names the family; Hartley and Zisserman 2004, Sec. 2.3.
    """

    name = "projective"
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    symbols = ("h11", "h12", "h13", "h21", "h22", "h23", "h31", "h32")
    preserves = ("straight lines",)

    def rows(self, h11, h12, h13, h21, h22, h23, h31, h32) -> tuple:
        """Return the rows of the matrix above."""
        return (h11, h12, h13), (h21, h22, h23), (h31, h32, 1)

    def gradient(self, sums: Sums, *theta) -> tuple:
        """Return the gradient of each entry except the last, through X, Y and w.

        gX = gd_x / w,   gY = gd_y / w,   gw = -(gX x_s + gY y_s)
        """
        return sums
