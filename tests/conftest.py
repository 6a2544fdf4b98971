import functools
import os

os.environ.setdefault("MPLBACKEND", "Agg")

import cases
import numpy as np
import pytest

from stn_ref import data, kernels

if os.environ.get("STN_REF_BACKENDS"):  # the tests of the backends are then of these; tests/kernels/cuda_runs.py
    kernels.BACKENDS = tuple(os.environ["STN_REF_BACKENDS"].split(","))


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=4, help="kills of `train`, and of `experiment`, at random moments")


def pytest_configure(config):
    """Where STN_REF_REQUIRE_TORCH is set, the parity tests must not be skipped in silence."""
    if not os.environ.get("STN_REF_REQUIRE_TORCH"):
        return
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.exit(f"STN_REF_REQUIRE_TORCH is set, but torch cannot be imported: {error}", returncode=1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """`-n auto`: a worker for each core, but at most 8, because a worker needs up to a gigabyte."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def children(session):
    """Return the processes of their own that tests wait for: the attribute `child` of a test function."""
    functions = (getattr(item, "function", None) for item in getattr(session, "items", ()))
    return [function.child for function in functions if hasattr(function, "child")]


def pytest_collection_finish(session):
    """Start the children first: they are done, on another core, when their tests ask for what they say."""
    if not session.config.option.collectonly and "PYTEST_XDIST_WORKER" not in os.environ:
        for child in children(session):
            child.start()


def pytest_sessionfinish(session):
    """End the children that no test has waited for."""
    for child in children(session):
        child.stop()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def example(rng):
    """Makes (U, points, gV); see cases.problem."""
    return functools.partial(cases.problem, rng)


@pytest.fixture(scope="session")
def digits():
    return data.load(n_train=96, n_val=32, n_test=32, seed=0)
