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


NUMBER = "from stn_ref.kernels.cpu import threads; print(threads.get_num_threads())"


@pytest.mark.parametrize(
    ("environment", "number"),
    (
        ({"NUMBA_NUM_THREADS": "1"}, "1"),
        ({"OMP_NUM_THREADS": "3"}, "3"),
        ({"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "5"}, "2"),
        ({"NUMBA_DISABLE_JIT": "1", "NUMBA_NUM_THREADS": "4"}, "1"),  # pdb sees one thread only
        ({"OMP_NUM_THREADS": "many", "NUMBA_NUM_THREADS": "0"}, None),
        ({}, None),
    ),
)
def test_the_environment_sets_the_number_of_threads(environment, number):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert printed(NUMBER, **environment) == [number or str(cores)]


def test_our_threads_and_those_of_blas_and_numba_never_multiply():
    """Ours are as many as asked for, the caller included; BLAS has one inside; numba's own are never started."""
    script = """
import threading, numpy as np, stn_ref
from threadpoolctl import threadpool_info
from stn_ref.kernels.cpu import threads

def blas():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

U, grid, seen = np.ones((4, 2, 30, 30), np.float32), np.zeros((4, 60, 60, 2), np.float32), []
for n in (3, 2, 3):
    threads.set_num_threads(n)
    stn_ref.grid_sample(U, grid)
    with threads.one_blas_thread:
        threads.parallel(lambda k: seen.append(blas()), 6)
print([thread.name for thread in threading.enumerate()].count("stn_ref"), threading.active_count())
print(len(seen), all(pools <= {1} for pools in seen))
from numba.np.ufunc import parallel
print(parallel._is_initialized)
"""
    assert printed(script) == ["2 3", "18 True", "False"]


def test_a_process_ends_while_its_workers_wait():
    script = """
import numpy as np, stn_ref
print(stn_ref.grid_sample(np.ones((4, 2, 30, 30)), np.zeros((4, 60, 60, 2))).sum())
"""
    assert printed(script, timeout=60, NUMBA_NUM_THREADS="2") == ["28800.0"]
