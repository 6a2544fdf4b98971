"""Our own parallel loop."""

import itertools
import os
import signal
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from stn_ref.kernels.cpu import cores, threads


@pytest.fixture(params=(1, 2, 4))
def several(request):
    before = threads.get_num_threads()
    threads.set_num_threads(request.param)
    yield request.param
    threads.set_num_threads(before)


def test_every_piece_runs_once(several):
    done = []
    threads.parallel(done.append, 100)
    assert sorted(done) == list(range(100))
    threads.parallel(done.append, 0)
    assert len(done) == 100


def test_pieces_run_side_by_side():
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    try:
        meeting = threading.Barrier(2, timeout=20)
        threads.parallel(lambda k: meeting.wait(), 2)  # would break if one ran after the other
    finally:
        threads.set_num_threads(before)


def test_an_exception_reaches_the_caller_and_the_loop_still_works(several):
    def fails(k):
        if k == 3:
            raise ZeroDivisionError
        time.sleep(0.001)

    with pytest.raises(ZeroDivisionError):
        threads.parallel(fails, 8)
    done = []
    threads.parallel(done.append, 5)
    assert len(done) == 5


def test_an_index_error_of_a_task_is_not_mistaken_for_the_end(several):
    with pytest.raises(IndexError, match="of the task"):
        threads.parallel(lambda k: (_ for _ in ()).throw(IndexError("of the task")), 5)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to threads")
@pytest.mark.parametrize("moment", ("it waits", "it watches", "it ends its own piece"))
def test_ctrl_c_is_raised_when_no_thread_works_any_more(moment, monkeypatch):
    before, began, ended = threads.get_num_threads(), threading.Event(), []
    caller = threading.main_thread()
    threads.set_num_threads(2)

    def ctrl_c(*args):
        if threading.current_thread() is caller:
            signal.raise_signal(signal.SIGINT)

    def task(k):
        if threading.current_thread() is caller:
            assert began.wait(20)  # then the caller has nothing left to do
            if moment == "it ends its own piece":
                ctrl_c()
        else:
            began.set()
            time.sleep(0.1)
            if moment == "it waits":
                signal.pthread_kill(caller.ident, signal.SIGINT)
            time.sleep(0.1)
            ended.append(k)

    if moment == "it watches":
        monkeypatch.setattr(threads, "_watch", ctrl_c)
    try:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                threads.parallel(task, 2)
            assert len(ended) == 1
            ended.clear()
            began.clear()
    finally:
        threads.set_num_threads(before)


def test_an_interrupt_at_any_line_leaves_nobody_at_work_and_loses_no_worker():
    """As Ctrl-C would be, KeyboardInterrupt is raised before the n-th line that the caller runs, for every n."""
    before, caller, code = threads.get_num_threads(), threading.current_thread(), threads._share.__code__
    threads.set_num_threads(3)

    def interrupted(n):
        lines, at_work, began = itertools.count(1), [], threading.Event()

        def task(k):
            at_work.append(k)
            if threading.current_thread() is caller:
                began.wait(20)
            else:
                began.set()
                time.sleep(0.01)
            at_work.remove(k)

        def each_line(frame, event, arg):
            if event == "line" and next(lines) == n:
                raise KeyboardInterrupt
            return each_line

        tracer = sys.gettrace()
        sys.settrace(lambda frame, event, arg: each_line if frame.f_code is code else None)
        try:
            threads.parallel(task, 3)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(tracer)
            assert not at_work, n
            assert len(threads._free) == len(threads._all) and not threads._inside.piece, n
        return False

    try:
        threads.parallel(lambda k: None, 3)
        assert next(n for n in itertools.count(1) if not interrupted(n)) > 20
    finally:
        threads.set_num_threads(before)


def test_ctrl_c_is_raised_rather_than_an_error_before_it():
    before, caller, began = threads.get_num_threads(), threading.main_thread(), threading.Event()
    threads.set_num_threads(2)

    def task(k):
        if threading.current_thread() is caller:
            assert began.wait(20)
            raise ZeroDivisionError
        began.set()
        time.sleep(0.1)
        signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            threads.parallel(task, 2)
    finally:
        threads.set_num_threads(before)


def test_concurrent_callers_get_their_own_results(several):
    def call(out):
        for count in range(200):
            done = []
            threads.parallel(done.append, count % 7)
            out.append(sorted(done) == list(range(count % 7)))

    results = [[] for _ in range(4)]
    callers = [threading.Thread(target=call, args=(out,), daemon=True) for out in results]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert [len(out) for out in results] == [200] * 4 and all(map(all, results))


def test_a_range_is_worth_handing_over(several):
    ranges = []
    threads.parallel_ranges(lambda first, last: ranges.append((first, last)), 10, least=6)
    assert ranges == [(0, 10)]
    ranges.clear()
    threads.parallel_ranges(lambda first, last: ranges.append((first, last)), 12, least=6)
    assert sorted(ranges) == threads.spans(12, min(several, 2))
    threads.parallel_ranges(lambda first, last: ranges.append(None), 0, least=6)
    assert None not in ranges


@pytest.mark.parametrize("several", (1, 2, 3), indirect=True)
def test_ranges_make_up_the_whole_and_the_callers_is_the_longest(several):
    for least, count in itertools.product((1, 5, 32), (0, 1, 31, 64, 65, 200)):
        ranges = []
        threads.parallel_ranges(lambda first, last, to=ranges: to.append((first, last)), count, least)
        ranges.sort()
        assert [i for first, last in ranges for i in range(first, last)] == list(range(count))
        lengths = [last - first for first, last in ranges]
        assert all(lengths) and len(lengths) <= several
        assert count == 0 or least == 1 or lengths[0] == max(lengths)


def test_a_waiting_worker_keeps_no_array_alive():
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    try:
        array, meeting = np.zeros(3), threading.Barrier(2, timeout=20)

        def task(k, array=array):
            meeting.wait()
            array[k] = 1

        threads.parallel(task, 2)
        alive = weakref.ref(array)
        del array, task
        deadline = time.monotonic() + 20
        while alive() is not None and time.monotonic() < deadline:
            time.sleep(0.001)  # the worker tells that it has ended before it forgets
        assert alive() is None
    finally:
        threads.set_num_threads(before)


def test_a_loop_inside_a_loop_runs_in_place(several):
    ran = []

    def outer(k):
        def inner(j):
            time.sleep(0.002)  # Python's lock is free: any other thread that had been asked to help would help now
            ran.append((k, j, threading.get_ident() == mine))

        mine = threading.get_ident()
        threads.parallel(inner, 6)

    threads.parallel(outer, 1)  # the other threads are idle
    threads.parallel(outer, 4)
    assert sorted(ran) == sorted([(0, j, True) for j in range(6)] + [(k, j, True) for k in range(4) for j in range(6)])


def test_the_callers_errstate_holds_on_every_thread(several):
    with np.errstate(over="ignore"):
        threads.parallel(lambda k: np.float32(3e38) * np.float32(10), 16)  # warnings are errors here


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def three_blas_threads():
    import scipy.linalg.cython_blas  # noqa: F401  both BLAS libraries are there before they are counted

    if not blas_threads():
        pytest.skip("this BLAS has no number of threads to look at")
    with threadpool_limits(3, user_api="blas"):
        yield


def inside_one_blas_thread(task, count):
    with threads.one_blas_thread:
        threads.parallel(task, count)


def test_blas_runs_on_one_thread_inside(three_blas_threads, several):
    seen = []
    inside_one_blas_thread(lambda k: seen.append(blas_threads()), 4)
    assert seen == [{1}] * 4 and blas_threads() == {3}
    with pytest.raises(ZeroDivisionError):
        inside_one_blas_thread(lambda k: k / 0, 4)
    assert blas_threads() == {3}


def test_any_thread_has_one_blas_thread_inside(three_blas_threads):
    seen = []
    for _ in range(2):
        inside_one_blas_thread(lambda k: seen.append(blas_threads()), 1)
        caller = threading.Thread(target=inside_one_blas_thread, args=(lambda k: seen.append(blas_threads()), 1))
        caller.start()
        caller.join(20)
    assert seen == [{1}] * 4 and blas_threads() == {3}


@pytest.mark.parametrize("first_out", (0, 1))
def test_two_callers_at_once_both_have_one_blas_thread(three_blas_threads, first_out):
    inside, leave, seen = [threading.Event() for _ in "ab"], [threading.Event() for _ in "ab"], []

    def task(name):
        inside[name].set()
        assert leave[name].wait(20)
        seen.append(blas_threads())

    callers = [
        threading.Thread(target=inside_one_blas_thread, args=(lambda k, n=n: task(n), 1), daemon=True) for n in (0, 1)
    ]
    for name, caller in enumerate(callers):  # 0 enters first
        caller.start()
        assert inside[name].wait(20)
    for name in (first_out, 1 - first_out):
        leave[name].set()
        callers[name].join(20)
        assert not callers[name].is_alive()
    assert seen == [{1}, {1}] and blas_threads() == {3}


def test_the_number_of_threads_is_at_least_one():
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        threads.set_num_threads(0)


@pytest.mark.skipif(cores.here() < 0 or cores.count() < 2, reason="nobody tells on which core a thread runs, or one")
def test_a_thread_leaves_a_core_and_may_come_back():
    allowed = os.sched_getaffinity(0)

    def left():
        core = cores.here()
        cores.leave(core)
        return cores.here() != core

    assert any(left() for _ in range(20))  # more than once, for the system may move a thread back
    assert os.sched_getaffinity(0) == allowed
    cores.leave(-1)  # not known: nothing to do
    here = cores.here()
    os.sched_setaffinity(0, {here})
    try:
        cores.leave(here)  # nowhere else to go
        assert cores.here() == here and os.sched_getaffinity(0) == {here}
    finally:
        os.sched_setaffinity(0, allowed)
