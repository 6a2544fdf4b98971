"""Sampling where coordinates or pixels are no numbers, arrays are empty or odd, or arguments are wrong."""

import itertools

import numpy as np
import pytest
from cases import DTYPES, OPTIONS, case, options_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import checks, kernels
from stn_ref.sampler import KINKS, MODES, grid_sample, sample, sample_backward

BACKENDS = kernels.BACKENDS
FAST = tuple(backend for backend in BACKENDS if backend != "literal")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


# Bad numbers: a total contract.

HUGE = [0.0, -0.0, 1e9, -1e9, 3e38, -3e38, np.inf, -np.inf, 1e-40, -1e-40, 5.0, -1.0, 6.999]


@each_backend
@each_dtype
def test_any_coordinate_gives_a_finite_answer(backend, dtype):
    U = np.arange(2 * 5 * 7, dtype=dtype).reshape(1, 2, 5, 7)
    x, y = np.meshgrid(HUGE, HUGE)
    points = np.stack([x, y], -1)[None].astype(dtype)
    far, infinite = np.abs(points[0]) > 100, np.isinf(points[0])
    on = np.clip(points, 0, np.array([6, 4], dtype))
    for options in options_of(backend):
        with case(options):
            V = sample(U, points, backend=backend, **options)
            gU, gpoints = sample_backward(U, points, np.ones_like(V), backend=backend, **options)
            assert np.isfinite(V).all() and np.isfinite(gU).all() and np.isfinite(gpoints).all()
            assert (gpoints[0][infinite] == 0).all()
            if options["padding"] == "zeros":
                assert (V[..., far.any(-1)] == 0).all() and (gpoints[0, far.any(-1)] == 0).all()
                continue
            V_on = sample(U, on, backend=backend, **options)
            assert_array_equal(V[..., infinite.all(-1)], V_on[..., infinite.all(-1)])
            if options["padding"] == "border":  # as if the point stood there, and no further move changed anything
                assert_allclose(V[..., far.any(-1)], V_on[..., far.any(-1)], rtol=1e-6)
                assert (gpoints[0][far] == 0).all()


@each_backend
@each_dtype
def test_a_nan_coordinate_spoils_its_own_sample_and_nothing_else(example, backend, dtype):
    U, there, ones = example(dtype, reach=0.1)
    expected = np.zeros(ones.shape, bool)
    expected[1, :, 2, 3] = True
    for options, axis in itertools.product(options_of(backend), (0, 1)):
        points, gV = there.copy(), ones.copy()
        points[1, 2, 3, axis] = np.nan
        with case(options, "xy"[axis]):
            V = sample(U, points, backend=backend, **options)
            gU, gpoints = sample_backward(U, points, gV, backend=backend, **options)
            assert_array_equal(np.isnan(V), expected)
            assert_array_equal(np.isnan(gpoints).all(-1), expected[:, 0])
            gV[1, :, 2, 3] = 0
            points[1, 2, 3] = 0
            assert_allclose(gU, sample_backward(U, points, gV, backend=backend, **options)[0], atol=0)


@each_backend
def test_a_nan_pixel_reaches_every_sample_whose_cell_holds_it(backend):
    U = np.zeros((1, 1, 4, 4))
    U[0, 0, 1, 2] = np.nan
    points = np.array([[[(1.0, 1.0), (1.5, 0.5), (2.0, 1.0), (3.0, 1.0), (2.0, 2.0), (1.0, 0.0)]]])
    V = sample(U, points, backend=backend)
    assert np.isnan(V[0, 0, 0]).tolist() == [True, True, True, False, False, True]  # weight 0 included


def largest(array):
    """The largest finite magnitude, as a Python float."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), options=st.sampled_from(OPTIONS), kink=st.sampled_from(KINKS))
def test_backends_agree_on_hostile_numbers(data, dtype, options, kink):
    if kink == "as_printed" and options != {"mode": "bilinear", "padding": "zeros"}:
        kink = "right"
    width = 32 if dtype == np.float32 else 64
    number = st.one_of(st.floats(width=width), st.integers(-3, 6).map(float), st.floats(-2, 5, width=width))
    N, C, H, W, P = (data.draw(st.integers(1, 3)) for _ in range(5))
    draw = lambda n: np.array(data.draw(st.lists(number, min_size=n, max_size=n)), dtype)  # noqa: E731
    U, points, gV = draw(N * C * H * W), draw(N * P * 2), draw(N * C * P)
    U, points, gV = U.reshape(N, C, H, W), points.reshape(N, 1, P, 2), gV.reshape(N, C, 1, P)

    def results(backend):
        V = sample(U, points, backend=backend, **options)
        return V, *sample_backward(U, points, gV, backend=backend, kink=kink, **options)

    expected = results("literal")
    u, g, unit = largest(U), largest(gV), 8 * float(np.finfo(dtype).eps)
    # V as promised. A pixel gets at most g from each point; a slope is at most 2 u g, summed over C channels.
    bounds = {"V": unit * largest(expected[0]), "gU": unit * P * g, "gpoints": unit * C * 2 * u * g}
    smallest = 8 * float(np.finfo(dtype).smallest_subnormal)  # a product that underflows is right to one of these
    for backend in FAST:
        if options not in options_of(backend):
            continue
        got = results(backend)
        for (name, bound), a, b in zip(bounds.items(), got, expected, strict=True):
            assert_array_equal(np.isnan(a), np.isnan(b), err_msg=f"{backend} {name}")
            assert_array_equal(np.isinf(a), np.isinf(b), err_msg=f"{backend} {name}")
            assert_array_equal(a[np.isinf(a)], b[np.isinf(b)], err_msg=f"{backend} {name}")
            finite = np.isfinite(a)
            a, b = a[finite].astype(np.longdouble), b[finite].astype(np.longdouble)  # a - b does not overflow
            assert np.abs(a - b).max(initial=0) <= bound + smallest, f"{backend} {name}"


@each_backend
def test_empty_axes_give_empty_results(example, backend):
    for options, empty in itertools.product(options_of(backend), ("N", "C", "Ho", "Wo")):
        U, points, gV = example(**{empty: 0})
        with case(options, empty):
            V = sample(U, points, backend=backend, **options)
            gU, gpoints = sample_backward(U, points, gV, backend=backend, **options)
            assert (V.shape, gU.shape, gpoints.shape) == (gV.shape, U.shape, points.shape)
            assert not gpoints.any() and not gU.any()


@each_backend
def test_a_nan_point_has_a_nan_gradient_without_channels_too(example, backend):
    U, points, gV = example(C=0)
    points[0, 0, 0] = 1, np.nan
    for options in options_of(backend):
        with case(options):
            gpoints = sample_backward(U, points, gV, backend=backend, **options)[1]
            assert np.isnan(gpoints[0, 0, 0]).all() and np.isnan(gpoints).sum() == 2


@each_backend
def test_strided_and_read_only_arrays_are_taken_as_they_are(example, backend):
    U, points, gV = example()
    strided = (
        np.asfortranarray(U),
        np.repeat(points, 2, axis=2)[:, :, ::2],
        np.ascontiguousarray(gV[..., ::-1])[..., ::-1],
    )
    for array in strided:
        array.flags.writeable = False
    for options in options_of(backend):
        options = {**options, "backend": backend}
        with case(options):
            assert_array_equal(sample(*strided[:2], **options), sample(U, points, **options))
            wanted = sample_backward(U, points, gV, **options)
            for a, b in zip(sample_backward(*strided, **options), wanted, strict=True):
                assert_array_equal(a, b)


@each_backend
def test_inputs_may_share_memory_and_results_share_none_with_them(backend):
    kept = np.random.default_rng(0).uniform(-1, 6, (2, 2, 4, 4))
    memory = kept.copy()
    U = gV = memory
    points = memory.reshape(2, 4, 4, 2)
    for options in options_of(backend):
        with case(options):
            V = sample(U, points, backend=backend, **options)
            results = V, *sample_backward(U, points, gV, backend=backend, **options)
            assert_array_equal(memory, kept)
            assert not any(np.shares_memory(result, memory) for result in results)
            apart = sample(U.copy(), points.copy(), backend=backend, **options)
            assert_array_equal(V, apart)
            V[...] = 0
            assert_array_equal(memory, kept)


@each_backend
@each_dtype
def test_nothing_beside_the_image_is_read(backend, dtype):
    for (H, W), options in itertools.product(((5, 7), (1, 4), (3, 1), (1, 1)), options_of(backend)):
        room = np.full(3 * 2 * H * W, np.nan, dtype)  # a NaN that is read would be seen
        U = room[2 * H * W : 4 * H * W].reshape(1, 2, H, W)
        U[...] = np.random.default_rng(0).standard_normal(U.shape)
        x, y = np.meshgrid([*HUGE, -2.5, -0.5, 0.5, W - 0.5, W + 0.5, W], [*HUGE, -0.5, 0.5, H - 0.5, H])
        points = np.stack([x, y], -1)[None].astype(dtype)
        with case(options, (H, W)):
            V = sample(U, points, backend=backend, **options)
            _, gpoints = sample_backward(U, points, np.ones_like(V), backend=backend, **options)
            assert np.isfinite(V).all() and np.isfinite(gpoints).all()


def test_an_infinite_grid_value_is_outside_even_an_image_of_one_pixel():
    grid = np.array([[[(0, 0), (np.inf, 0), (0, -np.inf), (np.nan, 0), (1e308, 0)]]])
    for align_corners in (False, True):
        with case("align_corners", align_corners):
            V = grid_sample(np.full((1, 1, 1, 1), 3.0), grid, align_corners=align_corners)[0, 0, 0]
            assert V[:3].tolist() == [3, 0, 0] and np.isnan(V[3])
            assert V[4] == (3 if align_corners else 0)  # a span of 0 takes every finite value to the pixel


# Clear errors.


def test_shapes_that_disagree_are_named(example):
    U, points, gV = example()
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


def test_other_dtypes_are_a_type_error(example):
    U, points, gV = example()
    for dtype in (np.float16, np.int64, object, np.complex128, ">f8"):
        with case(dtype):
            with pytest.raises(TypeError, match="U must be a float32 or float64 NumPy array"):
                sample(U.astype(dtype), points)
            with pytest.raises(TypeError, match="points must be a float32 or float64 NumPy array"):
                sample(U, points.astype(dtype))
    with pytest.raises(TypeError, match="gV must have the dtype of U, float64; got float32"):
        sample_backward(U, points, gV.astype(np.float32))


def test_unsupported_options_name_what_is_supported(example):
    U, points, gV = example()
    wrong = [("mode", "cubic"), ("mode", 1), ("padding_mode", "reflect"), ("backend", "gpu"), ("kink", "both")]
    for option, value in wrong:
        with case(option, value), pytest.raises(ValueError, match=rf"{option} must be one of '.*'; got {value!r}"):
            stn_ref.grid_sample_backward(U, points, gV, **{option: value})


@pytest.mark.parametrize("backend", kernels.BACKENDS)
def test_an_infinite_point_is_outside_an_image_of_one_pixel_in_every_mode(backend, rng):
    """There the factor of align_corners is 0, and infinity times 0 would be NaN."""
    U, gV = rng.standard_normal((1, 2, 1, 1)), rng.standard_normal((1, 2, 1, 3))
    grid = np.array([[[[np.inf, 0.0], [0.0, -np.inf], [np.inf, np.inf]]]])
    modes = [mode for mode in MODES if backend not in kernels.CUDA_BACKENDS or mode != "bicubic"]
    for mode, padding, corners in itertools.product(modes, ("zeros", "border", "reflection"), (False, True)):
        options = {"mode": mode, "padding_mode": padding, "align_corners": corners, "backend": backend}
        with case(mode, padding, corners):
            wanted = np.zeros((1, 2, 1, 3)) if padding == "zeros" else np.broadcast_to(U, (1, 2, 1, 3))
            assert_allclose(stn_ref.grid_sample(U, grid, **options), wanted, atol=1e-14)
            gU, ggrid = stn_ref.grid_sample_backward(U, grid, gV, **options)
            assert not ggrid.any() and np.isfinite(gU).all()
