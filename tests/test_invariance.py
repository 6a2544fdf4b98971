"""How many of eight shifts max-pooling survives: the layer, sets of pixels and all orderings say the same."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from stn_ref import checks
from stn_ref.lab import invariance


def survivors(k, n, m):
    """The shifts after which the pixel (n, m) of a k x k window is still in it."""
    return [(dy, dx) for dy, dx in invariance.SHIFTS if 0 <= n + dy < k and 0 <= m + dx < k]


@pytest.mark.parametrize("k", (2, 3, 4))
def test_an_isolated_maximum_survives_the_shifts_that_leave_it_in_its_window(k):
    counts = [len(survivors(k, n, m)) for n in range(k) for m in range(k)]
    assert invariance.isolated_counts(k).ravel().tolist() == counts


def test_the_shift_goes_where_its_sign_says():
    same = invariance.unchanged(invariance.one_maximum(3, np.array([2])), 3)[:, 0, 1, 1]  # row 0, column 2
    wanted = {(0, -1), (1, -1), (1, 0)}  # to the left, and down
    assert {shift for shift, stays in zip(invariance.SHIFTS, same, strict=True) if stays} == wanted


def test_one_window_of_independent_pixels_survives_as_often_as_all_orderings_of_them_say():
    """Six pixels are in a 2x2 window or in the one beside it, 720 orderings; seven on the diagonal, 5,040."""
    total = Fraction(0)
    for old, new, orderings in (((0, 1, 2, 3), (2, 3, 4, 5), 720), ((0, 1, 2, 3), (3, 4, 5, 6), 5040)):
        rankings = itertools.permutations(range(len({*old, *new})))
        same = sum(max(r[p] for p in old) == max(r[p] for p in new) for r in rankings)
        total += 4 * Fraction(same, orderings)
    assert total == invariance.random_count(2) == Fraction(40, 21)
    assert invariance.random_count(3) == 4 * Fraction(6, 12) + 4 * Fraction(4, 14)  # pixels in both / in either


def test_four_windows_of_independent_pixels_survive_as_often_as_all_orderings_of_columns_say():
    """Along an axis: of five columns, the larger pixels c of a pair of rows, c_1 > c_0, c_2 and c_3 > c_2, c_4, twice.
    On the diagonal: of seven pixels of each window the one in both is the largest, counted by drawing.
    """
    columns = itertools.permutations(range(5))
    along = Fraction(sum(max(c[0], c[2]) < c[1] and max(c[2], c[4]) < c[3] for c in columns), 120)
    assert along == Fraction(16, 120)
    diagonal = invariance.random_count(2, side=2) / 4 - along**2
    drawn = np.random.default_rng(0).random((400_000, 5, 5), dtype=np.float32)
    ok = np.ones(len(drawn), bool)
    for n, m in itertools.product((0, 2), repeat=2):
        either = [p for p in np.ndindex(3, 3) if p not in ((0, 2), (2, 0))]
        largest = np.max([drawn[:, n + a, m + b] for a, b in either], axis=0)
        ok &= drawn[:, n + 1, m + 1] == largest
    p = float(diagonal)
    assert ok.mean() == pytest.approx(p, abs=4 * math.sqrt(p / len(drawn)))  # 4 standard errors: 1 in 7


def test_the_error_of_a_mean_is_s_over_root_n():
    assert invariance.mean_and_error(np.array([1, 2, 3, 6])) == (3.0, pytest.approx(math.sqrt(14 / 3) / 2))


def test_an_image_without_windows_around_the_middle_ones_is_refused():
    with pytest.raises(checks.ShapeError, match=r"images must be \(N, 1, 6, 6\)"):
        invariance.surviving(np.zeros((1, 1, 4, 4)), 2)
