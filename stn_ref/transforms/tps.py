"""The thin-plate spline of Sec. 3.2: control points move, and the plane between them bends as little as possible.

Reads: base.py. Duchon 1977 derives the spline, Bookstein 1989 applies it to images.
"""

import math

import numpy as np

from stn_ref import checks
from stn_ref.kernels.cpu.one_blas_thread import one_blas_thread
from stn_ref.transforms.base import Transform

CLOSE = 1e-6  # relative to the extent of the control points: closer ones coincide, narrower sets are collinear
FAR = 1e8  # relative to the same extent: at larger distances the rounding errors of B exceed B
AWAY = 4  # relative to the same extent: control points that are further from 0 are moved to 0
UNITS = (1 / 16, 16)  # extents that are not scaled
KEPT = 1 << 20  # largest size of B that is kept, 8 MB in float64
TINY = np.finfo(np.float64).tiny  # its logarithm is finite, so 0 times it is 0


def phi(r2: np.ndarray) -> np.ndarray:
    """Return phi = r^2 log r^2 for the argument r^2; its limit 0 at r = 0. NaN stays NaN."""
    return r2 * np.log(np.maximum(r2, TINY))  # 0 log 0 would be NaN


def slope(r2: np.ndarray) -> np.ndarray:
    """Return 2 (log r^2 + 1): its product with (x - x_k) is dphi/dx, and 0 at r = 0.

    The 1 cancels in a spline, because sum_k w_k (x - x_k) = 0.
    """
    return 2 * (np.log(np.maximum(r2, TINY)) + 1)


class ThinPlateSpline(Transform):
    """The thin-plate spline through P control points: the map of least bending energy with T(c_k) = theta_k.

        T(x, y) = A (x, y, 1) + sum_k w_k phi(|(x, y) - c_k|),   phi(r) = r^2 log r^2,   sum_k w_k (x_k, y_k, 1) = 0

    theta is (N, 2 P): the source points of the control points c_k: x_1, y_1, x_2, y_2, ... The weights w (P, 2) and the
    affine part A (2, 3) solve, with the matrix K[j,k] = phi(|c_j - c_k|) and the rows (x_k, y_k, 1) of P1,

        [K + lambda I  P1] [ w ]   [theta]
        [    P1^T       0] [A^T] = [  0  ]

    T is linear in theta. Its displacement is d(x, y) = sum_k B_k(x, y) (theta_k - c_k), where the spline B_k is 1 at
    c_k and 0 at the other control points. At the identity theta_k - c_k = 0, so d is exactly 0.

    On the subspace sum w = 0, sum w c = 0 the matrix K is positive definite. Its eigenvectors there are Bookstein's
    principal warps z_k, its eigenvalues e_k their stiffness. The system is solved in this basis.

    B_k does not change if all points are moved or scaled together, but its digits are lost where x^2 is much larger
    than the extent of the c_k. So everything is computed for u = ((x, y) - origin) / unit. This is (x, y) itself for
    control points near 0 of an extent near 1, such as those in [-1, 1]^2. Otherwise u lies in [-1, 1]^2.

    Args:
        control_points: c_k, (P, 2) float array, normalised, last axis (x, y); or the size n or (rows, columns) of a
            regular grid on [-1, 1]^2, corners included, row by row. Default: 4 x 4, the paper's 16 points.
        regularisation: lambda >= 0, in units of phi, that is of normalised length squared. Above 0 the spline does not
            pass exactly through theta_k: it minimises sum_k |T(c_k) - theta_k|^2 + lambda / (16 pi) bending energy. For
            large lambda it tends to the affine map of least squares.

    Attributes:
        control_points: (P, 2) float64, read-only.
        regularisation: lambda.
        condition: the condition number of the system, max(e + lambda) / min(e + lambda): the largest growth of rounding
            errors from theta to w, approximately. It does not depend on the scale; 24 for the default, 1e6 or more if
            points are very close to each other.

    Raises:
        TypeError: control_points is not a float array, an integer or a pair of integers.
        ShapeError: control_points is not (P, 2), or P < 3.
        ValueError: points are not finite, two coincide, or all are on a line; regularisation is negative or not finite.

    Numerics: B is computed in float64 and then cast to the dtype of theta, because its sum cancels (in float32 its
    error would be 1e-6 on the image, fifty times the error of the cast). At distance R from the control points its
    error is about 1e-16 R^2 log R^2. Points at a distance of more than 1e8 times the extent of the control points,
    +-inf included, stay where they are: d and the gradients are 0. NaN gives NaN.

    B depends only on the points. The B of the last points that all samples share, for example the target grid, is kept
    (one for each dtype, of up to 2^20 numbers), so a training step computes no logarithm.

    Source: Jaderberg et al. 2015, Sec. 3.2 (the third family that it names); Bookstein 1989, "Principal Warps", IEEE
        PAMI 11(6); Duchon 1977, "Splines minimizing rotation-invariant semi-norms in Sobolev spaces". They write
        r^2 log r or r^2 log r^2; w and lambda absorb the factor 2.

    >>> ThinPlateSpline()
    ThinPlateSpline(16 control points, regularisation=0, condition=24.1)
    """

    name = "tps"
    preserves = ()

    def __init__(
        self, control_points: np.ndarray | int | tuple[int, int] | None = None, *, regularisation: float = 0.0
    ):
        c = _control_points(4 if control_points is None else control_points)
        self.regularisation = _regularisation(regularisation)
        self.control_points = c
        self.identity = tuple(c.reshape(-1).tolist())
        self.symbols = tuple(f"{axis}_{k}" for k in range(1, len(c) + 1) for axis in "xy")

        self._origin, self._unit = _origin_and_unit(c)
        self._c = u = (c - self._origin) / self._unit
        K = phi(_squares(u, u))
        with one_blas_thread:
            Q, R = np.linalg.qr(_rows(u), mode="complete")
            Q1, R, Q2 = Q[:, :3], R[:3], Q[:, 3:]  # Q2 spans all w with sum w = 0 and sum w c = 0
            e, z = np.linalg.eigh(Q2.T @ K @ Q2)
            z = Q2 @ z  # (P, P - 3) principal warps, orthonormal
            stiff = e + self.regularisation / self._unit**2  # phi has the unit of a square
            self._W = (z / stiff) @ z.T  # (P, P): w = W theta
            self._A = np.linalg.solve(R, Q1.T @ (np.eye(len(c)) - K @ self._W))  # (3, P): A^T = A theta; Q1^T w = 0
            # (P - 3, P): sqrt(e_k) times the coefficient of z_k
            self._bending = (z * (np.sqrt(e) / stiff)).T / self._unit
        self._kept: dict[np.dtype, tuple[np.ndarray, np.ndarray]] = {}  # shared points, and their B
        self.condition = float(stiff.max() / stiff.min()) if len(stiff) else 1.0

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return d = sum_k B_k(x, y) (theta_k - c_k), (N, ..., 2), normalised, for theta (N, 2 P); see Transform."""
        with np.errstate(all="ignore"), one_blas_thread:  # a diverged theta gives inf or NaN
            d = self._basis(xy) @ self._moved(theta)
        return d.reshape(len(theta), *xy.shape[1:])

    def backward(
        self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray, needs: tuple[bool, bool] = (True, True)
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gtheta (N, 2 P), gxy (N, ..., 2)), the gradients of sum(gd * displacement(theta, xy)); see Transform.

            gtheta_k = sum_(x,y) B_k(x, y) gd
            gxy      = sum_k (w_k . gd) slope(r_k^2) ((x, y) - c_k) + A'^T gd

        w and A' are the weights and the affine part of theta - c.
        """
        gtheta = gxy = None
        flat = np.ascontiguousarray(gd).reshape(len(theta), math.prod(gd.shape[1:-1]), 2)
        with np.errstate(all="ignore"), one_blas_thread:
            if needs[0]:
                gtheta = (self._basis(xy).swapaxes(1, 2) @ flat).reshape(theta.shape)
            if needs[1]:
                gxy = self._gxy(self._moved(theta), xy, flat).astype(theta.dtype).reshape(gd.shape)
        return gtheta, gxy

    def weights(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the affine part A (N, 2, 3), rows as in Eq. (1), and the weights w (N, P, 2) of phi.

            T(x, y) = A (x, y, 1) + sum_k w_k phi(|(x, y) - c_k|)

        Both are normalised and have the dtype of theta. w is 0 if theta is an affine map of the control points.
        """
        self.check(theta)
        moved = self._moved(theta).astype(np.float64)
        with np.errstate(all="ignore"), one_blas_thread:
            A, w = (self._A @ moved).swapaxes(1, 2), self._W @ moved  # for u
            # sum_k w_k phi(|u - u_k|) = sum_k (w_k / unit^2) phi(|(x, y) - c_k|) - log(unit^2) sum_k w_k |u_k|^2
            A[:, :, 2] -= math.log(self._unit**2) * (w * _squares(self._c, np.zeros((1, 2)))).sum(axis=1)
            A[:, :, :2] /= self._unit
            A[:, :, 2] -= A[:, :, :2] @ self._origin
            A, w = A + np.eye(2, 3), w / self._unit**2
        return A.astype(theta.dtype), w.astype(theta.dtype)

    def bending_energy(self, theta: np.ndarray) -> np.ndarray:
        """Return the bending energy (N,) of T, summed over x_s and y_s; 0 for affine maps, else positive.

            E = sum_(f in x_s, y_s) integral f_xx^2 + 2 f_xy^2 + f_yy^2 dx dy   over the whole plane
              = 16 pi sum_(f) w^T K w
              = 16 pi sum_(f, k) e_k a_k^2,   a_k the coefficient of the principal warp z_k in w

        The factor is 16 pi because phi = r^2 log r^2 is 16 pi times the fundamental solution of the plate equation,
        (d_xx + d_yy)^2 phi = 16 pi delta; for r^2 log r it is 8 pi. E does not depend on the unit of length, if
        (x, y) and (x_s, y_s) have the same unit.
        """
        self.check(theta)
        with np.errstate(all="ignore"), one_blas_thread:
            bend = self._bending.astype(theta.dtype) @ self._moved(theta)
            return 16 * math.pi * (bend * bend).sum(axis=(1, 2))

    def bending_energy_backward(self, theta: np.ndarray, genergy: np.ndarray) -> np.ndarray:
        """Return gtheta (N, 2 P), the gradient of sum(genergy * bending_energy(theta)); a penalty adds it to gtheta.

        Args:
            theta: (N, 2 P).
            genergy: (N,), dtype of theta.
        """
        self.check(theta)
        checks.floating("genergy", genergy, like=("theta", theta))
        checks.shape("genergy", genergy, ("N",), N=(len(theta), "theta"))
        with np.errstate(all="ignore"), one_blas_thread:
            bending = self._bending.astype(theta.dtype)
            gtheta = bending.T @ (bending @ self._moved(theta))
            return 32 * math.pi * genergy[:, None] * gtheta.reshape(theta.shape)

    def _moved(self, theta: np.ndarray) -> np.ndarray:
        """Return theta - c, (N, P, 2). c is first rounded to the dtype of theta, so the result is 0 at the identity."""
        moved = theta - self.control_points.reshape(-1).astype(theta.dtype)
        return np.ascontiguousarray(moved).reshape(len(theta), len(self.control_points), 2)

    def _points(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return u (M, Q, 2) in float64 for xy, and a mask (M, Q) of the points that are too far away, see FAR."""
        xy = xy.reshape(len(xy), math.prod(xy.shape[1:-1]), 2).astype(np.float64, copy=False)
        u = (xy - self._origin) / self._unit
        away = np.abs(u - self._c[0])
        far = np.maximum(away[..., 0], away[..., 1]) > FAR * np.ptp(self._c, axis=0).max()  # NaN: False
        return u, far

    def _basis(self, xy: np.ndarray) -> np.ndarray:
        """Return B (M, Q, P): B_k = sum_j W_jk phi(|u - u_j|) + A_k . (u, 1), in the dtype of xy."""
        kept_xy, B = self._kept.get(xy.dtype, (None, None))  # one read: another thread may replace the pair
        if kept_xy is not None and np.array_equal(kept_xy, xy):
            return B
        points, far = self._points(xy)
        B = phi(_squares(points, self._c)) @ self._W
        B += _rows(points) @ self._A
        B[far] = 0
        B = B.astype(xy.dtype, copy=False)
        if len(xy) == 1 and B.size <= KEPT:
            self._kept[xy.dtype] = xy.copy(), B
        return B

    def _gxy(self, moved: np.ndarray, xy: np.ndarray, gd: np.ndarray) -> np.ndarray:
        """Return gxy (N, Q, 2) in float64, see backward."""
        points, far = self._points(xy)
        w, A = self._W @ moved.astype(np.float64), self._A @ moved.astype(np.float64)  # (N, P, 2), (N, 3, 2)
        pull = (gd @ w.swapaxes(1, 2)) * slope(_squares(points, self._c))  # (N, Q, P)
        gxy = pull.sum(axis=-1, keepdims=True) * points - pull @ self._c + gd @ A[:, :2].swapaxes(1, 2)
        gxy /= self._unit
        gxy[np.broadcast_to(far, gxy.shape[:2])] = 0
        return gxy

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self.control_points)} control points, "
            f"regularisation={self.regularisation:g}, condition={self.condition:.3g})"
        )


def _origin_and_unit(c: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the origin (2,) and the unit of u, see ThinPlateSpline: (0, 0) and 1 where the digits do not need them."""
    low, high = c.min(axis=0), c.max(axis=0)
    extent = float((high - low).max())
    near = np.abs(c).max() <= AWAY * extent
    usual = UNITS[0] <= extent <= UNITS[1]
    return np.zeros(2) if near else low + (high - low) / 2, 1.0 if usual else extent / 2


def _squares(xy: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return r^2 (..., P), the squared distances of points (..., 2) from c (P, 2)."""
    r2 = (xy[..., :1] - c[:, 0]) ** 2
    r2 += (xy[..., 1:] - c[:, 1]) ** 2
    return r2


def _rows(xy: np.ndarray) -> np.ndarray:
    """Return (x, y, 1) for points (..., 2): (..., 3)."""
    return np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)


def _control_points(control_points) -> np.ndarray:
    """Return c (P, 2) in float64, read-only; raise unless the points determine a spline."""
    name = "control_points"
    if isinstance(control_points, np.ndarray):
        checks.floating(name, control_points)
        checks.shape(name, control_points, ("P", 2))
        c = control_points.astype(np.float64)
    elif isinstance(control_points, (tuple, list)) and not all(hasattr(n, "__index__") for n in control_points):
        raise TypeError(f"{name} must be a (P, 2) float array, an integer or a pair of them; got {control_points!r}")
    else:
        c = _regular(*checks.pair(name, control_points, 2))
    if len(c) < 3:
        raise checks.ShapeError(f"{name} must be (P, 2) with P >= 3, for the affine part; got shape {c.shape}")
    if not np.isfinite(c).all():
        k = int(np.argmin(np.isfinite(c).all(axis=1)))
        raise ValueError(f"{name} must be finite; got {c[k].tolist()} at index {k}")
    extent = np.ptp(c, axis=0).max()
    if 0 < extent < 1e-100 or extent > 1e100:
        raise ValueError(f"{name} must have an extent of 1e-100 to 1e100, normalised; got {extent:g}")
    distances = np.sqrt(_squares(c, c)) + np.diag(np.full(len(c), np.inf))
    j, k = sorted(int(i) for i in np.unravel_index(np.argmin(distances), distances.shape))
    if distances[j, k] <= CLOSE * extent:
        raise ValueError(f"{name} must all differ; got {c[j].tolist()} and {c[k].tolist()} at indices {j} and {k}")
    width = np.linalg.svd(c - c.mean(axis=0), compute_uv=False)
    if width[1] <= CLOSE * width[0]:
        raise ValueError(
            f"{name} must not lie on one line: the affine part is then not unique; got {len(c)} points on the line "
            f"through {c[0].tolist()} and {c[-1].tolist()}"
        )
    c.setflags(write=False)
    return c


def _regular(rows: int, columns: int) -> np.ndarray:
    """Return rows x columns points on [-1, 1]^2, row by row, symmetric to the last bit."""
    y, x = (np.arange(1 - size, size, 2) / (size - 1) for size in (rows, columns))
    return np.stack([np.tile(x, rows), np.repeat(y, columns)], axis=-1)


def _regularisation(value: float) -> float:
    """Return lambda as a float; raise unless it is finite and not negative."""
    number = checks.between("regularisation", value, 0, math.inf)
    if math.isinf(number):
        raise ValueError(f"regularisation must be finite; got {value!r}")
    return number
