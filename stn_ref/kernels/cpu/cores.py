"""On which core a thread runs. Linux alone tells; elsewhere nothing is known and nothing is done.

Linux likes to wake a thread on the core of the one that wakes it. Two threads that work side by side for a fraction of
a millisecond then take turns on one core, while another is idle, for as long as a hundred such regions.
"""

import contextlib
import ctypes
import os
import sys

_getcpu = getattr(ctypes.CDLL(None), "sched_getcpu", None) if sys.platform == "linux" else None


def count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def here() -> int:
    """Return the core that this thread runs on, -1 where nobody tells."""
    return _getcpu() if _getcpu else -1


def leave(core: int) -> None:
    """Move this thread to another core if it runs on that one and may run elsewhere."""
    if core < 0 or here() != core:
        return
    with contextlib.suppress(OSError):  # forbidden in some sandboxes
        allowed = os.sched_getaffinity(0)
        if len(allowed) > 1:
            os.sched_setaffinity(0, allowed - {core})  # 0: this thread alone; it moves at once
            os.sched_setaffinity(0, allowed)
