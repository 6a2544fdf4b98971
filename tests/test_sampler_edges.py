"""Where rounding decides: points an ulp from a pixel, infinite pixels, the caller's own error state."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref import kernels
from stn_ref.sampler import grid_sample, sample, sample_backward

FAST = tuple(backend for backend in kernels.BACKENDS if backend != "literal")


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("backend", FAST)
def test_an_ulp_beside_a_pixel_infinite_pixels_reach_the_same_samples(dtype, backend):
    U = np.array([[[[0, np.inf, 2], [1, 0, -np.inf], [np.inf, 3, 4]]]], dtype)
    on = [dtype(v) for v in (-1, 0, 1, 2, 3)]
    near = [f(v) for v in on for f in (lambda v: v, lambda v: np.nextafter(v, dtype(9)), lambda v: np.nextafter(v, -9))]
    near += [dtype(s * 10.0**-k) for s in (1, -1) for k in (8, 17, 30)]
    points = np.array(list(itertools.product(near, near)), dtype)[None, None]
    V, expected = (sample(U, points, backend=b) for b in (backend, "literal"))
    assert_array_equal(np.isnan(V), np.isnan(expected))
    assert_array_equal(V[~np.isfinite(V)], expected[~np.isfinite(expected)])
    gV = np.ones_like(V)
    for got, wanted in zip(
        sample_backward(U, points, gV, backend=backend), sample_backward(U, points, gV, backend="literal"), strict=True
    ):
        assert_array_equal(np.isnan(got), np.isnan(wanted))
        assert_array_equal(np.isinf(got), np.isinf(wanted))


@pytest.mark.parametrize("backend", kernels.BACKENDS)
def test_the_callers_error_state_changes_nothing(rng, backend):
    U = np.array([[[[1e-300, np.inf], [1e300, -1e300]]]])
    grid = np.concatenate([rng.uniform(-1, 1, (1, 3, 4, 2)), np.full((1, 1, 4, 2), 1e308)], axis=1)
    calm = grid_sample(U, grid, backend=backend)
    with np.errstate(all="raise"):
        assert_array_equal(grid_sample(U, grid, backend=backend), calm)


@pytest.mark.parametrize("backend", kernels.BACKENDS)
def test_a_subclass_of_ndarray_gives_plain_arrays(backend):
    class Named(np.ndarray):
        pass

    U = np.ones((1, 1, 3, 3)).view(Named)
    points = np.ones((1, 2, 2, 2)).view(Named)
    for result in (
        sample(U, points, backend=backend),
        *sample_backward(U, points, np.ones((1, 1, 2, 2)), backend=backend),
    ):
        assert type(result) is np.ndarray


def test_a_masked_array_is_refused_rather_than_read_without_its_mask():
    U, points = np.ones((1, 1, 3, 3)), np.ones((1, 2, 2, 2))
    with pytest.raises(TypeError, match="U must be a NumPy array without a mask; got a masked array"):
        sample(np.ma.masked_array(U), points)
    with pytest.raises(TypeError, match="grid must be a NumPy array without a mask"):
        grid_sample(U, np.ma.masked_array(points))


def test_needs_is_a_flag_or_one_for_each_input():
    U, points, gV = np.ones((1, 1, 3, 3)), np.ones((1, 2, 2, 2)), np.ones((1, 1, 2, 2))
    assert all(g is None for g in sample_backward(U, points, gV, needs=False))
    for needs in (None, (True,), (True, True, True)):
        with pytest.raises(ValueError, match="needs must be a flag, or one each for U, points; got"):
            sample_backward(U, points, gV, needs=needs)
    with pytest.raises(TypeError, match="needs must be True or False; got 'no'"):
        sample_backward(U, points, gV, needs=("no", "no"))
