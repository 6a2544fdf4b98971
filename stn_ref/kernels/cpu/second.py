"""Second order compiled by Numba: the tangent of V, and the gradient of the gradients, see literal_second.py.

The code visits one point after another, as windows.py does. No other file of cpu/ imports this one: it is compiled at
the first call of one of its functions.
"""

import math

import numpy as np

from stn_ref.kernels import PIXELS, scalar_math
from stn_ref.kernels.cpu.blocks import flat, flat_points, fold, place_zero, to_pixel
from stn_ref.kernels.cpu.cubic import inner, inner_slope, outer, outer_slope
from stn_ref.kernels.cpu.jit import njit, quiet
from stn_ref.kernels.cpu.nearest import by_ties
from stn_ref.kernels.cpu.threads import parallel_ranges, worth_a_thread
from stn_ref.kernels.cpu.windows import anchor, cell, kink_window, tap
from stn_ref.kernels.scalar_math import BICUBIC, CENTRAL, KERNELS, KINKS, LEFT, NEAREST, PADDINGS, TIES, bound

MOST = 8  # taps of one list: two cells of a cubic, at a kink
K, DK, MOVED, BENT = range(4)  # the lists of a coordinate: k, k', k' dx, k'' dx
PAIRS = (  # (list in y, list in x) of each sum
    *((K, K), (K, MOVED), (MOVED, K)),  # dV: over h, u, u; the last two also scatter gV into gU2
    *((K, DK), (K, BENT), (MOVED, DK)),  # gpoints2 in x: over h, u, u
    *((DK, K), (BENT, K), (DK, MOVED)),  # gpoints2 in y
)
COSTS = {"nearest": 20, "bilinear": 30, "bicubic": 200}  # ns per point and channel of the tangent, about

_compile = njit(error_model="numpy")
cubic = _compile(bound(scalar_math.cubic, cubic_inner=inner, cubic_outer=outer))
cubic_slope = _compile(bound(scalar_math.cubic_slope, cubic_inner_slope=inner_slope, cubic_outer_slope=outer_slope))
inner_curvature = _compile(scalar_math.cubic_inner_curvature)
outer_curvature = _compile(scalar_math.cubic_outer_curvature)


@njit(error_model="numpy")
def add(row, m, weight, taps, weights, counts):
    """Append pixel m and its weight to a list, if the pixel is in the image; m is -1 if not."""
    if m >= 0:
        taps[row, counts[row]] = m
        weights[row, counts[row]] = weight
        counts[row] += 1


@njit(error_model="numpy")
def add_curvatures(place, t, size, padding, kink, a, dx, taps, weights, counts):
    """Append Keys' k'' dx; at a pixel `kink` names the cell."""
    for back in range(2):
        if t != 0:
            share = 0.0 if back else 1.0
        else:
            share = 0.5 if kink == CENTRAL else 1.0 if back == (kink == LEFT) else 0.0
        if share != 0:
            for i in range(-1, 3):
                d = abs(t + back - i)
                curvature = inner_curvature(d, a) if 0 <= i <= 1 else outer_curvature(d, a)
                m = tap(place - back + i, size, padding)
                add(BENT, m, type(dx)(share * curvature) * dx, taps, weights, counts)


@njit(error_model="numpy")
def lists(x, h, scale, size, options, taps, weights, counts):
    """Fill the four lists of one coordinate and return the slope of the padding.

    Args:
        x: the coordinate, pixels, not NaN.
        h: how far it moves, in the unit of the points.
        scale: pixels per unit.
        size: H or W.
        options: (mode, padding, kink, a, ties), numbers of scalar_math.py.
        taps: (4, MOST) filled with pixels; a row for each list.
        weights: (4, MOST) filled.
        counts: (4,) filled with the lengths of the lists.
    """
    mode, padding, kink, a, ties = options
    counts[:] = 0
    if mode == BICUBIC:
        x, slope = anchor(x, size, padding, 2)
        place = math.floor(x)
        t = float(x) - place
        dx = slope * (h * scale) if slope != 0 else slope
        for i in range(-1, 3):
            m = tap(place + i, size, padding)
            add(K, m, cubic(t - i, a), taps, weights, counts)
            add(DK, m, cubic_slope(t - i, a), taps, weights, counts)
        if dx != 0:
            add_curvatures(place, t, size, padding, kink, a, dx, taps, weights, counts)
    else:
        folded, slope = fold(x, size, padding)
        m, t = cell(folded, size)
        if mode == NEAREST:
            m = by_ties(m, t, ties)
            add(K, m if m < size else -1, type(x)(1), taps, weights, counts)
            return type(x)(0)
        add(K, m if m < size else -1, type(x)(1) - t, taps, weights, counts)
        add(K, m + 1 if m + 1 < size else -1, t, taps, weights, counts)
        dx = slope * (h * scale) if slope != 0 else slope
        counts[DK] = kink_window(x, size, padding, kink, taps[DK], weights)
    if dx != 0:
        for i in range(counts[DK]):
            add(MOVED, taps[DK, i], weights[DK, i] * dx, taps, weights, counts)
    return slope


@njit(error_model="numpy")
def products(points, moves, b, p, H, W, unit, options, count, scratch, places, weights, lengths):
    """Fill the first `count` lists of PAIRS for point p of image b: places n * W + m, and weights in y times in x.

    Returns:
        (slope_x, slope_y) of the padding; NaN if a coordinate is NaN, and then the lists are empty.
    """
    lengths[:] = 0
    x = to_pixel(points[b, 2 * p], unit[0], unit[1], unit[2])
    y = to_pixel(points[b, 2 * p + 1], unit[0], unit[3], unit[4])
    if x != x or y != y:
        return x + y, x + y
    (tx, wx, nx), (ty, wy, ny) = scratch
    slope_x = lists(x, moves[b, 2 * p], unit[1], W, options, tx, wx, nx)
    slope_y = lists(y, moves[b, 2 * p + 1], unit[3], H, options, ty, wy, ny)
    for r in range(count):
        in_y, in_x = PAIRS[r]
        for j in range(ny[in_y]):
            for i in range(nx[in_x]):
                places[r, lengths[r]] = ty[in_y, j] * W + tx[in_x, i]
                weights[r, lengths[r]] = wx[in_x, i] * wy[in_y, j]
                lengths[r] += 1
    return slope_x, slope_y


@njit(error_model="numpy")
def room(one):
    """Return (scratch, places, weights, lengths) for `products`; one: 1 in the dtype of the computation."""
    kind = type(one)
    scratch = (
        (np.empty((4, MOST), np.intp), np.full((4, MOST), kind(0)), np.empty(4, np.intp)),
        (np.empty((4, MOST), np.intp), np.full((4, MOST), kind(0)), np.empty(4, np.intp)),
    )
    pairs, most = len(PAIRS), 4 * MOST
    return scratch, np.empty((pairs, most), np.intp), np.full((pairs, most), kind(0)), np.empty(pairs, np.intp)


@njit(error_model="numpy")
def add_total(sums, u, r, places, weights, lengths):
    """Add to sums (C,) the pixels u (HW, C) times their weights, over the list of pair r."""
    for k in range(lengths[r]):
        i, w = places[r, k], weights[r, k]
        for c in range(sums.size):
            sums[c] += u[i, c] * w


@njit(error_model="numpy")
def scatter(gu, g, r, places, weights, lengths):
    """Add g (C,) times the weights of pair r to gu (HW, C)."""
    for k in range(lengths[r]):
        i, w = places[r, k], weights[r, k]
        for c in range(g.size):
            gu[i, c] += g[c] * w


@njit(nogil=True, error_model="numpy")
def jvp_points(U, points, dU, dpoints, dV, H, W, unit, options, first, last):
    """Fill dV (N, P, C) for points first to last - 1 of the whole batch; U, dU (N, HW, C), points, dpoints (N, 2P)."""
    P = dV.shape[1]
    scratch, places, weights, lengths = room(U.dtype.type(1))
    for q in range(first, last):
        b, p = q // P, q % P
        mark, _ = products(points, dpoints, b, p, H, W, unit, options, 3, scratch, places, weights, lengths)
        sums = dV[b, p]
        sums[:] = 0 if mark == mark else mark
        for r in range(3):
            add_total(sums, dU[b] if r == 0 else U[b], r, places, weights, lengths)


@njit(nogil=True, error_model="numpy")
def double_backward_images(U, points, gV, hU, hpoints, gV2, gU2, gpoints2, H, W, unit, options, first, last):
    """Add to gU2 (N, HW, C) and set gV2 (N, P, C) and gpoints2 (N, 2P), for images first to last - 1."""
    _, P, C = gV.shape
    scratch, places, weights, lengths = room(U.dtype.type(1))
    sums = np.empty((3, C), U.dtype)  # dV, dV/dx and dV/dy of the tangent
    for b in range(first, last):
        u, h, gu = U[b], hU[b], gU2[b]
        for p in range(P):
            slopes = products(points, hpoints, b, p, H, W, unit, options, 9, scratch, places, weights, lengths)
            g = gV[b, p]
            sums[:] = 0
            for r in range(9):
                add_total(sums[r // 3], h if r % 3 == 0 else u, r, places, weights, lengths)
            for r in (1, 2):
                scatter(gu, g, r, places, weights, lengths)
            nowhere = slopes[0] != slopes[0]
            for c in range(C):
                gV2[b, p, c] = slopes[0] if nowhere else sums[0, c]
            for axis in range(2):
                total = U.dtype.type(0)
                for c in range(C):
                    total += g[c] * sums[1 + axis, c]
                moved = total * slopes[axis] * unit[1 + 2 * axis] if slopes[axis] != 0 else type(total)(0)
                gpoints2[b, 2 * p + axis] = slopes[axis] if nowhere else moved


def pixels_first(U: np.ndarray) -> np.ndarray:
    """Return U (N, C, H, W) as a contiguous array (N, HW, C): loops over the channels of a pixel are then fast."""
    return np.ascontiguousarray(flat(U).transpose(0, 2, 1))


def channels_first(V: np.ndarray, shape: tuple) -> np.ndarray:
    """Return V (N, HW, C) as a contiguous array of `shape` (N, C, H, W)."""
    return np.ascontiguousarray(V.transpose(0, 2, 1)).reshape(shape)


def _codes(mode, padding, kink, a, ties):
    return KERNELS[mode], PADDINGS.index(padding), KINKS.index(kink), float(a), TIES.index(ties)


@quiet
def sample_jvp(U, points, dU, dpoints, mode="bilinear", padding="zeros", kink="right", a=-0.75, unit=None, ties="even"):
    """Return dV (N, C, Ho, Wo): the change of V as U moves by dU and the points move by dpoints."""
    unit = PIXELS[U.dtype] if unit is None else unit
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    place_zero(H, W)  # raises for an image that is too large
    dV = np.empty((N, Ho * Wo, C), U.dtype)
    arguments = pixels_first(U), flat_points(points), pixels_first(dU), flat_points(dpoints), dV, H, W, unit
    options, least = _codes(mode, padding, kink, a, ties), worth_a_thread(COSTS[mode] * (C + 20))
    parallel_ranges(lambda *span: jvp_points(*arguments, options, *span), N * Ho * Wo, least)
    return channels_first(dV, (N, C, Ho, Wo))


@quiet
def sample_double_backward(
    U, points, gV, hU, hpoints, mode="bilinear", padding="zeros", kink="right", a=-0.75, unit=None, ties="even"
):
    """Return (gV2, gU2, gpoints2), the gradients of <gU, hU> + <gpoints, hpoints>."""
    unit = PIXELS[U.dtype] if unit is None else unit
    H, W = U.shape[2:]
    place_zero(H, W)
    inputs = pixels_first(U), flat_points(points), pixels_first(gV), pixels_first(hU), flat_points(hpoints)
    gV2, gU2, gpoints2 = np.empty_like(inputs[2]), np.zeros_like(inputs[0]), np.empty_like(inputs[1])
    arguments = *inputs, gV2, gU2, gpoints2, H, W, unit, _codes(mode, padding, kink, a, ties)
    least = worth_a_thread(3 * COSTS[mode] * (gV.shape[1] + 20) * gV2.shape[1])
    parallel_ranges(lambda *span: double_backward_images(*arguments, *span), len(U), least)
    return channels_first(gV2, gV.shape), channels_first(gU2, U.shape), gpoints2.reshape(points.shape)
