"""The grid, Sec. 3.2, compiled by Numba: the mathematics of scalar_math.py in one loop over target points.

The backward stores the terms of up to BLOCK points in scratch rows and then adds them in NumPy's order.
"""

import numpy as np

from stn_ref.kernels import scalar_math
from stn_ref.kernels.cpu.arrays import plain
from stn_ref.kernels.cpu.jit import njit, quiet
from stn_ref.kernels.cpu.pairwise import BLOCK, block_sum, half
from stn_ref.kernels.cpu.restrict import load, store_scratch
from stn_ref.kernels.cpu.threads import parallel_ranges, worth_a_thread

SUMS = 8  # over a sample's points
LEVELS = 64  # an upper bound of the number of halvings: the bits of an address


def _compile(function, **names):
    return njit(error_model="numpy")(scalar_math.bound(function, **names))


affine, pixel = _compile(scalar_math.affine), _compile(scalar_math.pixel)
projective = _compile(scalar_math.projective, affine=affine)
projective_backward = _compile(scalar_math.projective_backward, projective=projective)


@njit(error_model="numpy")
def _row(D, b, k):
    return D[b, k, 0], D[b, k, 1], D[b, k, 2]


@njit(nogil=True, error_model="numpy")
def matrix_rows(D, x, start_x, factor_x, shift_x, y, start_y, factor_y, shift_y, points, first, last):
    """Fill rows first to last - 1 of points (N Ho, 2 Wo), numbered through the batch, by Eq. (1)."""
    for row in range(first, last):
        b, i, p = row // len(y), row % len(y), points[row]
        if D.shape[1] == 2:
            D_b = _row(D, b, 0), _row(D, b, 1)
            for j in range(len(x)):
                d_x, d_y = affine(D_b, x[j], y[i])
                p[2 * j] = pixel(d_x, start_x[j], factor_x, shift_x)
                p[2 * j + 1] = pixel(d_y, start_y[i], factor_y, shift_y)
        else:
            H_b = _row(D, b, 0), _row(D, b, 1), _row(D, b, 2)
            for j in range(len(x)):
                d_x, d_y, _ = projective(H_b, x[j], y[i])
                p[2 * j] = pixel(d_x, start_x[j], factor_x, shift_x)
                p[2 * j + 1] = pixel(d_y, start_y[i], factor_y, shift_y)


@njit(nogil=True, error_model="numpy")
def shift_rows(d, _x, start_x, factor_x, shift_x, _y, start_y, factor_y, shift_y, points, first, last):
    """Fill rows first to last - 1 of points (N Ho, 2 Wo) with the target points, displaced by d."""
    for row in range(first, last):
        i, p, d_row = row % len(start_y), points[row], d[row]
        for j in range(len(start_x)):
            p[2 * j] = pixel(d_row[2 * j], start_x[j], factor_x, shift_x)
            p[2 * j + 1] = pixel(d_row[2 * j + 1], start_y[i], factor_y, shift_y)


@njit(nogil=True, error_model="numpy")
def scale_points(gpoints, factor_x, factor_y, gd, first, last):
    """Fill points first to last - 1 of gd with gpoints times the factors; both are flat."""
    for p in range(first, last):
        gd[2 * p] = gpoints[2 * p] * factor_x
        gd[2 * p + 1] = gpoints[2 * p + 1] * factor_y


@njit(error_model="numpy")
def target_points(x, y, aspect, first, count, target):
    """Fill four rows of BLOCK with x, y, r x and y / r of the `count` points from point `first` on."""
    k, i, j = 0, first // len(x), first % len(x)
    while k < count:
        n = min(count - k, len(x) - j)  # to the end of the row
        for m in range(n):
            target[k + m], target[BLOCK + k + m] = x[j + m], y[i]
        k, i, j = k + n, i + 1, 0
    for k in range(count):
        target[2 * BLOCK + k], target[3 * BLOCK + k] = aspect * target[k], target[BLOCK + k] / aspect


@njit(error_model="numpy")
def keep_terms(terms, k, x, y, gX, gY, more_x, more_y):
    """Set column k of eight rows of BLOCK to the terms that a point adds to the sums, Eq. (1) transposed."""
    store_scratch(terms, k, gX * x)
    store_scratch(terms, BLOCK + k, gX * y)
    store_scratch(terms, 2 * BLOCK + k, gX)
    store_scratch(terms, 3 * BLOCK + k, gY * x)
    store_scratch(terms, 4 * BLOCK + k, gY * y)
    store_scratch(terms, 5 * BLOCK + k, gY)
    store_scratch(terms, 6 * BLOCK + k, more_x)
    store_scratch(terms, 7 * BLOCK + k, more_y)


@njit(error_model="numpy")
def block_terms(H, gpoints, b, p, factor_x, factor_y, count, target, terms):
    """Fill `terms` for `count` points of sample b, whose gradients start at gpoints[p]."""
    if H is None:
        for k in range(count):
            gX, gY = load(gpoints, p + 2 * k) * factor_x, load(gpoints, p + 2 * k + 1) * factor_y
            x, y, rx, y_r = target[k], target[BLOCK + k], target[2 * BLOCK + k], target[3 * BLOCK + k]
            keep_terms(terms, k, x, y, gX, gY, gX * x + gY * y, gY * rx - gX * y_r)
    else:
        H_b = _row(H, b, 0), _row(H, b, 1), _row(H, b, 2)
        for k in range(count):
            gd_x, gd_y = load(gpoints, p + 2 * k) * factor_x, load(gpoints, p + 2 * k + 1) * factor_y
            x, y = target[k], target[BLOCK + k]
            gX, gY, gw = projective_backward(H_b, x, y, gd_x, gd_y)
            keep_terms(terms, k, x, y, gX, gY, gw * x, gw * y)


@njit(nogil=True, error_model="numpy")
def matrix_sums(H, gpoints, x, y, factor_x, factor_y, aspect, sums, first, last):
    """Fill rows first to last - 1 of sums (N, SUMS), one per sample, in NumPy's order; sums and gpoints are flat.

    H (N, 3, 3) is the D of a homography. Otherwise H is None: the sums do not depend on D, and less code is compiled.
    """
    target, terms = np.empty(4 * BLOCK, sums.dtype), np.empty(SUMS * BLOCK, sums.dtype)
    found = np.empty((LEVELS, (last - first) * SUMS), sums.dtype)  # sums of blocks and halves that are not yet added
    rest = np.empty(LEVELS, np.intp)  # for each half in progress, the number of points in the other half, if not done
    p, count, halves, waiting = 0, len(x) * len(y), 0, 0
    while True:
        while count > BLOCK:
            n = half(count)
            rest[halves], count, halves = count - n, n, halves + 1
        target_points(x, y, aspect, p, count, target)  # once for all samples
        for b in range(first, last):
            block_terms(H, gpoints, b, 2 * (b * len(x) * len(y) + p), factor_x, factor_y, count, target, terms)
            for k in range(SUMS):
                found[waiting, (b - first) * SUMS + k] = block_sum(terms, k * BLOCK, count)
        p, waiting = p + count, waiting + 1
        while halves > 0 and rest[halves - 1] == 0:
            halves, waiting = halves - 1, waiting - 1
            for k in range((last - first) * SUMS):
                found[waiting - 1, k] += found[waiting, k]
        if halves == 0:
            break
        count, rest[halves - 1] = rest[halves - 1], 0
    for k in range((last - first) * SUMS):
        sums[first * SUMS + k] = found[0, k]


def _rows(array):
    """Return (N, Ho, Wo, 2) as (N Ho, 2 Wo)."""
    N, Ho, Wo, _ = array.shape
    return array.reshape(N * Ho, 2 * Wo)


@quiet
def matrix_forward(D, axes):
    """Return points (N, Ho, Wo, 2) by Eq. (1), for D (N, 2, 3), or (N, 3, 3) for a homography."""
    x, y = axes
    points = np.empty((len(D), len(y.target), len(x.target), 2), D.dtype)
    D, rows = plain(D), _rows(points)
    parallel_ranges(lambda *span: matrix_rows(D, *x, *y, rows, *span), len(rows), worth_a_thread(len(x.target)))
    return points


@quiet
def matrix_backward(D, gpoints, axes, aspect=1.0):
    """Return the eight sums (N, 8) over a sample's points, see `stn_ref.kernels`."""
    x, y = axes
    H, flat, sums = plain(D) if D.shape[1] == 3 else None, plain(gpoints).reshape(-1), np.zeros(len(D) * SUMS, D.dtype)
    numbers = x.target, y.target, x.factor, y.factor, D.dtype.type(aspect)
    N, P = len(D), len(x.target) * len(y.target)
    parallel_ranges(lambda *span: matrix_sums(H, flat, *numbers, sums, *span), N if P else 0, worth_a_thread(2 * P))
    return sums.reshape(N, SUMS)


@quiet
def shift_forward(d, axes):
    """Return points (N, Ho, Wo, 2): the target points, displaced by d."""
    points = np.empty(d.shape, d.dtype)
    d_rows, rows = _rows(plain(d)), _rows(points)
    parallel_ranges(
        lambda *span: shift_rows(d_rows, *axes[0], *axes[1], rows, *span), len(rows), worth_a_thread(d.shape[2])
    )
    return points


@quiet
def shift_backward(gpoints, axes):
    """Return gd, the gradient of d: each coordinate times its factor."""
    gd = np.empty(gpoints.shape, gpoints.dtype)
    flat, out, factors = plain(gpoints).reshape(-1), gd.reshape(-1), (axes[0].factor, axes[1].factor)
    parallel_ranges(lambda *span: scale_points(flat, *factors, out, *span), gd.size // 2, worth_a_thread(1))
    return gd
