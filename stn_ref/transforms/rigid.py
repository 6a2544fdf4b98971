"""The rigid family: rotation and translation; a sheet of paper moved on a table."""

from stn_ref.transforms.similarity import Similarity


class Rigid(Similarity):
    """Rotation by alpha and translation, in pixels: a similarity with s = 1; r = width / height of the image.

        (x_s)   [cos(alpha)     -sin(alpha) / r  t_x]  (x_t)
        (y_s) = [sin(alpha) r    cos(alpha)      t_y]  (y_t)
                                                       ( 1 )

    theta is (N, 3): alpha, t_x, t_y; alpha in radians. On the screen, where y points down, alpha > 0 rotates the
    sampling points clockwise and the content of the output counterclockwise.

    Args:
        aspect: r, as for Similarity; without it a rotation shears every image that is not square.

    Source: Jaderberg et al. 2015, Sec. 3.2: T may be any map that is differentiable in its parameters. r is added here.
    """

    name = "rigid"
    identity = Similarity.identity[1:]
    symbols = Similarity.symbols[1:]
    preserves = ("lengths", *Similarity.preserves)
    fixed = (1.0,)
