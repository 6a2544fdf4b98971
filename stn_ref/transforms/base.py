"""Base classes of the transform families: name, identity parameters, and T_theta as a displacement.

T_theta maps target to source: it gives the source point of each output pixel, so no inverse is computed. A family
computes d = T_theta(x, y) - (x, y), not T_theta: d has no cancellation near the identity, and at the identity d = 0.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from stn_ref import checks
from stn_ref.kernels.vectorised_grid import at_infinity, displacement, displacement_backward, replaced

PROPERTIES = ("lengths", "angles", "parallelism", "straight lines")


class Transform:
    """A family of maps of the plane with K parameters.

    A family of matrices derives from `Matrix`, below. Any other family defines `displacement` and `backward` side by
    side; these two do not check their arguments. `apply` and `apply_backward` check them and compute the same maps for
    landmarks. `grid_forward` and `grid_backward` compute them for the target grid, in pixels of the input.

    Attributes:
        name: the name in the command line and in models.
        identity: the K parameters of the identity map (Attention with a fixed scale: of the window in the middle).
        symbols: the paper's name of each parameter.
        preserves: those of PROPERTIES that all maps of the family preserve, measured in pixels.
    """

    name: str
    identity: tuple[float, ...]
    symbols: tuple[str, ...]
    preserves: tuple[str, ...] = ()

    @property
    def K(self) -> int:
        """Return the number of parameters."""
        return len(self.identity)

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return T_theta(xy) - xy.

        Args:
            theta: (N, K).
            xy: (N, ..., 2) points, normalised, last axis (x, y); (1, ..., 2) if all samples share them.

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
            needs: which of (gtheta, gxy) to compute; the other is None and costs nothing.

        Returns:
            (gtheta (N, K), gxy (N, ..., 2)); gxy has an entry per sample, also for shared points.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return the matrix of T_theta on (x, y, 1), (N, 3, 3), up to scale; NotImplementedError if there is none."""
        raise NotImplementedError(f"{self.name} is not given by a matrix")

    def grid_forward(self, theta: np.ndarray, axes: tuple, kernel: ModuleType) -> np.ndarray:
        """Return points (N, Ho, Wo, 2): T_theta(G) in pixels, by a `kernel` of kernels.grids and coordinates.axes."""
        return kernel.shift_forward(self.displacement(theta, target_points(axes)), axes)

    def grid_backward(self, theta: np.ndarray, gpoints: np.ndarray, axes: tuple, kernel: ModuleType) -> np.ndarray:
        """Return gtheta (N, K), the gradient of sum(gpoints * grid_forward(theta, axes, kernel))."""
        return self.backward(theta, target_points(axes), kernel.shift_backward(gpoints, axes), (True, False))[0]

    def apply(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return T_theta(xy), the source points of the target points xy.

        Args:
            theta: (N, K) float32 or float64.
            xy: (P, 2) or (1, ..., 2) points that all samples share, or (N, ..., 2), the points of each sample;
                normalised, last axis (x, y), dtype of theta.

        Returns:
            (N, P, 2) or (N, ..., 2), normalised. Points that are not finite become NaN or infinite.

        Raises:
            TypeError: an array is not float32 or float64, or the dtypes differ.
            ShapeError: axes disagree.
        """
        xy = self._batch_of_points(theta, xy)
        with np.errstate(all="ignore"):  # a diverged theta gives inf or NaN points, not a crash
            return xy + self.displacement(theta, xy)

    def apply_backward(
        self, theta: np.ndarray, xy: np.ndarray, gT: np.ndarray, needs: bool | tuple[bool, bool] = True
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta, gxy), the gradients of sum(gT * apply(theta, xy)), with the shapes of theta and xy.

        T = xy + d, so gxy is gT plus the gxy of `backward`. For shared points it is the sum over the samples. A point
        that T sends to infinity has no gradient.

        Args:
            theta: as for `apply`.
            xy: as for `apply`.
            gT: (N, P, 2) or (N, ..., 2), the shape that `apply` returns.
            needs: which of (gtheta, gxy) to compute; the other is None.

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
        """Raise TypeError or ShapeError unless theta is a float array (N, K)."""
        checks.floating("theta", theta)
        checks.shape("theta", theta, ("N", "K"), K=(self.K, f"{self.name} ({', '.join(self.symbols)})"))

    def _batch_of_points(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Check both arguments; return xy in the shape that `displacement` takes, (N or 1, ..., 2)."""
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
    """Sums over the points of a sample, (N,) each: the gradient of the matrix's entries, Eq. (1) transposed.

    Attributes:
        T11, T12, T13: sums of gd_x times x, y and 1; for a homography gX replaces gd_x, see Projective.
        T21, T22, T23: the same sums of gd_y, or gY.
        stretch: sum of gd_x x + gd_y y = T11 + T22; for a homography the sum of gw x.
        turn: sum of gd_y r x - gd_x y / r = r T21 - T12 / r; for a homography the sum of gw y.
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
    """A family whose T is a matrix on (x, y, 1). A subclass defines only `rows` and `gradient`, side by side.

    Attributes:
        fixed: values of the first parameters, if theta does not hold them.
        aspect: r of `Sums`.
    """

    fixed: tuple[float, ...] = ()
    aspect = 1.0

    def rows(self, *parameters) -> tuple:
        """Return the rows of T in the paper's form, from theta's columns; the third only if it is not (0, 0, 1)."""
        raise NotImplementedError(f"{type(self).__name__} defines no rows")

    def gradient(self, sums: Sums, *parameters) -> tuple:
        """Return the gradient of each parameter, (N,), from the gradient of the matrix's entries."""
        raise NotImplementedError(f"{type(self).__name__} defines no gradient")

    def less_identity(self, *parameters) -> tuple:
        """Return the rows of D = T - identity: d = D (x, y, 1) without cancellation. A number 0 omits its term."""
        T = self.rows(*parameters)
        return tuple([entry - 1 if i == k else entry for k, entry in enumerate(row)] for i, row in enumerate(T))

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return d = D (x, y, 1), (N, ..., 2); for a homography (D (x, y, 1) - (w - 1) (x, y)) / w."""
        return displacement(self.less_identity(*self._columns(theta, xy.ndim - 2)), xy[..., 0], xy[..., 1])

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, K), gxy (N, ..., 2)), by D transposed."""
        D = self.less_identity(*self._columns(theta, xy.ndim - 2))
        sums, gxy = displacement_backward(D, xy[..., 0], xy[..., 1], gd, self.aspect, needs)
        return (self._gtheta(theta, sums) if needs[0] else None), gxy

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return the matrix (N, 3, 3): `rows`, and (0, 0, 1) if there is no third row."""
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
        """Return the fixed parameters and the columns of theta, which broadcast against points with `axes` axes."""
        return [*self.fixed, *theta.T.reshape(self.K, len(theta), *(1,) * axes)]

    def _D(self, theta: np.ndarray) -> np.ndarray:
        """Return D, (N, 2, 3); for a homography (N, 3, 3)."""
        return _filled(self.less_identity(*self._columns(theta)), theta)

    def _gtheta(self, theta: np.ndarray, sums: np.ndarray) -> np.ndarray:
        gradient = self.gradient(Sums(*sums.T), *self._columns(theta))
        return np.stack(gradient[len(self.fixed) :], axis=1)


def _filled(rows: tuple, theta: np.ndarray) -> np.ndarray:
    """Return the matrix (N, rows, 3) with these entries, in the dtype of theta."""
    matrix = np.empty((len(theta), len(rows), 3), theta.dtype)
    for i, row in enumerate(rows):
        for k, entry in enumerate(row):
            matrix[:, i, k] = entry
    return matrix


def target_points(axes: tuple) -> np.ndarray:
    """Return the target points G (1, Ho, Wo, 2), normalised, which all samples share."""
    x, y = (axis.target for axis in axes)
    return np.stack(np.broadcast_arrays(x, y[:, None]), axis=-1)[None]
