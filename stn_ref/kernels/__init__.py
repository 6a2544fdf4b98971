"""Inner loops, in pixel coordinates; they import nothing above them.

A sampling backend is a module with two functions, and knows neither align_corners nor normalisation:

    sample_forward(U, points) -> V
    sample_backward(U, points, gV, needs) -> (gU, gpoints)

Reading order: scalar_math.py, literal.py (Eqs. 3-7 as sums), vectorised.py (NumPy), cpu.py (Numba).
"""

import importlib
from types import ModuleType

from stn_ref import checks

BACKENDS = ("cpu", "literal", "vectorised")


def get(backend: str) -> ModuleType:
    """Return the backend of that name, imported when it is first asked for: only `cpu` needs numba.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
        ImportError: `cpu` without numba.
    """
    checks.one_of("backend", backend, BACKENDS)
    try:
        return importlib.import_module(f"{__name__}.{backend}")
    except ModuleNotFoundError as error:
        if error.name not in ("numba", "llvmlite"):
            raise
        raise ImportError(
            f"backend {backend!r} needs numba, which is not installed: pip install numba, or use backend='vectorised'"
        ) from None
