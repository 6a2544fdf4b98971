"""Our own parallel loop: results never depend on the number of threads.

Work is cut into pieces whose number depends on its shape alone (or into items each computed on its own); a piece runs
on whichever thread is free and writes only what is its own. Partial sums are added by the caller, in the order of the
pieces. Pieces that multiply matrices run inside `one_blas_thread`: BLAS products differ in their last bits between 1
and 2 threads.
"""

import collections
import contextlib
import contextvars
import functools
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
from threadpoolctl import ThreadpoolController

from stn_ref.kernels.cpu import cores

_CORES = cores.count()
PATIENCE = 1.0  # seconds that a fork waits for other threads to leave BLAS
_inside = threading.local()  # its `piece` is True on a thread that runs pieces: nested loops run in place
_all: list["_Worker"] = []
_free: dict["_Worker", None] = {}  # those who wait for a request, the last one that worked at the end


def _default() -> int:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return 1  # for those who step through the kernels: pdb does not see other threads
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit() and int(os.environ[name]) > 0:
            return int(os.environ[name])
    return _CORES


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


def parallel(task: Callable[[int], None], count: int) -> None:
    """Run task(k) once for each k in range(count), on up to get_num_threads() threads, the caller's among them.

    Which thread runs which k is not defined: a task writes only what belongs to its k. The first exception is raised
    once all threads have stopped; so is KeyboardInterrupt. Tasks that use BLAS need `with one_blas_thread:` around the
    call.
    """
    inside = getattr(_inside, "piece", False)
    if min(_threads, count) > 1 and not inside:
        _share(task, count)
        return
    _inside.piece = True
    try:
        for k in range(count):
            task(k)
    finally:
        _inside.piece = inside


def _share(task: Callable[[int], None], count: int) -> None:
    """Run the pieces on this thread and on free workers."""
    pieces, finished = collections.deque(range(count)), np.zeros(1, np.int64)
    outcomes, ended = [], queue.SimpleQueue()  # what each worker raised, or None; a word after each
    employed, errors = {}, []

    def work() -> None:
        while True:
            try:
                k = pieces.popleft()  # atomic: each piece is taken once
            except IndexError:
                return
            task(k)

    while True:  # again after each interrupt, wherever it came: nothing may still be writing when the caller gets it
        try:
            if not errors:
                _inside.piece = True
                for worker, claims in _employ(employed, min(_threads, count) - 1):
                    # in a copy of the context, so that the caller's np.errstate holds there, too
                    worker.ask((claims, contextvars.copy_context().run, work, outcomes, ended, finished))
                work()
            _inside.piece = False
            pieces.clear()
            for worker in list(employed):
                if _is_first(employed[worker], None):
                    _free[worker] = None  # it has not begun, and will find nothing to do
                    del employed[worker]
            if employed and not errors:
                _watch(np.zeros(1, np.int64), finished, len(employed) - 1, 0)
            while len(outcomes) < len(employed):
                ended.get()
            break
        except BaseException as error:
            errors.append(error)
    errors += [error for error in outcomes if error is not None]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Exception))  # the first one; KeyboardInterrupt before all


def _is_first(claims: list, who) -> bool:
    """Claim a request: the first, its worker or the caller (None), has it for good, however often it is claimed."""
    claims.append(who)
    return claims[0] is who


def _watch(raised: np.ndarray, watched: np.ndarray, seen: int, grace: int) -> None:
    """Add 1 to raised[0], then wait awake, but not long, for watched[0] > seen. Not while others need the cores.

    Only once numba is loaded: NumPy's own loops are long enough for sleepers. The first call compiles the loop.
    """
    if sys.modules.get("numba"):
        from stn_ref.kernels.cpu import spin

        spin.count_and_watch(raised, watched, seen, spin.TURNS if _threads <= _CORES else 0, grace * spin.GRACE)


class _Worker:
    """A thread that serves one request after the other. It is a daemon: it keeps no process from ending."""

    def __init__(self):
        self.requests, self.asked = queue.SimpleQueue(), np.zeros(1, np.int64)
        self.callers_core = -1
        threading.Thread(target=self._serve, name="stn_ref", daemon=True).start()

    def ask(self, request: tuple) -> None:
        self.callers_core = cores.here()
        self.requests.put(request)
        self.asked[0] += 1

    def _serve(self) -> None:
        _inside.piece = True
        while True:
            claims, run, work, outcomes, ended, finished = self.requests.get()
            cores.leave(self.callers_core)
            seen = int(self.asked[0])
            if _is_first(claims, self):
                try:
                    outcome = run(work)
                except BaseException as error:
                    outcome = error
                seen = int(self.asked[0])
                _free[self] = None  # before the caller hears of it: the next region finds the same workers
                outcomes.append(outcome)
                ended.put(None)
                del outcome
            del run, work, outcomes, ended  # a waiting worker keeps no array alive
            _watch(finished, self.asked, seen, 1)  # if it came too late, too: so as to be awake for the next region


def _employ(employed: dict[_Worker, list], most: int) -> Iterator[tuple[_Worker, list]]:
    """Take up to that many free workers, each with an empty list of claims; others are not waited for."""
    for _ in range(most):
        try:
            worker, _ = _free.popitem()  # the last one that worked: it may still be awake
        except KeyError:
            if len(_all) >= _threads - 1:
                return
            try:
                worker = _Worker()
            except RuntimeError:  # the system gives no more threads
                return
            _all.append(worker)
        employed[worker] = claims = []
        yield worker, claims


def parallel_ranges(task: Callable[[int, int], None], count: int, least: int = 1) -> None:
    """Run task(first, last) on ranges that make up range(count), one range for each thread.

    Only for items that are computed each on its own (a pixel, an image): then no bit depends on where the cuts are.
    Sums over items must not use it, the cuts depend on the number of threads. One long call a thread rather than many
    short ones, because after each a thread has to win Python's lock back.

    Args:
        task: computes the items first to last - 1.
        count: how many items there are.
        least: a range has about so many items or more, unless it is the only one: to hand it over takes time (spin.py).
            The caller's range is the longest, by about a quarter of that.
    """
    if count == 0:
        return
    n, extra = min(_threads, max(1, count // least)), least // 4
    own = (count - extra) // n + extra  # the caller begins first and ends last: the workers find Python's lock free
    ranges = [(0, own), *((own + first, own + last) for first, last in spans(count - own, n - 1))]
    parallel(lambda k: task(*ranges[k]), len(ranges))


def spans(count: int, most: int = 16) -> list[tuple[int, int]]:
    """Cut range(count) into at most `most` pieces of nearly equal length; none is empty.

    >>> spans(7, 3)
    [(0, 2), (2, 4), (4, 7)]
    """
    pieces = min(count, most)
    return [(count * k // pieces, count * (k + 1) // pieces) for k in range(pieces)]


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


class _OneBlasThread(contextlib.AbstractContextManager):
    """One BLAS thread from the first entry to the last exit, of whichever threads of the caller's (about 7 us)."""

    def __init__(self):
        self.gate = threading.RLock()  # whoever enters passes it; a fork shuts it
        self.lock = threading.RLock()
        self.left = threading.Condition(self.lock)  # told when a thread leaves
        self.users: list[int] = []  # the threads inside, one entry each time they enter
        self.before: list[tuple] = []  # (library, its number of threads while nobody is inside)

    def __enter__(self):
        with self.gate, self.lock:
            if not self.users:
                self.before = [(library, library.num_threads) for library in _blas()]
                for library, _ in self.before:
                    _set_blas_threads(library, 1)
            self.users.append(threading.get_ident())

    def __exit__(self, *error):
        with self.lock:
            self.users.remove(threading.get_ident())
            self._restore()
            self.left.notify_all()

    def _restore(self):
        if not self.users:
            for library, n in self.before:
                _set_blas_threads(library, n)

    def _others(self) -> set[int]:
        return set(self.users) - {threading.get_ident()}

    def before_fork(self):
        """Let no other thread in and wait for those inside, but not for ever: one may be waiting for the fork."""
        self.gate.acquire()
        self.lock.acquire()
        self.left.wait_for(lambda: not self._others(), PATIENCE)

    def after_fork(self):
        """Go on."""
        self.lock.release()
        self.gate.release()

    def after_fork_in_child(self):
        """Go on without the threads that did not come along."""
        if others := self._others():
            self.users = [user for user in self.users if user not in others]
            self._restore()
        self.after_fork()


one_blas_thread = _OneBlasThread()

if hasattr(os, "register_at_fork"):
    # OpenBLAS has locks of its own. A child that is forked while another thread holds one waits for it for ever: so
    # nobody of ours is in BLAS during a fork. A child has the memory of the workers, too, but not their threads.
    os.register_at_fork(
        before=one_blas_thread.before_fork,
        after_in_parent=one_blas_thread.after_fork,
        after_in_child=lambda: (_free.clear(), _all.clear(), one_blas_thread.after_fork_in_child()),
    )
