"""What texts get wrong about Eqs. (6) and (7); tutorials/errata.md explains each for readers."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import grid_sample_backward, kernels, transforms
from stn_ref.grid import GridGenerator

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
    """dV/dx at every pixel of U (H, W) by every backend; with W - 1 = 8 and H - 1 = 4 the points are exact."""
    y, x = np.mgrid[0:5, 0:9]
    grid, ones = np.stack([x / 4 - 1, y / 2 - 1], axis=-1)[None], np.ones((1, 1, 5, 9))
    found = {}
    for backend in kernels.BACKENDS:
        options = {"align_corners": True, "kink": kink, "backend": backend}
        found[backend] = grid_sample_backward(U[None, None], grid, ones, **options)[1][0, ..., 0] / 4
        assert_array_equal(found[backend], found[kernels.BACKENDS[0]], err_msg=backend)
    return found[backend]


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
