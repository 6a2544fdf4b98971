"""What every transform family has: a name, its identity, and T_theta as a displacement.

T_theta maps target to source, so that every output pixel is asked where it comes from; no inverse is ever computed.
A family gives d = T_theta(x, y) - (x, y) rather than T_theta itself: near the identity that has no cancellation.
"""

import numpy as np

from stn_ref import checks


class Transform:
    """A family of maps of the plane with K parameters.

    Attributes:
        name: how the command line and the models call it.
        identity: the K parameters that leave every point where it is.
        symbols: the paper's name of each parameter.
    """

    name: str
    identity: tuple[float, ...]
    symbols: tuple[str, ...]

    @property
    def K(self) -> int:
        """Number of parameters."""
        return len(self.identity)

    def displacement(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return T_theta(xy) - xy.

        Args:
            theta: (N, K).
            xy: (..., 2) points, normalised, last axis (x, y).

        Returns:
            d: (N, ..., 2), normalised.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no displacement")

    def backward(self, theta: np.ndarray, xy: np.ndarray, gd: np.ndarray) -> np.ndarray:
        """Return gtheta (N, K), the gradient of sum(gd * displacement(theta, xy))."""
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def apply(self, theta: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return T_theta(xy): where target points come from, (N, ..., 2).

        Args:
            theta: (N, K) float32 or float64.
            xy: (..., 2) points, normalised, same dtype.
        """
        self.check(theta)
        checks.floating("xy", xy, like=("theta", theta))
        if xy.shape[-1:] != (2,):
            raise checks.ShapeError(f"xy must be (..., 2), the last axis (x, y); got shape {xy.shape}")
        return xy + self.displacement(theta, xy)

    def check(self, theta: np.ndarray) -> None:
        """Raise unless theta is a float array (N, K)."""
        checks.floating("theta", theta)
        checks.shape("theta", theta, ("N", "K"), K=(self.K, f"{self.name} ({', '.join(self.symbols)})"))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def broadcast(theta: np.ndarray, xy: np.ndarray) -> list[np.ndarray]:
    """Return the K columns of theta, shaped to broadcast against (N, ...) points."""
    shape = (len(theta),) + (1,) * (xy.ndim - 1)
    return [column.reshape(shape) for column in theta.T]
