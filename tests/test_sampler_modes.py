"""Kernels, paddings and sides of a kink: by hand, by finite differences, and one contract for every backend."""

import itertools
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import kernels
from stn_ref.sampler import KINKS, MODES, grid_sample, sample, sample_backward

BACKENDS = kernels.BACKENDS
FAST = tuple(backend for backend in BACKENDS if backend != "literal")
OPTIONS = [{"mode": m, "padding": p} for m, p in itertools.product(MODES, kernels.PADDINGS)]
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_option = pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))

ROW = np.array([[[[1.0, 2.0, 4.0, 8.0]]]])  # one line of an image


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
@each_option
def test_pixels_outside_are_what_the_padding_says(backend, options):
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
@pytest.mark.parametrize(("kink", "slope"), [("right", 4), ("left", 2), ("central", 3), ("as_printed", 4)])
def test_at_an_integer_the_slope_is_that_of_the_chosen_side(backend, kink, slope):
    ones = np.ones((1, 1, 1, 1))
    _, gpoints = sample_backward(ROW, on_row([2]), ones, kink=kink, backend=backend)
    assert gpoints[0, 0, 0, 0] == slope
    _, beside = sample_backward(ROW, on_row([2.25]), ones, kink=kink, backend=backend)
    assert beside[0, 0, 0, 0] == 4  # off the kink they agree


@each_backend
def test_eq_7_as_printed_gives_a_constant_a_slope_and_a_ramp_its_own_value(backend):
    ones = np.ones((1, 1, 1, 5))
    U = np.full((1, 1, 3, 7), 5.0)
    x = np.array([[[(float(m), 1.0) for m in range(1, 6)]]])
    _, gpoints = sample_backward(U, x, ones, kink="as_printed", backend=backend)
    assert gpoints[..., 0].ravel().tolist() == [5.0] * 5  # right and left derivative: 0
    U[...] = np.arange(7.0)
    _, gpoints = sample_backward(U, x, ones, kink="as_printed", backend=backend)
    assert gpoints[..., 0].ravel().tolist() == [1, 2, 3, 4, 5]  # right and left derivative: 1


@each_backend
@pytest.mark.parametrize("padding", ("border", "reflect", "mirror"))
@pytest.mark.parametrize("kink", ("right", "left", "central"))
def test_on_the_border_itself_the_slope_of_a_padded_coordinate_is_0(backend, padding, kink):
    gV = np.ones((1, 1, 1, 2))
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


def close(got, expected, dtype):
    """To 1e-12 of the largest in float64, 4e-6 in float32 (sums of many terms); NaN and inf in the same places."""
    assert got.dtype == dtype
    assert_array_equal(np.isnan(got), np.isnan(expected))
    infinite = np.isinf(expected)
    assert_array_equal(got[infinite], expected[infinite])
    finite = np.isfinite(expected)
    largest = np.abs(expected[finite]).max(initial=0)
    assert np.abs(got[finite] - expected[finite]).max(initial=0) <= largest * (1e-12 if dtype == np.float64 else 4e-6)


def hostile(example, dtype, *shape):
    """A problem with points on and between pixels and borders, far away and nowhere."""
    U, points, gV = example(dtype, *shape, reach=2.0)
    H, W = U.shape[2:]
    points[0] = np.random.default_rng(1).integers(-2 * max(H, W), 3 * max(H, W), points[0].shape) / 2
    flat = points[1].reshape(-1, 2)
    flat[:6] = [[np.nan, 1], [np.inf, 0.5], [-np.inf, np.inf], [3e38, -1e9], [-1e-17, 1e-30], [-0.0, H - 1]]
    return U, points, gV


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("shape", ((2, 3, 5, 7, 4, 6), (3, 2, 1, 9, 2, 5), (2, 1, 8, 1, 3, 3)), ids=str)
@each_option
def test_backend_matches_the_literal_sums(example, backend, dtype, shape, options):
    U, points, gV = hostile(example, dtype, *shape)
    for bad in (False, True):
        if bad:
            U[0, 0, 0, 0], U[1, -1, -1, -1] = np.nan, -np.inf
        expected = sample(U, points, backend="literal", **options)
        close(sample(U, points, backend=backend, **options), expected, dtype)
        for kink in KINKS[:3] if options["mode"] == "bilinear" else ("right",):
            for got, wanted in zip(
                sample_backward(U, points, gV, backend=backend, kink=kink, **options),
                sample_backward(U, points, gV, backend="literal", kink=kink, **options),
                strict=True,
            ):
                close(got, wanted, dtype)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_backend_matches_the_literal_reading_of_eq_7(example, backend, dtype):
    U, points, gV = hostile(example, dtype, 2, 3, 5, 7, 4, 6)
    _, got = sample_backward(U, points, gV, backend=backend, kink="as_printed")
    _, expected = sample_backward(U, points, gV, backend="literal", kink="as_printed")
    close(got, expected, dtype)


@each_backend
@each_option
def test_gradients_agree_with_finite_differences(rng, example, backend, options):
    U, points, gV = example(reach=1.5)
    half = np.round(2 * points) / 2  # kinks of bilinear and of mirroring, jumps of nearest
    points = np.where(np.abs(points - half) < 0.02, half + 0.03, points)
    gU, gpoints = sample_backward(U, points, gV, backend=backend, **options)

    def slope(f, at, h):
        v = rng.standard_normal(at.shape)
        return (gV * (f(at + h * v) - f(at - h * v))).sum() / (2 * h), v

    n, v = slope(lambda u: sample(u, points, backend=backend, **options), U, 1.0)  # V is linear in U: any step
    assert_allclose((gU * v).sum(), n, rtol=1e-11)
    n, v = slope(lambda p: sample(U, p, backend=backend, **options), points, 1e-5)
    if options["mode"] == "nearest":
        assert n == 0 and not gpoints.any()
        return
    assert_allclose((gpoints * v).sum(), n, rtol=2e-8)  # bicubic: the error is of order h^2
    with pytest.raises(AssertionError):  # a gradient that is broken on purpose is seen
        assert_allclose((gpoints[..., ::-1] * v).sum(), n, rtol=2e-8)


def test_interpreted_and_compiled_give_the_same_bits(example, tmp_path):
    U, points, gV = hostile(example, np.float32, 2, 2, 5, 6, 3, 4)
    U[0, 0, 1, 1] = np.nan
    np.savez(tmp_path / "in.npz", U=U, points=points, gV=gV)
    script = (
        "import sys, warnings, numpy as np; warnings.simplefilter('error'); from stn_ref.sampler import *\n"
        "from stn_ref import kernels\n"
        "d = np.load(sys.argv[1]); out = {}\n"
        "for m in MODES:\n"
        "    for p in kernels.PADDINGS:\n"
        "        for k in KINKS[:3]:\n"
        "            V = sample(d['U'], d['points'], mode=m, padding=p)\n"
        "            out[m + p + k] = np.stack([V.sum(1), *np.moveaxis(\n"
        "                sample_backward(d['U'], d['points'], d['gV'], mode=m, padding=p, kink=k)[1], -1, 0)])\n"
        "            out['U' + m + p + k] = sample_backward(\n"
        "                d['U'], d['points'], d['gV'], mode=m, padding=p, kink=k)[0]\n"
        "np.savez(sys.argv[2], **out)"
    )
    results = []
    for jit in ("0", "1"):
        out = tmp_path / f"out{jit}.npz"
        env = {**os.environ, "NUMBA_DISABLE_JIT": jit}
        subprocess.run([sys.executable, "-c", script, tmp_path / "in.npz", out], env=env, check=True)
        results.append(np.load(out))
    assert len(results[0].files) == 2 * 3 * 4 * 3
    for name in results[0].files:
        assert_array_equal(results[0][name], results[1][name], err_msg=name)


def test_reflection_turns_at_the_edges_or_the_centres_as_align_corners_says():
    grid = np.array([[[(-1.5, 0.0), (-1.0, 0.0)]]])
    V = grid_sample(ROW, grid, padding_mode="reflection", align_corners=False)
    assert V.ravel().tolist() == [1.5, 1.0]  # x = -1.5 is 0.5 beyond the mirror; x = -0.5 is on it
    V = grid_sample(ROW, grid, padding_mode="reflection", align_corners=True)
    assert V.ravel().tolist() == [1.75, 1.0]  # x = -0.75, mirrored at 0
