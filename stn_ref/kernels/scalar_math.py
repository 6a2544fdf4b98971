"""The scalar maths of sampling and of the grid, written once and undecorated, so that a debugger can step through it.

The compiled backends compile these same functions. Coordinates are pixels; a size is H or W. The code uses `type(x)(1)`
instead of 1, because in compiled code float32 times an integer constant is float64.

    to_pixel    converts a coordinate from the unit of the points to pixels
    fold    moves a coordinate into the image, according to the padding
    cell    the two pixels on either side of a coordinate; hat and hat_slope, Eqs. (5) and (7)
    nearest Eq. (4)
    anchor, tap    padding for kernels with more taps: they extend the image instead of moving the coordinate
    cubic, tent, gaussian    other kernels k(d; phi) of Eq. (3)
    affine, projective, pixel    Sec. 3.2: how far a matrix moves a target point, and the pixel that it comes to
"""

import math
from collections.abc import Callable
from math import floor  # an integer; compiled backends bind their own
from operator import mod as remainder  # exact for numbers >= 0; cuda/maths.py has math.fmod here, as CUDA's % is not
from types import FunctionType

PADDINGS = ("zeros", "border", "reflect", "mirror")
ZEROS, BORDER, REFLECT, MIRROR = range(4)  # reflect: about -1/2 and size - 1/2; mirror: about 0 and size - 1

KINKS = ("right", "left", "central", "as_printed")
RIGHT, LEFT, CENTRAL, AS_PRINTED = range(4)

TIES = ("even", "up")  # of two equally near pixels: the even one, or the upper one
EVEN, UP = range(2)

NEAREST, BILINEAR, BICUBIC, TENT, GAUSSIAN = range(5)
KERNELS = {"nearest": NEAREST, "bilinear": BILINEAR, "bicubic": BICUBIC, "tent": TENT, "gaussian": GAUSSIAN}

GAUSSIAN_REACH = 8.5  # sigmas; at larger distances the Gaussian is below 2e-16
SMALLEST_SIGMA = 0.1  # pixels; a narrower Gaussian has weight only at the nearest pixel

HORIZON = 1e-6  # a projective map sees a point where w is above this


def to_pixel(x, before, scale, after):
    """Return the coordinate in pixels, (x + before) scale + after; an infinite x stays infinite, even if scale is 0.

    before, scale and after have the type of x. With 0, 1, 0 the result is x.
    """
    return x if abs(x) == math.inf else (x + before) * scale + after


def fold(x, size, padding):
    """Return (x', dx'/dx): the coordinate moved into [0, size - 1], and its slope, -1, 0 or 1.

    The slope is 0 where x was clamped, and where x' lies exactly on an end of the interval (PyTorch's rule). With zeros
    x' = x, because the pixels outside are 0. A coordinate inside the image is returned unchanged, to the bit; NaN is
    returned as NaN.
    """
    one, half, n = type(x)(1), type(x)(0.5), type(x)(size)
    slope = one
    if padding == ZEROS or x != x:
        return x, slope
    last = type(x)(size - 1)
    if padding >= REFLECT and not 0 <= x <= last and abs(x) != math.inf:
        if padding == REFLECT:  # mirrors at -1/2, n - 1/2 and so on: falling from n - 1/2 to 2 n - 1/2
            r = remainder(abs(x), n + n)
            x = r if x >= 0 else -r
            if x >= n + n - half:
                x = x - (n + n)
            elif x >= n - half:
                x, slope = n + n - one - x, -one
            elif x < -half - n:
                x = x + (n + n)
            elif x < -half:
                x, slope = -one - x, -one
        elif size > 1:  # mirrors at 0, n - 1 and so on: falling from n - 1 to 2 (n - 1), and the same to the left
            slope = one if x > 0 else -one
            x = remainder(abs(x), last + last)
            if x > last:
                x, slope = last + last - x, -slope
    if x <= 0:
        return type(x)(0), type(x)(0)
    if x >= last:
        return last, type(x)(0)
    return x, slope


def cell(x, size):
    """Return (m, t): x lies between the taps m and m + 1, and t = x - m, 0 <= t < 1 (1 is possible by rounding).

    At an integer x this is the cell on its right, so that slopes are right derivatives. x is clamped to
    [-2, size + 1] before the cast to an integer, so nothing overflows. Both taps of a clamped cell are outside the
    image. NaN also gives a cell outside, with t = NaN.
    """
    if x != x:
        return -2, x
    x = min(max(x, type(x)(-2)), type(x)(size + 1))
    m = floor(x)
    return m, x - type(x)(m)


def hat(x, m):
    """Return k(x - m) = max(0, 1 - |x - m|), the bilinear kernel of Eq. (5).

    The code takes the smaller of the distances to m - 1 and m + 1. This is equal and rounds less: 1 - |1e-17 - 1| is 0.
    """
    return max(type(x)(0), min(x - (m - 1), (m + 1) - x))


def hat_slope(x, m):
    """Return dk(x - m)/dx, the cases of Eq. (7) as right derivatives: -1 for m <= x < m + 1, +1 for m - 1 <= x < m.

    It is 0 exactly for the taps outside the floor cell of x, so it also identifies the taps of the cell. The code
    compares x, not x - m, because x - m is rounded: -1e-17 - 1 is -1.
    """
    if m - 1 <= x < m:
        return type(x)(1)
    if m <= x < m + 1:
        return type(x)(-1)
    return type(x)(0)


def hat_slope_left(x, m):
    """Return dk(x - m)/dx as left derivatives: -1 for m < x <= m + 1, +1 for m - 1 < x <= m."""
    if m - 1 < x <= m:
        return type(x)(1)
    if m < x <= m + 1:
        return type(x)(-1)
    return type(x)(0)


def hat_slope_as_printed(x, m):
    """Return the slope of Eq. (7) as printed in the paper: 0 if |m - x| >= 1, else 1 if m >= x, else -1.

    At an integer x only the tap m = x remains, with +1. Then dV/dx = U[x], which is neither of the one-sided
    derivatives U[x + 1] - U[x] and U[x] - U[x - 1]. A constant image of 5 has the slope 5, and a ramp U[m] = m has the
    slope x instead of 1.
    """
    if not m - 1 < x < m + 1:
        return type(x)(0)
    if m >= x:
        return type(x)(1)
    return type(x)(-1)


def nearest(m, t, ties):
    """Return the pixel nearest to m + t, 0 <= t <= 1. At t = 1/2 two pixels are equally near, and ties chooses one.

    UP takes the upper pixel, as Eq. (4) does: floor(x + 1/2). EVEN takes the even one, as PyTorch does. Ties occur on
    regular grids, for example in an image shrunk to half its size; rounding to even favours neither side.
    """
    if t > 0.5 or (t == 0.5 and (ties == UP or m & 1)):
        return m + 1
    return m


def anchor(x, size, padding, margin):
    """Return (x', slope): a coordinate near the image that gives the same sample as x, and dx'/dx.

    It is for kernels whose taps are padded one by one. zeros and border: x' is x clamped to
    [-margin - 1, size + margin]. Beyond these limits all taps, up to `margin` pixels from x, are outside the image on
    the same side. reflect and mirror: x' is the exact remainder by the period of the extended image; +-inf is the edge
    on that side. slope is 0 where x was clamped, else 1. NaN is returned as NaN.
    """
    one, flat = type(x)(1), type(x)(0)
    if x != x:
        return x, one
    if padding == ZEROS or padding == BORDER:
        low, high = type(x)(-margin - 1), type(x)(size + margin)
        if x < low:
            return low, flat
        if x > high:
            return high, flat
        return x, one
    if abs(x) == math.inf:
        return (type(x)(size - 1) if x > 0 else flat), flat
    period = 2 * size if padding == REFLECT else 2 * (size - 1)
    if period == 0:
        return flat, flat
    r = remainder(abs(x), type(x)(period))
    return (r if x >= 0 else -r), one


def tap(m, size, padding):
    """Return the index of the pixel at place m of the extended image, -1 for the zeros outside."""
    if 0 <= m < size:
        return m
    if padding == ZEROS:
        return -1
    if padding == BORDER or size == 1:
        return 0 if m < 0 else size - 1
    if padding == REFLECT:
        m %= 2 * size
        return m if m < size else 2 * size - 1 - m
    m %= 2 * (size - 1)
    return m if m < size else 2 * (size - 1) - m


def cubic(d, a):
    """Return Keys' cubic kernel at distance d, 0 for |d| >= 2; PyTorch and OpenCV use a = -0.75.

        |d| <= 1:  (a + 2) |d|^3 - (a + 3) d^2 + 1  =  (1 - |d|) (1 + |d| - (a + 2) d^2)
        |d| <= 2:  a |d|^3 - 5 a d^2 + 8 a |d| - 4 a  =  a (|d| - 1) (|d| - 2)^2

    The products are exactly 0 at the pixels, for any a. a = -0.5 (Catmull-Rom) reproduces parabolas. Source: Keys 1981.
    """
    d = abs(d)
    return cubic_inner(d, a) if d <= 1 else cubic_outer(d, a) if d < 2 else 0.0


def cubic_inner(d, a):
    """Return Keys' kernel for 0 <= d <= 1."""
    return (1 - d) * (1 + d - (a + 2) * d * d)


def cubic_outer(d, a):
    """Return Keys' kernel for 1 <= d <= 2."""
    return a * (d - 1) * (d - 2) * (d - 2)


def cubic_slope(d, a):
    """Return the derivative of Keys' kernel, which is continuous: bicubic sampling has no kinks."""
    sign = 1.0 if d > 0 else -1.0
    d = abs(d)
    return sign * (cubic_inner_slope(d, a) if d <= 1 else cubic_outer_slope(d, a) if d < 2 else 0.0)


def cubic_inner_slope(d, a):
    """Return the derivative of cubic_inner."""
    return d * (3 * (a + 2) * d - 2 * (a + 3))


def cubic_outer_slope(d, a):
    """Return the derivative of cubic_outer."""
    return a * (d - 2) * (3 * d - 4)


def cubic_inner_curvature(d, a):
    """Return the derivative of cubic_inner_slope. Keys' second derivative jumps at whole distances."""
    return 6 * (a + 2) * d - 2 * (a + 3)


def cubic_outer_curvature(d, a):
    """Return the derivative of cubic_outer_slope."""
    return a * (6 * d - 10)


def width(phi, size, kernel):
    """Return (w, dw/dphi): phi clamped between the least width and the size of the image, in pixels.

    A tent narrower than 1 would leave gaps between the pixels. Its least width is therefore 1, the hat of Eq. (5), with
    the right derivative there. At the size of the image all pixels have nearly equal weights, so w grows no further.
    """
    least = 1.0 if kernel == TENT else SMALLEST_SIGMA
    if phi < least:
        return least, 0.0
    if phi >= size:
        return max(float(size), least), 0.0
    return float(phi), 1.0


def reach(w, kernel):
    """Return the largest distance from x, in pixels, at which a kernel of width w has weight."""
    return w if kernel == TENT else max(1.0, GAUSSIAN_REACH * w)


def tent(d, w):
    """Return (k, dk/dd, dk/dw) of the tent k = 1 - |d| / w for |d| <= w; at its kinks the right derivatives."""
    slope = 0.0 if d >= w else -1 / w if d >= 0 else 1 / w
    return 1 - abs(d) / w, slope, abs(d) / (w * w)


def gaussian(d, sigma):
    """Return (k, dk/dd, dk/dsigma) of the Gaussian k = exp(-d^2 / (2 sigma^2))."""
    z = d / sigma
    k = math.exp(-z * z / 2)
    return k, -z / sigma * k, z * z / sigma * k


def affine(D, x, y):
    """Return d = D (x, y, 1), two rows of D: the displacement T(x, y) - (x, y) where D = T - identity."""
    return D[0][0] * x + D[0][1] * y + D[0][2], D[1][0] * x + D[1][1] * y + D[1][2]


def projective(D, x, y):
    """Return (d_x, d_y, w) of a homography, D = T - identity: d = (D (x, y, 1) - e (x, y)) / w, e = w - 1.

    On the horizon or behind it d is infinite and w is given as 1.
    """
    one, nowhere = type(x)(1), type(x)(math.inf)
    e = D[2][0] * x + D[2][1] * y
    unseen = e + one <= type(x)(HORIZON)
    w = one if unseen else e + one
    X, Y = affine(D, x, y)
    return (nowhere if unseen else (X - e * x) / w), (nowhere if unseen else (Y - e * y) / w), w


def projective_backward(D, x, y, gd_x, gd_y):
    """Return (gX, gY, gw), the gradients of numerators and denominator; a point at infinity has none."""
    d_x, d_y, w = projective(D, x, y)
    lost = (abs(d_x) == math.inf or abs(d_y) == math.inf) and d_x == d_x and d_y == d_y
    none = type(x)(0)
    gX, gY = none if lost else gd_x / w, none if lost else gd_y / w
    return gX, gY, none if lost else -(gX * (x + d_x) + gY * (y + d_y))


def pixel(d, start, factor, shift):
    """Return start + factor d + shift: the pixel that lies d, a normalised displacement, from the target point.

    In an image of one pixel the factor may be 0; infinity is not in that image either.
    """
    return d if factor == 0 and abs(d) == math.inf else start + factor * d + shift


def bound(function: Callable, **names) -> Callable:
    """Return a copy of a function above that uses other functions for names such as `floor`, for a backend to compile.

    Its qualified name lists them: in kept machine code two versions may not share a name (kernels/cpu/cache.py).
    """
    version = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
    version.__qualname__ += repr({name: getattr(value, "__qualname__", value) for name, value in names.items()})
    return version
