"""Max and average pooling, plane by plane (a plane is one channel of one image).

Window (i,j) of a plane covers rows i*sy .. i*sy+kh-1 and columns j*sx .. j*sx+kw-1; its places are counted in reading
order, k*kw + l.

Each size of window is compiled separately. The compiler unrolls the loops over a window, no branch remains, and a row
of windows is processed in vector registers: many times faster than one pixel after another. Arrays are flat. In the
terms of restrict.py they are inputs and outputs. The exception is gx where windows overlap: plain indexing adds to it.
"""

import functools

import numpy as np

from stn_ref.kernels.cpu.arrays import plain
from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.restrict import load, store
from stn_ref.kernels.cpu.threads import parallel_ranges, worth_a_thread


@functools.cache
def _max_pool(kernel: tuple, stride: tuple) -> tuple:
    """Return (forward, backward) for one window size; x and gx are flat (P, H, W), y, gy and `which` (P, Ho, Wo)."""
    (kh, kw), (sy, sx) = kernel, stride
    apart = sy >= kh and sx >= kw

    @njit(nogil=True)
    def forward(x, y, which, sizes, first, last):
        """Fill y and `which`, the place of the maximum, for planes first to last - 1."""
        H, W, Ho, Wo = sizes
        for p in range(first, last):
            for i in range(Ho):
                for j in range(Wo):
                    corner = (p * H + i * sy) * W + j * sx
                    best, place = load(x, corner), which.dtype.type(0)
                    for k in range(kh):
                        for l in range(kw):
                            value = load(x, corner + k * W + l)
                            wins = (value > best) | (value != value)  # NaN > best is false, but NaN must win
                            best = value if wins else best
                            place = which.dtype.type(k * kw + l) if wins else place
                    store(y, (p * Ho + i) * Wo + j, best)
                    store(which, (p * Ho + i) * Wo + j, place)

    @njit(nogil=True)
    def backward(which, gy, gx, sizes, first, last):
        """Fill gx: the maximum of each window gets gy, the other pixels 0."""
        H, W, Ho, Wo = sizes
        clear(gx, kernel, stride, sizes, first, last)
        for p in range(first, last):
            for i in range(Ho):
                for k in range(kh):
                    for j in range(Wo):
                        g, place = load(gy, (p * Ho + i) * Wo + j), load(which, (p * Ho + i) * Wo + j)
                        for l in range(kw):
                            at = (p * H + i * sy + k) * W + j * sx + l
                            value = g if place == k * kw + l else gy.dtype.type(0)
                            if apart:
                                store(gx, at, value)
                            else:
                                gx[at] += value

    return forward, backward


@functools.cache
def _mean_pool(kernel: tuple, stride: tuple) -> tuple:
    """Return (forward, backward) for one window size, as _max_pool does."""
    (kh, kw), (sy, sx) = kernel, stride
    apart = sy >= kh and sx >= kw

    @njit(nogil=True)
    def forward(x, y, sizes, first, last):
        """Fill y for planes first to last - 1."""
        H, W, Ho, Wo = sizes
        for p in range(first, last):
            for i in range(Ho):
                for j in range(Wo):
                    corner = (p * H + i * sy) * W + j * sx
                    total = y.dtype.type(0)
                    for k in range(kh):
                        for l in range(kw):
                            total += load(x, corner + k * W + l)
                    store(y, (p * Ho + i) * Wo + j, total / y.dtype.type(kh * kw))

    @njit(nogil=True)
    def backward(gy, gx, sizes, first, last):
        """Fill gx: each gy is divided equally among the pixels of its window."""
        H, W, Ho, Wo = sizes
        clear(gx, kernel, stride, sizes, first, last)
        for p in range(first, last):
            for i in range(Ho):
                for k in range(kh):
                    for j in range(Wo):
                        share = load(gy, (p * Ho + i) * Wo + j) / gy.dtype.type(kh * kw)
                        for l in range(kw):
                            at = (p * H + i * sy + k) * W + j * sx + l
                            if apart:
                                store(gx, at, share)
                            else:
                                gx[at] += share

    return forward, backward


@njit(nogil=True)
def clear(gx, kernel, stride, sizes, first, last):
    """Set planes first to last - 1 to zero, unless the windows tile them: then backward writes every pixel."""
    H, W, Ho, Wo = sizes
    if kernel != stride or (Ho * stride[0], Wo * stride[1]) != (H, W):
        gx[first * H * W : last * H * W] = 0


def _output(shape: tuple, kernel: tuple, stride: tuple) -> tuple:
    """Return the output's shape (N, C, Ho, Wo)."""
    return (*shape[:2], *((size - k) // s + 1 for size, k, s in zip(shape[2:], kernel, stride, strict=True)))


def _run(of_planes, *arrays: np.ndarray, shape: tuple, out: tuple) -> None:
    """Call of_planes for all planes, divided among the threads. Outputs must be contiguous, or a copy is filled."""
    N, C, H, W = shape
    arrays, sizes = [plain(array).reshape(-1) for array in arrays], (H, W, *out[2:])
    parallel_ranges(lambda first, last: of_planes(*arrays, sizes, first, last), N * C, worth_a_thread(0.5 * H * W))


@np.errstate(all="ignore")
def max_pool(x: np.ndarray, kernel: tuple, stride: tuple) -> tuple:
    """Return y (N, C, Ho, Wo) and the places of the maxima in their windows (same shape, small integers)."""
    y = np.empty(_output(x.shape, kernel, stride), x.dtype)
    which = np.empty(y.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1))
    _run(_max_pool(kernel, stride)[0], x, y, which, shape=x.shape, out=y.shape)
    return y, which


@np.errstate(all="ignore")
def max_pool_backward(which: np.ndarray, gy: np.ndarray, shape: tuple, kernel: tuple, stride: tuple) -> np.ndarray:
    """Return gx of that shape (N, C, H, W)."""
    gx = np.empty(shape, gy.dtype)
    _run(_max_pool(kernel, stride)[1], which, gy, gx, shape=shape, out=gy.shape)
    return gx


@np.errstate(all="ignore")
def mean_pool(x: np.ndarray, kernel: tuple, stride: tuple) -> np.ndarray:
    """Return y (N, C, Ho, Wo)."""
    y = np.empty(_output(x.shape, kernel, stride), x.dtype)
    _run(_mean_pool(kernel, stride)[0], x, y, shape=x.shape, out=y.shape)
    return y


@np.errstate(all="ignore")
def mean_pool_backward(gy: np.ndarray, shape: tuple, kernel: tuple, stride: tuple) -> np.ndarray:
    """Return gx of that shape (N, C, H, W)."""
    gx = np.empty(shape, gy.dtype)
    _run(_mean_pool(kernel, stride)[1], gy, gx, shape=shape, out=gy.shape)
    return gx
