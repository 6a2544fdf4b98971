"""Our own parallel loop."""

import os
import threading
import time

import numpy as np
import pytest

from stn_ref.kernels import threads


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


def test_a_loop_inside_a_loop_runs_in_place(several):
    done = []
    threads.parallel(lambda k: threads.parallel(lambda j: done.append((k, j)), 3), 4)
    assert len(done) == 12
    threads.parallel(lambda k: done.append(threading.get_ident()), 3)


def test_the_callers_errstate_holds_on_every_thread(several):
    with np.errstate(over="ignore"):
        threads.parallel(lambda k: np.float32(3e38) * np.float32(10), 16)  # warnings are errors here


def test_blas_runs_on_one_thread_inside():
    from threadpoolctl import threadpool_info

    seen = []
    threads.parallel(lambda k: seen.append([p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]), 1)
    assert set(seen[0]) <= {1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_can_use_the_loop():
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    try:
        threads.parallel(lambda k: time.sleep(0.001), 4)
        child = os.fork()
        if child == 0:
            done = []
            threads.parallel(done.append, 6)
            os._exit(0 if sorted(done) == list(range(6)) else 1)
        for _ in range(2000):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            time.sleep(0.01)
        else:
            os.kill(child, 9)
            pytest.fail("the child hangs")
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        threads.set_num_threads(before)


def test_the_number_of_threads_is_at_least_one():
    with pytest.raises(ValueError, match="n must be at least 1; got 0"):
        threads.set_num_threads(0)
