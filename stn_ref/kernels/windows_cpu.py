"""Any separable kernel, compiled by Numba: Eq. (3) with a window of taps in x and another in y.

Slower than the four fixed taps of cpu.py and able to do all of it: nearest, bilinear at every kind of kink, bicubic,
and kernels whose width is a parameter. For each point `window` fills in, along each axis, which pixels are multiplied
and by what; the rest is sums over the two windows.
"""

import math

import numpy as np
from numba import njit

from stn_ref.kernels import scalar_math
from stn_ref.kernels.scalar_math import BICUBIC, BILINEAR, CENTRAL, LEFT, NEAREST, RIGHT, TENT
from stn_ref.kernels.threads import parallel_ranges

_compile = njit(error_model="numpy")
fold, cell, nearest = _compile(scalar_math.fold), _compile(scalar_math.cell), _compile(scalar_math.nearest)
anchor, tap = _compile(scalar_math.anchor), _compile(scalar_math.tap)
cubic, cubic_slope = _compile(scalar_math.cubic), _compile(scalar_math.cubic_slope)
width, reach = _compile(scalar_math.width), _compile(scalar_math.reach)
tent, gaussian = _compile(scalar_math.tent), _compile(scalar_math.gaussian)

K, DK, DPHI = range(3)  # rows of weights: k, dk/dx, dk/dphi


@njit(error_model="numpy")
def window(x, size, kernel, padding, phi, taps, weights):
    """Fill the pixels (-1: outside) and weights of one coordinate.

    Args:
        x: the coordinate, not NaN.
        size: H or W.
        kernel: NEAREST, BILINEAR, ...
        padding: ZEROS, ...
        phi: the width of a tent or Gaussian, or Keys' a.
        taps: (T,) filled.
        weights: (3, T) filled; rows K, DK, DPHI.

    Returns:
        (count, slope of the padding, slope of the width): a gradient is multiplied by its slope; where that is 0 it is
        0 whatever the pixels are.
    """
    flat = type(x)(0)
    if kernel == NEAREST:
        x, _ = fold(x, size, padding)
        m, t = cell(x, size)
        m = nearest(m, t)
        taps[0] = m if 0 <= m < size else -1
        weights[K, 0] = 1
        return 1, flat, flat
    if kernel == BILINEAR:
        x, slope = fold(x, size, padding)
        m, t = cell(x, size)
        taps[0], taps[1] = m if 0 <= m < size else -1, m + 1 if 0 <= m + 1 < size else -1
        weights[K, 0], weights[K, 1] = type(t)(1) - t, t
        weights[DK, 0], weights[DK, 1] = -1, 1
        return 2, slope, flat
    if kernel == BICUBIC:
        x, slope = anchor(x, size, padding, 2)
        place = math.floor(x)
        t = float(x) - place
        for i in range(4):
            taps[i] = tap(place + i - 1, size, padding)
            weights[K, i] = cubic(t - (i - 1), phi)
            weights[DK, i] = cubic_slope(t - (i - 1), phi)
        return 4, slope, flat
    w, phi_slope = width(float(phi), size, kernel)
    r = reach(w, kernel)
    x, slope = anchor(x, size, padding, math.ceil(r))
    place = math.floor(x)
    t = float(x) - place
    first, last = math.ceil(t - r), math.floor(t + r)
    count = last - first + 1
    k, dk, dphi = 0.0, 0.0, 0.0
    for i in range(first, last + 1):
        ki, di, pi = tent(t - i, w) if kernel == TENT else gaussian(t - i, w)
        k, dk, dphi = k + ki, dk + di, dphi + pi
    for j in range(count):  # weights divided by their sum; the quotient rule
        i = first + j
        ki, di, pi = tent(t - i, w) if kernel == TENT else gaussian(t - i, w)
        taps[j] = tap(place + i, size, padding)
        weights[K, j] = ki / k
        weights[DK, j] = (di - ki / k * dk) / k
        weights[DPHI, j] = (pi - ki / k * dphi) / k
    return count, slope, type(x)(phi_slope)


@njit(error_model="numpy")
def kink_slopes(x, size, padding, kink, taps, weights):
    """Fill taps and weights[DK] with the bilinear slope at a kink, as `kink` says; return their count."""
    x, _ = fold(x, size, padding)
    m, t = cell(x, size)
    before = m - 1 if 0 <= m - 1 < size else -1
    here = m if 0 <= m < size else -1
    after = m + 1 if 0 <= m + 1 < size else -1
    if t != 0 or kink == RIGHT:
        taps[0], taps[1] = here, after
        weights[DK, 0], weights[DK, 1] = -1, 1
        return 2
    if kink == LEFT:
        taps[0], taps[1] = before, here
        weights[DK, 0], weights[DK, 1] = -1, 1
        return 2
    if kink == CENTRAL:  # half of each
        taps[0], taps[1], taps[2], taps[3] = here, after, before, here
        weights[DK, 0], weights[DK, 1], weights[DK, 2], weights[DK, 3] = -0.5, 0.5, -0.5, 0.5
        return 4
    taps[0] = here  # as printed
    weights[DK, 0] = 1
    return 1


@njit(error_model="numpy")
def total(u, W, taps_y, ky, count_y, taps_x, kx, count_x):
    """Return the sum over both windows of u, one channel, flat."""
    s = u.dtype.type(0)
    for j in range(count_y):
        if taps_y[j] >= 0:
            for i in range(count_x):
                if taps_x[i] >= 0:
                    s += u[taps_y[j] * W + taps_x[i]] * (kx[i] * ky[j])
    return s


@njit(nogil=True, error_model="numpy")
def forward_points(U, points, phi, a, V, H, W, kernel, padding, T, first, last):
    """Eq. (3) for points first to last - 1, counted through the batch.

    U (N, C, HW), points (N, 2P), phi (N, 2P) or (N, 0), V (N, C, P); T the most taps of a window.
    """
    _, C, P = V.shape
    tx, ty = np.empty(T, np.intp), np.empty(T, np.intp)
    wx, wy = np.empty((3, T), V.dtype), np.empty((3, T), V.dtype)
    for q in range(first, last):
        b, p = q // P, q % P
        x, y = points[b, 2 * p], points[b, 2 * p + 1]
        phi_x = phi[b, 2 * p] if phi.shape[1] else a
        phi_y = phi[b, 2 * p + 1] if phi.shape[1] else a
        if x != x or y != y or phi_x != phi_x or phi_y != phi_y:
            V[b, :, p] = np.nan
            continue
        count_x, _, _ = window(x, W, kernel, padding, phi_x, tx, wx)
        count_y, _, _ = window(y, H, kernel, padding, phi_y, ty, wy)
        for c in range(C):
            V[b, c, p] = total(U[b, c], W, ty, wy[K], count_y, tx, wx[K], count_x)


@njit(nogil=True, error_model="numpy")
def backward_images(
    U, points, phi, a, gV, gU, gpoints, gphi, H, W, kernel, padding, kink, T, first, last, needs_U, needs_points
):
    """Eqs. (6) and (7) for images first to last - 1, added to gU (N, C, HW), gpoints and gphi (N, 2P) or (N, 0)."""
    _, C, P = gV.shape
    tx, ty, sx, sy = np.empty(T, np.intp), np.empty(T, np.intp), np.empty(4, np.intp), np.empty(4, np.intp)
    wx, wy = np.empty((3, T), gV.dtype), np.empty((3, T), gV.dtype)
    dx, dy = np.empty((3, 4), gV.dtype), np.empty((3, 4), gV.dtype)
    needs_phi = gphi.shape[1] > 0
    for b in range(first, last):
        for p in range(P):
            x, y = points[b, 2 * p], points[b, 2 * p + 1]
            phi_x = phi[b, 2 * p] if phi.shape[1] else a
            phi_y = phi[b, 2 * p + 1] if phi.shape[1] else a
            if x != x or y != y or phi_x != phi_x or phi_y != phi_y:
                if needs_points:
                    gpoints[b, 2 * p : 2 * p + 2] = np.nan
                if needs_phi:
                    gphi[b, 2 * p : 2 * p + 2] = np.nan
                continue
            nx, slope_x, phi_slope_x = window(x, W, kernel, padding, phi_x, tx, wx)
            ny, slope_y, phi_slope_y = window(y, H, kernel, padding, phi_y, ty, wy)
            if needs_U:
                for c in range(C):
                    for j in range(ny):
                        if ty[j] >= 0:
                            for i in range(nx):
                                if tx[i] >= 0:
                                    gU[b, c, ty[j] * W + tx[i]] += gV[b, c, p] * (wx[K, i] * wy[K, j])
            if needs_points and kernel == BILINEAR and kink != RIGHT:
                mx = kink_slopes(x, W, padding, kink, sx, dx)
                my = kink_slopes(y, H, padding, kink, sy, dy)
                for c in range(C):
                    u, g = U[b, c], gV[b, c, p]
                    gpoints[b, 2 * p] += g * total(u, W, ty, wy[K], ny, sx, dx[DK], mx)
                    gpoints[b, 2 * p + 1] += g * total(u, W, sy, dy[DK], my, tx, wx[K], nx)
            elif needs_points:
                for c in range(C):
                    u, g = U[b, c], gV[b, c, p]
                    gpoints[b, 2 * p] += g * total(u, W, ty, wy[K], ny, tx, wx[DK], nx)
                    gpoints[b, 2 * p + 1] += g * total(u, W, ty, wy[DK], ny, tx, wx[K], nx)
            if needs_phi:
                for c in range(C):
                    u, g = U[b, c], gV[b, c, p]
                    gphi[b, 2 * p] += g * total(u, W, ty, wy[K], ny, tx, wx[DPHI], nx)
                    gphi[b, 2 * p + 1] += g * total(u, W, ty, wy[DPHI], ny, tx, wx[K], nx)
                gphi[b, 2 * p] = gphi[b, 2 * p] * phi_slope_x if phi_slope_x != 0 else 0
                gphi[b, 2 * p + 1] = gphi[b, 2 * p + 1] * phi_slope_y if phi_slope_y != 0 else 0
            if needs_points:
                gpoints[b, 2 * p] = gpoints[b, 2 * p] * slope_x if slope_x != 0 else 0
                gpoints[b, 2 * p + 1] = gpoints[b, 2 * p + 1] * slope_y if slope_y != 0 else 0


def _most_taps(kernel, phi, H, W):
    """Return the size of the largest window."""
    if kernel <= BICUBIC:
        return 4
    size = max(H, W)
    w = min(max(float(np.max(phi, initial=1, where=~np.isnan(phi))), 1.0), max(size, 1))
    return 2 * math.ceil(scalar_math.reach(w, kernel)) + 2


def forward(U, points, phi, a, kernel, padding):
    """Eq. (3). U (N, C, H, W), points (N, Ho, Wo, 2), phi likewise or (N, 0) -> V (N, C, Ho, Wo)."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    V = np.empty((N, C, Ho * Wo), U.dtype)
    u, points, phi = _flat(U), _flat_points(points), _flat_points(phi)
    T = _most_taps(kernel, phi, H, W)
    parallel_ranges(
        lambda first, last: forward_points(u, points, phi, a, V, H, W, kernel, padding, T, first, last), N * Ho * Wo
    )
    return V.reshape(N, C, Ho, Wo)


def backward(U, points, phi, gV, a, kernel, padding, kink, needs):
    """Return (gU, gpoints, gphi), None where `needs` says so."""
    N, C, H, W = U.shape
    shape = points.shape
    u, gV, points, phi = _flat(U), _flat(gV), _flat_points(points), _flat_points(phi)
    gU = np.zeros(u.shape if needs[0] else (N, C, 0), u.dtype)
    gpoints, gphi = (np.zeros(points.shape if need else (N, 0), u.dtype) for need in needs[1:])
    T = _most_taps(kernel, phi, H, W)
    options = H, W, kernel, padding, kink, T
    parallel_ranges(
        lambda first, last: backward_images(
            u, points, phi, a, gV, gU, gpoints, gphi, *options, first, last, needs[0], needs[1]
        ),
        N,
    )
    return (
        gU.reshape(U.shape) if needs[0] else None,
        gpoints.reshape(shape) if needs[1] else None,
        gphi.reshape(shape) if needs[2] else None,
    )


def _flat(U):
    """Return (N, C, H, W) as (N, C, HW), contiguous."""
    return np.ascontiguousarray(U).reshape(*U.shape[:2], U.shape[2] * U.shape[3])


def _flat_points(points):
    """Return (N, Ho, Wo, 2) as (N, 2P), contiguous."""
    return np.ascontiguousarray(points).reshape(len(points), math.prod(points.shape[1:]))
