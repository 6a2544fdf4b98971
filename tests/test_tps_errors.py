"""The thin-plate spline with odd arguments: empty, far away, no numbers, badly conditioned, wrong."""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.interpolate import RBFInterpolator
from splines import DTYPES, relative, sources, warps

from stn_ref import checks
from stn_ref.transforms.tps import ThinPlateSpline

# Points of each sample, empty batches, bad numbers.


def test_each_sample_may_have_points_of_its_own(rng):
    T = ThinPlateSpline()
    theta, xy, gd = warps(T, rng), rng.uniform(-1, 1, (2, 3, 4, 2)), rng.standard_normal((2, 3, 4, 2))
    d, (gtheta, gxy) = T.displacement(theta, xy), T.backward(theta, xy, gd)
    for n in range(2):
        one = slice(n, n + 1)
        assert_array_equal(T.displacement(theta[one], xy[one]), d[one])
        alone = T.backward(theta[one], xy[one], gd[one])
        assert_array_equal(alone[0], gtheta[one])
        assert_array_equal(alone[1], gxy[one])
    same = np.concatenate([xy[:1], xy[:1]])
    assert_array_equal(T.displacement(theta, xy[:1]), T.displacement(theta, same))


@pytest.mark.parametrize("shape", ((0, 4, 5, 2), (1, 4, 5, 2), (1, 0, 5, 2)))
def test_empty_batches_and_grids_go_forward_and_back(shape):
    T = ThinPlateSpline()
    for theta in (np.zeros((0, T.K)), np.array([T.identity])[: shape[0]]):
        d = T.displacement(theta, np.zeros(shape))
        assert d.shape == (len(theta), *shape[1:])
        gtheta, gxy = T.backward(theta, np.zeros(shape), d)
        assert gtheta.shape == theta.shape and gxy.shape == d.shape
        assert not gtheta.any()
    nothing = np.zeros((0, T.K))
    assert T.bending_energy(nothing).shape == (0,)
    assert T.bending_energy_backward(nothing, np.zeros(0)).shape == (0, 32)
    assert [array.shape for array in T.weights(nothing)] == [(0, 2, 3), (0, 16, 2)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinity_stays_and_nan_is_nan(rng, dtype):
    T = ThinPlateSpline()
    inf, nan, huge = math.inf, math.nan, np.finfo(dtype).max
    theta = warps(T, rng).astype(dtype)
    bad = np.array([[inf, 0], [0, -inf], [-inf, inf], [huge, -huge], [1e20, 0], [nan, 0], [inf, nan], [0, 0]], dtype)
    d = T.displacement(theta, bad[None])
    assert_array_equal(d[:, :5], 0)
    assert np.isnan(d[:, 5:7]).all()
    assert np.isfinite(d[:, 7]).all()
    gd = rng.standard_normal(d.shape).astype(dtype)
    gtheta, gxy = T.backward(theta, bad[None], gd)
    assert np.isnan(gtheta).all()
    assert_array_equal(gxy[:, :5], 0)
    assert np.isnan(gxy[:, 5:7]).all()
    good = [0, 1, 2, 3, 4, 7]
    (gtheta, _), (alone, _) = (T.backward(theta, bad[None, those], gd[:, those]) for those in (good, [7]))
    assert relative(gtheta, alone) < 10 * np.finfo(dtype).eps  # the order of the sum may differ


def test_far_away_it_is_as_accurate_as_the_docstring_says(rng):
    T = ThinPlateSpline()
    theta = warps(T, rng)
    A, w = T.weights(theta)
    for R in (1e2, 1e4, 1e6):
        xy = R * np.array([[0.6, -0.8]])
        wide = xy.astype(np.longdouble)
        r2 = ((wide[:, None] - T.control_points) ** 2).sum(-1)
        expected = np.c_[wide, 1] @ A.swapaxes(1, 2) + (r2 * np.log(r2)) @ w
        scale = 1e-16 * R**2 * math.log(R**2) * np.abs(w).max()
        assert np.abs(T.apply(theta, xy) - expected).max() < 100 * scale


@pytest.mark.parametrize("value", (math.nan, math.inf, -math.inf, 1e300))
def test_a_diverged_theta_spoils_its_own_sample_only(rng, value):
    T = ThinPlateSpline()
    theta, xy = warps(T, rng), rng.uniform(-1, 1, (1, 4, 2))
    d, E = T.displacement(theta, xy), T.bending_energy(theta)
    theta[0, 5] = value
    gtheta, _ = T.backward(theta, xy, np.ones_like(d))
    assert_array_equal(T.displacement(theta, xy)[1], d[1])
    assert T.bending_energy(theta)[1] == E[1] and not T.bending_energy(theta)[0] < math.inf
    assert np.isfinite(gtheta).all()
    assert len(T.bending_energy_backward(theta, np.ones(2))) == len(T.weights(theta)[1]) == 2


# Conditioning and errors.


def test_the_condition_number_is_reported_and_does_not_depend_on_the_scale(rng):
    T = ThinPlateSpline()
    assert repr(T) == "ThinPlateSpline(16 control points, regularisation=0, condition=24.1)"
    for larger in (1e-3, 100):
        assert_allclose(ThinPlateSpline(larger * T.control_points).condition, T.condition, rtol=1e-9)
    assert 1 < ThinPlateSpline(regularisation=1).condition < T.condition
    close = T.control_points.copy()
    close[5] = close[6] + 1e-4
    assert ThinPlateSpline(close).condition > 1e6


def test_points_that_are_close_together_or_far_from_zero_still_interpolate(rng):
    for c in (1e-3 * ThinPlateSpline().control_points + 0.5, 100 * ThinPlateSpline((3, 5)).control_points):
        T = ThinPlateSpline(c)
        theta = c.reshape(1, -1) * (1 + 0.1 * rng.standard_normal((1, T.K)))
        assert relative(T.apply(theta, c), sources(T, theta)) < 1e-9


def moved_and_scaled(rng):
    """Yield (c, xy, theta - c, unit): the same 12 control points, 20 points and warp near 0, far away, small, large."""
    base, points, warp = rng.uniform(-1, 1, (12, 2)), rng.uniform(-1, 1, (20, 2)), rng.standard_normal((12, 2))
    for shift, unit in itertools.product((0, 10, 1e4, 1e8, 1e12), (1, 2.0**-20, 2.0**20)):
        c = unit * (base + shift)
        yield c, unit * (points + shift), (c + unit * warp) - c, unit


@pytest.mark.parametrize("smoothing", (0.0, 0.3))
def test_control_points_anywhere_and_of_any_size_cost_no_digit(rng, smoothing):
    """SciPy moves and scales the affine part only; scaled to an extent near 1, it is a reference to 2e-14."""
    for c, xy, warp, unit in moved_and_scaled(rng):
        T = ThinPlateSpline(c, regularisation=2 * smoothing * unit**2)
        centre = c[0]
        near, at, values = (c - centre) / unit, (xy - centre) / unit, warp / unit  # exact: unit is a power of two
        spline = RBFInterpolator(near, values, kernel="thin_plate_spline", degree=1, smoothing=smoothing)
        got = T.displacement(c.reshape(1, -1) + warp.reshape(1, -1), xy[None])[0] / unit
        assert_allclose(got, spline(at), atol=2e-14 * 4)  # two independent errors, of values up to 4


def test_far_and_scaled_splines_have_the_gradients_the_weights_and_the_energy_of_near_ones(rng):
    near = None
    for c, xy, warp, unit in moved_and_scaled(rng):
        T = ThinPlateSpline(c, regularisation=0.1 * unit**2)
        theta = (c + warp).reshape(1, -1)
        A, w = T.weights(theta)
        gtheta, gxy = T.backward(theta, xy[None], np.random.default_rng(0).standard_normal((1, 20, 2)))
        energy = T.bending_energy(theta)
        slope = T.bending_energy_backward(theta, np.ones(1)) * unit
        found = [A[:, :, :2], w * unit, gtheta, gxy, energy, slope, np.array(T.condition)]
        near = near or found
        for a, b in zip(found, near, strict=True):
            # the differences c_j - c_k themselves have only log10(shift) digits less than 16
            shift = np.abs(c).max() / unit
            assert relative(a, b) < 1e-12 + 1e-14 * shift


def test_the_affine_part_of_the_weights_is_that_of_the_plain_coordinates(rng):
    for c in (rng.uniform(-1, 1, (9, 2)), 50 + rng.uniform(-1, 1, (9, 2)), 1e-3 * rng.uniform(-1, 1, (9, 2)) + 0.02):
        T = ThinPlateSpline(c, regularisation=1e-8)
        theta = (c + 1e-3 * rng.standard_normal(c.shape)).reshape(1, -1)
        A, w = T.weights(theta)
        xy = c[:4] + 1e-4
        r2 = ((xy[:, None] - c) ** 2).sum(-1)
        assert_allclose(np.c_[xy, np.ones(4)] @ A[0].T + (r2 * np.log(r2)) @ w[0], T.apply(theta, xy)[0], rtol=1e-9)


def test_usual_control_points_are_neither_moved_nor_scaled(rng):
    """So the bits of every spline in [-1, 1]^2 stay what they were."""
    for c in (None, (3, 5), rng.uniform(-1, 1, (11, 2)), 0.3 * rng.uniform(-1, 1, (11, 2)) + 0.6):
        T = ThinPlateSpline(c)
        assert T._unit == 1 and not T._origin.any()
        assert_array_equal(T._c, T.control_points)


def test_the_control_points_are_a_copy_that_cannot_be_changed(rng):
    mine = rng.uniform(-1, 1, (5, 2))
    T = ThinPlateSpline(mine)
    mine[0] = 7
    assert 7 not in T.control_points
    with pytest.raises(ValueError, match="read-only"):
        T.control_points[0] = 7


@pytest.mark.parametrize(
    ("points", "message"),
    (
        (np.zeros((2, 2)), r"control_points must be \(P, 2\) with P >= 3, for the affine part; got shape \(2, 2\)"),
        (np.zeros((4, 3)), r"control_points must be \(P, 2\): axis 1 is 3, expected 2; got shape \(4, 3\)"),
        (np.zeros(6), r"control_points must be \(P, 2\): expected 2 axes, got 1"),
    ),
)
def test_control_points_of_a_wrong_shape_are_named(points, message):
    with pytest.raises(checks.ShapeError, match=message):
        ThinPlateSpline(points)


@pytest.mark.parametrize(
    ("points", "message"),
    (
        ([[0, 0], [1, 0], [1, math.nan], [0, 1]], r"control_points must be finite; got \[1\.0, nan\] at index 2"),
        ([[0, 0], [1, 0], [0, 1], [1, 0]], r"control_points must all differ; got .* at indices 1 and 3"),
        ([[0, 0], [1, 0], [0, 1], [1, 5e-7]], r"control_points must all differ; got .* at indices 1 and 3"),
        ([[1, 1], [1, 1], [1, 1]], r"control_points must all differ; got .* at indices 0 and 1"),
        ([[0, 0], [0.1, 0.3], [0.2, 0.6], [0.7, 2.1]], r"control_points must not lie on one line.*got 4 points"),
    ),
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_control_points_that_determine_no_spline_are_refused(points, message, dtype):
    with pytest.raises(ValueError, match=message):
        ThinPlateSpline(np.array(points, dtype))


def test_other_errors_are_clear(rng):
    T = ThinPlateSpline()
    with pytest.raises(ValueError, match="control_points must be at least 2; got 1"):
        ThinPlateSpline((1, 4))
    with pytest.raises(TypeError, match=r"control_points must be an integer; got 4\.0"):
        ThinPlateSpline(4.0)
    with pytest.raises(TypeError, match=r"control_points must be a float32 or float64 NumPy array; got .* int64"):
        ThinPlateSpline(np.zeros((4, 2), np.int64))
    for value in (-1, math.nan):
        with pytest.raises(ValueError, match=f"regularisation must lie in .*; got {value}"):
            ThinPlateSpline(regularisation=value)
    with pytest.raises(ValueError, match="regularisation must be finite; got inf"):
        ThinPlateSpline(regularisation=math.inf)
    with pytest.raises(TypeError, match="regularisation must be a number; got 'a'"):
        ThinPlateSpline(regularisation="a")
    with pytest.raises(checks.ShapeError, match=r"theta must be \(N, K\): axis 1 is 6, expected K=32 from tps"):
        T.bending_energy(np.zeros((1, 6)))
    with pytest.raises(checks.ShapeError, match=r"theta must be \(N, K\): axis 1 is 6"):
        T.weights(np.zeros((1, 6)))
    with pytest.raises(checks.ShapeError, match=r"genergy must be \(N,\): axis 0 is 3, expected N=2 from theta"):
        T.bending_energy_backward(warps(T, rng), np.zeros(3))
    with pytest.raises(TypeError, match="genergy must have the dtype of theta, float64; got float32"):
        T.bending_energy_backward(warps(T, rng), np.zeros(2, np.float32))


def test_control_points_in_a_list_or_of_impossible_size_are_named():
    with pytest.raises(TypeError, match=r"control_points must be a \(P, 2\) float array, an integer or a pair"):
        ThinPlateSpline([[0, 0], [1, 1], [0, 1]])
    for scale in (1e-160, 1e154):
        with pytest.raises(ValueError, match="control_points must have an extent of 1e-100 to 1e100"):
            ThinPlateSpline(scale * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
