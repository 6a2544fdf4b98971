"""A forked child can use the package, whatever the other threads of its parent were doing at that moment."""

import multiprocessing
import os
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import stn_ref
from stn_ref import nn
from stn_ref.kernels.cpu import one_blas_thread as blas
from stn_ref.kernels.cpu import threads
from stn_ref.kernels.cpu.one_blas_thread import one_blas_thread

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def two_threads():
    before = stn_ref.get_num_threads()
    stn_ref.set_num_threads(2)
    yield
    stn_ref.set_num_threads(before)


def exit_code_of_child(work) -> int:
    """Fork; the child does the work and ends."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    for _ in range(4000):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


def every_piece_once():
    done = []
    threads.parallel(done.append, 6)
    assert sorted(done) == list(range(6))


def test_a_child_has_workers_of_its_own():
    meeting = threading.Barrier(2, timeout=10)
    threads.parallel(lambda k: meeting.wait(), 2)
    assert exit_code_of_child(lambda: threads.parallel(lambda k: meeting.wait(), 2)) == 0
    every_piece_once()  # and the parent has not lost its own


def test_a_child_forked_inside_a_piece_goes_on():
    codes = []
    threads.parallel(lambda k: codes.append(exit_code_of_child(every_piece_once)), 3)
    assert codes == [0, 0, 0]


def test_a_child_forked_while_another_thread_holds_blas_to_one_thread_is_not_held(monkeypatch):
    import scipy.linalg.cython_blas  # noqa: F401  both BLAS libraries are there before they are counted

    def blas_threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    if not blas_threads():
        pytest.skip("this BLAS has no number of threads to look at")
    monkeypatch.setattr(blas, "PATIENCE", 0.1)
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with one_blas_thread:
            inside.set()
            assert leave.wait(20)

    def child():
        assert blas_threads() == {3}
        with one_blas_thread:
            assert blas_threads() == {1}
        assert blas_threads() == {3}

    def child_inside():
        assert blas_threads() == {1}
        one_blas_thread.__exit__()
        assert blas_threads() == {3}

    with threadpool_limits(3, user_api="blas"):
        other = threading.Thread(target=hold)
        other.start()
        assert inside.wait(20)
        codes = [exit_code_of_child(child)]
        with one_blas_thread:
            codes.append(exit_code_of_child(child_inside))
        leave.set()
        other.join(20)
        assert codes == [0, 0] and blas_threads() == {3}


def test_a_fork_waits_while_another_thread_sets_the_number_of_blas_threads(monkeypatch):
    """OpenBLAS holds a lock of its own meanwhile; a child would find it held for ever."""
    setting, log = threading.Event(), []

    def set_slowly(library, n):
        log.append("begin")
        setting.set()
        time.sleep(0.2)
        log.append("end")

    monkeypatch.setattr(blas, "_set_blas_threads", set_slowly)
    if not blas._blas():
        pytest.skip("this BLAS has no number of threads to set")
    other = threading.Thread(target=one_blas_thread.__enter__)
    other.start()
    assert setting.wait(20)
    code = exit_code_of_child(lambda: np.testing.assert_equal(log.count("begin"), log.count("end")))
    other.join(20)
    with one_blas_thread.changed:
        one_blas_thread.users.clear()
    assert code == 0


def test_a_fork_waits_while_another_thread_compiles():
    """The child would find numba's lock held for ever, and could compile nothing."""
    from numba.core.compiler_lock import global_compiler_lock

    from stn_ref.kernels.cpu.jit import njit

    compiling, compiled = threading.Event(), threading.Event()

    def compile_slowly():
        with global_compiler_lock:
            compiling.set()
            time.sleep(0.2)
            compiled.set()

    other = threading.Thread(target=compile_slowly)
    other.start()
    assert compiling.wait(20)

    def child():
        assert compiled.is_set() and njit()(lambda x: x + 1)(1) == 2

    assert exit_code_of_child(child) == 0
    other.join(20)


def test_a_fork_waits_until_another_thread_has_left_blas_and_lets_none_in():
    inside, log = threading.Event(), []

    def come_and_go():
        for _ in range(3):
            with one_blas_thread:
                log.append("in")
                inside.set()
                time.sleep(0.1)
                log.append("out")

    others = [threading.Thread(target=come_and_go) for _ in range(2)]
    for other in others:
        other.start()
    assert inside.wait(20)
    code = exit_code_of_child(lambda: np.testing.assert_equal(log.count("in"), log.count("out")))
    for other in others:
        other.join(20)
    assert code == 0 and log.count("in") == log.count("out") == 6


@pytest.mark.parametrize("work", ("sampler", "convolution", "blas threads"))
def test_children_forked_while_another_thread_works_do_not_hang(work, rng, monkeypatch):
    U = rng.standard_normal((4, 2, 20, 24)).astype(np.float32)
    grid = rng.uniform(-1.2, 1.2, (4, 14, 16, 2)).astype(np.float32)
    convolution = nn.Conv2d(2, 3, 5, rng).eval()

    def blas_threads_to_and_fro():  # the moment in which OpenBLAS holds a lock
        for _ in range(50):
            with one_blas_thread:
                pass

    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)  # ns: two threads for the small arrays of a test, too
    use = {
        "sampler": lambda: stn_ref.grid_sample(U, grid),
        "convolution": lambda: convolution.forward(U),
        "blas threads": blas_threads_to_and_fro,
    }[work]
    use()
    stop = threading.Event()

    def go_on():
        while not stop.is_set():
            use()

    other = threading.Thread(target=go_on)
    other.start()
    try:
        for _ in range(8):
            assert exit_code_of_child(use) == 0
    finally:
        stop.set()
        other.join(20)


def sampled(seed):
    rng = np.random.default_rng(seed)
    U, grid = rng.standard_normal((2, 2, 9, 7)), rng.uniform(-1, 1, (2, 5, 6, 2))
    return stn_ref.grid_sample(U, grid)


def test_a_pool_of_forked_processes_gives_the_same_bits():
    expected = [sampled(seed) for seed in range(4)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        got = pool.map_async(sampled, range(4)).get(60)
    np.testing.assert_array_equal(got, expected)
