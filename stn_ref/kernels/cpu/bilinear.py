"""Bilinear sampling, Eqs. (5) to (7) with right derivatives, compiled by Numba.

Reads: blocks.py, which explains why this code is fast.

The left tap and the right tap of a row are loaded together, see restrict.load_pair.
"""

import numpy as np

from stn_ref.kernels.cpu.blocks import BLOCK, ask_ahead, cell, finish_slopes, fold_block
from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.restrict import load, load_pair, load_scratch, store, store_scratch

UPPER_LEFT, UPPER_RIGHT, LOWER_LEFT, LOWER_RIGHT = 1, 2, 4, 8  # bits: the taps of a cell that are in the image
ALL = 15


@njit(error_model="numpy")
def find_cells(xy, count, H, W, zero, places, inside, t):
    """Fill places, inside and t with the cells of `count` points.

    Args:
        xy: two rows of BLOCK, the folded coordinates x and y.
        count: number of points.
        H: height of the image.
        W: width of the image.
        zero: 0 in the integer type of places, see blocks.py.
        places: filled with n * W + m of the upper left tap.
        inside: filled with the bits above.
        t: two rows of BLOCK, filled with the fractions in x and in y.
    """
    kind = type(zero)
    H, W = kind(H), kind(W)
    for j in range(count):
        m, tx = cell(load_scratch(xy, j), W)
        n, ty = cell(load_scratch(xy, BLOCK + j), H)
        m, n = kind(m), kind(n)
        if tx != tx or ty != ty:  # NaN in one coordinate becomes NaN in both; the point uses no pixel
            m = kind(-2)
            tx = tx + ty
            ty = tx
        upper, lower = zero <= n < H, zero <= kind(n + 1) < H
        row = kind((UPPER_LEFT if zero <= m < W else 0) | (UPPER_RIGHT if zero <= kind(m + 1) < W else 0))
        bits = (row if upper else zero) | (kind(row * LOWER_LEFT) if lower else zero)  # the lower row: shifted by two
        store_scratch(places, j, kind(n * W + m))
        store_scratch(inside, j, kind(bits))
        store_scratch(t, j, tx)
        store_scratch(t, BLOCK + j, ty)


@njit(error_model="numpy")
def neighbours(plane, i):
    """Return the pixels at places i and i + 1. For a place outside the plane the value is arbitrary.

    LLVM inlines this function. Numba's own inlining gives a form that LLVM does not vectorise.
    """
    last = type(i)(plane.size - 2)
    a, b = load_pair(plane, min(max(i, type(i)(0)), last))
    return (a if i <= last else b), (b if i >= 0 else a)


@njit(error_model="numpy")
def corners(plane, places, inside, j, W):
    """Return the four taps of point j in reading order, 0 outside. Loading before selecting avoids a branch."""
    i, bits = load_scratch(places, j), load_scratch(inside, j)
    a, b = neighbours(plane, i)
    c, d = neighbours(plane, type(i)(i + W))
    none = type(a)(0)
    return (
        a if bits & UPPER_LEFT else none,
        b if bits & UPPER_RIGHT else none,
        c if bits & LOWER_LEFT else none,
        d if bits & LOWER_RIGHT else none,
    )


@njit(error_model="numpy")
def gather(u, places, inside, t, count, W, v):
    """Set v to the samples of one channel, Eq. (5)."""
    for j in range(count):
        tx, ty = load_scratch(t, j), load_scratch(t, BLOCK + j)
        sx, sy = type(tx)(1) - tx, type(ty)(1) - ty
        u00, u01, u10, u11 = corners(u, places, inside, j, W)
        store(v, j, u00 * (sx * sy) + u01 * (tx * sy) + u10 * (sx * ty) + u11 * (tx * ty))


@njit(nogil=True, error_model="numpy")
def forward_blocks(U, points, V, H, W, unit, zero, padding, first, last):
    """Fill V (N, C, P) by Eq. (5) for blocks first to last - 1 of the whole batch; U (N, C, HW), points (N, 2P)."""
    _, C, P = V.shape
    blocks = (P + BLOCK - 1) // BLOCK
    places, inside, t = np.full(BLOCK, zero), np.full(BLOCK, zero), np.empty(2 * BLOCK, V.dtype)
    xy, slopes = np.empty(2 * BLOCK, V.dtype), np.empty(2 * BLOCK, V.dtype)
    for block in range(first, last):
        b, p = block // blocks, block % blocks * BLOCK
        count = min(BLOCK, P - p)
        fold_block(points[b, 2 * p :], count, H, W, unit, padding, xy, slopes)
        find_cells(xy, count, H, W, zero, places, inside, t)
        for c in range(C):
            if c + 1 < C:
                for below in (0, W):
                    ask_ahead(U[b, c + 1], places, count, below)
            gather(U[b, c], places, inside, t, count, type(zero)(W), V[b, c, p:])


@njit(error_model="numpy")
def scatter(gv, places, inside, t, count, W, gu):
    """Add gv times the four weights to gu, Eq. (6), in the order of the points."""
    for j in range(count):
        tx, ty, g = t[j], t[BLOCK + j], gv[j]
        sx, sy = type(tx)(1) - tx, type(ty)(1) - ty
        i, bits = np.intp(places[j]), inside[j]
        if bits == ALL:
            gu[i] += g * (sx * sy)
            gu[i + 1] += g * (tx * sy)
            gu[i + W] += g * (sx * ty)
            gu[i + W + 1] += g * (tx * ty)
        else:
            if bits & UPPER_LEFT:
                gu[i] += g * (sx * sy)
            if bits & UPPER_RIGHT:
                gu[i + 1] += g * (tx * sy)
            if bits & LOWER_LEFT:
                gu[i + W] += g * (sx * ty)
            if bits & LOWER_RIGHT:
                gu[i + W + 1] += g * (tx * ty)


@njit(error_model="numpy")
def add_slopes(u, gv, places, inside, t, count, W, gx, gy):
    """Add gv dV/dx to gx and gv dV/dy to gy, Eq. (7)."""
    for j in range(count):
        tx, ty, g = load_scratch(t, j), load_scratch(t, BLOCK + j), load(gv, j)
        sx, sy = type(tx)(1) - tx, type(ty)(1) - ty
        u00, u01, u10, u11 = corners(u, places, inside, j, W)
        store_scratch(gx, j, load_scratch(gx, j) + g * (-u00 * sy + u01 * sy - u10 * ty + u11 * ty))
        store_scratch(gy, j, load_scratch(gy, j) + g * (-u00 * sx - u01 * tx + u10 * sx + u11 * tx))


@njit(nogil=True, error_model="numpy")
def backward_images(U, points, gV, gU, gpoints, H, W, unit, zero, padding, first, last):
    """Add Eq. (6) to gU (N, C, HW) and set gpoints (N, 2P) by Eq. (7), for images first to last - 1.

    An empty gU or gpoints is not computed.
    """
    _, C, P = gV.shape
    needs_U, needs_points = gU.shape[2] > 0, gpoints.shape[1] > 0
    places, inside, t = np.full(BLOCK, zero), np.full(BLOCK, zero), np.empty(2 * BLOCK, gV.dtype)
    gx, gy = np.empty(BLOCK, gV.dtype), np.empty(BLOCK, gV.dtype)
    xy, slopes = np.empty(2 * BLOCK, gV.dtype), np.ones(2 * BLOCK, gV.dtype)
    for b in range(first, last):
        for p in range(0, P, BLOCK):
            count = min(BLOCK, P - p)
            fold_block(points[b, 2 * p :], count, H, W, unit, padding, xy, slopes)
            find_cells(xy, count, H, W, zero, places, inside, t)
            gx[:] = 0
            gy[:] = 0
            for c in range(C):
                for below in (0, W):
                    if c + 1 < C and needs_points:
                        ask_ahead(U[b, c + 1], places, count, below)
                    if c + 1 < C and needs_U:
                        ask_ahead(gU[b, c + 1], places, count, below)
                gv = gV[b, c, p:]
                if needs_U:
                    scatter(gv, places, inside, t, count, W, gU[b, c])
                if needs_points:
                    add_slopes(U[b, c], gv, places, inside, t, count, type(zero)(W), gx, gy)
            if needs_points:
                finish_slopes(gx, gy, slopes, unit, t, count, gpoints[b, 2 * p :])
