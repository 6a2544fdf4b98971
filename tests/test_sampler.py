"""Eqs. (3)-(7): one contract for every backend."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import checks, kernels
from stn_ref.kernels import threads
from stn_ref.sampler import Sampler, grid_sample, grid_sample_backward, sample, sample_backward

BACKENDS = kernels.BACKENDS
DTYPES = (np.float32, np.float64)
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def example(rng, dtype=np.float64, N=2, C=3, H=5, W=7, Ho=4, Wo=6, reach=1.0):
    """A non-square problem whose points leave the image by `reach` times its size."""
    U = rng.standard_normal((N, C, H, W)).astype(dtype)
    low, high = -reach * np.array([W, H]), (1 + reach) * np.array([W, H])
    points = rng.uniform(low, high, (N, Ho, Wo, 2)).astype(dtype)
    return U, points, rng.standard_normal((N, C, Ho, Wo)).astype(dtype)


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


@each_backend
def test_at_an_integer_the_slope_is_the_right_derivative(backend):
    U = np.array([[[[0.0, 1.0, 5.0]]]])
    _, gpoints = sample_backward(U, np.array([[[[1.0, 0.0]]]]), np.ones((1, 1, 1, 1)), backend=backend)
    assert gpoints[0, 0, 0].tolist() == [4.0, -1.0]  # to the right 5 - 1; downwards V fades to 0


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


@pytest.mark.parametrize("backend", ("vectorised", "cpu"))
@each_dtype
@pytest.mark.parametrize("shape", ((2, 3, 5, 7, 4, 6), (3, 1, 1, 9, 2, 5), (1, 4, 8, 1, 3, 2), (2, 2, 6, 3, 40, 31)))
def test_backend_matches_the_literal_equation(rng, backend, dtype, shape):
    U, points, gV = example(rng, dtype, *shape)
    points[0, 0, :2] = [[0, 0], [shape[3] - 1, shape[2] - 1]]  # kinks as well
    tolerance = 1e-12 if dtype == np.float64 else 4e-6  # float32: sums of up to 1,240 terms of order 1
    assert_allclose(
        sample(U, points, backend=backend), sample(U, points, backend="literal"), atol=8 * np.finfo(dtype).eps * 5
    )
    for got, expected in zip(
        sample_backward(U, points, gV, backend=backend),
        sample_backward(U, points, gV, backend="literal"),
        strict=True,
    ):
        assert got.dtype == dtype
        assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


@each_backend
def test_gradients_agree_with_finite_differences(rng, backend):
    U, points, gV = example(rng, reach=0.2)
    points += 0.02 * (np.abs(points - np.round(points)) < 0.02)  # off the kinks by more than the step
    gU, gpoints = sample_backward(U, points, gV, backend=backend)

    def slope(f, at, h):
        v = rng.standard_normal(at.shape)
        return (gV * (f(at + h * v) - f(at - h * v))).sum() / (2 * h), v

    n, v = slope(lambda u: sample(u, points, backend=backend), U, 1.0)  # V is linear in U: any step
    assert_allclose((gU * v).sum(), n, rtol=1e-11)
    n, v = slope(lambda p: sample(U, p, backend=backend), points, 1e-4)
    assert_allclose((gpoints * v).sum(), n, rtol=1e-8)
    with pytest.raises(AssertionError):  # a gradient that is broken on purpose is seen
        assert_allclose((gpoints[..., ::-1] * v).sum(), n, rtol=1e-8)


@each_backend
def test_needs_computes_only_what_is_asked_for(rng, backend):
    U, points, gV = example(rng)
    gU, gpoints = sample_backward(U, points, gV, backend=backend)
    only_U = sample_backward(U, points, gV, backend=backend, needs=(True, False))
    only_points = sample_backward(U, points, gV, backend=backend, needs=(False, True))
    assert only_U[1] is None and only_points[0] is None
    assert_array_equal(only_U[0], gU)
    assert_array_equal(only_points[1], gpoints)


def test_threads_do_not_change_a_bit(rng):
    U, points, gV = example(rng, np.float32, 5, 3, 30, 40, 33, 29)
    before = threads.get_num_threads()
    try:
        results = []
        for n in (1, 2, 3):
            threads.set_num_threads(n)
            results.append((sample(U, points), *sample_backward(U, points, gV)))
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


def test_interpreted_and_compiled_give_the_same_bits(rng, tmp_path):
    U, points, gV = example(rng, np.float32)
    points[0, 0, 0] = np.nan, 1
    points[0, 1, 0] = -np.inf, 3e38
    np.savez(tmp_path / "in.npz", U=U, points=points, gV=gV)
    script = (
        "import sys, warnings, numpy as np; warnings.simplefilter('error'); from stn_ref.sampler import *;"
        "d = np.load(sys.argv[1]); gU, gp = sample_backward(d['U'], d['points'], d['gV']);"
        "np.savez(sys.argv[2], V=sample(d['U'], d['points']), gU=gU, gpoints=gp)"
    )
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "in.npz", tmp_path / "out.npz"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
    )
    got = np.load(tmp_path / "out.npz")
    gU, gpoints = sample_backward(U, points, gV)
    assert_array_equal(got["V"], sample(U, points))
    assert_array_equal(got["gU"], gU)
    assert_array_equal(got["gpoints"], gpoints)


# Bad numbers: a total contract.

HUGE = [0.0, -0.0, 1e9, -1e9, 3e38, -3e38, np.inf, -np.inf, 1e-40, -1e-40, 5.0, -1.0, 6.999]


@each_backend
@each_dtype
def test_any_coordinate_gives_a_finite_answer(backend, dtype):
    U = np.arange(2 * 5 * 7, dtype=dtype).reshape(1, 2, 5, 7)
    x, y = np.meshgrid(HUGE, HUGE)
    points = np.stack([x, y], -1)[None].astype(dtype)
    V = sample(U, points, backend=backend)
    gU, gpoints = sample_backward(U, points, np.ones_like(V), backend=backend)
    assert np.isfinite(V).all() and np.isfinite(gU).all() and np.isfinite(gpoints).all()
    far = (np.abs(points) > 100).any(-1)[0]
    assert (V[..., far] == 0).all() and (gpoints[0, far] == 0).all()


@each_backend
@each_dtype
def test_a_nan_coordinate_spoils_its_own_sample_and_nothing_else(rng, backend, dtype):
    U, points, gV = example(rng, dtype, reach=0.1)
    points[1, 2, 3, 0] = np.nan
    V = sample(U, points, backend=backend)
    gU, gpoints = sample_backward(U, points, gV, backend=backend)
    expected = np.zeros(V.shape, bool)
    expected[1, :, 2, 3] = True
    assert_array_equal(np.isnan(V), expected)
    assert_array_equal(np.isnan(gpoints).all(-1), expected[:, 0])
    gV[1, :, 2, 3] = 0
    points[1, 2, 3] = 0
    assert_allclose(gU, sample_backward(U, points, gV, backend=backend)[0], atol=0)


@each_backend
def test_a_nan_pixel_reaches_every_sample_whose_cell_holds_it(backend):
    U = np.zeros((1, 1, 4, 4))
    U[0, 0, 1, 2] = np.nan
    points = np.array([[[(1.0, 1.0), (1.5, 0.5), (2.0, 1.0), (3.0, 1.0), (2.0, 2.0), (1.0, 0.0)]]])
    V = sample(U, points, backend=backend)
    assert np.isnan(V[0, 0, 0]).tolist() == [True, True, True, False, False, True]  # weight 0 included


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_backends_agree_on_hostile_numbers(data, dtype):
    width = 32 if dtype == np.float32 else 64
    number = st.one_of(st.floats(width=width), st.integers(-3, 6).map(float), st.floats(-2, 5, width=width))
    N, C, H, W, P = (data.draw(st.integers(1, 3)) for _ in range(5))
    draw = lambda n: np.array(data.draw(st.lists(number, min_size=n, max_size=n)), dtype)  # noqa: E731
    U, points, gV = draw(N * C * H * W), draw(N * P * 2), draw(N * C * P)
    U, points, gV = U.reshape(N, C, H, W), points.reshape(N, 1, P, 2), gV.reshape(N, C, 1, P)
    expected = sample(U, points, backend="literal"), *sample_backward(U, points, gV, backend="literal")
    for backend in ("vectorised", "cpu"):
        got = sample(U, points, backend=backend), *sample_backward(U, points, gV, backend=backend)
        for name, a, b in zip(("V", "gU", "gpoints"), got, expected, strict=True):
            assert_array_equal(np.isnan(a), np.isnan(b), err_msg=f"{backend} {name}")
            assert_array_equal(np.isinf(a), np.isinf(b), err_msg=f"{backend} {name}")


@each_backend
@pytest.mark.parametrize("empty", ("N", "C", "Ho", "Wo"))
def test_empty_axes_give_empty_results(rng, backend, empty):
    U, points, gV = example(rng, **{empty: 0})
    V = sample(U, points, backend=backend)
    gU, gpoints = sample_backward(U, points, gV, backend=backend)
    assert (V.shape, gU.shape, gpoints.shape) == (gV.shape, U.shape, points.shape)
    assert not gpoints.any() and not gU.any()


@each_backend
def test_strided_and_read_only_arrays_are_taken_as_they_are(rng, backend):
    U, points, gV = example(rng)
    strided = (
        np.asfortranarray(U),
        np.repeat(points, 2, axis=2)[:, :, ::2],
        np.ascontiguousarray(gV[..., ::-1])[..., ::-1],
    )
    for array in strided:
        array.flags.writeable = False
    assert_array_equal(sample(*strided[:2], backend=backend), sample(U, points, backend=backend))
    for a, b in zip(
        sample_backward(*strided, backend=backend), sample_backward(U, points, gV, backend=backend), strict=True
    ):
        assert_array_equal(a, b)


@pytest.mark.parametrize("align_corners", (False, True))
def test_an_infinite_grid_value_is_outside_even_an_image_of_one_pixel(align_corners):
    grid = np.array([[[(0, 0), (np.inf, 0), (0, -np.inf), (np.nan, 0), (1e308, 0)]]])
    V = grid_sample(np.full((1, 1, 1, 1), 3.0), grid, align_corners=align_corners)[0, 0, 0]
    assert V[:3].tolist() == [3, 0, 0] and np.isnan(V[3])
    assert V[4] == (3 if align_corners else 0)  # a span of 0 takes every finite value to the pixel


# Clear errors.


def test_shapes_that_disagree_are_named(rng):
    U, points, gV = example(rng)
    with pytest.raises(checks.ShapeError, match=r"points must be \(N, Ho, Wo, 2\): axis 0 is 1, expected N=2 from U"):
        sample(U, points[:1])
    with pytest.raises(checks.ShapeError, match=r"axis 3 is 3, expected 2; got shape"):
        grid_sample(U, np.zeros((2, 4, 6, 3)))
    with pytest.raises(checks.ShapeError, match=r"gV must be \(N, C, Ho, Wo\): axis 1 is 2, expected C=3 from U"):
        sample_backward(U, points, gV[:, :2])
    with pytest.raises(checks.ShapeError, match=r"U must be \(N, C, H, W\) with W >= 1"):
        sample(U[..., :0], points)
    with pytest.raises(checks.ShapeError, match=r"U must be .*: expected 4 axes, got 2"):
        sample(U[0, 0], points)


@pytest.mark.parametrize("dtype", (np.float16, np.int64, object, np.complex128, ">f8"))
def test_other_dtypes_are_a_type_error(rng, dtype):
    U, points, gV = example(rng)
    with pytest.raises(TypeError, match="U must be a float32 or float64 NumPy array"):
        sample(U.astype(dtype), points)
    with pytest.raises(TypeError, match="points must be a float32 or float64 NumPy array"):
        sample(U, points.astype(dtype))
    with pytest.raises(TypeError, match="gV must have the dtype of U, float64; got float32"):
        sample_backward(U, points, gV.astype(np.float32))


@pytest.mark.parametrize(
    ("option", "value"),
    [("mode", "bicubic"), ("mode", 1), ("padding_mode", "border"), ("backend", "cuda"), ("kink", "left")],
)
def test_unsupported_options_name_what_is_supported(rng, option, value):
    U, points, gV = example(rng)
    with pytest.raises(ValueError, match=rf"{option} must be one of '.*'; got {value!r}"):
        stn_ref.grid_sample_backward(U, points, gV, **{option: value})


# The layer.


def test_the_layer_returns_both_gradients_once(rng):
    U, points, gV = example(rng)
    layer = Sampler(backend="vectorised")
    assert_array_equal(layer.forward(U, points), sample(U, points, backend="vectorised"))
    gU, gpoints = layer.backward(gV)
    assert gU.shape == U.shape and gpoints.shape == points.shape
    with pytest.raises(checks.UsageError, match="needs a forward in training mode before it"):
        layer.backward(gV)
    layer.forward(U, points)
    assert layer.backward(gV, needs=(False, True))[0] is None


# Parity.


@pytest.mark.parity
@each_backend
@pytest.mark.parametrize("align_corners", (False, True))
def test_grid_sample_and_its_gradients_agree_with_pytorch(rng, backend, align_corners):
    torch = pytest.importorskip("torch")
    U, _, gV = example(rng, Ho=9, Wo=8)
    grid = rng.uniform(-1.5, 1.5, (2, 9, 8, 2))
    tU, tgrid = torch.tensor(U, requires_grad=True), torch.tensor(grid, requires_grad=True)
    V = torch.nn.functional.grid_sample(tU, tgrid, align_corners=align_corners)
    V.backward(torch.tensor(gV))
    options = {"align_corners": align_corners, "backend": backend}
    gU, ggrid = grid_sample_backward(U, grid, gV, **options)
    for got, expected in (
        (grid_sample(U, grid, **options), V.detach()),
        (gU, tU.grad),
        (ggrid, tgrid.grad),
    ):
        expected = expected.numpy()
        assert np.abs(got - expected).max() <= 1e-12 * np.abs(expected).max()
