"""What every transform family has: a name, its identity, and T_theta as a displacement.

T_theta maps target to source, so that every output pixel is asked where it comes from; no inverse is ever computed.
A family gives d = T_theta(x, y) - (x, y) rather than T_theta itself: near the identity that has no cancellation, and
at the identity it is exactly 0.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from stn_ref import checks
from stn_ref.kernels.vectorised_grid import at_infinity, displacement, displacement_backward, replaced

PROPERTIES = ("lengths", "angles", "parallelism", "straight lines")


class Transform:
    """A family of maps of the plane with K parameters.

    A family of matrices is a `Matrix`, below; another one writes `displacement` and `backward` side by side. They take
    what `check` has passed and trust it. `apply` and `apply_backward` are the same maps for landmarks, with every
    argument checked; `grid_forward` and `grid_backward` are the same for the target grid, in pixels of the input.

    Attributes:
        name: how the command line and the models call it.
        identity: the K parameters that leave every point where it is (Attention with a fixed scale: that look at the
            middle of the image).
        symbols: the paper's name of each parameter.
        preserves: what all its maps keep, out of PROPERTIES, measured in pixels.
    """

    name: str
    identity: tuple[float, ...]
    symbols: tuple[str, ...]
    preserves: tuple[str, ...] = ()

    @property
    def K(self) -> int:
        """Number of parameters."""
        return len(self.identity)

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return T_theta(xy) - xy.

        Args:
            theta: (N, K).
            xy: (N, ..., 2) points, normalised, last axis (x, y); (1, ..., 2): the same for every sample.

        Returns:
            d: (N, ..., 2), normalised, dtype of theta.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no displacement")

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return the gradients of sum(gd * displacement(theta, xy)).

        Args:
            theta: (N, K), as for `displacement`.
            xy: as for `displacement`.
            gd: (N, ..., 2), dL/dd.
            needs: which of (gtheta, gxy) are wanted; the other is None and costs nothing.

        Returns:
            (gtheta (N, K), gxy (N, ..., 2)); gxy is each sample's own, also where xy is the same for all.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return (N, 3, 3): T_theta on (x, y, 1), up to scale. NotImplementedError where a family is no matrix."""
        raise NotImplementedError(f"{self.name} is not given by a matrix")

    def grid_forward(self, theta: np.ndarray, axes: tuple, kernel: ModuleType) -> np.ndarray:
        """Return points (N, Ho, Wo, 2): T_theta(G) in pixels, see coordinates.axes; kernel: from kernels.grids."""
        return kernel.shift_forward(self.displacement(theta, target_points(axes)), axes)

    def grid_backward(self, theta: np.ndarray, gpoints: np.ndarray, axes: tuple, kernel: ModuleType) -> np.ndarray:
        """Return gtheta (N, K), the gradient of sum(gpoints * grid_forward(theta, axes, kernel))."""
        return self.backward(theta, target_points(axes), kernel.shift_backward(gpoints, axes), (True, False))[0]

    def apply(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return T_theta(xy): where target points come from.

        Args:
            theta: (N, K) float32 or float64.
            xy: (P, 2) points, the same for every sample, or (N, ..., 2), each sample's own (1 in front: the same for
                all); normalised, last axis (x, y), dtype of theta.

        Returns:
            (N, P, 2) or (N, ..., 2), normalised. Points that are not finite come out as NaN or infinite.

        Raises:
            TypeError: not float32 or float64, or two dtypes.
            ShapeError: axes disagree.
        """
        xy = self._batch_of_points(theta, xy)
        with np.errstate(all="ignore"):  # a diverged theta gives inf or NaN points, not a crash
            return xy + self.displacement(theta, xy)

    def apply_backward(
        self, theta: np.ndarray, xy: np.ndarray, gT: np.ndarray, needs: bool | tuple[bool, bool] = True
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta, gxy), the gradients of sum(gT * apply(theta, xy)), shaped as theta and xy.

        T = xy + d, so gxy is gT plus what `backward` returns. Points that every sample shares collect the gradients of
        all samples. A point that T sends to infinity has no gradient.

        Args:
            theta: as for `apply`.
            xy: as for `apply`.
            gT: shaped as what `apply` returns.
            needs: which of (gtheta, gxy) are wanted; the other is None.

        Raises:
            TypeError, ShapeError: as for `apply`; also for gT.
        """
        points = self._batch_of_points(theta, xy)
        needs = checks.flags("needs", needs, ("theta", "xy"))
        checks.floating("gT", gT, like=("theta", theta))
        wanted = (len(theta), *points.shape[1:])
        if gT.shape != wanted:
            raise checks.ShapeError(f"gT must have the shape that apply returns, {wanted}; got shape {gT.shape}")
        with np.errstate(all="ignore"):
            gT = replaced(gT, at_infinity(self.displacement(theta, points)), 0)
            gtheta, gxy = self.backward(theta, points, gT, needs)
            if needs[1]:
                gxy = gxy + gT
                gxy = gxy if len(points) == len(theta) else gxy.sum(0, keepdims=True)
                gxy = gxy.reshape(xy.shape)
        return gtheta, gxy

    def check(self, theta: np.ndarray) -> None:
        """Raise unless theta is a float array (N, K)."""
        checks.floating("theta", theta)
        checks.shape("theta", theta, ("N", "K"), K=(self.K, f"{self.name} ({', '.join(self.symbols)})"))

    def _batch_of_points(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Check both; return xy as `displacement` takes it, (N or 1, ..., 2)."""
        self.check(theta)
        checks.floating("xy", xy, like=("theta", theta))
        contract = "xy must be (P, 2), or (N, ..., 2) with each sample's own points"
        if xy.ndim < 2 or xy.shape[-1] != 2:
            raise checks.ShapeError(f"{contract}: the last axis is (x, y); got shape {xy.shape}")
        if xy.ndim == 2:
            return xy[None]
        if len(xy) not in (1, len(theta)):
            wanted = f"N={len(theta)} from theta, or 1"
            raise checks.ShapeError(f"{contract}: axis 0 is {len(xy)}, expected {wanted}; got shape {xy.shape}")
        return xy

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Sums(NamedTuple):
    """Sums over a sample's points, (N,) each: the gradient of the entries of the matrix, Eq. (1) transposed.

    Attributes:
        T11, T12, T13: of gd_x times x, y and 1; for a homography of gX, see Projective.
        T21, T22, T23: of gd_y, or gY.
        stretch: of gd_x x + gd_y y: T11 + T22; for a homography of gw x.
        turn: of gd_y r x - gd_x y / r: r T21 - T12 / r; for a homography of gw y.
    """

    T11: np.ndarray
    T12: np.ndarray
    T13: np.ndarray
    T21: np.ndarray
    T22: np.ndarray
    T23: np.ndarray
    stretch: np.ndarray
    turn: np.ndarray


class Matrix(Transform):
    """A family whose T is a matrix on (x, y, 1): it writes the matrix and its gradient side by side, all else is here.

    Attributes:
        fixed: numbers that stand for the first parameters, those that theta does not hold.
        aspect: r of `Sums`.
    """

    fixed: tuple[float, ...] = ()
    aspect = 1.0

    def rows(self, *parameters) -> tuple:
        """Return the rows of T as the paper writes them, from theta's columns; with a third row where that varies."""
        raise NotImplementedError(f"{type(self).__name__} defines no rows")

    def gradient(self, sums: Sums, *parameters) -> tuple:
        """Return the gradient of each parameter, (N,), from that of the matrix's entries."""
        raise NotImplementedError(f"{type(self).__name__} defines no gradient")

    def less_identity(self, *parameters) -> tuple:
        """Return the rows of D = T - identity, so that d = D (x, y, 1), without cancellation; 0 is a term less."""
        T = self.rows(*parameters)
        return tuple([entry - 1 if i == k else entry for k, entry in enumerate(row)] for i, row in enumerate(T))

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return d = D (x, y, 1), (N, ..., 2); of a homography (D (x, y, 1) - (w - 1) (x, y)) / w."""
        return displacement(self.less_identity(*self._columns(theta, xy.ndim - 2)), xy[..., 0], xy[..., 1])

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, K), gxy (N, ..., 2)): D transposed."""
        D = self.less_identity(*self._columns(theta, xy.ndim - 2))
        sums, gxy = displacement_backward(D, xy[..., 0], xy[..., 1], gd, self.aspect, needs)
        return (self._gtheta(theta, sums) if needs[0] else None), gxy

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return (N, 3, 3): `rows`, and (0, 0, 1) where there is no third."""
        self.check(theta)
        with np.errstate(all="ignore"):
            rows = self.rows(*self._columns(theta))
        return _filled((*rows, (0, 0, 1))[:3], theta)

    def grid_forward(self, theta: np.ndarray, axes: tuple, kernel: ModuleType) -> np.ndarray:
        """Return points (N, Ho, Wo, 2), see Transform."""
        return kernel.matrix_forward(self._D(theta), axes)

    def grid_backward(self, theta: np.ndarray, gpoints: np.ndarray, axes: tuple, kernel: ModuleType) -> np.ndarray:
        """Return gtheta (N, K), see Transform."""
        return self._gtheta(theta, kernel.matrix_backward(self._D(theta), gpoints, axes, self.aspect))

    def _columns(self, theta: np.ndarray, axes: int = 0) -> list:
        """Return the fixed parameters and the columns of theta, to broadcast against points with that many axes."""
        return [*self.fixed, *theta.T.reshape(self.K, len(theta), *(1,) * axes)]

    def _D(self, theta: np.ndarray) -> np.ndarray:
        """Return D (N, 2, 3); of a homography (N, 3, 3)."""
        return _filled(self.less_identity(*self._columns(theta)), theta)

    def _gtheta(self, theta: np.ndarray, sums: np.ndarray) -> np.ndarray:
        gradient = self.gradient(Sums(*sums.T), *self._columns(theta))
        return np.stack(gradient[len(self.fixed) :], axis=1)


def _filled(rows: tuple, theta: np.ndarray) -> np.ndarray:
    """Return (N, rows, 3) with these entries, in the dtype of theta."""
    matrix = np.empty((len(theta), len(rows), 3), theta.dtype)
    for i, row in enumerate(rows):
        for k, entry in enumerate(row):
            matrix[:, i, k] = entry
    return matrix


def target_points(axes: tuple) -> np.ndarray:
    """Return G (1, Ho, Wo, 2), normalised: the target points, the same for every sample."""
    x, y = (axis.target for axis in axes)
    return np.stack(np.broadcast_arrays(x, y[:, None]), axis=-1)[None]
