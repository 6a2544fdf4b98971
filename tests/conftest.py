import os

os.environ.setdefault("MPLBACKEND", "Agg")

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
    """Makes (U, points, gV): a non-square problem whose points leave the image by `reach` times its size."""

    def make(dtype=np.float64, N=2, C=3, H=5, W=7, Ho=4, Wo=6, reach=1.0):
        U = rng.standard_normal((N, C, H, W)).astype(dtype)
        low, high = -reach * np.array([W, H]), (1 + reach) * np.array([W, H])
        points = rng.uniform(low, high, (N, Ho, Wo, 2)).astype(dtype)
        return U, points, rng.standard_normal((N, C, Ho, Wo)).astype(dtype)

    return make


@pytest.fixture(scope="session")
def digits():
    return data.load(n_train=96, n_val=32, n_test=32, seed=0)
