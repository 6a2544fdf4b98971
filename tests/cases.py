"""What tests of the sampler loop over, the problems that they sample, and how a loop names the case that fails."""

import contextlib
import itertools

import numpy as np
import pytest

from stn_ref import kernels
from stn_ref.sampler import MODES

DTYPES = (np.float32, np.float64)
OPTIONS = [{"mode": mode, "padding": padding} for mode, padding in itertools.product(MODES, kernels.PADDINGS)]


def options_of(backend: str) -> list[dict]:
    """Return the pairs of mode and padding that a backend has; there is no CUDA kernel for bicubic."""
    return [one for one in OPTIONS if backend not in kernels.CUDA_BACKENDS or one["mode"] != "bicubic"]


@contextlib.contextmanager
def case(*what):
    """Name the case in the message of what fails inside the `with`."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:  # the second is what pytest.raises raises
        raise AssertionError(f"{', '.join(map(str, what))}: {type(error).__name__}: {error}") from error


def problem(rng, dtype=np.float64, N=2, C=3, H=5, W=7, Ho=4, Wo=6, reach=1.0):
    """Return (U, points, gV): a non-square problem whose points leave the image by `reach` times its size."""
    U = rng.standard_normal((N, C, H, W)).astype(dtype)
    low, high = -reach * np.array([W, H]), (1 + reach) * np.array([W, H])
    points = rng.uniform(low, high, (N, Ho, Wo, 2)).astype(dtype)
    return U, points, rng.standard_normal((N, C, Ho, Wo)).astype(dtype)
