"""Our own parallel loop: results never depend on the number of threads.

Work is cut into pieces whose number depends on its shape alone (or into items each computed on its own); a piece runs
on whichever thread is free, writes only what is its own, and calls BLAS on one thread (BLAS products differ in their
last bits between 1 and 2 threads). Partial sums are added by the caller, in the order of the pieces.
"""

import contextlib
import contextvars
import functools
import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import ThreadpoolController

_inside = threading.local()  # set on a thread that runs a piece: nested loops run in place


def _default() -> int:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return 1  # for those who step through the kernels: pdb does not see other threads
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit() and int(os.environ[name]) > 0:
            return int(os.environ[name])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_threads = _default()


def get_num_threads() -> int:
    """Return the number of threads: NUMBA_NUM_THREADS or OMP_NUM_THREADS if set, else the cores of this process.

    With NUMBA_DISABLE_JIT=1 it is 1, so that a debugger sees every step.
    """
    return _threads


def set_num_threads(n: int) -> None:
    """Use up to n threads from now on."""
    global _threads
    if n < 1:
        raise ValueError(f"the number of threads must be at least 1; got {n}")
    _threads = int(n)


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="stn_ref")


@functools.cache
def _blas() -> list:
    """Return threadpoolctl's handles of the BLAS libraries in this process."""
    with contextlib.suppress(ImportError):
        import scipy.linalg.cython_blas  # noqa: F401  compiled code calls SciPy's BLAS: load it before looking
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set_blas_threads(library, n: int) -> None:
    """Set the number of threads of one BLAS library, from any thread of ours.

    From 3.7 on threadpoolctl obeys only the thread that set a number first, lest threads fight over it; ours do not,
    they count (below), and a training in a second thread must not give other bits. Hence the method behind its guard.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(n)


if hasattr(os, "register_at_fork"):  # a forked child has the pool's memory but not its threads: it starts anew
    os.register_at_fork(after_in_child=lambda: (_pool.cache_clear(), one_blas_thread.__init__()))


class _OneBlasThread(contextlib.AbstractContextManager):
    """One BLAS thread from the first entry to the last exit, of whichever threads of the caller's (about 10 us)."""

    def __init__(self):
        self.lock, self.users, self.before = threading.Lock(), 0, []

    def __enter__(self):
        with self.lock:
            if self.users == 0:
                self.before = [(library, library.num_threads) for library in _blas()]
                for library, _ in self.before:
                    _set_blas_threads(library, 1)
            self.users += 1

    def __exit__(self, *error):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                for library, n in self.before:
                    _set_blas_threads(library, n)


one_blas_thread = _OneBlasThread()


def parallel(task: Callable[[int], None], count: int) -> None:
    """Run task(k) once for each k in range(count), on up to get_num_threads() threads, BLAS on one thread each.

    Which thread runs which k is not defined: a task writes only what belongs to its k. The first exception is raised
    once all threads have stopped.
    """
    if getattr(_inside, "piece", False):
        for k in range(count):
            task(k)
        return
    pieces = itertools.count()  # next() on it is atomic

    def work() -> None:
        _inside.piece = True
        try:
            while (k := next(pieces)) < count:
                task(k)
        finally:
            _inside.piece = False

    helpers = min(_threads, count) - 1
    with one_blas_thread:
        # a copy of the context each, so that the caller's np.errstate holds there, too
        futures = [_pool(_threads - 1).submit(contextvars.copy_context().run, work) for _ in range(helpers)]
        try:
            work()
        finally:
            started = [future for future in futures if not future.cancel()]
            errors = [error for future in started if (error := future.exception())]
    if errors:
        raise errors[0]


def parallel_ranges(task: Callable[[int, int], None], count: int) -> None:
    """Run task(first, last) on ranges that make up range(count), one range for each thread.

    Only for items that are computed each on its own (a pixel, an image): then no bit depends on where the cuts are.
    Sums over items must not use it, the cuts depend on the number of threads. One long call a thread rather than many
    short ones, because after each a thread has to win Python's lock back.
    """
    ranges = spans(count, _threads)
    parallel(lambda k: task(*ranges[k]), len(ranges))


def spans(count: int, most: int = 16) -> list[tuple[int, int]]:
    """Cut range(count) into at most `most` pieces of nearly equal length; none is empty.

    >>> spans(7, 3)
    [(0, 2), (2, 4), (4, 7)]
    """
    pieces = min(count, most)
    return [(count * k // pieces, count * (k + 1) // pieces) for k in range(pieces)]
