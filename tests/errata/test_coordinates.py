"""What texts get wrong about coordinates and transforms; see tutorials/errata.md."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import affine_grid, coordinates, grid_sample, grid_sample_backward, transforms
from stn_ref.grid import GridGenerator
from stn_ref.transforms.tps import ThinPlateSpline

both_conventions = pytest.mark.parametrize("align_corners", (False, True))


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
