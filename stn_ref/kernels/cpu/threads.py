"""Our own parallel loop: results never depend on the number of threads.

Work is cut into pieces whose number depends on its shape alone (or into items each computed on its own); a piece runs
on the first thread that is free and writes only what is its own. The caller adds partial sums in the order of the
pieces. Pieces that multiply matrices run inside `one_blas_thread`.

Short work stays on the caller's thread: see `worth_a_thread`.
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

# Nanoseconds of work that are worth a second thread. From the caller's `parallel` to the first line of a task on a
# thread of the pool it takes 0.08 to 0.14 ms (medians of 600 calls, with pauses of 0 to 10 ms between them, on 2 cores
# that other programs kept busy), in one call of ten 0.4 ms or more. With this much to do the delay is small beside the
# work; half or twice as much makes no large difference.
WORTH_A_THREAD = 250_000

_inside = contextvars.ContextVar("stn_ref_inside", default=False)  # True in a piece: nested loops run in place


def _default() -> int:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return 1  # for readers who step through the kernels: pdb does not see other threads
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
    """Use up to n threads from now on, the caller's among them. No result depends on n.

    Raises:
        TypeError: n is not an integer.
        ValueError: n is less than 1.
    """
    global _threads
    _threads = checks.integer("the number of threads", n, 1)


class _Pool:
    """Threads that wait for requests, and keep no process from ending.

    Ctrl-C cannot break it: each call that matters is one step. In concurrent.futures and Thread.start it can leave
    locks of Python code locked for ever; the process then hangs at its end, or its threads never begin.
    """

    def __init__(self):
        self.requests, self.size, self.lock = queue.SimpleQueue(), 0, threading.Lock()

    def ask(self, requests: list[Callable[[], None]]) -> None:
        """Let each request be called by the next thread that is free; threads start when they are first needed."""
        with self.lock, contextlib.suppress(RuntimeError):  # the system may have no more threads
            while self.size < _threads - 1:
                _thread.start_new_thread(self.serve, ())
                self.size += 1
        for request in requests[: self.size]:
            self.requests.put(request)

    def serve(self) -> None:
        while True:
            self.requests.get()()  # not kept in a variable: a waiting thread keeps no array alive


_pool = _Pool()
if hasattr(os, "register_at_fork"):  # a child has the memory of the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.__init__)


def worth_a_thread(ns: float) -> int:
    """Return how many items, of about `ns` nanoseconds each, are worth a thread of their own; at least 1."""
    return max(1, int(WORTH_A_THREAD // max(ns, 1)))


def parallel(task: Callable[[int], None], count: int, least: int = 1) -> None:
    """Run task(k) once for each k in range(count), on up to get_num_threads() threads, the caller's among them.

    Which thread runs which k is not defined: a task writes only what belongs to its k. The first exception is raised
    once all threads have stopped; so is KeyboardInterrupt.

    Args:
        task: called from any thread, in a copy of the caller's context (np.errstate holds).
        count: how many pieces there are.
        least: how many of them are worth a thread, see `worth_a_thread`.
    """
    helpers = min(_threads, count // least) - 1
    if helpers < 1 or _inside.get():
        for k in range(count):
            task(k)
        return
    pieces, errors = collections.deque(range(count)), []
    working = [threading.RLock() for _ in range(helpers)]  # each is held by its helper while that works

    def work() -> None:
        _inside.set(True)
        while not errors:
            try:
                k = pieces.popleft()  # one step: each piece is taken once
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

    while True:  # again after each exception, Ctrl-C too: the caller gets it once no thread writes any more
        try:
            if not errors:
                _pool.ask([partial(contextvars.copy_context().run, help_out, lock) for lock in working])
                contextvars.copy_context().run(work)
            for lock in working:
                lock.acquire()  # waits for a helper that works, and keeps out one that has not begun
            break
        except BaseException as error:
            errors.append(error)
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Exception))  # the first one; KeyboardInterrupt before all


def parallel_ranges(task: Callable[[int, int], None], count: int, least: int = 1) -> None:
    """Run task(first, last) on ranges that make up range(count), one range for each thread.

    Only for items that are computed each on its own (a pixel, an image): then no bit depends on where the cuts are.
    Sums over items must not use it, the cuts depend on the number of threads. One long call a thread rather than many
    short ones, because after each a thread has to win Python's lock back.

    Args:
        task: computes the items first to last - 1.
        count: how many items there are.
        least: a range has at least so many items, unless it is the only one, see `worth_a_thread`.
    """
    ranges = spans(count, max(1, min(_threads, count // least)))
    if len(ranges) == 1:
        task(0, count)
    else:
        parallel(lambda k: task(*ranges[k]), len(ranges))


def spans(count: int, most: int = 16) -> list[tuple[int, int]]:
    """Cut range(count) into at most `most` pieces of nearly equal length; none is empty.

    >>> spans(7, 3)
    [(0, 2), (2, 4), (4, 7)]
    """
    pieces = min(count, most)
    return [(count * k // pieces, count * (k + 1) // pieces) for k in range(pieces)]
