"""Measure slopes along a line from function values, and detect kinks.

A line t -> y(t) gives the outputs, in one flat array, when an argument moves by t in one direction. With the
cotangents gy, f(t) = gy . y(t) is a function of one number. The gradient predicts its slope f'(0).

    right slope   R(h) = gy . (y(h) - y(0)) / h      left slope   L(h) = gy . (y(0) - y(-h)) / h

        smooth: (R + L) / 2 = f' + c2 h^2 + c4 h^4 + ...     R - L = c1 h + c3 h^3 + ...
        kink:    R -> r, L -> l, and the gap R - L stays when h is halved: ReLU at 0, bilinear sampling on a pixel
        jump:    f is discontinuous, and R or L grows like 1/h: nearest sampling between two pixels

Differences are taken before the product with gy, so that outputs that do not change contribute an exact 0.
Read next: judge.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EPS = np.finfo(np.float64).eps
SHRINK = 16.0  # from one level of steps (h, h/2, h/4) to the next
LEVELS = 10  # the last one starts at step / 16^9, about 1e-13 for the default step


@dataclass(frozen=True)
class Slope:
    """The estimate of f'(0) by finite differences.

    Attributes:
        kind: "smooth", "kink", "jump" or "unclear" (differences do not converge, or are not finite).
        value: f'(0) if smooth, the middle of the interval on a kink or jump, else nan.
        low, high: the interval in which a gradient may lie; both are `value` if smooth.
        roundoff: the possible error of `value` from rounding of y.
        step: the h of the measurement.
        finite: whether differences are finite for some h, on one side of t = 0 at least.
    """

    kind: str
    value: float
    low: float
    high: float
    roundoff: float
    step: float
    finite: bool = True


def extrapolate(values: np.ndarray, powers: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the limit h -> 0 of values at h, h/2, h/4 by Richardson extrapolation, and a bound on its error.

    Args:
        values: (3, ...), coarsest step first; value(h) = limit + c1 h^p1 + c2 h^p2 + ...
        powers: (p1, p2), eliminated one after the other.

    Returns:
        (limit, error), each of shape (...). The error is that of the estimate before the last one: a tighter bound
        would fail if other powers occur, for example h beside h^2 where the second derivative jumps.

    >>> extrapolate(np.array([3.0, 2.5, 2.25]), (1, 2))  # 2 + h at h = 1, 1/2, 1/4
    (np.float64(2.0), np.float64(0.0))
    """
    p, q = powers
    coarse, fine = (2**p * values[1:] - values[:-1]) / (2**p - 1)
    return (2**q * fine - coarse) / (2**q - 1), np.abs(fine - coarse)


def measure(
    line: Callable[[float], np.ndarray],
    y: np.ndarray,
    gy: np.ndarray,
    *,
    step: float,
    tolerance: float,
    scale: float = 0.0,
    x: float = 0.0,
) -> Slope:
    """Return the slope of gy . line(t) at t = 0, or the interval of slopes if there is a kink.

    Steps shrink until the differences converge, so that a point near a kink, but not on it, counts as smooth.

    Args:
        line: t -> outputs, flat.
        y: line(0).
        gy: cotangents, flat.
        step: the largest h, relative to max(1, |x|).
        tolerance: the relative error that will be judged; slopes are measured ten times more accurately.
        scale: size of the gradient; errors are relative to it or to the slope itself, whichever is larger.
        x: the number that changes; its own rounding, EPS |x|, adds to the error of the slope.
    """
    h = step = step * max(1.0, abs(x))
    finite = False
    for level in range(LEVELS):
        h = step / SHRINK**level
        here = _Differences(line, y, gy, h, x, scale, tolerance)
        finite = finite or bool(np.isfinite([here.L, here.R]).any())
        if not here.finite:
            continue  # for example log(x - h) of a small x
        if level and here.roundoff > here.wanted(here.largest):
            break  # from here on, smaller steps measure rounding
        if found := here.smooth() or here.kink():
            return found
    return Slope("unclear", np.nan, -np.inf, np.inf, 0.0, h, finite)


class _Differences:
    """Left and right slopes at h, h/2, h/4: per output, and as products with the cotangents."""

    def __init__(self, line, y, gy, h, x, scale, tolerance):
        self.line, self.y, self.gy, self.h, self.x = line, y, gy, h, abs(x)
        self.scale, self.tolerance = scale, tolerance
        self.t = h / np.array([1.0, 2.0, 4.0])
        self.left, self.right = self._sides(self.t)
        with np.errstate(all="ignore"):  # inf - inf outside a domain: these steps are skipped
            self.L, self.R = self.left @ gy, self.right @ gy
            largest = np.max(np.abs(y * gy), where=np.isfinite(y), initial=0)
        moved = np.count_nonzero(self.left.any(axis=0) | self.right.any(axis=0))
        self.y_scale = float(largest * np.sqrt(max(1, moved)))  # rounding errors of many outputs add as their squares
        self.finite = bool(np.isfinite(self.L).all() and np.isfinite(self.R).all())
        self.largest = float(max(abs(self.L[-1]), abs(self.R[-1]))) if self.finite else np.inf
        self.roundoff = float(EPS * (self.y_scale + self.x * self.largest) / self.t[-1])

    def wanted(self, slope):
        """Return the largest error that a slope may have to be judged."""
        return self.tolerance / 10 * max(self.scale, abs(slope))

    def settled(self, slope, error):
        """Return whether the error is small enough to be judged, or as small as rounding permits."""
        return error <= self.wanted(slope) + 4 * self.roundoff

    def _sides(self, steps):
        """Return the slopes of each output, left and right: (len(steps), outputs) each."""
        with np.errstate(all="ignore"):
            left = [np.where((back := self.line(-t)) == self.y, 0, self.y - back) / t for t in steps]
            right = [np.where((on := self.line(t)) == self.y, 0, on - self.y) / t for t in steps]
        return np.array(left), np.array(right)

    def _dotted(self, step):
        left, right = self._sides((step,))
        with np.errstate(all="ignore"):
            return float(left[0] @ self.gy), float(right[0] @ self.gy)

    def smooth(self):
        """Return the central slope if it converges, the two sides agree in the limit, and a small step confirms it.

        Otherwise return None.
        """
        value, error = extrapolate((self.L + self.R) / 2, (2, 4))
        gap, gap_error = extrapolate(self.R - self.L, (1, 3))
        if not (self.settled(value, error) and self.settled(value, (abs(gap) + gap_error) / 4)):
            return None
        l, r = self._dotted(self.t[-1] / SHRINK)  # differences with too large steps may converge by chance
        confirmed = self.settled(value, abs((l + r) / 2 - value) / SHRINK)  # rounding is SHRINK times larger there
        return self._found("smooth", value, value, value) if confirmed else None

    def kink(self):
        """Return the interval of a kink or jump at t = 0, or None if the differences do not converge.

        If the kink is only near t = 0, or only the second derivative jumps, return the smooth slope at t = 0. The
        smallest step that rounding permits stays on one side of a near kink: there both slopes equal that side's slope.
        """
        gap = abs(self.R[-1] - self.L[-1])
        tiny = 100 * self.roundoff * self.t[-1] / gap if gap > 0 else np.inf  # rounding there is gap / 100
        tiny = min(max(tiny, 64 * EPS * max(1, self.x)), self.t[-1] / SHRINK)
        l_tiny, r_tiny = self._dotted(tiny)
        gap_tiny, largest_tiny = abs(r_tiny - l_tiny), max(abs(l_tiny), abs(r_tiny))
        l, l_error = extrapolate(self.L, (1, 2))
        r, r_error = extrapolate(self.R, (1, 2))

        def close(a, b):
            return abs(a - b) <= gap / 10

        on_left, on_right = close(l_tiny, l) and close(r_tiny, l), close(l_tiny, r) and close(r_tiny, r)
        if on_left and on_right:  # no kink: the slopes of the two sides must agree
            l_error = r_error = max(l_error, r_error, abs(r - l) / 4)
            l = r = (l + r) / 2
        if on_left and self.settled(l, l_error):
            return self._found("smooth", l, l, l)
        if on_right and self.settled(r, r_error):
            return self._found("smooth", r, r, r)
        if gap_tiny >= gap / 2 and close(l_tiny, l) and close(r_tiny, r) and max(l_error, r_error) <= gap / 10:
            return self._interval("kink", extrapolate(self.left, (1, 2)), extrapolate(self.right, (1, 2)))
        height = max(self.largest * self.t[-1] / 2, 1e-6 * self.y_scale)  # of a jump that rounding cannot cause
        if largest_tiny >= 4 * self.largest and largest_tiny * tiny >= height:
            sides = self._inside(self.left), self._inside(self.right)
            if all(self.settled(slope @ self.gy, error @ np.abs(self.gy)) for slope, error in sides):
                return self._interval("jump", *sides)
        return None

    def _inside(self, side):
        """Return (slope, error) on one side of a jump, from y(h), y(h/2), y(h/4) without y(0)."""
        y_from_0 = side * self.t[:, None]
        coarse, fine = (y_from_0[:-1] - y_from_0[1:]) / (self.t[:-1] - self.t[1:])[:, None]
        return 2 * fine - coarse, np.abs(fine - coarse)  # slopes at 3h/4 and 3h/8

    def _interval(self, kind, left, right):
        """Return the interval that allows each output any slope between its own left and right one.

        It is wider than the interval between the slopes of the sum: a parameter may move one output to the right of its
        kink and another to the left, and a backward may take the right slope (say) for both.
        """
        (l, l_error), (r, r_error) = left, right
        slack = np.abs(self.gy) @ (l_error + r_error)
        ends = np.sort([self.gy * l, self.gy * r], axis=0).sum(axis=1)
        return self._found(kind, ends.mean(), ends[0] - slack, ends[1] + slack)

    def _found(self, kind, value, low, high):
        return Slope(kind, float(value), float(low), float(high), self.roundoff, self.h)
