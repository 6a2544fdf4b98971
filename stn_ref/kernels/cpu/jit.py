"""njit for this package: numba's own, whose machine code is kept on disk (cache.py)."""

import ast
import os
from collections.abc import Callable

import numba
from numba.core.compiler_lock import global_compiler_lock

if hasattr(os, "register_at_fork"):  # a child forked while another thread compiles would wait for numba's lock for ever
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

try:
    from stn_ref.kernels.cpu import cache
except (ImportError, AttributeError) as error:
    cache, unknown = None, f"numba {numba.__version__} is unknown: {error}"


def njit(**options) -> Callable:
    """Return a decorator: numba.njit, with options by keyword only.

    What Python calls (nogil=True) is kept; the functions that it calls are part of its code. A function made by a
    factory gets the values of its closure, which must be constants, into its name: cache.py says why.
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


def kept() -> str:
    """Return where machine code is kept, or why it is not."""
    place, why = cache.folder() if cache else (None, unknown)
    return str(place or f"for this process only: {why}")
