"""Nearest-pixel sampling, Eq. (4), compiled by Numba. Reads: blocks.py, which explains why this code is fast."""

import numpy as np

from stn_ref.kernels import scalar_math
from stn_ref.kernels.cpu.blocks import BLOCK, ask_ahead, cell, fold_block
from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.restrict import load, load_scratch, store, store_scratch
from stn_ref.kernels.scalar_math import UP

OUTSIDE, NOWHERE = -1, -2  # places: not in the image, NaN


@njit(inline="always")
def nearest(x, size):
    """Return scalar_math.nearest of the cell of x with ties EVEN, by the processor's own rounding of halves to even.

    The result equals scalar_math.nearest for every x. Except between -1 and 0 the fraction t is exact, so comparing t
    with 1/2 agrees with rounding. Between -1 and 0, t may be rounded to 1/2: -1 is odd, so both give 0.
    """
    return np.int32(np.rint(min(max(x, type(x)(-2)), type(x)(size + 1)))) if x == x else np.int32(-2)


by_ties = njit(inline="always")(scalar_math.nearest)


@njit(inline="always")
def nearest_up(x, size):
    """Return scalar_math.nearest of the cell of x with ties UP."""
    m, t = cell(x, size)
    return np.int32(by_ties(m, t, UP))


@njit(error_model="numpy")
def find_pixels(xy, count, H, W, zero, up, places):
    """Fill places of `count` points: n * W + m, OUTSIDE or NOWHERE; xy: two rows of BLOCK, folded coordinates.

    up: None for ties EVEN, or UP. The code for UP is compiled only if up is not None.
    """
    kind = type(zero)
    H, W = kind(H), kind(W)
    for j in range(count):
        x, y = load_scratch(xy, j), load_scratch(xy, BLOCK + j)
        if up is None:
            m, n = kind(nearest(x, W)), kind(nearest(y, H))
        else:
            m, n = kind(nearest_up(x, W)), kind(nearest_up(y, H))
        i = kind(n * W + m) if zero <= m < W and zero <= n < H else kind(OUTSIDE)
        store_scratch(places, j, kind(NOWHERE) if x != x or y != y else i)


@njit(error_model="numpy")
def pixel(plane, i):
    """Return the pixel at place i, 0 if OUTSIDE, NaN if NOWHERE. Loading before selecting avoids a branch."""
    u = load(plane, max(i, type(i)(0)))
    outside = type(u)(0) if i == OUTSIDE else type(u)(np.nan)
    return u if i >= 0 else outside


@njit(error_model="numpy")
def gather(u, places, count, v):
    """Set v to the samples of one channel, Eq. (4)."""
    for j in range(count):
        store(v, j, pixel(u, load_scratch(places, j)))


@njit(nogil=True, error_model="numpy")
def forward_blocks(U, points, V, H, W, unit, zero, padding, up, first, last):
    """Fill V (N, C, P) by Eq. (4) for blocks first to last - 1 of the whole batch; U (N, C, HW), points (N, 2P)."""
    _, C, P = V.shape
    blocks = (P + BLOCK - 1) // BLOCK
    places = np.full(BLOCK, zero)
    xy, slopes = np.empty(2 * BLOCK, V.dtype), np.empty(2 * BLOCK, V.dtype)
    for block in range(first, last):
        b, p = block // blocks, block % blocks * BLOCK
        count = min(BLOCK, P - p)
        fold_block(points[b, 2 * p :], count, H, W, unit, padding, xy, slopes)
        find_pixels(xy, count, H, W, zero, up, places)
        for c in range(C):
            if c + 1 < C:
                ask_ahead(U[b, c + 1], places, count, 0)
            gather(U[b, c], places, count, V[b, c, p:])


@njit(nogil=True, error_model="numpy")
def backward_images(U, points, gV, gU, gpoints, H, W, unit, zero, padding, up, first, last):
    """Add the transpose of Eq. (4) to gU (N, C, HW), for images first to last - 1; set gpoints (N, 2P) to 0 or NaN."""
    _, C, P = gV.shape
    needs_U, needs_points = gU.shape[2] > 0, gpoints.shape[1] > 0
    places = np.full(BLOCK, zero)
    xy, slopes = np.empty(2 * BLOCK, gV.dtype), np.empty(2 * BLOCK, gV.dtype)
    for b in range(first, last):
        for p in range(0, P, BLOCK):
            count = min(BLOCK, P - p)
            fold_block(points[b, 2 * p :], count, H, W, unit, padding, xy, slopes)
            find_pixels(xy, count, H, W, zero, up, places)
            if needs_U:
                for c in range(C):
                    if c + 1 < C:
                        ask_ahead(gU[b, c + 1], places, count, 0)
                    gu, gv = gU[b, c], gV[b, c, p:]
                    for j in range(count):
                        if places[j] >= 0:
                            gu[np.intp(places[j])] += gv[j]
            if needs_points:
                for j in range(count):
                    gpoints[b, 2 * (p + j)] = gpoints[b, 2 * (p + j) + 1] = np.nan if places[j] == NOWHERE else 0
