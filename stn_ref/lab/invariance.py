"""The invariance of max-pooling: how many of the 8 shifts by one pixel leave its output unchanged?

Often quoted are 3 of 8 for 2x2 windows and 5 of 8 for 3x3 windows. Both hold only for one isolated maximum, and the
second only if it lies in the middle of an edge of its window. This file counts the shifts on images, and computes the
exact means.

Reads: nn/pooling.py.
"""

import itertools
import math
from fractions import Fraction

import numpy as np

from stn_ref import checks
from stn_ref.nn import MaxPool2d

SHIFTS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]

Pixels = set[tuple[int, int]]


def shifted(images: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Return images (..., H, W) moved down by dy and right by dx, with wrap-around at the edges."""
    return np.roll(images, (dy, dx), axis=(-2, -1))


def unchanged(images: np.ndarray, k: int) -> np.ndarray:
    """Return which outputs of k x k max-pooling stay the same after each of SHIFTS, by pooling shifted images.

    Args:
        images: (N, 1, H, W).
        k: size and stride of the pooling.

    Returns:
        (8, N, H // k, W // k), true or false.
    """
    pool = MaxPool2d(k).eval()
    before = pool.forward(images)
    return np.array([(pool.forward(shifted(images, *shift)) == before)[:, 0] for shift in SHIFTS])


def surviving(images: np.ndarray, k: int, side: int = 1) -> np.ndarray:
    """Return, for each image, the number of shifts that leave all its side x side middle outputs unchanged.

    Args:
        images: (N, 1, (side + 2) k, (side + 2) k).
        k: size and stride of the pooling.
        side: 1: the window in the middle must stay; 2: all of the four middle windows must stay; ...

    Returns:
        (N,) counts, 0 to 8.
    """
    checks.shape("images", images, ("N", 1, (side + 2) * k, (side + 2) * k))
    return unchanged(images, k)[:, :, 1:-1, 1:-1].all(axis=(2, 3)).sum(axis=0)


def isolated_counts(k: int) -> np.ndarray:
    """Return (k, k): the exact count for one isolated maximum at each place (n, m) of the k x k window.

    >>> isolated_counts(2).tolist()
    [[3, 3], [3, 3]]
    """
    return surviving(one_maximum(k, np.arange(k * k)), k).reshape(k, k)


def one_maximum(k: int, places: np.ndarray) -> np.ndarray:
    """Return images (N, 1, 3k, 3k) of 0 with a single 1, in the middle window.

    Args:
        k: size of the window.
        places: (N,) integers, the place of the 1: n k + m for row n and column m of the window.
    """
    images = np.zeros((len(places), 1, 3 * k, 3 * k))
    n, m = np.divmod(places, k)
    images[np.arange(len(places)), 0, k + n, k + m] = 1
    return images


def window(k: int, n: int = 0, m: int = 0) -> Pixels:
    """Return the pixels of the k x k window whose first pixel is (n, m)."""
    return {(n + a, m + b) for a in range(k) for b in range(k)}


def random_count(k: int, side: int = 1) -> Fraction:
    """Return the exact mean count for independent pixels with equal distributions and no ties.

    Consider the window before and after the shift. The output stays if the largest pixel of both lies in their
    intersection. For one window the probability is (pixels in both) / (pixels in either). For several windows see
    `_all_are_largest`.

    Args:
        k: size and stride of the pooling.
        side: all of side x side windows must stay.

    >>> random_count(2), random_count(3)
    (Fraction(40, 21), Fraction(22, 7))
    """
    places = [(k * n, k * m) for n in range(side) for m in range(side)]
    total = Fraction(0)
    for shift, times in (((0, 1), 4), ((1, 1), 4)):  # by symmetry: four along an axis, four along a diagonal
        pairs = [(window(k, n, m), window(k, n + shift[0], m + shift[1])) for n, m in places]
        for peaks in itertools.product(*(old & new for old, new in pairs)):
            groups = {peak: (old | new) - {peak} for peak, (old, new) in zip(peaks, pairs, strict=True)}
            total += times * _all_are_largest(groups)
    return total


def _all_are_largest(groups: dict[tuple[int, int], Pixels]) -> Fraction:
    """Return the share of the orderings of independent pixels in which each group's peak is the largest of its group.

    Let p_1 < ... < p_K be the peaks. Each other pixel must be below the lowest peak of its groups. Let e_k be the
    number of pixels whose lowest peak is p_k. The integral of p_1^e_1 ... p_K^e_K over 0 < p_1 < ... < p_K < 1 is
    1 / prod_k (e_1 + ... + e_k + k).

    Args:
        groups: {peak: the other pixels of its group}. These may belong to several groups, but none of them is a peak.
    """
    total = Fraction(0)
    for order in itertools.permutations(groups):
        counted: Pixels = set()
        denominator = 1
        for k, peak in enumerate(order, 1):
            counted = counted | groups[peak]
            denominator *= len(counted) + k
        total += Fraction(1, denominator)
    return total


def mean_and_error(counts: np.ndarray) -> tuple[float, float]:
    """Return the mean of a simulation's counts and its standard error, s / sqrt(N)."""
    return float(np.mean(counts)), float(np.std(counts, ddof=1)) / math.sqrt(len(counts))
