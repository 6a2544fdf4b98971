"""Eqs. (3)-(7) by hand for every backend, what each one promises beside the numbers, and the layer."""

from fractions import Fraction

import numpy as np
import pytest
from cases import DTYPES
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, kernels
from stn_ref.kernels import scalar_math
from stn_ref.kernels.cpu import threads
from stn_ref.sampler import Sampler, grid_sample_backward, sample, sample_backward

BACKENDS = kernels.BACKENDS
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


# By hand.


@each_backend
@each_dtype
def test_the_middle_of_four_pixels_is_their_mean(backend, dtype):
    U = np.array([[[[1, 2], [3, 10]]]], dtype)
    V = sample(U, np.full((1, 1, 1, 2), 0.5, dtype), backend=backend)
    assert V.item() == 4 and V.dtype == dtype


@each_backend
def test_a_point_is_x_then_y(backend):
    U = np.arange(12.0).reshape(1, 1, 3, 4)
    assert sample(U, np.array([[[[3.0, 1.0]]]]), backend=backend).item() == U[0, 0, 1, 3]


@each_backend
def test_half_a_pixel_outside_a_corner_keeps_a_quarter(backend):
    U = np.full((1, 1, 3, 4), 8.0)
    assert sample(U, np.array([[[[-0.5, -0.5], [3.5, 2.5]]]]), backend=backend).tolist() == [[[[2, 2]]]]


@each_backend
def test_weights_of_one_point_computed_as_fractions(backend):
    x_s, y_s = Fraction(13, 8), Fraction(5, 4)
    U = np.arange(12.0).reshape(1, 1, 3, 4) ** 2
    hat = lambda d: max(Fraction(0), 1 - abs(d))  # noqa: E731
    V = sum(Fraction(U[0, 0, n, m]) * hat(x_s - m) * hat(y_s - n) for n in range(3) for m in range(4))
    assert sample(U, np.array([[[[float(x_s), float(y_s)]]]]), backend=backend).item() == float(V)


@each_backend
def test_slopes_of_a_ramp_are_its_slopes_everywhere_inside_kinks_included(backend):
    n, m = np.mgrid[0:5, 0:6].astype(float)
    U = (3 * m - 2 * n)[None, None]
    x, y = np.meshgrid([1, 1.25, 2, 3.5], [1, 2, 2.75])
    _, gpoints = sample_backward(U, np.stack([x, y], -1)[None], np.full((1, 1, 3, 4), 0.5), backend=backend)
    assert_allclose(gpoints, np.broadcast_to([1.5, -1.0], (1, 3, 4, 2)), rtol=1e-15)


GOLDEN = {  # rows 0..4, loss = sum of outputs, from PyTorch's own test suite
    True: [[(-8, -8), (-8, 0), (2, 0), (2, 0)], [(2, 0)] * 4],
    False: [[(-5, -5), (-5, 5), (-10, -10), (-10, 10)], [(0, 0)] * 4],
}


@each_backend
@pytest.mark.parametrize("align_corners", (True, False))
def test_golden_gradients_at_kinks(backend, align_corners):
    U = np.broadcast_to(np.arange(5.0), (1, 1, 5, 5))
    grid = np.array([[(1, 1), (1, -1), (0.8, 0.8), (0.8, -0.8)], [(-1, -1), (-1, 1), (-0.8, -0.8), (-0.8, 0.8)]])
    _, ggrid = grid_sample_backward(U, grid[None], np.ones((1, 1, 2, 4)), align_corners=align_corners, backend=backend)
    assert_allclose(ggrid[0], GOLDEN[align_corners], atol=1e-14)


# One contract.


@each_backend
def test_needs_computes_only_what_is_asked_for(example, backend):
    U, points, gV = example()
    gU, gpoints = sample_backward(U, points, gV, backend=backend)
    only_U = sample_backward(U, points, gV, backend=backend, needs=(True, False))
    only_points = sample_backward(U, points, gV, backend=backend, needs=(False, True))
    assert only_U[1] is None and only_points[0] is None
    assert_array_equal(only_U[0], gU)
    assert_array_equal(only_points[1], gpoints)


def test_points_that_fill_whole_blocks_leave_no_image_out(example):
    block = kernels.compiled("cpu.blocks", "this test").BLOCK
    U, points, gV = example(N=3, C=2, Ho=32, Wo=2 * block // 32, reach=0.2)
    expected = sample(U, points, backend="vectorised"), *sample_backward(U, points, gV, backend="vectorised")
    for got, wanted in zip((sample(U, points), *sample_backward(U, points, gV)), expected, strict=True):
        assert np.abs(got - wanted).max() <= 1e-12 * np.abs(wanted).max()  # float64, up to 1,024 terms


@pytest.mark.parametrize("options", (("bilinear", "zeros"), ("nearest", "border"), ("bicubic", "reflect")), ids=str)
def test_threads_do_not_change_a_bit(example, monkeypatch, options):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)  # ns
    U, points, gV = example(np.float32, 5, 3, 30, 40, 33, 29)
    options = dict(zip(("mode", "padding"), options, strict=True))
    before = threads.get_num_threads()
    try:
        results = []
        for n in (1, 2, 3, 5):
            threads.set_num_threads(n)
            results.append((sample(U, points, **options), *sample_backward(U, points, gV, **options)))
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("padding", ("zeros", "reflect"))
@pytest.mark.parametrize("mode", ("bilinear", "nearest", "bicubic"))
def test_places_of_64_bits_change_no_bit(example, monkeypatch, mode, padding):
    blocks = kernels.compiled("cpu.blocks", "this test")
    U, points, gV = example(np.float32, reach=2.0)
    points[0, 0, 0] = np.nan, 1
    points[0, 1, 0] = -np.inf, 3e38
    results = []
    for zero in (np.int32(0), np.int64(0)):  # the latter is for planes of 2^31 pixels, too large for a test
        monkeypatch.setattr(blocks, "place_zero", lambda H, W, zero=zero: zero)
        options = {"mode": mode, "padding": padding}
        results.append((sample(U, points, **options), *sample_backward(U, points, gV, **options)))
    for narrow, wide in zip(*results, strict=True):
        assert narrow.tobytes() == wide.tobytes()


@each_dtype
def test_the_fast_nearest_is_the_one_that_is_written_down(dtype):
    fast = kernels.compiled("cpu.nearest", "this test")
    halves = np.arange(-9, 40, dtype=dtype) / 2
    x = np.concatenate([halves, np.nextafter(halves, -np.inf, dtype=dtype), np.nextafter(halves, np.inf, dtype=dtype)])
    x = np.concatenate([x, np.array([1e-30, -1e-30, -0.0, 1e30, -1e30], dtype)])
    for nearest, ties in ((fast.nearest, scalar_math.EVEN), (fast.nearest_up, scalar_math.UP)):
        wanted = [scalar_math.nearest(*scalar_math.cell(one, 17), ties) for one in x]
        assert [nearest(one, 17) for one in x] == wanted


def test_the_type_of_places_follows_the_size_of_a_plane():
    blocks = kernels.compiled("cpu.blocks", "this test")
    assert type(blocks.place_zero(46_000, 46_000)) is np.int32
    assert type(blocks.place_zero(47_000, 46_000)) is np.int64
    with pytest.raises(ValueError, match=r"H and W must be below 2\^31 - 2\^8"):
        blocks.place_zero(1, 2**31)


# The layer.


def test_the_layer_returns_both_gradients_once(example):
    U, points, gV = example()
    layer = Sampler(backend="vectorised")
    assert_array_equal(layer.forward(U, points), sample(U, points, backend="vectorised"))
    gU, gpoints = layer.backward(gV)
    assert gU.shape == U.shape and gpoints.shape == points.shape
    with pytest.raises(checks.UsageError, match="needs a forward in training mode before it"):
        layer.backward(gV)
    layer.forward(U, points)
    assert layer.backward(gV, needs=(False, True))[0] is None


@pytest.mark.parametrize(
    "options", ({"kink": "left"}, {"kink": "central", "padding": "mirror"}, {"mode": "bicubic", "a": -0.5}), ids=str
)
def test_the_layer_samples_with_the_options_it_was_made_with(example, options):
    U, points, gV = example(reach=0.2)
    points[0] = np.round(points[0])  # on kinks
    layer = Sampler(**options, backend="vectorised")
    forward = {name: value for name, value in options.items() if name != "kink"}
    assert_array_equal(layer.forward(U, points), sample(U, points, **forward, backend="vectorised"))
    gU, gpoints = layer.backward(gV)
    expected = sample_backward(U, points, gV, **options, backend="vectorised")
    assert_array_equal(gU, expected[0])
    assert_array_equal(gpoints, expected[1])
    default = {**options, "kink": "right", "a": -0.75}
    assert (gpoints != sample_backward(U, points, gV, **default, backend="vectorised")[1]).any()
