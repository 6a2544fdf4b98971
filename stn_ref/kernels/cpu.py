"""The samplers compiled by Numba: the maths of scalar_math.py in a few flat loops.

Here are nearest and bilinear sampling, the paper's own, for speed; everything else is in windows_cpu.py.

Points are worked off in blocks of 512. One loop turns the coordinates of a block into taps and fractions; then, for
each channel, one loop gathers (V, or dV/dx and dV/dy) and one scatters (dV/dU). A tap outside the image has index -1:
it reads as 0 and is never written. restrict.py lets the compiler use vector gathers: U, points and gV are its inputs, V
the output, what belongs to a block is scratch.
"""

import numpy as np
from numba import njit

from stn_ref.kernels import scalar_math, windows_cpu
from stn_ref.kernels.restrict import load, load_scratch, store, store_scratch
from stn_ref.kernels.scalar_math import BILINEAR, KERNELS, KINKS, NEAREST, PADDINGS, RIGHT, ZEROS
from stn_ref.kernels.threads import parallel_ranges
from stn_ref.kernels.windows_cpu import flat, flat_points

BLOCK = 512  # points; the taps and fractions of a block stay in the first-level cache

cell = njit(inline="always")(scalar_math.cell)


@njit(nogil=True, error_model="numpy")
def fold_block(points, count, H, W, padding, folded, slopes):
    """Fill the folded coordinates of `count` points (x, y, x, y, ...) and the slopes of the padding."""
    for j in range(count):
        folded[2 * j], slopes[2 * j] = windows_cpu.fold(points[2 * j], W, padding)
        folded[2 * j + 1], slopes[2 * j + 1] = windows_cpu.fold(points[2 * j + 1], H, padding)


@njit(nogil=True, error_model="numpy")
def find_taps(points, count, H, W, taps, t):
    """Fill the taps and fractions of `count` points (x, y, x, y, ...).

    taps: four rows of BLOCK, in reading order (n, m), (n, m + 1), (n + 1, m), (n + 1, m + 1); n * W + m or -1.
    t: two rows of BLOCK, the fractions in x and in y.
    """
    for j in range(count):
        m, tx = cell(load(points, 2 * j), W)
        n, ty = cell(load(points, 2 * j + 1), H)
        if tx != tx or ty != ty:  # NaN in one coordinate is NaN in both, and touches no pixel
            m = -2
            tx = tx + ty
            ty = tx
        left, right = 0 <= m < W, 0 <= m + 1 < W
        upper, lower = 0 <= n < H, 0 <= n + 1 < H
        i = n * W + m
        store_scratch(taps, j, i if upper and left else -1)
        store_scratch(taps, BLOCK + j, i + 1 if upper and right else -1)
        store_scratch(taps, 2 * BLOCK + j, i + W if lower and left else -1)
        store_scratch(taps, 3 * BLOCK + j, i + W + 1 if lower and right else -1)
        store_scratch(t, j, tx)
        store_scratch(t, BLOCK + j, ty)


@njit(error_model="numpy")
def pixel(plane, taps, k, j):
    """Return the pixel under tap k of point j, 0 outside; it reads first and chooses then: no branch in the loop.

    LLVM inlines it. Numba's own inlining leaves a form that LLVM does not vectorise.
    """
    i = load_scratch(taps, k * BLOCK + j)
    u = load(plane, max(i, 0))
    return u if i >= 0 else type(u)(0)


@njit(nogil=True, error_model="numpy")
def forward_blocks(U, points, V, H, W, padding, first, last):
    """Eq. (5) for blocks first to last - 1, counted through the batch. U (N, C, HW), points (N, 2P), V (N, C, P)."""
    _, C, P = V.shape
    blocks = (P + BLOCK - 1) // BLOCK
    taps, t = np.empty(4 * BLOCK, np.intp), np.empty(2 * BLOCK, V.dtype)
    folded, slopes = np.empty(2 * BLOCK, V.dtype), np.empty(2 * BLOCK, V.dtype)
    for block in range(first, last):
        b, p = block // blocks, block % blocks * BLOCK
        count = min(BLOCK, P - p)
        xy = points[b, 2 * p :]
        if padding != ZEROS:
            fold_block(xy, count, H, W, padding, folded, slopes)
            xy = folded
        find_taps(xy, count, H, W, taps, t)
        for c in range(C):
            u, v = U[b, c], V[b, c, p:]
            for j in range(count):
                tx, ty = load_scratch(t, j), load_scratch(t, BLOCK + j)
                sx, sy = type(tx)(1) - tx, type(ty)(1) - ty
                s = pixel(u, taps, 0, j) * (sx * sy)
                s += pixel(u, taps, 1, j) * (tx * sy)
                s += pixel(u, taps, 2, j) * (sx * ty)
                s += pixel(u, taps, 3, j) * (tx * ty)
                store(v, j, s)


@njit(nogil=True, error_model="numpy")
def backward_images(U, points, gV, gU, gpoints, H, W, padding, first, last, needs_U, needs_points):
    """Eqs. (6) and (7) for images first to last - 1: added to gU (N, C, HW), set in gpoints (N, 2P)."""
    _, C, P = gV.shape
    taps, t = np.empty(4 * BLOCK, np.intp), np.empty(2 * BLOCK, gV.dtype)
    gx, gy = np.empty(BLOCK, gV.dtype), np.empty(BLOCK, gV.dtype)
    folded, slopes = np.empty(2 * BLOCK, gV.dtype), np.ones(2 * BLOCK, gV.dtype)
    for b in range(first, last):
        for p in range(0, P, BLOCK):
            count = min(BLOCK, P - p)
            xy = points[b, 2 * p :]
            if padding != ZEROS:
                fold_block(xy, count, H, W, padding, folded, slopes)
                xy = folded
            find_taps(xy, count, H, W, taps, t)
            gx[:] = 0
            gy[:] = 0
            for c in range(C):
                gv = gV[b, c, p:]
                if needs_U:
                    scatter(gv, count, taps, t, gU[b, c])
                if needs_points:
                    add_slopes(U[b, c], gv, count, taps, t, gx, gy)
            if needs_points:
                for j in range(count):
                    x, y = 2 * (p + j), 2 * (p + j) + 1
                    if t[j] != t[j]:
                        gpoints[b, x], gpoints[b, y] = t[j], t[j]
                    else:  # where the padding is flat the slope is 0, whatever the pixels are
                        gpoints[b, x] = gx[j] * slopes[2 * j] if slopes[2 * j] != 0 else 0
                        gpoints[b, y] = gy[j] * slopes[2 * j + 1] if slopes[2 * j + 1] != 0 else 0


@njit(nogil=True, error_model="numpy")
def scatter(gv, count, taps, t, gu):
    """Eq. (6): add gv times the four weights to gu, in the order of the points."""
    for j in range(count):
        tx, ty, g = t[j], t[BLOCK + j], gv[j]
        sx, sy = type(tx)(1) - tx, type(ty)(1) - ty
        if taps[j] >= 0:
            gu[taps[j]] += g * (sx * sy)
        if taps[BLOCK + j] >= 0:
            gu[taps[BLOCK + j]] += g * (tx * sy)
        if taps[2 * BLOCK + j] >= 0:
            gu[taps[2 * BLOCK + j]] += g * (sx * ty)
        if taps[3 * BLOCK + j] >= 0:
            gu[taps[3 * BLOCK + j]] += g * (tx * ty)


@njit(nogil=True, error_model="numpy")
def add_slopes(u, gv, count, taps, t, gx, gy):
    """Eq. (7): add gv dV/dx to gx and gv dV/dy to gy."""
    for j in range(count):
        tx, ty, g = load_scratch(t, j), load_scratch(t, BLOCK + j), load(gv, j)
        sx, sy = type(tx)(1) - tx, type(ty)(1) - ty
        u00, u01 = pixel(u, taps, 0, j), pixel(u, taps, 1, j)
        u10, u11 = pixel(u, taps, 2, j), pixel(u, taps, 3, j)
        store_scratch(gx, j, load_scratch(gx, j) + g * (-u00 * sy + u01 * sy - u10 * ty + u11 * ty))
        store_scratch(gy, j, load_scratch(gy, j) + g * (-u00 * sx - u01 * tx + u10 * sx + u11 * tx))


@njit(nogil=True, error_model="numpy")
def find_nearest(points, count, H, W, padding, taps):
    """Fill the taps of `count` points: n * W + m, -1 outside the image, -2 for a NaN coordinate."""
    for j in range(count):
        x, y = points[2 * j], points[2 * j + 1]
        m, tx = cell(windows_cpu.fold(x, W, padding)[0], W)
        n, ty = cell(windows_cpu.fold(y, H, padding)[0], H)
        m, n = windows_cpu.nearest(m, tx), windows_cpu.nearest(n, ty)
        taps[j] = n * W + m if 0 <= m < W and 0 <= n < H else -1
        if x != x or y != y:
            taps[j] = -2


@njit(nogil=True, error_model="numpy")
def nearest_blocks(U, points, V, H, W, padding, first, last):
    """Eq. (4) for blocks first to last - 1, counted through the batch. U (N, C, HW), points (N, 2P), V (N, C, P)."""
    _, C, P = V.shape
    blocks = (P + BLOCK - 1) // BLOCK
    taps, nothing = np.empty(BLOCK, np.intp), np.array([np.nan, 0], V.dtype)
    for block in range(first, last):
        b, p = block // blocks, block % blocks * BLOCK
        count = min(BLOCK, P - p)
        find_nearest(points[b, 2 * p :], count, H, W, padding, taps)
        for c in range(C):
            for j in range(count):
                V[b, c, p + j] = U[b, c, taps[j]] if taps[j] >= 0 else nothing[taps[j] + 2]


@njit(nogil=True, error_model="numpy")
def nearest_scatter(points, gV, gU, gpoints, H, W, padding, first, last, needs_U, needs_points):
    """Eq. (4) transposed for images first to last - 1, added to gU (N, C, HW); gpoints (N, 2P) is 0, or NaN."""
    _, C, P = gV.shape
    taps = np.empty(BLOCK, np.intp)
    for b in range(first, last):
        for p in range(0, P, BLOCK):
            count = min(BLOCK, P - p)
            find_nearest(points[b, 2 * p :], count, H, W, padding, taps)
            if needs_U:
                for c in range(C):
                    for j in range(count):
                        if taps[j] >= 0:
                            gU[b, c, taps[j]] += gV[b, c, p + j]
            if needs_points:
                for j in range(count):
                    gpoints[b, 2 * (p + j)] = gpoints[b, 2 * (p + j) + 1] = np.nan if taps[j] == -2 else 0


def _by_blocks(task, U, points, padding):
    """Run forward_blocks or nearest_blocks over the blocks of all images; return V."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    U, points = flat(U), flat_points(points)
    V = np.empty((N, C, Ho * Wo), U.dtype)
    blocks = N * -(-Ho * Wo // BLOCK)
    parallel_ranges(lambda first, last: task(U, points, V, H, W, padding, first, last), blocks)
    return V.reshape(N, C, Ho, Wo)


def _by_images(U, points, gV, kernel, padding, needs):
    """Run backward_images or nearest_scatter over all images; return (gU, gpoints)."""
    N, C, H, W = U.shape
    shape = points.shape
    u, points, gV = flat(U), flat_points(points), flat(gV)
    gU = np.zeros(u.shape if needs[0] else (N, C, 0), u.dtype)
    gpoints = np.zeros(points.shape if needs[1] else (N, 0), u.dtype)
    if kernel == NEAREST:
        task = lambda *span: nearest_scatter(points, gV, gU, gpoints, H, W, padding, *span, *needs)  # noqa: E731
    else:
        task = lambda *span: backward_images(u, points, gV, gU, gpoints, H, W, padding, *span, *needs)  # noqa: E731
    parallel_ranges(task, N)
    return (gU.reshape(N, C, H, W) if needs[0] else None), (gpoints.reshape(shape) if needs[1] else None)


_quiet = np.errstate(invalid="ignore", over="ignore", divide="ignore", under="ignore")  # when interpreted


@_quiet  # infinite pixels: inf * 0 is NaN, as it should be
def sample_forward(U, points, mode="bilinear", padding="zeros", a=-0.75):
    """Eq. (3). U (N, C, H, W), points (N, Ho, Wo, 2) in pixels -> V (N, C, Ho, Wo)."""
    padding, kernel = PADDINGS.index(padding), KERNELS[mode]
    if kernel <= BILINEAR:
        return _by_blocks(nearest_blocks if kernel == NEAREST else forward_blocks, U, points, padding)
    return windows_cpu.forward(U, points, _no_phi(U), a, kernel, padding)


@_quiet
def sample_backward(U, points, gV, mode="bilinear", padding="zeros", kink="right", a=-0.75, needs=(True, True)):
    """Eqs. (6) and (7), times gV and summed. Returns (gU, gpoints), None where `needs` says so."""
    padding, kink, kernel = PADDINGS.index(padding), KINKS.index(kink), KERNELS[mode]
    if kernel == NEAREST or (kernel == BILINEAR and kink == RIGHT):
        return _by_images(U, points, gV, kernel, padding, needs)
    return windows_cpu.backward(U, points, _no_phi(U), gV, a, kernel, padding, kink, (*needs, False))[:2]


def _no_phi(U):
    return np.empty((len(U), 0), U.dtype)


@_quiet
def wide_forward(U, points, phi, kernel, padding="zeros"):
    """Eq. (3) with a kernel "tent" or "gaussian" of widths phi (N, Ho, Wo, 2), in x and in y, pixels."""
    return windows_cpu.forward(U, points, phi, 0.0, KERNELS[kernel], PADDINGS.index(padding))


@_quiet
def wide_backward(U, points, phi, gV, kernel, padding="zeros", needs=(True, True, True)):
    """Return (gU, gpoints, gphi), None where `needs` says so."""
    return windows_cpu.backward(U, points, phi, gV, 0.0, KERNELS[kernel], PADDINGS.index(padding), RIGHT, needs)
