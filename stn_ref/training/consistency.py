"""A transformation-consistency loss: if an image is moved, the sampling points of the transformer should move with it.

Reads: ../transformer.py, ../sampler.py. Read next: loop.py.

The paper has no such loss: its transformers learn from the classification loss alone. Articles about spatial
transformers mention a "transformation consistency loss" without defining it; this definition is ours.

Take an image U_1 and move it by a random similarity a of the plane:

    U_2(x) = U_1(a(x)),   P_1 = T_theta1(G),   P_2 = a(T_theta2(G)),   theta_k = f_loc(U_k)

The view of U_2 is U_2(T_theta2(G)) = U_1(P_2). So the two views are equal for every image if P_1 = P_2: then theta2
composed with a is theta1. The loss needs no label, and works for any image and any family of transforms. If a
projective transform has a point on the horizon or behind it in either view, that pair of points is left out.

Limits of this loss. The difference of the views themselves, mean (V_1 - V_2)^2, is smallest for a transformer that
samples an empty region, and training finds this solution: the digits become smaller and smaller, and with a large
factor the views become black. The difference of the points is smallest for a transformer that samples a single point.
Therefore the loss is relative to the spread of the points of a view. Then no zoom hides a wrong angle, and zooming in
makes the error of a wrong place larger. Two limits remain: zooming out makes that error smaller, and the loss does not
prefer any pose as long as the pose is consistent. Only the classification loss decides which view can be classified; a
factor that is too large suppresses it.
"""

import numpy as np

from stn_ref import checks
from stn_ref.nn import Layer, Sequential
from stn_ref.sampler import sample
from stn_ref.transforms.base import at_infinity, replaced

ANGLE, ZOOM, SHIFT = (45.0, 1.25, 0.1)  # bounds of `draw_similarities`: degrees, a factor, a fraction of the sides


def draw_similarities(n: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return n random similarities of the plane, from pixels to pixels of an image of size = (H, W).

        a(x) = m + s R (x - m) + d,   m the middle of the image

    R rotates by U(-45, 45) degrees, log s is uniform between log(1/1.25) and log(1.25), and d shifts by up to a tenth
    of each side. We chose these bounds so that most of a digit stays in its image.

    Returns:
        a (n, 2, 3) float32: rows (s R, m - s R m + d), to be applied to (x, y, 1).
    """
    H, W = size
    m, side = np.array([W - 1, H - 1]) / 2, np.array([W, H])
    angle = np.deg2rad(rng.uniform(-ANGLE, ANGLE, n))
    s = ZOOM ** rng.uniform(-1, 1, n)
    d = rng.uniform(-SHIFT, SHIFT, (n, 2)) * side
    cos, sin = s * np.cos(angle), s * np.sin(angle)
    sR = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)
    return np.concatenate([sR, (m - sR @ m + d)[..., None]], axis=-1).astype(np.float32)


@np.errstate(all="ignore")
def moved(points: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return a(points), for points (N or 1, Ho, Wo, 2) and a (N, 2, 3); points at infinity stay there."""
    infinite = at_infinity(points)
    found = replaced(points, infinite, 0) @ a[:, None, :, :2].swapaxes(-1, -2) + a[:, None, None, :, 2]
    return replaced(found, infinite, np.inf)


def seen_through(U: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return U_2(x) = U(a(x)), for U (N, C, H, W) and a (N, 2, 3); it is 0 outside the image."""
    H, W = U.shape[2:]
    pixels = np.stack(np.meshgrid(np.arange(W), np.arange(H)), axis=-1)[None].astype(U.dtype)
    return sample(U, moved(pixels, a.astype(U.dtype)))


class PointsApart(Layer):
    """The distance of two sets of points, relative to the size of the sets; the mean over examples.

        L = 1/N sum_n W / T,   W = sum |P_1 - P_2|^2,   T = sum |P_1 - c_1|^2 + |P_2 - c_2|^2
        gP_1 = 2 gL / (N T) (  P_1 - P_2  - W/T (P_1 - c_1))
        gP_2 = 2 gL / (N T) (-(P_1 - P_2) - W/T (P_2 - c_2))

    Sums are over the points of an example, and c_k is the mean of P_k over them. If P_2 is P_1 rotated by the angle b
    about its centre, W/T = 1 - cos b for every size. If each set is a single point, T = 0, and W/T is defined as 1,
    without a gradient. If one point of a pair is at infinity, the pair is left out of all sums and means, and gets no
    gradient; NaN stays NaN.
    """

    @np.errstate(all="ignore")
    def forward(self, P_1: np.ndarray, P_2: np.ndarray) -> np.ndarray:
        """Return L, an array of shape (), for points (N, Ho, Wo, 2), N at least 1.

        Raises:
            TypeError, ShapeError: P_1 is not float32 or float64, dtypes or shapes differ, or an axis is empty.
        """
        checks.floating("P_1", P_1)
        checks.floating("P_2", P_2, like=("P_1", P_1))
        N, Ho, Wo, _ = checks.shape("P_1", P_1, ("N", "Ho", "Wo", 2))
        checks.shape("P_2", P_2, ("N", "Ho", "Wo", 2), N=(N, "P_1"), Ho=(Ho, "P_1"), Wo=(Wo, "P_1"))
        checks.not_empty("P_1", P_1, ("N", "Ho", "Wo", "2"), "N", "Ho", "Wo")
        total = {"axis": (1, 2, 3), "keepdims": True}
        infinite = at_infinity(P_1) | at_infinity(P_2)
        n = np.maximum(1, np.sum(~infinite, axis=(1, 2), dtype=P_1.dtype))[:, None, None, None]
        P_1, P_2 = replaced(P_1, infinite, 0), replaced(P_2, infinite, 0)
        d_1, d_2 = (replaced(P - P.sum(axis=(1, 2), keepdims=True) / n, infinite, 0) for P in (P_1, P_2))
        d = P_1 - P_2
        T = np.square(d_1).sum(**total) + np.square(d_2).sum(**total)
        point = T <= np.finfo(T.dtype).eps ** 2
        T[point] = np.inf
        ratio = np.square(d).sum(**total) / T + point
        return self.keep(np.asarray(ratio.mean()), d, d_1, d_2, 2 / (N * T), ratio)

    @np.errstate(all="ignore")
    def backward(self, gL: np.ndarray, needs: bool = True) -> tuple:
        """Return (gP_1, gP_2), each None without `needs`."""
        gL, (d, d_1, d_2, scale, ratio) = self.take(gL)
        if not needs:
            return None, None
        return gL * scale * (d - ratio * d_1), gL * scale * (-d - ratio * d_2)


class Consistent(Layer):
    """A net that begins with a transformer, and its consistency loss on images that were moved.

        U_1 --> transformer --> V_1 --> the rest of the net --> scores
                     `--> theta1 --> P_1
        U_2 --> f_loc --> theta2 --> T_theta2(G) --> a --> P_2
        L = PointsApart(P_1, P_2)

    Only U_1 is classified: with gL = 0 the parameters get the same gradients as from the net alone.

    Args:
        net: a net whose first layer is a transformer. This layer shares all its parameters with the net.
    """

    def __init__(self, net: Sequential):
        self.transformer, self.rest = net[0].share(), Sequential(*net.layers[1:])
        self.transformer.return_theta = True
        self.localisation = net[0].localisation.share()
        self.grid_1, self.grid_2 = net[0].grid.share(), net[0].grid.share()
        self.apart = PointsApart()

    def forward(self, U_1: np.ndarray, U_2: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores (N, K), L ()) for U_1 (N, C, H, W), U_2 = seen_through(U_1, a) and a (N, 2, 3)."""
        size, a = U_1.shape[2:], a.astype(U_1.dtype)
        with self.undivided():
            V_1, theta_1 = self.transformer.forward(U_1)
            P_1 = self.grid_1.forward(theta_1, size)
            P_2 = moved(self.grid_2.forward(self.localisation.forward(U_2), size), a)
            return self.keep((self.rest.forward(V_1), self.apart.forward(P_1, P_2)), a)

    def backward(self, gscores: np.ndarray, gL: np.ndarray, needs: bool = True) -> tuple:
        """Return (gU_1, gU_2, None), all None without `needs`; a gets none, U_2 counts as an independent input."""
        (gscores, gL), (a,) = self.take((gscores, gL))
        gP_1, gP_2 = self.apart.backward(gL)
        with np.errstate(all="ignore"):
            gmoved = gP_2 @ a[:, None, :, :2]
        gU_2 = self.localisation.backward(self.grid_2.backward(gmoved), needs=needs)
        gU_1 = self.transformer.backward(self.rest.backward(gscores), self.grid_1.backward(gP_1), needs=needs)
        return gU_1, gU_2, None
