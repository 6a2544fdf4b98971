"""What the paper and well-known texts and code about it get wrong; tutorials/errata.md explains each for readers."""

import itertools
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import affine_grid, coordinates, grid_sample, grid_sample_backward, nn, transforms
from stn_ref.grid import GridGenerator
from stn_ref.plotting import pooling
from stn_ref.transforms.tps import ThinPlateSpline

PAGE = Path(__file__).parent.parent / "tutorials" / "errata.md"
both_conventions = pytest.mark.parametrize("align_corners", (False, True))
H, W = 4, 5


def hat(d):
    return max(0, 1 - abs(d))


def sign(m, x):
    """The cases of Eq. (7), as printed."""
    return 0 if abs(m - x) >= 1 else 1 if m >= x else -1


def pixels():
    return itertools.product(range(H), range(W))


def bilinear(U, x, y):
    """Eq. (5)."""
    return sum(U[n][m] * hat(x - m) * hat(y - n) for n, m in pixels())


# Eqs. (6) and (7).


def test_dv_du_is_the_product_of_two_hats_without_sums():
    """V is linear in U: dV/dU[n, m] is V of the image that is 1 at (n, m) and 0 elsewhere, where one term is left."""
    x, y = 1.25, 2.5
    gU, _ = grid_sample_backward(np.zeros((1, 1, H, W)), to_grid(x, y), np.full((1, 1, 1, 1), 3.0))
    for n, m in pixels():
        one = np.zeros((H, W))
        one[n, m] = 1
        assert bilinear(one, x, y) == hat(x - m) * hat(y - n)
        assert gU[0, 0, n, m] == 3 * hat(x - m) * hat(y - n)


def test_summed_as_printed_dv_du_would_be_1_for_every_pixel():
    """Inside the image hats add up to 1, whatever (n, m) stands on the left."""
    for x, y in ((1.25, 2.5), (0.0, 3.0), (3.75, 0.125)):
        assert sum(hat(x - m) * hat(y - n) for n, m in pixels()) == 1


def test_without_1_minus_dv_du_is_28_for_every_pixel_where_1_and_0_are_right():
    x, y = 1, 2  # on a pixel: V = U[2, 1]
    assert sum(max(0, abs(x - m)) * max(0, abs(y - n)) for n, m in pixels()) == 28
    assert [pixel for pixel in pixels() if hat(x - pixel[1]) * hat(y - pixel[0])] == [(2, 1)]
    assert hat(0) * hat(0) == 1


def test_without_1_minus_a_constant_image_of_5_would_have_a_slope_of_minus_20():
    """The factor max(0, |y - m|) depends on m where it should on n, so it does not cancel, and is counted H times."""
    x, y = Fraction(5, 4), Fraction(5, 2)
    assert sum(5 * max(0, abs(y - m)) * sign(m, x) for n, m in pixels()) == -20
    assert sum(5 * hat(y - n) * sign(m, x) for n, m in pixels()) == 0


def test_dv_dx_weighs_rows_by_their_hat_and_dv_dy_has_its_cases_on_n(rng):
    """Off the kinks V is linear in x and in y, so that a difference quotient is exact."""
    U = [[Fraction(int(u)) for u in row] for row in rng.integers(-9, 10, (H, W))]
    x, y, h = Fraction(5, 4), Fraction(21, 8), Fraction(1, 16)
    dVdx = sum(U[n][m] * hat(y - n) * sign(m, x) for n, m in pixels())
    dVdy = sum(U[n][m] * hat(x - m) * sign(n, y) for n, m in pixels())
    assert dVdx == (bilinear(U, x + h, y) - bilinear(U, x, y)) / h
    assert dVdy == (bilinear(U, x, y + h) - bilinear(U, x, y)) / h
    assert dVdy != sum(U[n][m] * hat(x - m) * sign(m, y) for n, m in pixels())  # cases on m
    _, ggrid = grid_sample_backward(np.array(U, float)[None, None], to_grid(x, y), np.ones((1, 1, 1, 1)))
    assert_allclose(ggrid[0, 0, 0] / (W / 2, H / 2), [float(dVdx), float(dVdy)], rtol=1e-14)


def to_grid(x, y):
    """One point in pixels as grid (1, 1, 1, 2), align_corners=False."""
    return np.array([[[[(2 * float(x) + 1) / W - 1, (2 * float(y) + 1) / H - 1]]]])


def slopes_at_pixels(U, kink):
    """dV/dx at every pixel of U (H, W); with W - 1 = 8 and H - 1 = 4 the points are exact."""
    y, x = np.mgrid[0:5, 0:9]
    grid = np.stack([x / 4 - 1, y / 2 - 1], axis=-1)[None]
    _, ggrid = grid_sample_backward(U[None, None], grid, np.ones((1, 1, 5, 9)), align_corners=True, kink=kink)
    return ggrid[0, ..., 0] / 4


def test_eq_7_as_printed_gives_a_constant_image_a_slope():
    """At an integer x the case for m = x is +1, since m >= x; those for m = x - 1 and m = x + 1 are 0, since
    |m - x| >= 1. Only U[x] is left: 5 on a constant image of 5, whose slope is 0.
    """
    x = 3
    assert [sign(m, x) for m in range(W)] == [0, 0, 0, 1, 0]
    constant = np.full((5, 9), 5.0)
    assert (slopes_at_pixels(constant, "as_printed") == 5).all()
    assert (slopes_at_pixels(constant, "right")[:, :-1] == 0).all()
    assert (slopes_at_pixels(constant, "central")[:, 1:-1] == 0).all()


def test_eq_7_as_printed_gives_a_ramp_its_height_for_a_slope():
    """By the same two lines dV/dx = U[x], which on U = m is x: 3 at x = 3, where both one-sided slopes are 1."""
    ramp = np.broadcast_to(np.arange(9.0), (5, 9))
    assert_array_equal(slopes_at_pixels(ramp, "as_printed"), ramp)
    for kink in ("left", "right", "central"):
        assert (slopes_at_pixels(ramp, kink)[:, 1:-1] == 1).all()


@both_conventions
def test_the_identity_grid_consists_of_kinks(align_corners):
    theta = np.array([transforms.get("affine").identity])
    points = GridGenerator(transforms.get("affine"), (6, 7), align_corners=align_corners).forward(theta)
    assert_array_equal(points, np.round(points))


def test_between_floor_and_ceil_there_is_no_slope_at_a_pixel():
    """A slope U[ceil x] - U[floor x] is right between pixels; at a pixel both are the same one, whatever the image."""
    ramp = np.arange(9.0)
    slope = lambda x: ramp[math.ceil(x)] - ramp[math.floor(x)]  # noqa: E731
    assert slope(2.5) == 1
    assert [slope(x) for x in range(8)] == [0] * 8
    assert (slopes_at_pixels(np.broadcast_to(ramp, (5, 9)), "right")[:, :-1] == 1).all()  # floor x and floor x + 1


# Coordinates.


@both_conventions
def test_a_normalised_slope_is_half_the_width_times_a_slope_per_pixel_or_half_of_one_less(align_corners):
    """x_s in Eq. (3) counts pixels, in Sec. 3.2 it is normalised: x = ((x' + 1) W - 1) / 2 or (x' + 1) (W - 1) / 2."""
    ramp = np.broadcast_to(np.arange(7.0), (1, 1, 5, 7))  # U = m: V is x in pixels, its slope 1 per pixel
    grid = np.array([[[[0.1, 0.2], [-0.3, 0.5]]]])
    _, ggrid = grid_sample_backward(ramp, grid, np.ones((1, 1, 1, 2)), align_corners=align_corners)
    assert_allclose(ggrid[..., 0], 3 if align_corners else 3.5, rtol=1e-15)
    ends = coordinates.to_pixels(np.array([[-1.0, -1.0], [1.0, 1.0]]), (5, 7), align_corners)
    assert ends.tolist() == ([[0, 0], [6, 4]] if align_corners else [[-0.5, -0.5], [6.5, 4.5]])


def test_the_grid_has_the_size_of_the_output_and_v_the_channels_of_u(rng):
    U = rng.standard_normal((2, 3, 5, 7))
    grid = affine_grid(rng.standard_normal((2, 2, 3)), (2, 3, 4, 6))
    assert grid.shape == (2, 4, 6, 2)
    assert grid_sample(U, grid).shape == (2, 3, 4, 6)


def test_theta_is_6_numbers_for_affine_maps_only():
    assert {name: transforms.get(name).K for name in ("attention", "affine", "projective")} == {
        "attention": 3,
        "affine": 6,
        "projective": 8,
    }
    assert ThinPlateSpline().K == 2 * 16  # x and y of 16 control points


def test_theta_maps_target_to_source_and_no_inverse_is_computed():
    U = np.arange(7.0)[None, None, None] ** 2
    shifted = grid_sample(U, affine_grid(np.array([[[1, 0, 2 / 7], [0, 1, 0]]]), U.shape))  # x_s = x_t + 1 pixel
    assert_allclose(shifted[..., :-1], U[..., 1:], rtol=1e-14)  # so the content moves to the left
    no_inverse = np.zeros((1, 2, 3))  # a matrix that has none
    assert_array_equal(grid_sample(U, affine_grid(no_inverse, U.shape)), np.full(U.shape, U[..., 3]))


def test_the_projection_needs_h22_equal_1_and_8_degrees_of_freedom(rng):
    projective = transforms.get("projective")
    theta = np.append(rng.uniform(-1, 1, 6), rng.uniform(-0.3, 0.3, 2))[None]
    matrix = np.append(theta, 1).reshape(3, 3)
    assert projective.K == 8
    xy = rng.uniform(-1, 1, (20, 2))

    def divided(matrix):
        X = np.column_stack([xy, np.ones(20)]) @ matrix.T
        return X[:, :2] / X[:, 2:]

    assert_allclose(projective.apply(theta, xy)[0], divided(matrix), rtol=1e-12)
    assert_allclose(divided(7 * matrix), divided(matrix), rtol=1e-12)  # of nine entries, one is a common factor


def test_with_row_3_equal_to_row_2_every_point_lands_on_the_line_y_equals_1(rng):
    matrix = rng.standard_normal((3, 3))
    matrix[2] = matrix[1]
    X = matrix @ np.vstack([rng.uniform(-1, 1, (2, 20)), np.ones(20)])
    assert (X[1] / X[2] == 1).all()


@pytest.mark.parametrize("size", (28, 64))
def test_linspace_in_float32_misses_4_of_28_columns_and_the_grid_here_none(size):
    one = np.float32(1)
    pixels = (np.linspace(-1, 1, size, dtype=np.float32) + one) * np.float32((size - 1) / 2)
    assert pixels.dtype == np.float32
    assert (np.floor(pixels) != np.arange(size)).sum() == {28: 4, 64: 23}[size]
    affine = transforms.get("affine")
    for align_corners in (False, True):
        points = GridGenerator(affine, (size, size), align_corners=align_corners).forward(
            np.array([affine.identity], np.float32)
        )
        assert points.dtype == np.float32
        assert_array_equal(points[0, 0, :, 0], np.arange(size))


# Pooling.

SHIFTS = [shift for shift in itertools.product((-1, 0, 1), repeat=2) if shift != (0, 0)]


def window(k, n=0, m=0):
    """The pixels of the k x k window whose first pixel is (n, m)."""
    return {(n + i, m + j) for i, j in itertools.product(range(k), repeat=2)}


def test_of_eight_shifts_2x2_max_pooling_survives_three_only_for_one_isolated_maximum():
    """An isolated maximum at (n, m) survives if (n, m) is in the shifted window, too. Of independent pixels the largest
    of both windows' must be in both, which has the probability |both| / |either|, by symmetry.
    """
    isolated = [sum(pixel in window(2, *shift) for shift in SHIFTS) for pixel in sorted(window(2))]
    assert isolated == [3, 3, 3, 3]
    assert independent(2) == Fraction(40, 21)  # 1.90


def test_of_eight_shifts_3x3_max_pooling_survives_five_only_for_a_maximum_at_the_edge():
    counts = [sum(pixel in window(3, *shift) for shift in SHIFTS) for pixel in sorted(window(3))]
    assert counts == [3, 5, 3, 5, 8, 5, 3, 5, 3]  # corner 3, edge 5, centre 8
    assert Fraction(sum(counts), 9) == Fraction(40, 9)  # 4.44
    assert independent(3) == Fraction(22, 7)  # 3.14


def independent(k):
    """The expected number of surviving shifts for independent pixels."""
    overlaps = [(len(window(k) & window(k, *s)), len(window(k) | window(k, *s))) for s in SHIFTS]
    return sum(Fraction(both, either) for both, either in overlaps)


def all_are_largest(groups):
    """The probability that for independent numbers each group's one peak is the largest of its group.

    Args:
        groups: {peak: the others of its group}; others may stand in several groups.

    In the order p_1 < ... < p_K of the peaks, each other number must be below the lowest peak of its groups. Let e_k be
    the others for which that is p_k: the integral of p_1^e_1 ... p_K^e_K over 0 < p_1 < ... < p_K < 1 is
    1 / prod_k (e_1 + ... + e_k + k).
    """
    total = Fraction(0)
    for order in itertools.permutations(groups):
        counted, exponent, term = set(), 0, Fraction(1)
        for k, peak in enumerate(order, 1):
            exponent += len(groups[peak] - counted)
            counted |= groups[peak]
            term /= exponent + k
        total += term
    return total


def test_all_four_outputs_of_a_4x4_image_of_independent_pixels_survive_0_07_of_8_shifts(rng):
    """A shift along an axis: within each pair of rows, the larger pixels c of five columns must have c_1 > c_0, c_2 and
    c_3 > c_2, c_4: 16 of 120 orders. A diagonal shift: the one pixel in both windows must be the largest of seven.
    """
    along = all_are_largest({1: {0, 2}, 3: {2, 4}}) ** 2
    assert along == Fraction(2, 15) ** 2
    corners = list(itertools.product((0, 2), repeat=2))
    peaks = {(n + 1, m + 1): window(2, n, m) | window(2, n + 1, m + 1) for n, m in corners}
    diagonal = all_are_largest({peak: both - {peak} for peak, both in peaks.items()})
    exact = float(4 * along + 4 * diagonal)
    assert exact == pytest.approx(0.07, abs=0.005)

    images, pool = rng.random((40_000, 1, 6, 6)), nn.MaxPool2d(2).eval()
    outputs = {(n, m): pool.forward(images[:, :, 1 + n : 5 + n, 1 + m : 5 + m]) for n, m in [(0, 0), *SHIFTS]}
    mean = sum((outputs[shift] == outputs[0, 0]).all(axis=(1, 2, 3)).mean() for shift in SHIFTS)
    assert mean == pytest.approx(exact, abs=4 * math.sqrt(exact / 40_000))  # 4 standard errors


def test_counted_on_images_the_numbers_of_surviving_shifts_are_the_same(rng):
    for k in (2, 3):
        counts = [sum(pixel in window(k, *shift) for shift in SHIFTS) for pixel in sorted(window(k))]
        assert pooling.isolated_counts(k).ravel().tolist() == counts
        assert pooling.random_mean(k, rng, 40_000) == pytest.approx(float(independent(k)), abs=0.04)


# "Superior to pooling in all respects", and feature maps.


def test_bilinear_sampling_aliases_when_it_shrinks():
    """Every fourth column of stripes one pixel wide is always white, or, one pixel on, always black. Pooling: grey."""
    stripes = np.broadcast_to(np.arange(32) % 2.0, (1, 1, 32, 32))
    y, x = np.mgrid[1:32:4, 1:32:4]
    grid = lambda dx: np.stack([(2 * (x + dx) + 1) / 32 - 1, (2 * y + 1) / 32 - 1], -1)[None]  # noqa: E731
    assert (grid_sample(stripes, grid(0)) == 1).all()
    assert (grid_sample(stripes, grid(1)) == 0).all()
    assert (nn.AvgPool2d(4).forward(np.ascontiguousarray(stripes)) == 0.5).all()


def test_a_feature_map_of_zeros_cannot_be_turned_into_that_of_the_turned_image():
    """Oriented filters see other things in a turned image. Here F sees nothing in horizontal stripes, and something in
    vertical ones: no transformer behind F can make up for the turn, since every sample of 0 is 0.
    """

    def F(U):
        return np.roll(U, -1, axis=1) - np.roll(U, 1, axis=1)  # [-1 0 1] along x

    stripes = np.repeat([[0.0], [0.0], [1.0], [1.0]] * 2, 8, axis=1)
    assert not F(stripes).any()
    assert F(np.rot90(stripes)).any()
    shifted = lambda U: np.roll(U, (1, 3), axis=(0, 1))  # noqa: E731
    U = np.arange(64.0).reshape(8, 8) ** 2
    assert (F(np.rot90(U)) != np.rot90(F(U))).any()
    assert_array_equal(F(shifted(U)), shifted(F(U)))  # of a shift a transformer behind F can make up


# Thin-plate splines in well-known code.


def test_isnan_of_log_0_is_false_so_a_spline_that_asks_for_it_is_affine(rng):
    """log 0 is -inf. where(isnan(log r^2), r^2 log r^2, 0) is 0 for every r >= 0: nothing is left that bends."""
    with np.errstate(divide="ignore"):
        log_r2 = np.log(np.append(rng.uniform(0, 4, 100), 0))
    assert log_r2[-1] == -np.inf
    assert not np.isnan(log_r2).any()
    spline = ThinPlateSpline()
    theta = np.array([spline.identity]) + rng.normal(0, 0.1, (1, 32))
    xy = rng.uniform(-1, 1, (50, 2))
    A, _ = spline.weights(theta)
    affine = transforms.get("affine").apply(A.reshape(1, 6), xy)
    assert np.abs(spline.apply(theta, xy) - affine).max() > 0.1  # what is lost with the weights


def bending_energy(centres, w, radius):
    """The integral of f_xx^2 + 2 f_xy^2 + f_yy^2 over a disc, for f = sum_j w_j phi(|x - c_j|), phi = r^2 log r^2.

    The second derivatives of phi are 2 (log r^2 + 1) I + 4 (x - c) (x - c)^T / r^2. Midpoint rule in (log r, angle).
    """
    s, a = np.meshgrid(np.linspace(-6, math.log(radius), 600), (np.arange(240) + 0.5) * math.pi / 120, indexing="ij")
    s = s[:-1] + np.diff(s, axis=0) / 2
    xy = np.exp(s)[..., None] * np.stack([np.cos(a[1:]), np.sin(a[1:])], -1)
    d = xy[..., None, :] - centres
    r2 = (d**2).sum(-1)
    diagonal = 2 * (np.log(r2) + 1)
    f_xx, f_yy = ((diagonal + 4 * d[..., k] ** 2 / r2) @ w for k in (0, 1))
    f_xy = (4 * d[..., 0] * d[..., 1] / r2) @ w
    area = np.exp(2 * s) * (math.log(radius) + 6) / 599 * math.pi / 120
    return ((f_xx**2 + 2 * f_xy**2 + f_yy**2).sum(-1) * area).sum()


def test_a_spline_with_k_from_source_to_destination_meets_its_points_but_bends_without_bound(rng):
    """Centres d_j, K[i,j] = phi(|s_i - d_j|), and side conditions on s: sum w = 0 and sum w_j s_j = 0.

    It interpolates, by its equations. But far away f is -p . grad phi with p = sum w_j d_j, which is not 0, and its
    second derivatives squared are 32 |p|^2 / r^2: each doubling of the radius adds 64 pi log 2 |p|^2, without end.
    """
    source = np.array([(-1, -1), (1, -1), (-1, 1), (1, 1), (0.1, -0.2)], float)
    destination = source + rng.normal(0, 0.2, (5, 2))
    one = np.ones((5, 1))

    def phi(a, b):
        r2 = ((a[:, None] - b) ** 2).sum(-1)
        return r2 * np.log(np.maximum(r2, 1e-300))

    P = np.hstack([one, source])
    system = np.block([[phi(source, destination), P], [P.T, np.zeros((3, 3))]])
    solution = np.linalg.solve(system, np.vstack([destination, np.zeros((3, 2))]))
    w = solution[:5]
    xy = source + 1e-9  # not exactly there, where it is an equation of the system
    assert_allclose(phi(xy, destination) @ w + np.hstack([one, xy]) @ solution[5:], destination, atol=1e-7)

    p = w.T @ destination
    assert (np.abs(p).max(axis=1) > 0.01).all()
    growth = bending_energy(destination, w, 2e3) - bending_energy(destination, w, 1e3)
    assert growth == pytest.approx(64 * math.pi * math.log(2) * (p**2).sum(), rel=0.005)

    spline = ThinPlateSpline(source)
    theta = destination.reshape(1, 10)
    assert_allclose(spline.apply(theta, source)[0], destination, atol=1e-13)
    least, least_w = spline.bending_energy(theta).item(), spline.weights(theta)[1][0]
    assert_allclose(least_w.T @ source, 0, atol=1e-13)  # p = 0
    assert bending_energy(source, least_w, 1e3) == pytest.approx(least, rel=1e-3)  # and all of it is near
    assert bending_energy(destination, w, 1e3) > 2 * least


# The page.


def test_the_page_names_every_test_here_and_no_other():
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    here = {name for name in globals() if name.startswith("test_") and "page" not in name}
    assert named == here
