"""Element-wise activations (ReLU, Tanh, Sigmoid), and Flatten, which reshapes images into rows.

A long array is processed in pieces, so that several threads can share it. Each element is computed independently, so
the pieces do not change the result. Read next: linear.py.
"""

import math

import numpy as np

from stn_ref import checks
from stn_ref.kernels.cpu.threads import parallel, spans, worth_a_thread
from stn_ref.nn.layer import Layer

PIECE = 1 << 16  # elements: the intermediate results of a piece stay in the cache


@np.errstate(all="ignore")
def elementwise(f, *arrays: np.ndarray) -> np.ndarray:
    """Return y of the shape and dtype of the first array, filled by f(*pieces, out=piece of y)."""
    y = np.empty(arrays[0].shape, arrays[0].dtype)
    if y.size <= PIECE:
        f(*arrays, out=y)
        return y
    flat = [array.reshape(-1) for array in (*arrays, y)]
    pieces = [slice(*span) for span in spans(y.size, math.ceil(y.size / PIECE))]

    def piece(p):
        f(*(array[pieces[p]] for array in flat[:-1]), out=flat[-1][pieces[p]])

    parallel(piece, len(pieces), worth_a_thread(PIECE))
    return y


class _Elementwise(Layer):
    """A function of each element, `value`, whose derivative follows from its output y: `gradient`."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y for x.

        Args:
            x: any shape, float32 or float64.

        Returns:
            y: shape and dtype of x.

        Raises:
            TypeError: x is not float32 or float64.
            UsageError: the previous training forward has had no backward yet.
        """
        y = elementwise(self.value, checks.floating("x", x))
        return self.keep(y, y)

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gx, shape of x."""
        gy, (y,) = self.take(gy)
        return elementwise(self.gradient, gy, y) if needs else None


class ReLU(_Elementwise):
    """Rectified linear unit. NaN stays NaN and passes the gradient on.

        y = max(0, x),   gx = gy where x > 0, else 0

    Source: Nair & Hinton 2010. At the kink x = 0 the derivative is the left one, 0, as in PyTorch.
    """

    @staticmethod
    def value(x, out):
        """Write y to out."""
        np.maximum(x, 0, out=out)

    @staticmethod
    def gradient(gy, y, out):
        """Write gx to out."""
        # All bits of `passes` are ones where gy passes. Selecting element by element is ten times slower, and
        # gy * (y > 0) turns an infinite gy into NaN.
        passes = (y <= 0).view(np.int8) - np.int8(1)
        bits = np.int32 if gy.itemsize == 4 else np.int64
        np.bitwise_and(gy.view(bits), passes, out=out.view(bits))


class Tanh(_Elementwise):
    """Hyperbolic tangent.

        y = tanh(x),   gx = gy (1 - y^2)

    Source: as torch.nn.Tanh.
    """

    value = staticmethod(np.tanh)

    @staticmethod
    def gradient(gy, y, out):
        """Write gx to out."""
        np.multiply(y, y, out=out)
        np.subtract(1, out, out=out)
        out *= gy


class Sigmoid(_Elementwise):
    """Logistic function.

        y = 1 / (1 + exp(-x)),   gx = gy y (1 - y)

    For x < 0 it is computed as exp(x) / (1 + exp(x)), which cannot overflow and keeps the relative precision of a
    small y.

    Source: as torch.nn.Sigmoid.
    """

    @staticmethod
    def value(x, out):
        """Write y to out."""
        e = np.exp(-np.abs(x))  # in (0, 1]
        np.divide(np.where(x >= 0, 1, e).astype(x.dtype, copy=False), 1 + e, out=out)

    @staticmethod
    def gradient(gy, y, out):
        """Write gx to out."""
        np.subtract(1, y, out=out)
        out *= y
        out *= gy


class Flatten(Layer):
    """Reshape each image into one row: (N, C, H, W) -> (N, C*H*W), in row-major order.

        y[n, (c H + h) W + w] = x[n,c,h,w]

    Source: as torch.nn.Flatten.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, D) for x.

        Args:
            x: (N, ...), float32 or float64, with at least one axis.

        Returns:
            y: (N, product of the other axes); a view of x where possible.

        Raises:
            TypeError: x is not float32 or float64.
            ShapeError: x has no axis.
            UsageError: the previous training forward has had no backward yet.
        """
        checks.floating("x", x)
        if x.ndim == 0:
            raise checks.ShapeError("x must be (N, ...): expected at least 1 axis, got 0; got shape ()")
        return self.keep(x.reshape(len(x), math.prod(x.shape[1:])), x.shape)

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gx, shape of x."""
        gy, (shape,) = self.take(gy)
        return gy.reshape(shape) if needs else None
