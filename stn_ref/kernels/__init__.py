"""Inner loops, in pixel coordinates; they import nothing above them.

A sampling backend is a module with two pairs of functions, and knows neither align_corners nor normalisation:

    sample_forward(U, points, mode, padding, a) -> V
    sample_backward(U, points, gV, mode, padding, kink, a, needs) -> (gU, gpoints)
    wide_forward(U, points, phi, kernel, padding) -> V                      kernels k(d; phi) with a width
    wide_backward(U, points, phi, gV, kernel, padding, needs) -> (gU, gpoints, gphi)

Bad numbers are part of the contract, the same in every backend:

1. U and points share a dtype, float32 or float64; anything else is a TypeError. H or W = 0 is a ShapeError; N, C, Ho or
   Wo = 0 give empty results. Inputs are read only, in any memory layout, and results share no memory with them.
2. A NaN coordinate (or phi) gives V = NaN in all channels and NaN in all gradients of that point; gU gets nothing.
3. zeros: every pixel outside is 0, tap by tap; a point outside is not. border: x is clamped to [0, W - 1]; reflect and
   mirror: the exact remainder by the period, then the turn. +-inf is outside (zeros) or the edge on that side. Kernels
   with more taps than bilinear extend the image instead of moving x.
4. Where the padding is flat, because x was clamped, is infinite or lies on the border itself, the gradient of that
   coordinate is 0 whatever the pixels are; likewise that of a phi beyond its range, and that of nearest everywhere.
5. Every in-image tap of the cell is multiplied, weight 0 included: a NaN pixel reaches the samples whose cell holds it.
   The cell of a slope is that of the side that `kink` names; that of a kernel with a width is all at that distance or
   less.
6. Backends agree in their pattern of NaN and inf exactly, in value to 8 ulp of max |V|, as long as no partial sum of
   finite numbers overflows: they may add in another order. (Kernels with a width sum up to hundreds of terms, and an
   infinite pixel may meet a weight that is 0 but for rounding: there they agree in what is finite, and to rounding.)

Casts to integers come after clamping, and no arithmetic is done on an infinite coordinate: interpreted it would warn.

Reading order: scalar_math.py, literal.py (Eqs. 3-7 as sums), vectorised.py (NumPy), threads.py, restrict.py, cpu.py and
windows_cpu.py (Numba); for the layers, blas.py, conv_cpu.py, pool_cpu.py.
"""

import importlib
from types import ModuleType

from stn_ref import checks
from stn_ref.kernels.scalar_math import KINKS, PADDINGS

BACKENDS = ("cpu", "literal", "vectorised")

__all__ = ["BACKENDS", "KINKS", "PADDINGS", "compiled", "get"]


def get(backend: str) -> ModuleType:
    """Return the backend of that name, imported when it is first asked for: only `cpu` needs numba.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
        ImportError: `cpu` without numba.
    """
    checks.one_of("backend", backend, BACKENDS)
    return compiled(backend, f"backend {backend!r}", ", or use backend='vectorised'")


def compiled(module: str, user: str, instead: str = "") -> ModuleType:
    """Return a module of this package, imported when it is first asked for.

    Args:
        module: its name, such as "conv_cpu".
        user: who asks, for the message.
        instead: what else the message can advise.

    Raises:
        ImportError: it needs numba, which is not installed.
    """
    try:
        return importlib.import_module(f"{__name__}.{module}")
    except ModuleNotFoundError as error:
        if error.name not in ("numba", "llvmlite"):
            raise
        raise ImportError(f"{user} needs numba, which is not installed: pip install numba{instead}") from None
