"""Two transforms in sequence: for example a rotation about a point, or a spline after an affine map."""

import numpy as np

from stn_ref.kernels.vectorised_grid import at_infinity, replaced
from stn_ref.transforms.base import Transform


class Composition(Transform):
    """The transform T(x, y) = outer(inner(x, y)); for two matrices, the product outer inner.

    theta is (N, outer.K + inner.K): first the parameters of outer, then those of inner. Each symbol names its
    transform, as "outer.s". A point that inner sends to infinity stays at +inf and has no gradient.

    Args:
        outer: the Transform that is applied last.
        inner: the Transform that is applied first, to target points.

    >>> from stn_ref.transforms import Rigid, Translation
    >>> Composition(Rigid(), Translation()).symbols
    ('outer.alpha', 'outer.t_x', 'outer.t_y', 'inner.t_x', 'inner.t_y')
    """

    def __init__(self, outer: Transform, inner: Transform):
        for name, part in (("outer", outer), ("inner", inner)):
            if not isinstance(part, Transform):
                raise TypeError(f"{name} must be a Transform, as transforms.get('affine') returns it; got {part!r}")
        self.outer, self.inner = outer, inner
        self.name = f"{outer.name}({inner.name})"
        self.identity = (*outer.identity, *inner.identity)
        self.symbols = (*(f"outer.{s}" for s in outer.symbols), *(f"inner.{s}" for s in inner.symbols))
        self.preserves = tuple(kept for kept in outer.preserves if kept in inner.preserves)

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return d_inner(xy) + d_outer(xy + d_inner(xy)), (N, ..., 2)."""
        return self._steps(theta, xy)[1]

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, K), gxy (N, ..., 2)): outer's gradient of its points adds to the gradient of inner's d."""
        theta_outer, theta_inner = self.split(theta)
        between, d = self._steps(theta, xy)
        gd = replaced(gd, at_infinity(d), 0)
        gouter, gbetween = self.outer.backward(theta_outer, between, gd, (needs[0], True))
        ginner, gxy = self.inner.backward(theta_inner, xy, gd + gbetween, needs)
        gtheta = np.concatenate([gouter, ginner], axis=1) if needs[0] else None
        return gtheta, gxy + gbetween if needs[1] else None

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return outer's matrix times inner's, (N, 3, 3); NotImplementedError if one of them has none."""
        self.check(theta)
        theta_outer, theta_inner = self.split(theta)
        outer, inner = self.outer.matrix(theta_outer), self.inner.matrix(theta_inner)
        with np.errstate(all="ignore"):
            return np.einsum("bij,bjk->bik", outer, inner)

    def split(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (theta of outer (N, outer.K), theta of inner (N, inner.K))."""
        return theta[:, : self.outer.K], theta[:, self.outer.K :]

    def _steps(self, theta: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the points between inner and outer, with 0 where inner sends them to infinity, and d."""
        theta_outer, theta_inner = self.split(theta)
        d_inner = self.inner.displacement(theta_inner, xy)
        lost = at_infinity(d_inner)
        between = replaced(xy + d_inner, lost, 0)
        d = d_inner + self.outer.displacement(theta_outer, between)
        return between, replaced(d, lost, np.inf)

    def __repr__(self) -> str:
        return f"Composition({self.outer!r}, {self.inner!r})"
