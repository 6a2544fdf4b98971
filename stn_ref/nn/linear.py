"""The fully connected layer. Reads: layer.py. Read next: conv.py."""

import math

import numpy as np

from stn_ref import checks
from stn_ref.kernels.cpu.one_blas_thread import one_blas_thread
from stn_ref.kernels.cpu.threads import parallel, spans
from stn_ref.nn.layer import Layer, Param

WORK = 1 << 24  # multiply-adds: a smaller product runs on one thread
LINES = 32  # rows or columns of the smallest piece: BLAS is slow on thin matrices


def uniform(rng: np.random.Generator, shape: tuple, fan_in: int, dtype) -> np.ndarray:
    """Return an array drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the initial weights and biases of PyTorch.

    Source: LeCun et al. 1998, "Efficient BackProp", Sec. 4.6 (variance proportional to 1/fan_in); the bounds are those
    of torch.nn.Linear.reset_parameters.
    """
    bound = 1 / math.sqrt(fan_in)
    return checks.generator("rng", rng).uniform(-bound, bound, shape).astype(dtype)


def blas_ready(A: np.ndarray) -> np.ndarray:
    """Return A, or a copy if BLAS cannot read A in place: NumPy's own loops would round differently."""
    return A if A.flags.c_contiguous or A.flags.f_contiguous else np.ascontiguousarray(A)


def multiply(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return C = A B. The threads share pieces of its longer axis; the pieces depend on the shapes alone."""
    A, B = blas_ready(A), blas_ready(B)
    C = np.empty((A.shape[0], B.shape[1]), A.dtype)
    longer = max(C.shape)
    pieces = spans(longer, min(16, 1 + C.size * A.shape[1] // WORK, -(-longer // LINES)))

    def product(p):
        piece = slice(*pieces[p])
        if len(C) == longer:
            np.matmul(A[piece], B, out=C[piece])
        else:
            np.matmul(A, B[:, piece], out=C[:, piece])

    with one_blas_thread:
        parallel(product, len(pieces))
    return C


@np.errstate(all="ignore")
def affine(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return y (N, O) = x W^T + b for x (N, I), W (O, I), b (O,)."""
    y = multiply(x, W.T)
    y += b
    return y


@np.errstate(all="ignore")
def affine_backward(x: np.ndarray, W: np.ndarray, gy: np.ndarray, needs: bool = True) -> tuple:
    """Return gx = gy W (None without `needs`), gW = gy^T x, gb = sum_n gy[n]."""
    return (multiply(gy, W) if needs else None), multiply(gy.T, x), gy.sum(axis=0)


class Linear(Layer):
    """Fully connected layer.

        y[n,o] = sum_i x[n,i] W[o,i] + b[o]
        gx = gy W,   gW = gy^T x,   gb[o] = sum_n gy[n,o]

    Args:
        n_in: length of an input row.
        n_out: length of an output row.
        rng: generator that draws the weights; see `uniform`.
        dtype: float32 or float64.

    Attributes:
        W: Param (n_out, n_in).
        b: Param (n_out,), without weight decay.

    Raises:
        TypeError, ValueError: a length is not an integer of at least 1; rng is not a Generator; dtype is not float32
            or float64; in forward, x and W have different dtypes.
        ShapeError: in forward, x is not (N, n_in).

    Source: arguments and initial weights as in torch.nn.Linear.

    >>> Linear(3, 2, np.random.default_rng(0)).forward(np.zeros((4, 3), np.float32)).shape
    (4, 2)
    """

    def __init__(self, n_in: int, n_out: int, rng: np.random.Generator, *, dtype=np.float32):
        n_in, n_out = checks.integer("n_in", n_in, 1), checks.integer("n_out", n_out, 1)
        dtype = checks.float_dtype("dtype", dtype)
        self.W = Param(uniform(rng, (n_out, n_in), n_in, dtype))
        self.b = Param(uniform(rng, (n_out,), n_in, dtype), decay=False)

    @classmethod
    def constant(cls, n_in: int, bias: np.ndarray) -> "Linear":
        """Return a layer with W = 0 and a copy of `bias` (n_out,) as b: before training its output is the bias.

        The last layer of a localisation net starts like this; its bias is the identity (Jaderberg et al. 2015, Sec. 4).
        """
        checks.shape("bias", checks.floating("bias", bias), ("n_out",))
        checks.not_empty("bias", bias, ("n_out",), "n_out")
        layer = cls.__new__(cls)
        layer.W = Param(np.zeros((len(bias), checks.integer("n_in", n_in, 1)), bias.dtype))
        layer.b = Param(bias.copy(), decay=False)
        return layer

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, n_out) for x (N, n_in)."""
        W, b = self.W.value, self.b.value
        checks.floating("x", x, like=("W", W))
        checks.shape("x", x, ("N", "n_in"), n_in=(W.shape[1], "W"))
        return self.keep(affine(x, W, b), x, W)

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Add gW and gb; return gx (N, n_in)."""
        gy, (x, W) = self.take(gy)
        gx, gW, gb = affine_backward(x, W, gy, needs)
        self.W.add(gW)
        self.b.add(gb)
        return gx
