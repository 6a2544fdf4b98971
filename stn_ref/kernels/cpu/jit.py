"""njit for this package: numba.njit, with machine code kept on disk (cache.py)."""

import ast
import os
from collections.abc import Callable

import numba
import numpy as np
from numba.core.compiler_lock import global_compiler_lock

if hasattr(os, "register_at_fork"):  # a child forked while another thread compiles would wait for numba's lock forever
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

try:
    from stn_ref.kernels.cpu import cache
except (ImportError, AttributeError) as error:
    cache, unknown = None, f"numba {numba.__version__} is not supported: {error}"


def njit(**options) -> Callable:
    """Return the decorator numba.njit(**options).

    The code of a function that Python calls (nogil=True) is kept; it includes the compiled functions that it calls. If
    a factory makes a function, its name includes its closure's values, which must be constants: cache.py says why.
    """

    def compiled(function):
        if function.__closure__:
            values = tuple(cell.cell_contents for cell in function.__closure__)
            assert ast.literal_eval(repr(values)) == values
            function.__qualname__ += repr(values)
        dispatcher = numba.njit(**options)(function)
        if cache and options.get("nogil"):
            cache.keep(dispatcher)
        return dispatcher

    return compiled


def quiet(function: Callable) -> Callable:
    """Decorate a function that calls compiled code, so that without compilation it warns as little as with it."""
    return np.errstate(all="ignore")(function) if numba.config.DISABLE_JIT else function


def kept() -> str:
    """Return the folder of the kept machine code, or why there is none."""
    place, why = cache.folder() if cache else (None, unknown)
    return str(place or f"for this process only: {why}")
