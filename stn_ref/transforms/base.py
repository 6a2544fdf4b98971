"""What every transform family has: a name, its identity, and T_theta as a displacement.

T_theta maps target to source, so that every output pixel is asked where it comes from; no inverse is ever computed.
A family gives d = T_theta(x, y) - (x, y) rather than T_theta itself: near the identity that has no cancellation, and
at the identity it is exactly 0.
"""

import numpy as np

from stn_ref import checks

PROPERTIES = ("lengths", "angles", "parallelism", "straight lines")


class Transform:
    """A family of maps of the plane with K parameters.

    A family writes `displacement` and `backward` side by side; they take what `check` has passed and trust it. `apply`
    and `apply_backward` are the same maps for landmarks, with every argument checked.

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


def columns(theta: np.ndarray, xy: np.ndarray) -> list[np.ndarray]:
    """Return the K columns of theta, shaped to broadcast against the coordinates of (N, ..., 2) points."""
    shape = (len(theta),) + (1,) * (xy.ndim - 2)
    return [column.reshape(shape) for column in theta.T]


def homogeneous(rows: np.ndarray) -> np.ndarray:
    """Return (N, 3, 3): the rows (N, 2, 3) of a matrix as in Eq. (1), and below them (0, 0, 1)."""
    last = np.broadcast_to(np.array([[0, 0, 1]], rows.dtype), (len(rows), 1, 3))
    return np.concatenate([rows, last], axis=1)


def total(terms: np.ndarray) -> np.ndarray:
    """Return the sum over a sample's points, (N, ...) -> (N,)."""
    return terms.sum(tuple(range(1, terms.ndim)))


def at_infinity(d: np.ndarray) -> np.ndarray:
    """Return (N, ...): whether a point went to infinity, and with it out of every image and every gradient."""
    d_x, d_y = d[..., 0], d[..., 1]
    return (np.isinf(d_x) | np.isinf(d_y)) & ~(np.isnan(d_x) | np.isnan(d_y))


def replaced(points: np.ndarray, where: np.ndarray, value: float) -> np.ndarray:
    """Return (N, ..., 2) points, both coordinates `value` at those that `where` (N, ...) marks."""
    if not where.any():
        return points
    return np.where(where[..., None], points.dtype.type(value), points)
