"""Any separable kernel, compiled by Numba: Eq. (3) with a window of taps in x and another in y.

This code is slower than the files with a fixed number of taps. It computes what they do not: bilinear gradients for
every `kink`, and kernels whose width is a parameter. For each point and axis `window` finds the pixels and their
weights. The results are sums over the two windows.
"""

import math

import numpy as np

from stn_ref.kernels import scalar_math
from stn_ref.kernels.cpu.blocks import flat, flat_points, fold, to_pixel
from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.threads import parallel_ranges, worth_a_thread
from stn_ref.kernels.scalar_math import BILINEAR, CENTRAL, LEFT, RIGHT, TENT

_compile = njit(error_model="numpy")
cell, anchor, tap = _compile(scalar_math.cell), _compile(scalar_math.anchor), _compile(scalar_math.tap)
width, reach = _compile(scalar_math.width), _compile(scalar_math.reach)
tent, gaussian = _compile(scalar_math.tent), _compile(scalar_math.gaussian)

VALUE, SLOPE, WIDTH = range(3)  # rows of weights: k, dk/dx, dk/dphi


@njit(error_model="numpy")
def window(x, size, kernel, padding, phi, taps, weights):
    """Fill taps and weights with the pixels and weights of one coordinate.

    Args:
        x: the coordinate, not NaN.
        size: H or W.
        kernel: BILINEAR, TENT or GAUSSIAN.
        padding: ZEROS, ...
        phi: the width of TENT or GAUSSIAN, not NaN.
        taps: (T,) filled with pixels; places outside the image are omitted.
        weights: (3, T) filled; rows VALUE, SLOPE, WIDTH.

    Returns:
        (number of taps, slope of the padding, slope of the width). A gradient is multiplied by its slope. Where the
        slope is 0, the gradient is 0 for any pixels.
    """
    none = type(x)(0)
    count = 0
    if kernel == BILINEAR:
        x, slope = fold(x, size, padding)
        m, t = cell(x, size)
        for i in range(2):
            if 0 <= m + i < size:
                taps[count] = m + i
                weights[VALUE, count] = t if i else type(t)(1) - t
                weights[SLOPE, count] = 1 if i else -1
                count += 1
        return count, slope, none
    w, phi_slope = width(float(phi), size, kernel)
    r = reach(w, kernel)
    x, slope = anchor(x, size, padding, math.ceil(r))
    place = math.floor(x)
    t = float(x) - place
    first, last = math.ceil(t - r), math.floor(t + r)
    K, dK, dKdphi = 0.0, 0.0, 0.0
    for i in range(first, last + 1):
        ki, di, pi = tent(t - i, w) if kernel == TENT else gaussian(t - i, w)
        K, dK, dKdphi = K + ki, dK + di, dKdphi + pi
    for i in range(first, last + 1):  # weights divided by their sum; the quotient rule
        m = tap(place + i, size, padding)
        if m >= 0:
            ki, di, pi = tent(t - i, w) if kernel == TENT else gaussian(t - i, w)
            taps[count] = m
            weights[VALUE, count] = ki / K
            weights[SLOPE, count] = (di - ki / K * dK) / K
            weights[WIDTH, count] = (pi - ki / K * dKdphi) / K
            count += 1
    return count, slope, type(x)(phi_slope)


@njit(error_model="numpy")
def kink_window(x, size, padding, kink, taps, weights):
    """Fill taps and weights[SLOPE] with the bilinear slope that `kink` names; return the number of taps."""
    x, _ = fold(x, size, padding)
    m, t = cell(x, size)
    count = 0
    if t != 0 or kink == RIGHT:
        sides, share = ((m, -1), (m + 1, 1), (m, 0), (m, 0)), 1.0
    elif kink == LEFT:
        sides, share = ((m - 1, -1), (m, 1), (m, 0), (m, 0)), 1.0
    elif kink == CENTRAL:  # half of each side
        sides, share = ((m, -1), (m + 1, 1), (m - 1, -1), (m, 1)), 0.5
    else:  # Eq. (7) as printed
        sides, share = ((m, 1), (m, 0), (m, 0), (m, 0)), 1.0
    for pixel, sign in sides:
        if sign != 0 and 0 <= pixel < size:
            taps[count] = pixel
            weights[SLOPE, count] = share * sign
            count += 1
    return count


@njit(error_model="numpy")
def total(u, W, taps_y, ky, count_y, taps_x, kx, count_x):
    """Return the weighted sum over both windows; u is one channel, flat."""
    s = u.dtype.type(0)
    for j in range(count_y):
        for i in range(count_x):
            s += u[taps_y[j] * W + taps_x[i]] * (kx[i] * ky[j])
    return s


@njit(error_model="numpy")
def two_totals(u, W, row, taps_y, wy, count_y, taps_x, wx, count_x):
    """Return two sums over both windows: weights `row` in x with VALUE in y, and VALUE in x with `row` in y."""
    s_x = s_y = u.dtype.type(0)
    for j in range(count_y):
        for i in range(count_x):
            pixel = u[taps_y[j] * W + taps_x[i]]
            s_x += pixel * (wx[row, i] * wy[VALUE, j])
            s_y += pixel * (wx[VALUE, i] * wy[row, j])
    return s_x, s_y


@njit(nogil=True, error_model="numpy")
def forward_points(U, points, phi, V, H, W, kernel, padding, T, first, last):
    """Fill V (N, C, P) by Eq. (3) for points first to last - 1 of the whole batch.

    U (N, C, HW), points (N, 2P), phi (N, 2P) or (N, 0). T: the largest number of taps of a window.
    """
    _, C, P = V.shape
    tx, ty = np.empty(T, np.intp), np.empty(T, np.intp)
    wx, wy = np.empty((3, T), V.dtype), np.empty((3, T), V.dtype)
    phi_x = phi_y = V.dtype.type(1)
    for q in range(first, last):
        b, p = q // P, q % P
        x, y = points[b, 2 * p], points[b, 2 * p + 1]
        if phi.shape[1]:
            phi_x, phi_y = phi[b, 2 * p], phi[b, 2 * p + 1]
        if x != x or y != y or phi_x != phi_x or phi_y != phi_y:
            V[b, :, p] = np.nan
            continue
        nx, _, _ = window(x, W, kernel, padding, phi_x, tx, wx)
        ny, _, _ = window(y, H, kernel, padding, phi_y, ty, wy)
        for c in range(C):
            V[b, c, p] = total(U[b, c], W, ty, wy[VALUE], ny, tx, wx[VALUE], nx)


@njit(nogil=True, error_model="numpy")
def backward_images(
    U, points, phi, gV, gU, gpoints, gphi, H, W, unit, kernel, padding, kink, T, first, last, needs_U, needs_points
):
    """Add Eq. (6) to gU (N, C, HW), set gpoints and gphi, (N, 2P) or (N, 0), for images first to last - 1."""
    _, C, P = gV.shape
    tx, ty, kink_tx, kink_ty = np.empty(T, np.intp), np.empty(T, np.intp), np.empty(4, np.intp), np.empty(4, np.intp)
    wx, wy = np.empty((3, T), gV.dtype), np.empty((3, T), gV.dtype)
    kink_wx, kink_wy = np.empty((3, 4), gV.dtype), np.empty((3, 4), gV.dtype)
    needs_phi, other_kink = gphi.shape[1] > 0, kernel == BILINEAR and kink != RIGHT
    phi_x = phi_y = gV.dtype.type(1)
    for b in range(first, last):
        for p in range(P):
            ix, iy = 2 * p, 2 * p + 1
            x = to_pixel(points[b, ix], unit[0], unit[1], unit[2])
            y = to_pixel(points[b, iy], unit[0], unit[3], unit[4])
            if phi.shape[1]:
                phi_x, phi_y = phi[b, ix], phi[b, iy]
            if x != x or y != y or phi_x != phi_x or phi_y != phi_y:
                if needs_points:
                    gpoints[b, ix] = gpoints[b, iy] = np.nan
                if needs_phi:
                    gphi[b, ix] = gphi[b, iy] = np.nan
                continue
            nx, slope_x, phi_slope_x = window(x, W, kernel, padding, phi_x, tx, wx)
            ny, slope_y, phi_slope_y = window(y, H, kernel, padding, phi_y, ty, wy)
            if needs_U:
                for c in range(C):
                    for j in range(ny):
                        for i in range(nx):
                            gU[b, c, ty[j] * W + tx[i]] += gV[b, c, p] * (wx[VALUE, i] * wy[VALUE, j])
            if needs_points and (slope_x != 0 or slope_y != 0):
                gx = gy = gV.dtype.type(0)
                if other_kink:
                    mx = kink_window(x, W, padding, kink, kink_tx, kink_wx)
                    my = kink_window(y, H, padding, kink, kink_ty, kink_wy)
                    for c in range(C):
                        u, g = U[b, c], gV[b, c, p]
                        gx += g * total(u, W, ty, wy[VALUE], ny, kink_tx, kink_wx[SLOPE], mx)
                        gy += g * total(u, W, kink_ty, kink_wy[SLOPE], my, tx, wx[VALUE], nx)
                else:
                    for c in range(C):
                        s_x, s_y = two_totals(U[b, c], W, SLOPE, ty, wy, ny, tx, wx, nx)
                        gx += gV[b, c, p] * s_x
                        gy += gV[b, c, p] * s_y
                gpoints[b, ix] = gx * slope_x * unit[1] if slope_x != 0 else 0
                gpoints[b, iy] = gy * slope_y * unit[3] if slope_y != 0 else 0
            if needs_phi and (phi_slope_x != 0 or phi_slope_y != 0):
                gx = gy = gV.dtype.type(0)
                for c in range(C):
                    s_x, s_y = two_totals(U[b, c], W, WIDTH, ty, wy, ny, tx, wx, nx)
                    gx += gV[b, c, p] * s_x
                    gy += gV[b, c, p] * s_y
                gphi[b, ix] = gx * phi_slope_x if phi_slope_x != 0 else 0
                gphi[b, iy] = gy * phi_slope_y if phi_slope_y != 0 else 0


def _most_taps(kernel, phi, H, W):
    """Return the number of taps of the largest window."""
    if kernel == BILINEAR:
        return 2
    widest = float(np.max(phi, initial=1, where=~np.isnan(phi)))
    return 2 * math.ceil(scalar_math.reach(min(widest, max(H, W)), kernel)) + 2


def forward(U, points, phi, kernel, padding):
    """Return V (N, C, Ho, Wo), Eq. (3), for U (N, C, H, W), points (N, Ho, Wo, 2), phi likewise or (N, 0)."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    V = np.empty((N, C, Ho * Wo), U.dtype)
    u, points, phi = flat(U), flat_points(points), flat_points(phi)
    T = _most_taps(kernel, phi, H, W)
    parallel_ranges(
        lambda *span: forward_points(u, points, phi, V, H, W, kernel, padding, T, *span),
        N * Ho * Wo,
        worth_a_thread(5 * C * T**2),
    )
    return V.reshape(N, C, Ho, Wo)


def backward(U, points, phi, gV, unit, kernel, padding, kink, needs):
    """Return (gU, gpoints, gphi); None for a gradient that `needs` excludes. unit: of points and gpoints."""
    N, C, H, W = U.shape
    shape = points.shape
    u, gV, points, phi = flat(U), flat(gV), flat_points(points), flat_points(phi)
    gU = np.zeros(u.shape if needs[0] else (N, C, 0), u.dtype)
    gpoints, gphi = (np.zeros(points.shape if need else (N, 0), u.dtype) for need in needs[1:])
    T = _most_taps(kernel, phi, H, W)
    arguments = u, points, phi, gV, gU, gpoints, gphi, H, W, unit, kernel, padding, kink, T
    parallel_ranges(
        lambda *span: backward_images(*arguments, *span, *needs[:2]), N, worth_a_thread(10 * C * T**2 * gV.shape[2])
    )
    return (
        gU.reshape(U.shape) if needs[0] else None,
        gpoints.reshape(shape) if needs[1] else None,
        gphi.reshape(shape) if needs[2] else None,
    )
