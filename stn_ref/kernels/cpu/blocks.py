"""The code that bilinear.py, nearest.py and cubic.py share. Points are processed in blocks.

A plane is one channel of one image, flat: pixel (n, m) is at place n * W + m. One loop converts a block of points to
places. Then, for each channel, one loop gathers (V, or dV/dx and dV/dy) and one loop scatters (dV/dU). This is fast for
three reasons:

- restrict.py lets the compiler use vector gathers. In the terms of that file U, points and gV are inputs, V is the
  output, and the arrays of a block are scratch.
- Places are 32-bit integers. A vector register holds as many of them as of float32 numbers. The argument `zero` carries
  the integer type (64 bits for planes near 2^31 pixels). Sums are cast back to it, because Numba adds in 64 bits.
- While one channel is processed, the pixels of the next one are prefetched (except in bicubic).

Read next: bilinear.py, nearest.py, cubic.py.
"""

import math

import numpy as np

from stn_ref.kernels import scalar_math
from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.restrict import load, load_scratch, prefetch, store, store_scratch
from stn_ref.kernels.cpu.threads import parallel_ranges, worth_a_thread
from stn_ref.kernels.scalar_math import BORDER, MIRROR, REFLECT, bound

BLOCK = 512  # points; the scratch of a block fits into the first-level cache (bicubic: into the second)
NEIGHBOURS = 8  # points whose pixels probably share a cache line


@njit(inline="always")
def floor(x):
    """Return the floor of a coordinate near the image as a 32-bit integer; math.floor gives 64 bits."""
    return np.int32(np.floor(x))


_compile = njit(error_model="numpy")
cell = njit(inline="always")(bound(scalar_math.cell, floor=floor))
to_pixel = njit(inline="always")(scalar_math.to_pixel)
fold = _compile(scalar_math.fold)
fold_near = _compile(bound(scalar_math.fold, remainder=_compile(lambda x, period: x)))  # correct only within one period


@njit(inline="always")
def fold_points(points, count, H, W, unit, padding, xy, slopes):
    """Fill xy and slopes by fold_near; return the number of points a period or more away, where it may be wrong.

    The function is inlined with a constant padding, so that the compiler can vectorise it.
    """
    far = np.int32(0)
    limit_x, limit_y = type(points[0])(2 * (W - 1)), type(points[0])(2 * (H - 1))  # the shorter period, of MIRROR
    for j in range(count):
        x = to_pixel(load(points, 2 * j), unit[0], unit[1], unit[2])
        y = to_pixel(load(points, 2 * j + 1), unit[0], unit[3], unit[4])
        if padding >= REFLECT:
            far = np.int32(far + (np.int32(1) if abs(x) >= limit_x or abs(y) >= limit_y else np.int32(0)))
        x, slope_x = fold_near(x, W, padding)
        y, slope_y = fold_near(y, H, padding)
        store_scratch(xy, j, x)
        store_scratch(xy, BLOCK + j, y)
        store_scratch(slopes, j, slope_x)
        store_scratch(slopes, BLOCK + j, slope_y)
    return far


@njit(error_model="numpy")
def fold_block(points, count, H, W, unit, padding, xy, slopes):
    """Fill xy with the folded pixel coordinates of `count` points, and slopes with the slopes of the folding.

    xy, slopes: two rows of BLOCK, for x and for y.
    unit: converts the points to pixels, see kernels/__init__.py.
    padding: BORDER, REFLECT or MIRROR; None for zeros, where nothing is folded and slopes stay unchanged. The code that
    folds is compiled only if padding is not None.
    """
    if padding is None:
        numbers = unit[0], unit[1], unit[2], unit[3], unit[4]  # in registers
        for j in range(count):
            store_scratch(xy, j, to_pixel(load(points, 2 * j), numbers[0], numbers[1], numbers[2]))
            store_scratch(xy, BLOCK + j, to_pixel(load(points, 2 * j + 1), numbers[0], numbers[3], numbers[4]))
    else:
        fold_outside(points, count, H, W, (unit[0], unit[1], unit[2], unit[3], unit[4]), padding, xy, slopes)


@njit(error_model="numpy")
def fold_outside(points, count, H, W, unit, padding, xy, slopes):
    """Fill xy and slopes as fold_block does, for a padding that is not None."""
    if padding == BORDER:
        far = fold_points(points, count, H, W, unit, BORDER, xy, slopes)
    elif padding == REFLECT:
        far = fold_points(points, count, H, W, unit, REFLECT, xy, slopes)
    else:
        far = fold_points(points, count, H, W, unit, MIRROR, xy, slopes)
    if far > 0:
        for j in range(count):
            x = to_pixel(points[2 * j], unit[0], unit[1], unit[2])
            y = to_pixel(points[2 * j + 1], unit[0], unit[3], unit[4])
            xy[j], slopes[j] = fold(x, W, padding)
            xy[BLOCK + j], slopes[BLOCK + j] = fold(y, H, padding)


@njit(error_model="numpy")
def ask_ahead(plane, places, count, offset):
    """Prefetch the pixels at the places of a block, plus an offset."""
    for j in range(0, count, NEIGHBOURS):
        prefetch(plane, places[j] + offset)


@njit(error_model="numpy")
def finish_slopes(gx, gy, slopes, unit, nan, count, gpoints):
    """Set gpoints (x, y, x, y, ...) of `count` points, in the unit of the points.

    gpoints is NaN where `nan` is NaN, and 0 where the padding is flat, for any pixels.
    """
    none, scale_x, scale_y = type(slopes[0])(0), unit[1], unit[3]
    for j in range(count):
        slope_x, slope_y = load_scratch(slopes, j), load_scratch(slopes, BLOCK + j)
        x, y = load_scratch(gx, j) * slope_x, load_scratch(gy, j) * slope_y
        mark = load_scratch(nan, j)
        x, y = x if slope_x != none else none, y if slope_y != none else none
        store(gpoints, 2 * j, x * scale_x if mark == mark else mark)
        store(gpoints, 2 * j + 1, y * scale_y if mark == mark else mark)


def flat(U: np.ndarray) -> np.ndarray:
    """Return U (N, C, H, W) as a contiguous array (N, C, HW)."""
    return np.ascontiguousarray(U).reshape(*U.shape[:2], U.shape[2] * U.shape[3])


def planes(U: np.ndarray) -> np.ndarray:
    """Return flat(U) for loads of pixel pairs: a plane of a single pixel is extended to two."""
    return flat(U) if U.shape[2] * U.shape[3] > 1 else np.concatenate([flat(U), flat(U)], axis=2)


def flat_points(points: np.ndarray) -> np.ndarray:
    """Return points (N, Ho, Wo, 2) as a contiguous array (N, 2P), P = Ho Wo."""
    return np.ascontiguousarray(points).reshape(len(points), math.prod(points.shape[1:]))


def place_zero(H: int, W: int) -> np.integer:
    """Return 0 in the integer type of places. Taps outside lie up to three rows or columns beyond the image."""
    if max(H, W) >= 2**31 - 2**8:  # float32 rounds larger sizes to 2^31
        raise ValueError(f"H and W must be below 2^31 - 2^8 with backend='cpu'; got {H} x {W}")
    return np.int32(0) if (H + 6) * (W + 6) < 2**31 else np.int64(0)


def forward(task, cost, U, points, unit, *options):
    """Return V, filled by task(U, points, V, H, W, unit, zero, *options, first, last) on the blocks of all images."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    zero, U, points = place_zero(H, W), planes(U), flat_points(points)
    V = np.empty((N, C, Ho * Wo), U.dtype)
    blocks = N * -(-Ho * Wo // BLOCK)
    least = worth_a_thread(cost * (C + 2) * BLOCK)  # to find a cell costs about as much as two values
    parallel_ranges(lambda *span: task(U, points, V, H, W, unit, zero, *options, *span), blocks, least)
    return V.reshape(N, C, Ho, Wo)


def backward(task, cost, U, points, gV, needs, unit, *options):
    """Return (gU, gpoints), computed by `task` on all images.

    The call is task(U, points, gV, gU, gpoints, H, W, unit, zero, *options, first, last). It adds to gU (N, C, HW) and
    sets gpoints (N, 2P). A gradient that `needs` excludes is empty for the task, (N, C, 0) or (N, 0), and None in the
    result.
    """
    N, C, H, W = U.shape
    shape = points.shape
    zero, u, points, gV = place_zero(H, W), planes(U), flat_points(points), flat(gV)
    gU = np.zeros((N, C, H * W if needs[0] else 0), u.dtype)
    gpoints = np.empty(points.shape if needs[1] else (N, 0), u.dtype)
    least = worth_a_thread(cost * (C + 2) * gV.shape[2])
    parallel_ranges(lambda *span: task(u, points, gV, gU, gpoints, H, W, unit, zero, *options, *span), N, least)
    return (gU.reshape(U.shape) if needs[0] else None), (gpoints.reshape(shape) if needs[1] else None)
