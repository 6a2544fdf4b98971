"""Inner loops, in pixel coordinates; they import nothing above them.

A sampling backend is a module with two pairs of functions, and knows neither align_corners nor normalisation:

    sample_forward(U, points, mode, padding, a) -> V
    sample_backward(U, points, gV, mode, padding, kink, a, needs) -> (gU, gpoints)
    wide_forward(U, points, phi, kernel, padding) -> V                      kernels k(d; phi) with a width
    wide_backward(U, points, phi, gV, kernel, padding, needs) -> (gU, gpoints, gphi)

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
