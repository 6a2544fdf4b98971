"""The samplers in NumPy: whole arrays of taps along each axis, gathered and scattered by fancy indexing.

The maths is that of scalar_math.py. A point (x_s, y_s) has a few taps in x and a few in y, and V is the sum over their
products. The loops below run over taps; each step of a loop processes all points at once.
"""

from typing import NamedTuple

import numpy as np

from stn_ref.kernels import PIXELS
from stn_ref.kernels.scalar_math import GAUSSIAN_REACH, SMALLEST_SIGMA


class Axis(NamedTuple):
    """One coordinate of all points. A tap is (m, weights), two arrays over the points; m is -1 outside the image.

    Attributes:
        k: taps with the weights k(x - m).
        dk: taps with the slopes k'(x - m).
        dphi: taps with dk/dphi, for kernels with a width.
        slope: of the padding, dx'/dx; where it is 0 the gradient is 0 for any pixels.
        phi_slope: of the width in use, dw/dphi.
    """

    k: list
    dk: list
    dphi: list
    slope: np.ndarray
    phi_slope: np.ndarray | None


def fold(x, size, padding):
    """Return (x', dx'/dx) of every coordinate, as scalar_math.fold does for one."""
    slope = np.ones_like(x)
    if padding == "zeros":
        return x, slope
    last = x.dtype.type(size - 1)
    outside = np.isfinite(x) & ~((x >= 0) & (x <= last))
    if padding == "reflect":
        r, period, half = np.fmod(x, x.dtype.type(2 * size)), x.dtype.type(2 * size), x.dtype.type(0.5)
        pieces = [r >= period - half, r >= size - half, r >= -half, r >= -size - half]
        folded = np.select(pieces, [r - period, period - 1 - r, r, -1 - r], r + period)
        x = np.where(outside, folded, x)
        slope = np.where(outside, np.select(pieces, [1, -1, 1, -1], 1), 1).astype(x.dtype)
    if padding == "mirror" and size > 1:
        r = np.fmod(x, x.dtype.type(2 * (size - 1)))
        turned = np.abs(r) > last
        x_folded = np.where(turned, 2 * last - np.abs(r), np.abs(r))
        slope = np.where(outside, np.where((r > 0) != turned, 1, -1), 1).astype(x.dtype)
        x = np.where(outside, x_folded, x)
    slope[(x <= 0) | (x >= last)] = 0
    return np.clip(x, 0, last), slope


def cell(x, size):
    """Return (m, t) of every coordinate, as scalar_math.cell does for one."""
    x = np.clip(x, -2, size + 1)  # keeps NaN
    m = np.floor(x)
    return np.where(np.isnan(m), -2, m).astype(np.intp), x - m


def anchor(x, size, padding, margin):
    """Return (place, t, slope): the floor and fraction (float64) of scalar_math.anchor, and its slope."""
    slope = np.ones_like(x)
    if padding in ("zeros", "border"):
        low, high = -margin - 1, size + margin
        slope[(x < low) | (x > high)] = 0
        x = np.clip(x, low, high)
    else:
        period = 2 * size if padding == "reflect" else 2 * (size - 1)
        remainder = np.fmod(x, x.dtype.type(period)) if period else np.zeros_like(x)
        slope[np.isinf(x)] = 0
        if not period:
            slope[:] = 0
        x = np.where(np.isinf(x), np.where(x > 0, size - 1, 0).astype(x.dtype), remainder)
    place = np.where(np.isnan(x), 0, np.floor(x))
    return place.astype(np.intp), x.astype(np.float64) - place, slope


def tap(m, size, padding):
    """Return the pixel at each place m of the extended image, -1 for the zeros outside."""
    if padding == "zeros":
        return inside(m, size)
    if padding == "border" or size == 1:
        return np.clip(m, 0, size - 1)
    period = 2 * size if padding == "reflect" else 2 * (size - 1)
    m = m % period
    return np.where(m < size, m, (period - 1 if padding == "reflect" else period) - m)


def inside(m, size):
    """Return m, or -1 where m is outside the image."""
    return np.where((m >= 0) & (m < size), m, -1)


def nearest_axis(x, size, padding, ties):
    """Return the Axis of Eq. (4); of two pixels at equal distances, the one that ties chooses."""
    m, t = cell(fold(x, size, padding)[0], size)
    up = (t > 0.5) | ((t == 0.5) & ((m % 2 == 1) | (ties == "up")))
    return Axis([(inside(m + up, size), np.ones_like(x))], [], [], np.zeros_like(x), None)


def bilinear_axis(x, size, padding, kink):
    """Return the Axis of Eqs. (5) and (7)."""
    x, slope = fold(x, size, padding)
    m, t = cell(x, size)
    one, left, right = np.ones_like(t), inside(m, size), inside(m + 1, size)
    k, dk = [(left, 1 - t), (right, t)], [(left, -one), (right, one)]
    if kink != "right":
        on = t == 0
        before = np.where(on, inside(m - 1, size), left), np.where(on, left, right)
        if kink == "left":
            dk = [(before[0], -one), (before[1], one)]
        elif kink == "central":
            dk = [(left, -one / 2), (right, one / 2), (before[0], -one / 2), (before[1], one / 2)]
        else:  # as_printed: U[x] itself, and no other tap
            dk = [(left, np.where(on, one, -one)), (np.where(on, -1, right), one)]
    return Axis(k, dk, [], slope, None)


def cubic_axis(x, size, padding, a):
    """Return the Axis of Keys' kernel, see scalar_math.cubic: two outer and two inner taps."""
    place, t, slope = anchor(x, size, padding, 2)
    k, dk = [], []
    for i in (-1, 0, 1, 2):
        m, d, sign = tap(place + i, size, padding), np.abs(t - i), np.where(t > i, 1.0, -1.0)
        if i in (0, 1):
            ki, di = (1 - d) * (1 + d - (a + 2) * d * d), d * (3 * (a + 2) * d - 2 * (a + 3))
        else:
            ki, di = a * (d - 1) * (d - 2) * (d - 2), a * (d - 2) * (3 * d - 4)
        k.append((m, ki.astype(x.dtype)))
        dk.append((m, (sign * di).astype(x.dtype)))
    return Axis(k, dk, [], slope, None)


def wide_axis(x, size, padding, phi, kernel):
    """Return the Axis of a kernel of width phi, its weights divided by their sum, see literal.wide_axis."""
    least = 1.0 if kernel == "tent" else SMALLEST_SIGMA
    phi_slope = ((phi >= least) & (phi < size)).astype(x.dtype)
    w = np.where(np.isnan(phi), least, np.clip(phi.astype(np.float64), least, max(size, least)))
    r = w if kernel == "tent" else np.maximum(1.0, GAUSSIAN_REACH * w)
    place, t, slope = anchor(x, size, padding, np.ceil(r).astype(x.dtype))
    broken = np.isnan(t) | np.isnan(phi)
    t = np.where(broken, 0, t)
    first, last = np.ceil(t - r).astype(np.intp), np.floor(t + r).astype(np.intp)
    taps = []
    for i in range(first.min(initial=0), last.max(initial=0) + 1):
        d = t - i
        if kernel == "tent":
            values = 1 - np.abs(d) / w, np.where(d >= w, 0, np.where(d >= 0, -1, 1) / w), np.abs(d) / (w * w)
        else:
            z = d / w
            k = np.exp(-z * z / 2)
            values = k, -z / w * k, z * z / w * k
        seen = (i >= first) & (i <= last) & ~broken
        taps.append((np.where(seen, tap(place + i, size, padding), -1), np.where(seen, values, 0)))
    K, dK, dKdphi = sum((values for _, values in taps), np.zeros((3, *x.shape)))
    K[broken] = 1
    k = [(m, (ki / K).astype(x.dtype)) for m, (ki, _, _) in taps]
    dk = [(m, ((di - ki / K * dK) / K).astype(x.dtype)) for m, (ki, di, _) in taps]
    dphi = [(m, ((pi - ki / K * dKdphi) / K).astype(x.dtype)) for m, (ki, _, pi) in taps]
    return Axis(k, dk, dphi, slope, phi_slope)


def gather(V, pixels, W, in_y, in_x):
    """Add to V (N, C, P) the pixels (N, C, HW) times their weights, summed over taps in y and in x; return V."""
    for n, ky in in_y:
        for m, kx in in_x:
            both = (n >= 0) & (m >= 0)
            values = np.take_along_axis(pixels, np.where(both, n * W + m, 0)[:, None], 2)
            V += np.where(both[:, None], values * (kx * ky)[:, None], 0)
    return V


def scatter(gU, g, W, in_y, in_x, broken):
    """Add g (N, C, P) times the weights to gU (N, C, HW), the transpose of `gather`, except for broken points."""
    channels = np.arange(g.shape[1])[:, None]
    for n, ky in in_y:
        for m, kx in in_x:
            b, p = np.nonzero((n >= 0) & (m >= 0) & ~broken)
            index = (n * W + m)[b, p]
            np.add.at(gU, (b, channels, index), g[b, channels, p] * (kx * ky)[b, p])  # Eq. (6)
    return gU


def _forward(U, points, phi, unit, axis):
    """Return V, Eq. (3). axis: (coordinates, size[, phi]) -> Axis; phi: (N, Ho, Wo, 2), or None."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    pixels, at = U.reshape(N, C, H * W), columns_of(points, phi, unit)
    x, y = axis(at[0], W, *at[2:3]), axis(at[1], H, *at[3:4])
    V = gather(np.zeros((N, C, Ho * Wo), U.dtype), pixels, W, y.k, x.k)
    V.transpose(0, 2, 1)[np.isnan(at).any(0)] = np.nan
    return V.reshape(N, C, Ho, Wo)


def _backward(U, points, phi, gV, unit, axis, needs):
    """Return (gU, gpoints, gphi): Eqs. (6) and (7), and the same for phi, times gV and summed; None if not needed."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    pixels, g, at = U.reshape(N, C, H * W), gV.reshape(N, C, Ho * Wo), columns_of(points, phi, unit)
    x, y = axis(at[0], W, *at[2:3]), axis(at[1], H, *at[3:4])
    broken = np.isnan(at).any(0)

    def slope(in_y, in_x, factor):
        dV = gather(np.zeros(g.shape, U.dtype), pixels, W, in_y, in_x)
        total = np.where(factor == 0, 0, factor * (g * dV).sum(1))
        return np.where(broken, np.nan, total).astype(U.dtype).reshape(N, Ho, Wo)

    gU = gpoints = gphi = None
    if needs[0]:
        gU = scatter(np.zeros((N, C, H * W), U.dtype), g, W, y.k, x.k, broken).reshape(U.shape)
    if needs[1]:
        gpoints = np.stack([slope(y.k, x.dk, x.slope), slope(y.dk, x.k, y.slope)], axis=-1)  # Eq. (7)
        gpoints *= unit[[1, 3]]  # the chain factor, 1 if points are in pixels
    if phi is not None and needs[2]:
        gphi = np.stack([slope(y.k, x.dphi, x.phi_slope), slope(y.dphi, x.k, y.phi_slope)], axis=-1)
    return gU, gpoints, gphi


def columns_of(points, phi, unit):
    """Return x_s and y_s in pixels and, unless phi is None, phi in x and y: (2 or 4, N, P)."""
    before, scale, after = unit[0], unit[[1, 3]], unit[[2, 4]]
    points = np.where(np.isinf(points), points, (points + before) * scale + after)  # scalar_math.to_pixel
    both = points if phi is None else np.concatenate([points, phi], axis=-1)
    N, Ho, Wo, columns = both.shape
    return np.moveaxis(both.reshape(N, Ho * Wo, columns), -1, 0)


def axis_of(mode, padding, kink, a, ties):
    """Return the function (coordinates, size) -> Axis for these options."""
    if mode == "nearest":
        return lambda x, size: nearest_axis(x, size, padding, ties)
    if mode == "bilinear":
        return lambda x, size: bilinear_axis(x, size, padding, kink)
    return lambda x, size: cubic_axis(x, size, padding, a)


def _wide_axis_of(kernel, padding):
    return lambda x, size, phi: wide_axis(x, size, padding, phi, kernel)


@np.errstate(all="ignore")  # infinite pixels: inf * 0 is NaN, as required
def sample_forward(U, points, mode="bilinear", padding="zeros", a=-0.75, unit=None, ties="even"):
    """Return V (N, C, Ho, Wo), Eq. (3), for U (N, C, H, W) and points (N, Ho, Wo, 2)."""
    unit = PIXELS[U.dtype] if unit is None else unit
    return _forward(U, points, None, unit, axis_of(mode, padding, "right", a, ties))


@np.errstate(all="ignore")
def sample_backward(
    U, points, gV, mode="bilinear", padding="zeros", kink="right", a=-0.75, needs=(True, True), unit=None, ties="even"
):
    """Return (gU, gpoints), Eqs. (6) and (7) times gV and summed; None for a gradient that `needs` excludes."""
    unit = PIXELS[U.dtype] if unit is None else unit
    return _backward(U, points, None, gV, unit, axis_of(mode, padding, kink, a, ties), needs)[:2]


@np.errstate(all="ignore")
def wide_forward(U, points, phi, kernel, padding="zeros"):
    """Return V by Eq. (3) with the kernel "tent" or "gaussian"; phi (N, Ho, Wo, 2): widths in x and y, pixels."""
    return _forward(U, points, phi, PIXELS[U.dtype], _wide_axis_of(kernel, padding))


@np.errstate(all="ignore")
def wide_backward(U, points, phi, gV, kernel, padding="zeros", needs=(True, True, True)):
    """Return (gU, gpoints, gphi); None for a gradient that `needs` excludes."""
    return _backward(U, points, phi, gV, PIXELS[U.dtype], _wide_axis_of(kernel, padding), needs)
