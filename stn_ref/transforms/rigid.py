"""The rigid family: rotation and translation; a sheet of paper moved on a table."""

import numpy as np

from stn_ref.transforms.base import Transform
from stn_ref.transforms.similarity import Similarity


class Rigid(Transform):
    """Rotation by alpha and translation, in pixels: the similarity with s = 1; r = width / height of the image.

        (x_s)   [cos(alpha)     -sin(alpha) / r  t_x]  (x_t)
        (y_s) = [sin(alpha) r    cos(alpha)      t_y]  (y_t)
                                                       ( 1 )

    theta is (N, 3): alpha, t_x, t_y; alpha in radians. alpha > 0 turns the sampling points clockwise as seen on the
    screen, where y points down, and the content of the output counterclockwise.

    Args:
        aspect: r, as for Similarity: without it a rotation shears every image that is not square.

    Source: Jaderberg et al. 2015, Sec. 3.2: T may have any parameters by which it can be differentiated. r is ours.
    """

    name = "rigid"
    identity = Similarity.identity[1:]
    symbols = Similarity.symbols[1:]
    preserves = ("lengths", *Similarity.preserves)

    def __init__(self, aspect: float = 1.0):
        self._similarity = Similarity(aspect)

    @property
    def aspect(self) -> float:
        """Width / height of the image."""
        return self._similarity.aspect

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return the displacement of the similarity with s = 1, (N, ..., 2)."""
        return self._similarity.displacement(_with_scale_1(theta), xy)

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, 3), gxy (N, ..., 2)): the similarity's, without gs."""
        gtheta, gxy = self._similarity.backward(_with_scale_1(theta), xy, gd, needs)
        return (gtheta[:, 1:] if needs[0] else None), gxy

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return (N, 3, 3): the matrix above, and the row (0, 0, 1)."""
        self.check(theta)
        return self._similarity.matrix(_with_scale_1(theta))

    def __repr__(self) -> str:
        return repr(self._similarity).replace("Similarity", "Rigid")


def _with_scale_1(theta: np.ndarray) -> np.ndarray:
    """Return (1, alpha, t_x, t_y)."""
    return np.concatenate([np.ones((len(theta), 1), theta.dtype), theta], axis=1)
