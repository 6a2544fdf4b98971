"""The thin-plate spline: against SciPy, and against its definition as the least bent map."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.interpolate import RBFInterpolator
from splines import DTYPES, each_layout, relative, sources, spline, warps

from stn_ref import coordinates
from stn_ref.transforms import tps
from stn_ref.transforms.tps import ThinPlateSpline


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
