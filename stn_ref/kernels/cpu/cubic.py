"""Bicubic sampling with Keys' kernel, compiled by Numba. Reads: blocks.py, which explains why this code is fast.

V sums over four taps in x times four in y. For most points all taps are in the image: one loop without branches finds
these taps. The taps of the few other points depend on the padding, and a second loop finds them one by one.
"""

import math

import numpy as np

from stn_ref.kernels import scalar_math
from stn_ref.kernels.cpu.blocks import BLOCK, finish_slopes, floor, to_pixel
from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.restrict import load, load_scratch, store, store_scratch
from stn_ref.kernels.scalar_math import ZEROS, bound

OUTSIDE = -1

Y = 4 * BLOCK  # a window is eight rows of BLOCK: four taps in x, and from row Y four in y

_compile = njit(error_model="numpy")
anchor, tap = _compile(scalar_math.anchor), _compile(scalar_math.tap)
inner, outer = _compile(scalar_math.cubic_inner), _compile(scalar_math.cubic_outer)
inner_slope, outer_slope = _compile(scalar_math.cubic_inner_slope), _compile(scalar_math.cubic_outer_slope)


@njit(error_model="numpy")
def anchor_block(points, count, H, W, unit, padding, xy, slopes):
    """Fill xy and slopes, two rows of BLOCK each: coordinates in pixels, moved near the image, and their slopes."""
    for axis in range(2):
        size, row = W if axis == 0 else H, axis * BLOCK
        number, before, scale, after = type(points[0]), unit[0], unit[1 + 2 * axis], unit[2 + 2 * axis]
        low, high = number(-3 if size > 4 else 0), number(size + 2 if size > 4 else 0)
        for j in range(count):  # between low and high every padding leaves x as it is
            x = to_pixel(load(points, 2 * j + axis), before, scale, after)
            store_scratch(xy, row + j, x)
            store_scratch(slopes, row + j, number(1) if low < x < high else number(0))
        for j in range(count):
            if slopes[row + j] == 0:
                x = to_pixel(points[2 * j + axis], before, scale, after)
                xy[row + j], slopes[row + j] = anchor(x, size, padding, 2)


def _fill_window(xy, count, sign, a, k):
    """Fill k, a window, with the weights that inner and outer give, or with their slopes.

    The computation is in float64, as in every backend, because weights nearly cancel with a large `a`. sign multiplies
    the taps to the right of the point, where the distance falls as x grows: 1 for weights, which are even, and -1 for
    slopes, which are odd.
    """
    for row in range(2):
        for j in range(count):
            x = np.float64(load_scratch(xy, row * BLOCK + j))
            t = x - np.floor(x)
            store_scratch(k, row * Y + j, type(xy[0])(outer(1 + t, a)))
            store_scratch(k, row * Y + BLOCK + j, type(xy[0])(inner(t, a)))
            store_scratch(k, row * Y + 2 * BLOCK + j, type(xy[0])(sign * inner(1 - t, a)))
            store_scratch(k, row * Y + 3 * BLOCK + j, type(xy[0])(sign * outer(2 - t, a)))


find_weights = _compile(bound(_fill_window, inner=inner, outer=outer))  # a function as an argument cannot be kept
find_slopes = _compile(bound(_fill_window, inner=inner_slope, outer=outer_slope))


@njit(error_model="numpy")
def find_places(xy, count, H, W, zero, padding, places):
    """Fill places, a window: m in x, n * W in y, or OUTSIDE."""
    kind = type(zero)
    for axis in range(2):
        size, step = (kind(W), kind(1)) if axis == 0 else (kind(H), kind(W))
        for j in range(count):  # as for the padding zeros
            x = load_scratch(xy, axis * BLOCK + j)
            m = kind(floor(x if x == x else type(x)(-3)) - 1)
            for i in range(4):
                inside = zero <= kind(m + i) < size
                store_scratch(places, axis * Y + i * BLOCK + j, kind(kind(m + i) * step) if inside else kind(OUTSIDE))
        if padding != ZEROS:
            for j in range(count):
                x = xy[axis * BLOCK + j]
                if x == x and not 1 <= x < size - 2:
                    for i in range(4):
                        places[axis * Y + i * BLOCK + j] = tap(math.floor(x) + i - 1, size, padding) * step


@njit(error_model="numpy")
def pixel(plane, places, i, r, j):
    """Return the pixel at tap i in x and r in y of point j, 0 outside. Loading before selecting avoids a branch."""
    column, row = load_scratch(places, i * BLOCK + j), load_scratch(places, Y + r * BLOCK + j)
    u = load(plane, max(type(row)(row + column), type(row)(0)))
    return u if row >= 0 and column >= 0 else type(u)(0)


@njit(error_model="numpy")
def gather(u, places, k, count, v):
    """Set v to the samples of one channel, Eq. (3)."""
    for j in range(count):
        s = type(u[0])(0)
        for r in range(4):
            for i in range(4):
                w = load_scratch(k, i * BLOCK + j) * load_scratch(k, Y + r * BLOCK + j)
                s += pixel(u, places, i, r, j) * w
        store(v, j, s)


@njit(error_model="numpy")
def add_slopes(u, gv, places, k, dk, count, gx, gy):
    """Add gv dV/dx to gx and gv dV/dy to gy."""
    for j in range(count):
        sx = sy = type(u[0])(0)
        for r in range(4):
            for i in range(4):
                value = pixel(u, places, i, r, j)
                sx += value * (load_scratch(dk, i * BLOCK + j) * load_scratch(k, Y + r * BLOCK + j))
                sy += value * (load_scratch(k, i * BLOCK + j) * load_scratch(dk, Y + r * BLOCK + j))
        g = load(gv, j)
        store_scratch(gx, j, load_scratch(gx, j) + g * sx)
        store_scratch(gy, j, load_scratch(gy, j) + g * sy)


@njit(error_model="numpy")
def scatter(gv, places, k, count, gu):
    """Add gv times the sixteen weights to gu, in the order of the points."""
    for j in range(count):
        for r in range(4):
            row = np.intp(places[Y + r * BLOCK + j])
            if row >= 0:
                for i in range(4):
                    column = np.intp(places[i * BLOCK + j])
                    if column >= 0:
                        gu[row + column] += gv[j] * (k[i * BLOCK + j] * k[Y + r * BLOCK + j])


@njit(nogil=True, error_model="numpy")
def forward_blocks(U, points, V, H, W, unit, zero, padding, a, first, last):
    """Fill V (N, C, P) by Eq. (3) for blocks first to last - 1 of the whole batch; U (N, C, HW), points (N, 2P)."""
    _, C, P = V.shape
    blocks = (P + BLOCK - 1) // BLOCK
    xy, slopes = np.empty(2 * BLOCK, V.dtype), np.empty(2 * BLOCK, V.dtype)
    places, k = np.full(2 * Y, zero), np.empty(2 * Y, V.dtype)
    for block in range(first, last):
        b, p = block // blocks, block % blocks * BLOCK
        count = min(BLOCK, P - p)
        anchor_block(points[b, 2 * p :], count, H, W, unit, padding, xy, slopes)
        find_weights(xy, count, 1, a, k)
        find_places(xy, count, H, W, zero, padding, places)
        for c in range(C):
            gather(U[b, c], places, k, count, V[b, c, p:])


@njit(nogil=True, error_model="numpy")
def backward_images(U, points, gV, gU, gpoints, H, W, unit, zero, padding, a, first, last):
    """Add Eq. (6) to gU (N, C, HW) and set gpoints (N, 2P) by Eq. (7), for images first to last - 1.

    An empty gU or gpoints is not computed.
    """
    _, C, P = gV.shape
    needs_U, needs_points = gU.shape[2] > 0, gpoints.shape[1] > 0
    xy, slopes = np.empty(2 * BLOCK, gV.dtype), np.empty(2 * BLOCK, gV.dtype)
    places, k, dk = np.full(2 * Y, zero), np.empty(2 * Y, gV.dtype), np.empty(2 * Y, gV.dtype)
    gx, gy = np.empty(BLOCK, gV.dtype), np.empty(BLOCK, gV.dtype)
    for b in range(first, last):
        for p in range(0, P, BLOCK):
            count = min(BLOCK, P - p)
            anchor_block(points[b, 2 * p :], count, H, W, unit, padding, xy, slopes)
            find_weights(xy, count, 1, a, k)
            find_slopes(xy, count, -1, a, dk)
            find_places(xy, count, H, W, zero, padding, places)
            gx[:] = 0
            gy[:] = 0
            for c in range(C):
                if needs_U:
                    scatter(gV[b, c, p:], places, k, count, gU[b, c])
                if needs_points:
                    add_slopes(U[b, c], gV[b, c, p:], places, k, dk, count, gx, gy)
            if needs_points:
                nan = k[:BLOCK] + k[Y : Y + BLOCK]  # NaN if either coordinate is
                finish_slopes(gx, gy, slopes, unit, nan, count, gpoints[b, 2 * p :])
