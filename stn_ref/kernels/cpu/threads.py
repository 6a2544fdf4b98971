"""A parallel loop whose results never depend on the number of threads.

Work is cut into pieces whose number depends only on its shape, or into items that are computed independently. A piece
runs on the next free thread and writes only its own output. The caller adds partial sums in the order of the pieces.
Pieces that multiply matrices run inside `one_blas_thread`. Short work stays on the caller's thread, see
`worth_a_thread`.
"""

import _thread
import collections
import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from functools import partial

from stn_ref import checks

# Nanoseconds of work that justify a second thread, so work of less than a millisecond stays on one thread. A pool
# thread starts a task 0.08 to 0.14 ms after the call of `parallel` (medians of 600 calls, with pauses of 0 to 10 ms
# between them, on 2 cores that other programs kept busy); one call in ten takes 0.4 ms or more. With half of this value
# `grid_sample` took longer on two threads than on one for batches of 0.2 to 0.5 ms.
WORTH_A_THREAD = 500_000

_inside = contextvars.ContextVar("stn_ref_inside", default=False)  # True in a task: nested loops use no more threads


def _default() -> int:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return 1  # to debug the kernels: pdb does not stop in other threads
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        with contextlib.suppress(ValueError):
            if (n := int(os.environ.get(name, ""))) > 0:
                return n
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_threads = _default()


def get_num_threads() -> int:
    """Return the number of threads: NUMBA_NUM_THREADS or OMP_NUM_THREADS if set, else the cores of this process.

    With NUMBA_DISABLE_JIT=1 it is 1, so that a debugger sees every step.
    """
    return _threads


def set_num_threads(n: int) -> None:
    """Use up to n threads from now on, including the caller's. No result depends on n.

    Raises:
        TypeError: n is not an integer.
        ValueError: n is less than 1.
    """
    global _threads
    _threads = checks.integer("the number of threads", n, 1)


class _Pool:
    """Threads that wait for requests. They do not prevent the process from ending.

    Ctrl-C cannot break the pool, because each critical call is atomic. In concurrent.futures and Thread.start Ctrl-C
    can leave a Python lock locked forever; the process then hangs at its end, or its threads never start.
    """

    def __init__(self):
        self.requests, self.size, self.lock = queue.SimpleQueue(), 0, threading.Lock()

    def ask(self, requests: list[Callable[[], None]]) -> None:
        """Queue requests, which the next free threads call; start threads when they are first needed."""
        with self.lock, contextlib.suppress(RuntimeError):  # the system may refuse more threads
            while self.size < len(requests):
                _thread.start_new_thread(self.serve, ())
                self.size += 1
        for request in requests[: self.size]:
            self.requests.put(request)

    def serve(self) -> None:
        while True:
            self.requests.get()()  # no variable: it would keep arrays alive while the thread waits


_pool = _Pool()
if hasattr(os, "register_at_fork"):  # a child process has the pool's memory, but not its threads
    os.register_at_fork(after_in_child=_pool.__init__)


def worth_a_thread(ns: float) -> int:
    """Return the number of items, of about `ns` nanoseconds each, that justify another thread; at least 1."""
    return max(1, int(WORTH_A_THREAD // max(ns, 1)))


def parallel(task: Callable[[int], None], count: int, least: int = 1) -> None:
    """Run task(k) once for each k in range(count), on up to get_num_threads() threads, including the caller's.

    Any thread may run any k, so a task writes only the output of its k. The first exception, KeyboardInterrupt
    included, is raised after all threads have stopped.

    Args:
        task: called from any thread, in a copy of the caller's context (np.errstate holds).
        count: the number of pieces.
        least: the number of pieces that justify another thread, see `worth_a_thread`.
    """
    helpers = min(_threads, count // least) - 1
    if helpers < 1 or _inside.get():
        for k in range(count):
            task(k)
        return
    pieces, errors = collections.deque(range(count)), []
    working = [threading.RLock() for _ in range(helpers)]  # a helper holds its lock while it works

    def work() -> None:
        _inside.set(True)
        while not errors:
            try:
                k = pieces.popleft()  # atomic: each piece is taken once
            except IndexError:
                return
            task(k)

    def help_out(lock: threading.RLock) -> None:
        if lock.acquire(blocking=False):  # else the caller has finished
            try:
                work()
            except BaseException as error:
                errors.append(error)
            lock.release()

    while True:  # repeat after each exception, also Ctrl-C: it is raised only when no thread writes
        try:
            if not errors:
                _pool.ask([partial(contextvars.copy_context().run, help_out, lock) for lock in working])
                contextvars.copy_context().run(work)
            for lock in working:
                lock.acquire()  # waits for a helper that works, and stops one that has not started
            break
        except BaseException as error:
            errors.append(error)
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Exception))  # the first; KeyboardInterrupt before others


def parallel_ranges(task: Callable[[int, int], None], count: int, least: int = 1) -> None:
    """Run task(first, last) on ranges that cover range(count), one range per thread.

    The items must be independent (a pixel, an image), so that no bit depends on the cuts. Do not sum over items with
    it: the cuts depend on the number of threads. A thread makes one long call, because after each call it has to
    acquire Python's lock again.

    Args:
        task: computes the items first to last - 1.
        count: the number of items.
        least: the smallest number of items in a range, unless it is the only one, see `worth_a_thread`.
    """
    ranges = spans(count, max(1, min(_threads, count // least)))
    if len(ranges) == 1:
        task(0, count)
    else:
        parallel(lambda k: task(*ranges[k]), len(ranges))


def spans(count: int, most: int = 16) -> list[tuple[int, int]]:
    """Return at most `most` ranges (first, last) of nearly equal length that cover range(count); none is empty.

    >>> spans(7, 3)
    [(0, 2), (2, 4), (4, 7)]
    """
    pieces = min(count, most)
    return [(count * k // pieces, count * (k + 1) // pieces) for k in range(pieces)]
