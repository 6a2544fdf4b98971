"""What the environment says of threads and compiling holds, and no bit of any result depends on it."""

import os
import subprocess
import sys

import pytest


def printed(script, timeout=300, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=clean | environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


NUMBER = "import stn_ref; print(stn_ref.get_num_threads())"


@pytest.mark.parametrize(
    ("environment", "number"),
    (
        ({"NUMBA_NUM_THREADS": "1"}, "1"),
        ({"OMP_NUM_THREADS": "3"}, "3"),
        ({"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "5"}, "2"),
        ({"NUMBA_DISABLE_JIT": "1", "NUMBA_NUM_THREADS": "4"}, "1"),  # pdb sees one thread only
        ({"OMP_NUM_THREADS": "many", "NUMBA_NUM_THREADS": "0"}, None),
        ({"OMP_NUM_THREADS": "²", "NUMBA_NUM_THREADS": "-1"}, None),  # "²".isdigit() is true
        ({}, None),
    ),
)
def test_the_environment_sets_the_number_of_threads(environment, number):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert printed(NUMBER, **environment) == [number or str(cores)]


def test_our_threads_and_those_of_blas_and_numba_never_multiply():
    """Ours are as many as asked for, from the first long call on; BLAS has one inside; numba's own never start."""
    script = """
import _thread, numpy as np, stn_ref
from threadpoolctl import threadpool_info
from stn_ref.kernels.cpu import threads
from stn_ref.kernels.cpu.one_blas_thread import one_blas_thread

def blas():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

U, grid, seen = np.ones((4, 2, 30, 30), np.float32), np.zeros((4, 60, 60, 2), np.float32), []
stn_ref.set_num_threads(3)
stn_ref.grid_sample(U, grid)
print(_thread._count())  # it counts all but the first
threads.WORTH_A_THREAD = 1
for n in (3, 2, 3):
    stn_ref.set_num_threads(n)
    stn_ref.grid_sample(U, grid)
    with one_blas_thread:
        threads.parallel(lambda k: seen.append(blas()), 6)
print(_thread._count())
print(len(seen), all(pools <= {1} for pools in seen))
from numba.np.ufunc import parallel
print(parallel._is_initialized)
"""
    assert printed(script) == ["0", "2", "18 True", "False"]


def test_a_process_ends_while_its_workers_wait():
    script = """
import _thread, numpy as np, stn_ref
print(stn_ref.grid_sample(np.ones((4, 32, 30, 30)), np.zeros((4, 160, 160, 2))).sum(), _thread._count())
"""
    assert printed(script, timeout=60, NUMBA_NUM_THREADS="2") == ["3276800.0 1"]


def test_threads_are_there_without_numba():
    """The layers and transforms that need only NumPy use them."""
    script = """
import sys
sys.modules["numba"] = None
import stn_ref
from stn_ref.kernels.cpu import one_blas_thread, threads
stn_ref.set_num_threads(2)
done = []
with one_blas_thread.one_blas_thread:
    threads.parallel(done.append, 3)
print(sorted(done))
"""
    assert printed(script) == ["[0, 1, 2]"]
