"""Max and average pooling, plane by plane (a plane is one channel of one image).

Window (i,j) of a plane covers rows i*sy .. i*sy+kh-1 and columns j*sx .. j*sx+kw-1; its places are counted in reading
order, k*kw + l.
"""

import numpy as np

from stn_ref.kernels.arrays import plain
from stn_ref.kernels.jit import njit
from stn_ref.kernels.threads import parallel_ranges


@njit(nogil=True)
def max_planes(x, y, which, kernel, stride, first, last):
    """Fill y and `which`, the place of the maximum, for planes first to last - 1. x (P, H, W), y and which (P, Ho, Wo).

    Not `>` alone: a NaN is larger than nothing, and yet has to win.
    """
    (kh, kw), (sy, sx) = kernel, stride
    _, Ho, Wo = y.shape
    for p in range(first, last):
        for i in range(Ho):
            for j in range(Wo):
                best, place = x[p, i * sy, j * sx], 0
                for k in range(kh):
                    for l in range(kw):
                        value = x[p, i * sy + k, j * sx + l]
                        if value > best or value != value:
                            best, place = value, k * kw + l
                y[p, i, j] = best
                which[p, i, j] = place


@njit(nogil=True)
def max_planes_backward(which, gy, gx, kernel, stride, first, last):
    """Fill gx (P, H, W): each gy goes to the maximum of its window."""
    kw, (sy, sx) = kernel[1], stride
    _, Ho, Wo = gy.shape
    for p in range(first, last):
        gx[p] = 0
        for i in range(Ho):
            for j in range(Wo):
                place = int(which[p, i, j])
                gx[p, i * sy + place // kw, j * sx + place % kw] += gy[p, i, j]


@njit(nogil=True)
def mean_planes(x, y, kernel, stride, first, last):
    """Fill y for planes first to last - 1. x (P, H, W), y (P, Ho, Wo)."""
    (kh, kw), (sy, sx) = kernel, stride
    _, Ho, Wo = y.shape
    size = y.dtype.type(kh * kw)
    for p in range(first, last):
        for i in range(Ho):
            for j in range(Wo):
                total = x[p, i * sy, j * sx]
                total -= total
                for k in range(kh):
                    for l in range(kw):
                        total += x[p, i * sy + k, j * sx + l]
                y[p, i, j] = total / size


@njit(nogil=True)
def mean_planes_backward(gy, gx, kernel, stride, first, last):
    """Fill gx (P, H, W): each gy is shared out evenly among its window."""
    (kh, kw), (sy, sx) = kernel, stride
    _, Ho, Wo = gy.shape
    size = gy.dtype.type(kh * kw)
    for p in range(first, last):
        gx[p] = 0
        for i in range(Ho):
            for j in range(Wo):
                share = gy[p, i, j] / size
                for k in range(kh):
                    for l in range(kw):
                        gx[p, i * sy + k, j * sx + l] += share


def _planes(x: np.ndarray) -> np.ndarray:
    """Return x (N, C, H, W) as (N*C, H, W), a view if x is in one piece: a result is filled through it."""
    N, C, H, W = x.shape
    return plain(x).reshape(N * C, H, W)


def _output(x: np.ndarray, kernel: tuple, stride: tuple) -> tuple:
    """Return (N, C, Ho, Wo)."""
    return (*x.shape[:2], *((size - k) // s + 1 for size, k, s in zip(x.shape[2:], kernel, stride, strict=True)))


def _run(kernel_of_planes, *arguments, planes: int) -> None:
    parallel_ranges(lambda first, last: kernel_of_planes(*arguments, first, last), planes)


def max_pool(x: np.ndarray, kernel: tuple, stride: tuple) -> tuple:
    """Return y (N, C, Ho, Wo) and the places of the maxima (same shape, small integers)."""
    y = np.empty(_output(x, kernel, stride), x.dtype)
    which = np.empty(y.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1))
    # y and which are in one piece: _planes gives views, through which they are filled
    _run(max_planes, _planes(x), _planes(y), _planes(which), kernel, stride, planes=x.shape[0] * x.shape[1])
    return y, which


def max_pool_backward(which: np.ndarray, gy: np.ndarray, shape: tuple, kernel: tuple, stride: tuple) -> np.ndarray:
    """Return gx of that shape (N, C, H, W)."""
    gx = np.empty(shape, gy.dtype)
    _run(max_planes_backward, _planes(which), _planes(gy), _planes(gx), kernel, stride, planes=shape[0] * shape[1])
    return gx


def mean_pool(x: np.ndarray, kernel: tuple, stride: tuple) -> np.ndarray:
    """Return y (N, C, Ho, Wo)."""
    y = np.empty(_output(x, kernel, stride), x.dtype)
    _run(mean_planes, _planes(x), _planes(y), kernel, stride, planes=x.shape[0] * x.shape[1])
    return y


def mean_pool_backward(gy: np.ndarray, shape: tuple, kernel: tuple, stride: tuple) -> np.ndarray:
    """Return gx of that shape (N, C, H, W)."""
    gx = np.empty(shape, gy.dtype)
    _run(mean_planes_backward, _planes(gy), _planes(gx), kernel, stride, planes=shape[0] * shape[1])
    return gx
