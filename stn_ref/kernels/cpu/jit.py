"""njit for this package: Numba's own, unless STN_REF_CACHE asks to keep machine code on disk (cache.py)."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numba
from numba.core.compiler_lock import global_compiler_lock

if hasattr(os, "register_at_fork"):  # a child forked while another thread compiles would wait for numba's lock for ever
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

cache = None
if os.environ.get("STN_REF_CACHE", "0") not in ("", "0") and not numba.config.DISABLE_JIT:
    try:
        from stn_ref.kernels.cpu import cache
    except (ImportError, AttributeError) as error:
        warnings.warn(f"numba {numba.__version__} is unknown: compiled code is not kept: {error}", RuntimeWarning, 2)


def njit(**options) -> Callable:
    """Return a decorator: numba.njit, with options by keyword only."""

    def compiled(function):
        dispatcher = numba.njit(**options)(function)
        if cache and options.get("nogil"):
            cache.keep(dispatcher)
        return dispatcher

    return compiled


def folder() -> Path | None:
    """Return where machine code is kept; None, the default, where it is not."""
    return cache and cache.folder()
