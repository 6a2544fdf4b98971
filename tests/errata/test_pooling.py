"""What texts get wrong about pooling, shrinking and feature maps; see tutorials/errata.md."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref import grid_sample, nn
from stn_ref.plotting import pooling

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
