import functools
import os

os.environ.setdefault("MPLBACKEND", "Agg")

import cases
import numpy as np
import pytest

from stn_ref import data, kernels

if os.environ.get("STN_REF_BACKENDS"):  # the tests of the backends are then of these; tests/kernels/cuda_runs.py
    kernels.BACKENDS = tuple(os.environ["STN_REF_BACKENDS"].split(","))


def pytest_configure(config):
    """Where STN_REF_REQUIRE_TORCH is set, the parity tests must not be skipped in silence."""
    if not os.environ.get("STN_REF_REQUIRE_TORCH"):
        return
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.exit(f"STN_REF_REQUIRE_TORCH is set, but torch cannot be imported: {error}", returncode=1)


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
