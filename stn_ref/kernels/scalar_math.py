"""The scalar maths of bilinear sampling, written once and undecorated, so that a debugger can step through it.

cpu.py compiles these same functions with `njit`. Coordinates are pixels; a size is H or W. `type(x)(1)` instead of 1:
in compiled code float32 times an integer constant would be float64.
"""

import math


def cell(x, size):
    """Return (m, t): x lies between the taps m and m + 1, a fraction 0 <= t < 1 from the first (1 after rounding).

    At an integer x that is the cell on its right, so that slopes are right derivatives. Far outside, x is clamped to
    [-2, size + 1] before the cast to an integer: every tap of such a cell is outside the image, and nothing overflows.
    NaN gives a cell outside, too, with t = NaN.
    """
    if x != x:
        return -2, x
    x = min(max(x, type(x)(-2)), type(x)(size + 1))
    m = math.floor(x)
    return m, x - type(x)(m)


def hat(x, m):
    """Return k(x - m) = max(0, 1 - |x - m|), the bilinear kernel of Eq. (5).

    Written as the smaller of the distances to m - 1 and m + 1, which is the same and rounds less: 1 - |1e-17 - 1| is 0.
    """
    return max(type(x)(0), min(x - (m - 1), (m + 1) - x))


def hat_slope(x, m):
    """Return dk(x - m)/dx, the cases of Eq. (7) as right derivatives: -1 for m <= x < m + 1, +1 for m - 1 <= x < m.

    It is 0 for just the taps outside the floor cell of x, so it also tells which taps belong to it. Comparing x rather
    than x - m keeps the answer exact: -1e-17 - 1 is -1.
    """
    if m - 1 <= x < m:
        return type(x)(1)
    if m <= x < m + 1:
        return type(x)(-1)
    return type(x)(0)
