"""Our own parallel loop."""

import itertools
import signal
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import stn_ref
from stn_ref.kernels.cpu import threads
from stn_ref.kernels.cpu.one_blas_thread import one_blas_thread


@pytest.fixture(params=(1, 2, 4))
def several(request):
    before = stn_ref.get_num_threads()
    stn_ref.set_num_threads(request.param)
    yield request.param
    stn_ref.set_num_threads(before)


two_threads = pytest.mark.parametrize("several", (2,), indirect=True)


@pytest.fixture
def ctrl_c():
    """A call that acts as Ctrl-C; a process that is started in the background would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_every_piece_runs_once(several):
    done = []
    threads.parallel(done.append, 100)
    assert sorted(done) == list(range(100))
    threads.parallel(done.append, 0)
    assert len(done) == 100


def test_pieces_run_side_by_side(several):
    meeting = threading.Barrier(several, timeout=20)
    for _ in range(3):
        threads.parallel(lambda k: meeting.wait(), several)  # would break if one ran after another


@two_threads
def test_the_caller_does_not_wait_for_a_thread_that_has_not_begun(several):
    started, leave = threading.Event(), threading.Event()

    def hold(k):  # keeps the only other thread busy
        started.set()
        assert leave.wait(20)

    other = threading.Thread(target=threads.parallel, args=(hold, 2))
    other.start()
    try:
        assert started.wait(20)
        done = []
        threads.parallel(done.append, 5)
        assert done == list(range(5)) and other.is_alive()
    finally:
        leave.set()
        other.join(20)


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


@two_threads
@pytest.mark.parametrize("fails", ("the caller", "the other thread"))
def test_an_exception_is_raised_when_no_thread_works_any_more(several, fails):
    caller, meeting, ended = threading.current_thread(), threading.Barrier(2, timeout=20), []

    def task(k):
        meeting.wait()
        if (threading.current_thread() is caller) == (fails == "the caller"):
            raise ZeroDivisionError
        time.sleep(0.05)
        ended.append(k)

    with pytest.raises(ZeroDivisionError):
        threads.parallel(task, 2)
    assert len(ended) == 1


def test_an_index_error_of_a_task_is_not_mistaken_for_the_end(several):
    with pytest.raises(IndexError, match="of the task"):
        threads.parallel(lambda k: (_ for _ in ()).throw(IndexError("of the task")), 5)


@two_threads
@pytest.mark.parametrize("error", (None, ZeroDivisionError))
def test_ctrl_c_is_raised_when_no_thread_works_any_more_and_before_other_errors(several, ctrl_c, error):
    caller, meeting, ended = threading.main_thread(), threading.Barrier(2, timeout=20), []

    def task(k):
        meeting.wait()
        if threading.current_thread() is caller:
            if error:
                raise error
            return  # then it waits for the other
        time.sleep(0.05)
        ctrl_c()
        time.sleep(0.05)
        ended.append(k)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            threads.parallel(task, 2)
        assert len(ended) == 1
        ended.clear()


def test_an_interrupt_at_any_line_leaves_no_thread_at_work_and_loses_none():
    """As Ctrl-C would be, KeyboardInterrupt is raised before the n-th line that the caller runs, for every n."""
    before, caller = stn_ref.get_num_threads(), threading.current_thread()
    stn_ref.set_num_threads(3)

    def interrupted(n):
        lines, at_work, began = itertools.count(1), [], threading.Event()

        def task(k):
            at_work.append(k)
            if threading.current_thread() is caller:
                began.wait(0.02)
            else:
                began.set()
                time.sleep(0.005)
            at_work.remove(k)

        def each_line(frame, event, arg):
            if event == "line" and next(lines) == n:
                raise KeyboardInterrupt
            return each_line

        tracer = sys.gettrace()
        sys.settrace(lambda frame, event, arg: each_line if frame.f_code.co_filename == threads.__file__ else None)
        try:
            threads.parallel(task, 3)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(tracer)
            assert not at_work, n
            meeting = threading.Barrier(3, timeout=20)
            threads.parallel(lambda k: meeting.wait(), 3)
        return False

    try:
        assert next(n for n in itertools.count(1) if not interrupted(n)) > 30
    finally:
        stn_ref.set_num_threads(before)


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


def test_the_caller_does_all_the_work_where_the_system_gives_no_thread(monkeypatch):
    def start(function, arguments):
        raise RuntimeError("can't start new thread")

    before, done = stn_ref.get_num_threads(), []
    stn_ref.set_num_threads(3)
    try:
        monkeypatch.setattr(threads._thread, "start_new_thread", start)
        monkeypatch.setattr(threads, "_pool", threads._Pool())
        threads.parallel(done.append, 5)
    finally:
        stn_ref.set_num_threads(before)
    assert done == list(range(5))


def test_a_second_thread_is_used_from_a_millisecond_of_work_on(several):
    def ranges(count, ns):
        found = []
        threads.parallel_ranges(lambda first, last: found.append((first, last)), count, threads.worth_a_thread(ns))
        return sorted(found)

    assert ranges(999, 1000) == [(0, 999)]  # 1000 ns for each item
    assert ranges(1000, 1000) == threads.spans(1000, min(several, 2))
    assert ranges(8000, 250) == threads.spans(8000, several)
    assert ranges(1, 10**9) == [(0, 1)] and ranges(0, 1000) == []
    assert threads.worth_a_thread(0) == threads.WORTH_A_THREAD


@two_threads
def test_short_work_runs_on_the_callers_thread(several):
    ran = []
    threads.parallel(lambda k: (time.sleep(0.002), ran.append(threading.get_ident())), 7, least=4)
    assert ran == [threading.get_ident()] * 7
    meeting = threading.Barrier(2, timeout=20)
    threads.parallel(lambda k: k in (0, 1) and meeting.wait(), 8, least=4)


def test_ranges_make_up_the_whole(several):
    for least, count in itertools.product((1, 5, 32), (0, 1, 31, 64, 65, 200)):
        ranges = []
        threads.parallel_ranges(lambda first, last, to=ranges: to.append((first, last)), count, least)
        ranges.sort()
        assert [i for first, last in ranges for i in range(first, last)] == list(range(count))
        assert len(ranges) <= several and all(last - first >= min(least, count) for first, last in ranges)


@two_threads
def test_a_waiting_thread_keeps_no_array_alive(several):
    array, meeting = np.zeros(3), threading.Barrier(2, timeout=20)

    def task(k, array=array):
        meeting.wait()
        array[k] = 1

    threads.parallel(task, 2)
    alive = weakref.ref(array)
    del array, task
    deadline = time.monotonic() + 20
    while alive() is not None and time.monotonic() < deadline:
        time.sleep(0.001)  # the caller goes on before the other thread has forgotten
    assert alive() is None


def test_a_loop_inside_a_loop_runs_in_place(several):
    ran = []

    def outer(k):
        def inner(j):
            time.sleep(0.002)  # Python's lock is free: another thread that had been asked to help would help now
            ran.append((k, j, threading.get_ident() == mine))

        mine = threading.get_ident()
        threads.parallel(inner, 6)

    threads.parallel(outer, 4)
    assert sorted(ran) == [(k, j, True) for k in range(4) for j in range(6)]
    if several > 1:  # afterwards the caller is outside again
        meeting = threading.Barrier(2, timeout=20)
        threads.parallel(lambda k: meeting.wait(), 2)


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
    with one_blas_thread:
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


def test_the_number_of_threads_is_an_integer_of_at_least_one(several):
    for bad, error, message in (
        (0, ValueError, "the number of threads must be at least 1; got 0"),
        (-2, ValueError, "must be at least 1; got -2"),
        (2.0, TypeError, "the number of threads must be an integer; got 2.0"),
        ("2", TypeError, "must be an integer; got '2'"),
        (None, TypeError, "must be an integer; got None"),
    ):
        with pytest.raises(error, match=message):
            stn_ref.set_num_threads(bad)
        assert stn_ref.get_num_threads() == several
    stn_ref.set_num_threads(np.int64(3))
    assert stn_ref.get_num_threads() == 3 and type(stn_ref.get_num_threads()) is int
