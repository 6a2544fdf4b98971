"""The thin-plate spline: against SciPy, against its definition as the least bent map, and its gradients."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.interpolate import RBFInterpolator

from stn_ref import checks, coordinates
from stn_ref.transforms import tps
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


# The map.


def test_the_default_is_the_sixteen_points_of_the_paper_with_the_corners():
    T = ThinPlateSpline()
    assert (T.name, T.K, T.preserves) == ("tps", 32, ())
    assert T.symbols[:4] == ("x_1", "y_1", "x_2", "y_2") and T.symbols[-1] == "y_16"
    assert T.identity[:4] == (-1, -1, -1 / 3, -1) and T.identity[-2:] == (1, 1)
    assert_array_equal(T.control_points, -T.control_points[::-1])


def test_a_pair_is_rows_and_columns():
    assert ThinPlateSpline((2, 3)).control_points.tolist() == [[-1, -1], [0, -1], [1, -1], [-1, 1], [0, 1], [1, 1]]
    assert_array_equal(ThinPlateSpline(5).control_points, ThinPlateSpline((5, 5)).control_points)


@each_layout
def test_control_points_come_from_theta(rng, layout):
    T = spline(layout, rng)
    theta = warps(T, rng)
    assert_allclose(T.apply(theta, T.control_points), sources(T, theta), atol=1e-12)


@each_layout
@pytest.mark.parametrize("smoothing", (0.0, 0.3))
def test_it_agrees_with_scipy(rng, layout, smoothing):
    T = spline(layout, rng, regularisation=2 * smoothing)  # SciPy's r^2 log r is half of phi: K + lambda I halved
    theta = warps(T, rng)
    xy = rng.uniform(-1.5, 1.5, (40, 2))
    for values, got in zip(sources(T, theta), T.apply(theta, xy), strict=True):
        expected = RBFInterpolator(T.control_points, values, kernel="thin_plate_spline", degree=1, smoothing=smoothing)
        assert_allclose(got, expected(xy), atol=1e-9)


@each_layout
def test_affine_maps_are_reproduced_without_bending(rng, layout):
    T = spline(layout, rng)
    A = rng.standard_normal((2, 2, 3))
    theta = (T.control_points @ A[:, :, :2].swapaxes(1, 2) + A[:, None, :, 2]).reshape(2, -1)
    xy = rng.uniform(-2, 2, (30, 2))
    assert_allclose(T.apply(theta, xy), xy @ A[:, :, :2].swapaxes(1, 2) + A[:, None, :, 2], atol=1e-12)
    assert_allclose(T.bending_energy(theta), 0, atol=1e-24)
    assert (T.bending_energy(theta) >= 0).all()
    affine, w = T.weights(theta)
    assert_allclose(affine, A, atol=1e-12)
    assert_allclose(w, 0, atol=1e-12)


def test_three_points_give_the_affine_map_through_them(rng):
    T = ThinPlateSpline(np.array([[-1.0, -1], [1, -0.5], [0, 1]]))
    theta = warps(T, rng)
    assert_allclose(T.apply(theta, T.control_points), sources(T, theta), atol=1e-14)
    assert_array_equal(T.bending_energy(theta), 0)
    assert_array_equal(T.bending_energy_backward(theta, np.ones(2)), 0)
    assert T.condition == 1


def test_a_map_that_is_not_affine_is_not_made_affine(rng):
    T = ThinPlateSpline()
    a, b = rng.uniform(-1, 1, (2, 20, 2))
    bends = T.apply(warps(T, rng), np.stack([a, b, (a + b) / 2]).reshape(-1, 2)).reshape(2, 3, 20, 2)
    assert (np.abs(bends[:, 2] - (bends[:, 0] + bends[:, 1]) / 2).max(axis=(1, 2)) > 0.1).all()


def test_weights_are_those_of_the_equation(rng):
    T = spline("irregular", rng, regularisation=0.1)
    theta, xy = warps(T, rng), rng.uniform(-2, 2, (30, 2))
    A, w = T.weights(theta)
    r = np.hypot(*np.moveaxis(xy[:, None] - T.control_points, -1, 0))
    expected = np.c_[xy, np.ones(30)] @ A.swapaxes(1, 2) + (r**2 * np.log(r**2)) @ w
    assert_allclose(T.apply(theta, xy), expected, atol=1e-12)
    assert_allclose(w.sum(1), 0, atol=1e-13)
    assert_allclose(T.control_points.T @ w, 0, atol=1e-13)


def test_much_regularisation_gives_the_affine_map_of_least_squares(rng):
    T = spline("irregular", rng, regularisation=1e12)
    theta, xy = warps(T, rng), rng.uniform(-2, 2, (30, 2))
    rows = np.c_[T.control_points, np.ones(len(T.control_points))]
    for values, got in zip(sources(T, theta), T.apply(theta, xy), strict=True):
        assert_allclose(got, np.c_[xy, np.ones(30)] @ np.linalg.lstsq(rows, values)[0], atol=1e-10)


def test_regularisation_weighs_the_misfit_against_the_energy_as_stated(rng):
    """The map's own values at the control points, changed at will, never do better."""
    T = ThinPlateSpline(regularisation=0.7)
    theta, plain = warps(T, rng, N=1), ThinPlateSpline()

    def cost(values):
        return ((values - theta) ** 2).sum() + 0.7 / (16 * math.pi) * plain.bending_energy(values)[0]

    values = T.apply(theta, T.control_points).reshape(1, -1)
    assert_allclose(T.bending_energy(theta), plain.bending_energy(values), rtol=1e-10)
    for _ in range(5):
        change = 1e-3 * rng.standard_normal(values.shape)
        up, down = cost(values + change), cost(values - change)
        assert min(up, down) > cost(values)
        assert_allclose(up - cost(values), down - cost(values), rtol=1e-6)  # no slope left: the optimum


# The least bent map.


def refined(T, theta, rng):
    """T's control points and 9 more, and where T takes them all."""
    more = rng.uniform(-1, 1, (9, 2))
    finer = ThinPlateSpline(np.concatenate([T.control_points, more]))
    return finer, T.apply(theta, finer.control_points).reshape(len(theta), -1)


@each_layout
def test_every_other_map_through_the_control_points_bends_more(rng, layout):
    """E is quadratic, and T at its minimum: between the control points, a change t costs t^2."""
    T = spline(layout, rng)
    theta = warps(T, rng)
    finer, same = refined(T, theta, rng)
    E = T.bending_energy(theta)
    assert_allclose(finer.bending_energy(same), E, rtol=1e-9)
    change = np.zeros_like(same)
    change[:, T.K :] = 0.1 * rng.standard_normal(change[:, T.K :].shape)
    once, minus, twice = (finer.bending_energy(same + t * change) - E for t in (1, -1, 2))
    assert (once > 1e-3 * E).all()
    assert_allclose(minus, once, rtol=1e-7)
    assert_allclose(twice, 4 * once, rtol=1e-7)


def test_a_spline_centred_on_the_moved_points_passes_through_them_but_bends_more(rng):
    """Distances from control points to their sources in place of K: a well-known mistake, and what shows it."""
    T = ThinPlateSpline()
    theta = warps(T, rng, N=1, size=0.15)
    c, s = T.control_points, sources(T, theta)[0]

    def rows(xy):
        return np.c_[tps.phi(((xy[:, None] - s) ** 2).sum(-1)), xy, np.ones(len(xy))]

    bordered = np.zeros((19, 19))
    bordered[:16], bordered[16:, :16] = rows(c), np.c_[c, np.ones(16)].T
    solution = np.linalg.solve(bordered, np.concatenate([s, np.zeros((3, 2))]))
    assert_allclose(rows(c) @ solution, s, atol=1e-10)
    finer, _ = refined(T, theta, rng)
    at_least = finer.bending_energy((rows(finer.control_points) @ solution).reshape(1, -1))
    assert at_least > 1.1 * T.bending_energy(theta)


def test_the_bending_energy_is_the_integral_over_the_plane(rng):
    T = ThinPlateSpline(rng.uniform(-1, 1, (5, 2)))
    theta = warps(T, rng)
    _, w = T.weights(theta)
    n = 600
    t = (2 * np.arange(n) + 1 - n) / n  # midpoints; x = t / (1 - t^2) reaches over the whole plane
    x, dx = t / (1 - t**2), 2 / n * (1 + t**2) / (1 - t**2) ** 2
    E = np.zeros(2)
    for yk, dyk in zip(x, dx, strict=True):  # a line of the plane after the other
        u, v = x[:, None] - T.control_points[:, 0], yk - T.control_points[:, 1]
        r2 = u**2 + v**2
        second = (2 * np.log(r2) + 2 + 4 * u**2 / r2, 4 * u * v / r2, 2 * np.log(r2) + 2 + 4 * v**2 / r2)
        f_xx, f_xy, f_yy = (terms @ w for terms in second)
        E += ((f_xx**2 + 2 * f_xy**2 + f_yy**2).sum(-1) * dx).sum(-1) * dyk
    assert_allclose(T.bending_energy(theta), E, rtol=1e-4)  # the logarithms at the control points limit the rule


def test_the_bending_energy_does_not_depend_on_the_unit(rng):
    T = spline("irregular", rng)
    theta = warps(T, rng)
    larger = ThinPlateSpline(14 * T.control_points + 13.5)
    assert_allclose(larger.bending_energy(14 * theta + 13.5), T.bending_energy(theta), rtol=1e-9)


# Exactness and dtypes.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("regularisation", (0.0, 0.1))
def test_at_the_identity_nothing_moves_on_grids_of_any_size(dtype, regularisation):
    for T in (ThinPlateSpline(regularisation=regularisation), ThinPlateSpline((3, 6), regularisation=regularisation)):
        theta = np.array([T.identity, T.identity], dtype)
        for size in ((1, 1), (2, 3), (7, 5), (28, 29), (61, 47), (4, 257)):
            for align_corners in (False, True):
                d = T.displacement(theta, coordinates.target_grid(size, align_corners, dtype)[None])
                assert d.dtype == dtype and d.shape == (2, *size, 2)
                assert not d.any()
        assert not T.bending_energy(theta).any()


def test_float32_stays_float32_and_is_as_accurate_as_it_can_be(rng):
    T = ThinPlateSpline()
    theta, xy = warps(T, rng).astype(np.float32), rng.uniform(-1, 1, (2, 5, 7, 2)).astype(np.float32)
    gd = rng.standard_normal(xy.shape).astype(np.float32)

    def everything(theta, xy, gd):
        return (
            T.apply(theta, xy),
            T.displacement(theta, xy),
            *T.backward(theta, xy, gd),
            T.bending_energy(theta),
            T.bending_energy_backward(theta, gd[:, 0, 0, 0]),
            *T.weights(theta),
        )

    wide = everything(*(array.astype(np.float64) for array in (theta, xy, gd)))
    for got, expected in zip(everything(theta, xy, gd), wide, strict=True):
        assert got.dtype == np.float32 and expected.dtype == np.float64
        assert relative(got, expected) < 1e-6


def test_the_layout_of_the_arguments_changes_no_bit(rng):
    T = ThinPlateSpline()
    theta, xy, gd = warps(T, rng), rng.uniform(-1, 1, (2, 5, 7, 2)), rng.standard_normal((2, 5, 7, 2))
    other = [np.asfortranarray(array) for array in (theta, xy, gd)]
    assert_array_equal(T.displacement(other[0], other[1]), T.displacement(theta, xy))
    for got, expected in zip(T.backward(*other), T.backward(theta, xy, gd), strict=True):
        assert_array_equal(got, expected)


# Gradients.


class HalfASlope(ThinPlateSpline):
    """The factor 2 of d(r^2)/dx forgotten."""

    def backward(self, theta, xy, gd, needs=(True, True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tps, "slope", lambda r2: np.log(r2) + 1)
            return super().backward(theta, xy, gd, needs)


class XAndYSwapped(ThinPlateSpline):
    def backward(self, theta, xy, gd, needs=(True, True)):
        return super().backward(theta, xy, gd[..., ::-1], needs)


def errors(T, rng, M=2):
    """Relative errors of gtheta and gxy against central differences, every value of both."""
    theta, xy, gd = warps(T, rng), rng.uniform(-1.3, 1.3, (M, 3, 5, 2)), rng.standard_normal((2, 3, 5, 2))
    gtheta, gxy = T.backward(theta, xy, gd)
    assert gtheta.shape == theta.shape and gxy.shape == gd.shape
    n_theta, n_xy = np.zeros_like(gtheta), np.zeros_like(gxy)
    for k in range(T.K):
        step = np.eye(T.K)[k]  # d is linear in theta: a large step is exact
        difference = T.displacement(theta + step, xy) - T.displacement(theta - step, xy)
        n_theta[:, k] = (gd * difference).sum(axis=(1, 2, 3)) / 2
    for axis in range(2):
        step = 1e-5 * np.eye(2)[axis]
        difference = T.displacement(theta, xy + step) - T.displacement(theta, xy - step)
        n_xy[..., axis] = (gd * difference).sum(axis=-1) / 2e-5
    return relative(gtheta, n_theta), relative(gxy, n_xy)


@each_layout
@pytest.mark.parametrize("M", (1, 2))
@pytest.mark.parametrize("regularisation", (0.0, 0.2))
def test_gradients_agree_with_finite_differences(rng, layout, M, regularisation):
    T = spline(layout, rng, regularisation=regularisation)
    assert max(errors(T, rng, M)) < 1e-8


def test_the_gradient_test_sees_wrong_gradients():
    by_theta, by_xy = errors(HalfASlope(), np.random.default_rng(0))
    assert by_theta < 1e-8 < 1e-2 < by_xy
    assert min(errors(XAndYSwapped(), np.random.default_rng(0))) > 0.1


def test_at_a_control_point_the_gradient_is_the_smooth_one(rng):
    T = ThinPlateSpline()
    theta, xy = warps(T, rng, N=1), T.control_points[None]
    gd = rng.standard_normal(xy.shape)
    _, gxy = T.backward(theta, xy, gd)
    for axis in range(2):
        step = 1e-5 * np.eye(2)[axis]
        difference = T.displacement(theta, xy + step) - T.displacement(theta, xy - step)
        assert_allclose(gxy[..., axis], (gd * difference).sum(-1) / 2e-5, atol=1e-8)


def test_only_the_gradients_that_are_needed_are_computed(rng):
    T = ThinPlateSpline()
    theta, xy, gd = warps(T, rng), rng.uniform(-1, 1, (1, 4, 2)), rng.standard_normal((2, 4, 2))
    gtheta, gxy = T.backward(theta, xy, gd)
    only_theta, only_xy = T.backward(theta, xy, gd, (True, False)), T.backward(theta, xy, gd, (False, True))
    assert only_theta[1] is None and only_xy[0] is None
    assert_array_equal(only_theta[0], gtheta)
    assert_array_equal(only_xy[1], gxy)


@each_layout
@pytest.mark.parametrize("regularisation", (0.0, 0.2))
def test_the_gradient_of_the_bending_energy_agrees_with_finite_differences(rng, layout, regularisation):
    T = spline(layout, rng, regularisation=regularisation)
    theta, genergy = warps(T, rng), rng.standard_normal(2)
    gtheta = T.bending_energy_backward(theta, genergy)
    n = np.zeros_like(theta)
    for k in range(T.K):  # quadratic in theta: any step is exact
        step = np.eye(T.K)[k]
        n[:, k] = genergy * (T.bending_energy(theta + step) - T.bending_energy(theta - step)) / 2
    assert relative(gtheta, n) < 1e-8
    assert relative(gtheta[::-1], n) > 0.1


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
        with pytest.raises(ValueError, match="control_points must be apart by 1e-100 to 1e100"):
            ThinPlateSpline(scale * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
