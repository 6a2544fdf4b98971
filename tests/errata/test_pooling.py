"""What texts get wrong about pooling, shrinking and feature maps; see tutorials/errata.md."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref import grid_sample, nn
from stn_ref.lab import invariance


def test_of_eight_shifts_2x2_max_pooling_survives_three_only_for_one_isolated_maximum():
    assert (invariance.isolated_counts(2) == 3).all()
    assert invariance.random_count(2) == Fraction(40, 21)  # 1.90, for independent pixels


def test_of_eight_shifts_3x3_max_pooling_survives_five_only_for_a_maximum_at_the_edge():
    counts = invariance.isolated_counts(3)
    assert counts.tolist() == [[3, 5, 3], [5, 8, 5], [3, 5, 3]]  # corner 3, edge 5, centre 8
    assert Fraction(int(counts.sum()), 9) == Fraction(40, 9)  # 4.44
    assert invariance.random_count(3) == Fraction(22, 7)  # 3.14


def test_all_four_outputs_of_a_4x4_image_of_independent_pixels_survive_0_07_of_8_shifts():
    assert float(invariance.random_count(2, side=2)) == pytest.approx(0.07, abs=0.005)


@pytest.mark.parametrize(("k", "side"), [(2, 1), (3, 1), (2, 2), (3, 2)])
def test_counted_on_images_the_numbers_of_surviving_shifts_are_the_same(k, side, rng):
    images = rng.random((40_000, 1, (side + 2) * k, (side + 2) * k), dtype=np.float32)
    mean, error = invariance.mean_and_error(invariance.surviving(images, k, side))
    exact = float(invariance.random_count(k, side))
    assert abs(mean - exact) < 4 * error < 0.3 * exact


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
