"""Thin-plate splines to test with."""

import numpy as np
import pytest

from stn_ref.transforms.tps import ThinPlateSpline

DTYPES = (np.float32, np.float64)
each_layout = pytest.mark.parametrize("layout", ("regular", "irregular", "3 x 5"))


def spline(layout, rng, **options):
    points = {"regular": None, "irregular": rng.uniform(-1, 1, (11, 2)), "3 x 5": (3, 5)}[layout]
    return ThinPlateSpline(points, **options)


def warps(T, rng, N=2, size=0.3):
    """theta (N, 2 P): control points moved at random, no affine map."""
    return np.array(T.identity) + size * rng.standard_normal((N, T.K))


def sources(T, theta):
    return theta.reshape(len(theta), -1, 2)


def relative(a, n):
    return np.abs(a - n).max() / max(np.abs(a).max(), np.abs(n).max())
