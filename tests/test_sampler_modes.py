"""Kernels, paddings and sides of a kink: by hand, by finite differences, and one contract for every backend."""

import functools
import math
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from cases import DTYPES, OPTIONS, case, options_of, problem
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import kernels
from stn_ref.sampler import KINKS, grid_sample, sample, sample_backward

BACKENDS = kernels.BACKENDS
FAST = tuple(backend for backend in BACKENDS if backend != "literal")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

ROW = np.array([[[[1.0, 2.0, 4.0, 8.0]]]])  # one line of an image
HALF = Fraction(1, 2)


def on_row(xs):
    """Points of the line at these x."""
    return np.array([[[(float(x), 0.0) for x in xs]]])


# By hand.

EXTENDED = {  # the pixels at x = -5 ... 8
    "zeros": [0, 0, 0, 0, 0, 1, 2, 4, 8, 0, 0, 0, 0, 0],
    "border": [1, 1, 1, 1, 1, 1, 2, 4, 8, 8, 8, 8, 8, 8],
    "reflect": [8, 8, 4, 2, 1, 1, 2, 4, 8, 8, 4, 2, 1, 1],  # d c b a | a b c d | d c b a
    "mirror": [2, 4, 8, 4, 2, 1, 2, 4, 8, 4, 2, 1, 2, 4],  # d c b | a b c d | c b a
}


@each_backend
def test_pixels_outside_are_what_the_padding_says(backend):
    for options in options_of(backend):
        with case(options):
            V = sample(ROW, on_row(range(-5, 9)), backend=backend, **options)
            assert V.ravel().tolist() == EXTENDED[options["padding"]]


@each_backend
@pytest.mark.parametrize("padding", kernels.PADDINGS)
def test_far_outside_mirrored_pixels_repeat_with_their_period(backend, padding):
    period = {"reflect": 8, "mirror": 6}.get(padding, 0)
    V = sample(ROW, on_row(np.array([0.25, 1.5]) + 1000 * period), padding=padding, backend=backend)
    assert_allclose(V.ravel(), [1.25, 3.0], rtol=1e-12)


@each_backend
def test_nearest_takes_the_even_pixel_half_way(backend):
    xs = [-0.75, -0.5, -0.25, 0.5, 0.75, 1.5, 2.5, 3.5, 3.499, np.nextafter(0.5, 1), np.nextafter(-0.5, -1)]
    V = sample(ROW, on_row(xs), mode="nearest", backend=backend)
    assert V.ravel().tolist() == [0, 1, 1, 1, 2, 4, 4, 0, 8, 2, 0]


FOLDED = {  # the coordinate on ROW that the padding makes of x, in fractions
    "zeros": lambda x: x,
    "border": lambda x: min(max(x, 0), 3),
    "reflect": lambda x: min(max(min((x + HALF) % 8, -(x + HALF) % 8) - HALF, 0), 3),
    "mirror": lambda x: min(x % 6, -x % 6),
}


@each_backend
def test_with_ties_up_nearest_is_eq_4_as_printed(rng, backend):
    xs = np.arange(-7, 28) / 4
    xs = np.concatenate([xs, np.nextafter(xs, -np.inf), np.nextafter(xs, np.inf)])
    gV = rng.standard_normal((1, 1, 1, len(xs)))
    for padding, folded in FOLDED.items():
        pixels = [math.floor(folded(Fraction(x)) + HALF) for x in xs]  # Eq. (4)
        wanted = [EXTENDED[padding][m + 5] for m in pixels]
        options = {"mode": "nearest", "padding": padding, "backend": backend}
        V = sample(ROW, on_row(xs), ties="up", **options).ravel()
        with case(padding):
            assert V.tolist() == wanted
            assert (V != sample(ROW, on_row(xs), **options).ravel()).any()  # by default halves go to the even pixel
            gU, gpoints = sample_backward(ROW, on_row(xs), gV, ties="up", **options)
            assert_allclose((gU * ROW).sum(), (gV * V).sum(), rtol=1e-12)  # V is linear in U
            assert not gpoints.any()


@each_backend
def test_ties_up_are_ties_up_in_both_coordinates_and_in_every_mode(rng, backend):
    U, gV = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 6, 7))
    points = rng.integers(-9, 15, (2, 6, 7, 2)) / 2
    points[0, 0, 0] = np.nan, 0.5
    for options in options_of(backend):
        with case(options):
            found, literal = (
                (sample(U, points, ties="up", backend=b, **options),)
                + sample_backward(U, points, gV, ties="up", backend=b, **options)
                for b in (backend, "literal")
            )
            for got, wanted in zip(found, literal, strict=True):
                assert_close(got, wanted, 1e-13)
            even = sample(U, points, backend=backend, **options)
            assert np.array_equal(found[0], even, equal_nan=True) == (options["mode"] != "nearest")


@each_backend
def test_nearest_has_no_slope_and_sends_all_of_its_gradient_to_one_pixel(backend):
    gU, gpoints = sample_backward(ROW, on_row([0.7, 1.2]), np.array([[[[3.0, 5.0]]]]), mode="nearest", backend=backend)
    assert gU.ravel().tolist() == [0, 8, 0, 0] and not gpoints.any()


def keys(d, a):
    """Keys' kernel as he wrote it, in fractions."""
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else Fraction(0)


@each_backend
@pytest.mark.parametrize("a", (-0.75, -0.5, -1.0))
def test_bicubic_weights_computed_as_fractions(backend, a):
    x_s, y_s = Fraction(13, 8), Fraction(9, 4)
    U = np.arange(30.0).reshape(1, 1, 5, 6) ** 2
    V = sum(
        Fraction(U[0, 0, n, m]) * keys(x_s - m, Fraction(a)) * keys(y_s - n, Fraction(a))
        for n in range(5)
        for m in range(6)
    )
    got = sample(U, np.array([[[[float(x_s), float(y_s)]]]]), mode="bicubic", a=a, backend=backend)
    assert_allclose(got.item(), float(V), rtol=1e-15)


@each_backend
def test_bicubic_with_a_half_reproduces_a_parabola_and_with_three_quarters_does_not(backend):
    m = np.arange(12.0)
    U, xs = (m**2 - 3 * m)[None, None, None], np.array([3.1, 4.5, 6.75])
    V = sample(U, on_row(xs), mode="bicubic", a=-0.5, backend=backend)
    assert_allclose(V.ravel(), xs**2 - 3 * xs, rtol=1e-13)
    V = sample(U, on_row(xs), mode="bicubic", backend=backend)
    assert np.abs(V.ravel() - (xs**2 - 3 * xs)).min() > 0.01


# Kinks: on ROW at x = 2 the slopes are 4 - 2 to the left and 8 - 4 to the right.


@each_backend
def test_at_an_integer_the_slope_is_that_of_the_chosen_side(backend):
    ones = np.ones((1, 1, 1, 1))
    for kink, slope in {"right": 4, "left": 2, "central": 3, "as_printed": 4}.items():
        with case(kink):
            _, gpoints = sample_backward(ROW, on_row([2]), ones, kink=kink, backend=backend)
            assert gpoints[0, 0, 0, 0] == slope
            _, beside = sample_backward(ROW, on_row([2.25]), ones, kink=kink, backend=backend)
            assert beside[0, 0, 0, 0] == 4  # off the kink they agree


@each_backend
def test_without_a_choice_the_slope_at_an_integer_is_the_right_derivative(backend):
    _, gpoints = sample_backward(ROW, on_row([2]), np.ones((1, 1, 1, 1)), backend=backend)
    assert gpoints[0, 0, 0].tolist() == [4, -4]  # to the right 8 - 4; downwards V fades from 4 to 0


@each_backend
def test_on_the_border_itself_the_slope_of_a_padded_coordinate_is_0(backend):
    gV = np.ones((1, 1, 1, 2))
    for padding in ("border", "reflect", "mirror"):
        for kink in KINKS[:3]:
            with case(padding, kink):
                _, gpoints = sample_backward(ROW, on_row([0, 3]), gV, padding=padding, kink=kink, backend=backend)
                assert not gpoints.any()


@each_backend
def test_where_mirroring_runs_backwards_so_does_the_slope(backend):
    gV = np.ones((1, 1, 1, 1))
    for padding, x in (("mirror", -1.5), ("reflect", -2.5)):  # both look at 1.5, where the slope is 2
        V = sample(ROW, on_row([x]), padding=padding, backend=backend)
        _, gpoints = sample_backward(ROW, on_row([x]), gV, padding=padding, backend=backend)
        assert (V.item(), gpoints[0, 0, 0, 0]) == (3.0, -2.0)


def test_as_printed_is_only_what_was_printed(example):
    U, points, gV = example()
    for options in OPTIONS:
        if options != {"mode": "bilinear", "padding": "zeros"}:
            with pytest.raises(ValueError, match=r"'as_printed' is Eq. \(7\), bilinear with zeros outside; got"):
                sample_backward(U, points, gV, kink="as_printed", **options)


# One contract.

SHAPES = [(2, 3, 5, 7, 4, 6), (3, 1, 1, 9, 2, 5), (1, 4, 8, 1, 3, 3)]  # N, C, H, W, Ho, Wo
CASES = [(shape, options, bad) for options in OPTIONS for bad in (False, True) for shape in SHAPES]
CASES.append(((2, 2, 6, 3, 25, 22), OPTIONS[0], False))  # 550 points an image: more than one block on the cpu


@functools.cache
def hostile(dtype, shape, bad=False):
    """Return (U, points, gV) with points on and between pixels and borders, far away and nowhere; two `bad` pixels."""
    U, points, gV = problem(np.random.default_rng(0), dtype, *shape, reach=2.0)
    H, W = U.shape[2:]
    points[0] = np.random.default_rng(1).integers(-2 * max(H, W), 3 * max(H, W), points[0].shape) / 2
    flat = points[-1].reshape(-1, 2)
    flat[:6] = [[np.nan, 1], [np.inf, 0.5], [-np.inf, np.inf], [3e38, -1e9], [-1e-17, 1e-30], [-0.0, H - 1]]
    if bad:
        U[0, 0, 0, 0], U[-1, -1, -1, -1] = np.nan, -np.inf
    return U, points, gV


def kinks_of(mode):
    return KINKS[:3] if mode == "bilinear" else ("right",)


@functools.cache
def literally(dtype, shape, bad, mode, padding):
    """Return V, and (gU, gpoints) by the side of a kink, as Eqs. (3)-(7) are written."""
    U, points, gV = hostile(dtype, shape, bad)
    options = {"mode": mode, "padding": padding, "backend": "literal"}
    return sample(U, points, **options), {
        kink: sample_backward(U, points, gV, kink=kink, **options) for kink in kinks_of(mode)
    }


def assert_close(got, expected, relative):
    """To `relative` of the largest number; NaN and inf in the same places."""
    assert got.dtype == expected.dtype
    assert_array_equal(np.isnan(got), np.isnan(expected))
    infinite = np.isinf(expected)
    assert_array_equal(got[infinite], expected[infinite])
    finite = np.isfinite(expected)
    largest = np.abs(expected[finite]).max(initial=0)
    assert np.abs(got[finite] - expected[finite]).max(initial=0) <= relative * largest


@pytest.mark.parametrize("backend", FAST)
@each_dtype
def test_backend_matches_the_literal_sums(backend, dtype):
    few = 8 * np.finfo(dtype).eps  # V sums 16 terms at most; a pixel's gradient up to 550
    many = 1e-12 if dtype == np.float64 else 4e-6
    for shape, options, bad in CASES:
        if options not in options_of(backend):
            continue
        U, points, gV = hostile(dtype, shape, bad)
        V, gradients = literally(dtype, shape, bad, **options)
        with case(options, shape, "bad pixels" if bad else "good pixels"):
            assert_close(sample(U, points, backend=backend, **options), V, few)
            for kink, expected in gradients.items():
                got = sample_backward(U, points, gV, backend=backend, kink=kink, **options)
                for a, b in zip(got, expected, strict=True):
                    assert_close(a, b, many)


@pytest.mark.parametrize("backend", FAST)
@each_dtype
def test_backend_matches_the_literal_reading_of_eq_7(backend, dtype):
    U, points, gV = hostile(dtype, SHAPES[0])
    _, got = sample_backward(U, points, gV, backend=backend, kink="as_printed")
    _, expected = sample_backward(U, points, gV, backend="literal", kink="as_printed")
    assert_close(got, expected, 1e-12 if dtype == np.float64 else 4e-6)


@each_backend
def test_where_there_is_no_kink_the_chosen_side_changes_no_bit(backend):
    U, points, gV = hostile(np.float64, SHAPES[0])
    for options in options_of(backend):
        if options["mode"] == "bilinear":
            continue
        right, *others = (sample_backward(U, points, gV, kink=kink, backend=backend, **options) for kink in KINKS[:3])
        for other in others:
            with case(options):
                assert_array_equal(other[0], right[0])
                assert_array_equal(other[1], right[1])


@each_backend
@pytest.mark.parametrize("reach", (0.2, 1.5))
def test_gradients_agree_with_finite_differences(rng, example, backend, reach):
    U, points, gV = example(reach=reach)
    half = np.round(2 * points) / 2  # kinks of bilinear and of mirroring, jumps of nearest
    points = np.where(np.abs(points - half) < 0.02, half + 0.03, points)

    def slope(f, at, h):
        v = rng.standard_normal(at.shape)
        return (gV * (f(at + h * v) - f(at - h * v))).sum() / (2 * h), v

    for options in options_of(backend):
        options = options | {"backend": backend}
        gU, gpoints = sample_backward(U, points, gV, **options)
        with case(options):
            n, v = slope(lambda u: sample(u, points, **options), U, 1.0)  # noqa: B023 (V is linear in U: any step)
            assert_allclose((gU * v).sum(), n, rtol=1e-11)
            n, v = slope(lambda p: sample(U, p, **options), points, 1e-5)  # noqa: B023
            if options["mode"] == "nearest":
                assert n == 0 and not gpoints.any()
                continue
            rtol = 1e-8 if options["mode"] == "bilinear" else 2e-8  # bicubic: the error is of order h^2
            assert_allclose((gpoints * v).sum(), n, rtol=rtol)
            with pytest.raises(AssertionError):  # a gradient that is broken on purpose is seen
                assert_allclose((gpoints[..., ::-1] * v).sum(), n, rtol=rtol)


RESULTS = """
import sys, warnings, numpy as np
from stn_ref import kernels
from stn_ref.sampler import KINKS, MODES, sample, sample_backward

def results(U, points, gV):
    found = {}
    for mode in MODES:
        for padding in kernels.PADDINGS:
            found[f"V {mode} {padding}"] = sample(U, points, mode=mode, padding=padding)
            for kink in KINKS[:3] if mode == "bilinear" else ("right",):
                options = {"mode": mode, "padding": padding, "kink": kink}
                gU, gpoints = sample_backward(U, points, gV, **options)
                found |= {f"gU {mode} {padding} {kink}": gU, f"gpoints {mode} {padding} {kink}": gpoints}
    return found
"""
INTERPRETED = "warnings.simplefilter('error'); np.savez(sys.argv[2], **results(**np.load(sys.argv[1])))"


def test_interpreted_and_compiled_give_the_same_bits(tmp_path):
    U, points, gV = (array.copy() for array in hostile(np.float32, (2, 2, 5, 6, 3, 4)))
    U[0, 0, 1, 1] = np.nan
    np.savez(tmp_path / "in.npz", U=U, points=points, gV=gV)
    command = [sys.executable, "-c", RESULTS + INTERPRETED, tmp_path / "in.npz", tmp_path / "out.npz"]
    subprocess.run(command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, check=True)
    names = {}
    exec(RESULTS, names)
    compiled, interpreted = names["results"](U, points, gV), np.load(tmp_path / "out.npz")
    assert compiled.keys() == set(interpreted.files) and len(compiled) == 4 * (3 + 2 * (3 + 1 + 1))
    for name, array in compiled.items():
        assert_array_equal(interpreted[name], array, err_msg=name)


def test_reflection_turns_at_the_edges_or_the_centres_as_align_corners_says():
    grid = np.array([[[(-1.5, 0.0), (-1.0, 0.0)]]])
    V = grid_sample(ROW, grid, padding_mode="reflection", align_corners=False)
    assert V.ravel().tolist() == [1.5, 1.0]  # x = -1.5 is 0.5 beyond the mirror; x = -0.5 is on it
    V = grid_sample(ROW, grid, padding_mode="reflection", align_corners=True)
    assert V.ravel().tolist() == [1.75, 1.0]  # x = -0.75, mirrored at 0
