"""Convolution (correlation, as every deep-learning library means it) as a few matrix products for each image.

    y[n,o,i,j] = b[o] + sum_{c,k,l} W[o,c,k,l] x[n,c, i*sy + k - py, j*sx + l - px],     x = 0 outside the image

The usual way, im2col, copies every pixel kh*kw times before one large product. Here only the shifts l along a row are
copied out (kw times), so that row (c,l) of `columns` holds x[c, :, j*sx + l - px]; a shift k from row to row is then
a window of the same matrix, and y = sum_k W[:,:,k,:] @ window_k. This is MEC (Cho & Brand 2017, "Memory-efficient
convolution"), image by image: the copies stay in the second-level cache.

Stride: row h of the padded image is stored at place (h mod sy, h div sy), columns likewise, so that what a stride
picks out lies side by side. With stride 1 that changes nothing.

In the words of restrict.py x is an input, the padded images are scratch, and the columns (`columns`, `lines`) are
outputs, as gx is: they are read by BLAS alone, of whose reading the compiler assumes nothing.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from stn_ref.kernels.arrays import plain
from stn_ref.kernels.blas import add_product
from stn_ref.kernels.restrict import load, load_scratch, store, store_scratch
from stn_ref.kernels.threads import parallel, parallel_ranges, spans

PRODUCT = 1_000_000  # multiply-adds: up to here OpenBLAS multiplies in place, beyond it copies the operands first
RUN = 8  # elements copied at once, one vector register


class Window(NamedTuple):
    """The geometry of a convolution; Ho and Wo are those of the output, Qy and Qx the padded size over the stride."""

    kh: int
    kw: int
    sy: int
    sx: int
    py: int
    px: int
    Ho: int
    Wo: int
    Qy: int
    Qx: int
    rows: int  # of the padded image, sy * Qy
    pitch: int  # from one of them to the next, sx * Qx


def window(H: int, W: int, kernel: tuple, stride: tuple, padding: tuple) -> Window:
    """Return the geometry for images of H x W."""
    (kh, kw), (sy, sx), (py, px) = kernel, stride, padding
    Ho, Wo = (H + 2 * py - kh) // sy + 1, (W + 2 * px - kw) // sx + 1
    Qy, Qx = -(-(H + 2 * py) // sy), -(-(W + 2 * px) // sx)
    return Window(kh, kw, sy, sx, py, px, Ho, Wo, Qy, Qx, sy * Qy, sx * Qx)


# From the image to its columns, and back (each pair is a linear map and its transpose). Arrays are flat.


@njit(nogil=True)
def pad(x, origin, C, H, W, padded, g):
    """padded[c, place of h + py, place of w + px] = x[origin + (c,h,w)]; the rest of `padded` is zero and stays so."""
    for c in range(C):
        for h in range(H):
            row = (c * g.sy + (h + g.py) % g.sy) * g.Qy + (h + g.py) // g.sy
            for r in range(min(g.sx, W)):
                start = (row * g.sx + (r + g.px) % g.sx) * g.Qx + (r + g.px) // g.sx
                source = origin + (c * H + h) * W + r
                for t in range((W - r + g.sx - 1) // g.sx):
                    store_scratch(padded, start + t, load(x, source + t * g.sx))


@njit(nogil=True)
def unpad(gpadded, gx, origin, C, H, W, g):
    """gx[origin + (c,h,w)] = gpadded[c, place of h + py, place of w + px]."""
    for c in range(C):
        for h in range(H):
            row = (c * g.sy + (h + g.py) % g.sy) * g.Qy + (h + g.py) // g.sy
            for r in range(min(g.sx, W)):
                start = (row * g.sx + (r + g.px) % g.sx) * g.Qx + (r + g.px) // g.sx
                target = origin + (c * H + h) * W + r
                for t in range((W - r + g.sx - 1) // g.sx):
                    store(gx, target + t * g.sx, load_scratch(gpadded, start + t))


@njit(nogil=True)
def copy_run(source, start, target, place, count):
    """Copy `count` elements of scratch to an output, and up to RUN - 1 more, which the next run or spare room takes."""
    for j in range(0, count, RUN):
        for r in range(RUN):
            store(target, place + j + r, load_scratch(source, start + j + r))


@njit(nogil=True)
def widen(padded, C, columns, g):
    """columns[(c,l), (row,j)] = padded[c, row, place of l, + j]."""
    place = 0
    for c in range(C):
        for l in range(g.kw):
            start = c * g.rows * g.pitch + l % g.sx * g.Qx + l // g.sx
            for row in range(g.rows):
                copy_run(padded, start + row * g.pitch, columns, place, g.Wo)
                place += g.Wo


@njit(nogil=True)
def widen_transposed(padded, C, lines, g):
    """lines[(row,j), (c,l)] = padded[c, row, place of l, + j]: the layout in which BLAS is fast for gW."""
    place = 0
    for row in range(g.rows):
        for j in range(g.Wo):
            for c in range(C):
                start = (c * g.rows + row) * g.pitch + j
                if g.sx == 1:
                    copy_run(padded, start, lines, place, g.kw)
                else:
                    for l in range(g.kw):
                        store(lines, place + l, load_scratch(padded, start + l % g.sx * g.Qx + l // g.sx))
                place += g.kw


@njit(nogil=True)
def fold(gcolumns, C, gpadded, g):
    """gpadded[c, row, place of l, + j] = sum of gcolumns[(c,l), (row,j)]."""
    gpadded[:] = 0
    place = 0
    for c in range(C):
        for l in range(g.kw):
            start = c * g.rows * g.pitch + l % g.sx * g.Qx + l // g.sx
            for row in range(g.rows):
                for j in range(g.Wo):
                    gpadded[start + row * g.pitch + j] += gcolumns[place + j]
                place += g.Wo


# Forward and backward of the images first to last - 1.


@njit(nogil=True)
def forward_images(x, shape, Wk, b, y, g, first, last):
    """Fill y[first:last]; x flat (N, C, H, W), Wk (kh, O, C*kw), b (O,), y (N, O, Ho*Wo)."""
    C, H, W = shape
    _, O, K = Wk.shape
    padded = np.zeros(C * g.rows * g.pitch + RUN, x.dtype)
    memory = np.empty(K * g.rows * g.Wo + RUN, x.dtype)
    columns = memory[:-RUN].reshape(K, g.rows * g.Wo)
    block = max(1, PRODUCT // (O * K * g.Wo))  # output rows for one product
    for n in range(first, last):
        pad(x, n * C * H * W, C, H, W, padded, g)
        widen(padded, C, memory, g)
        for o in range(O):
            y[n, o] = b[o]
        for i in range(0, g.Ho, block):
            start, stop = i * g.Wo, min(i + block, g.Ho) * g.Wo
            for k in range(g.kh):
                at = (k % g.sy * g.Qy + k // g.sy) * g.Wo
                add_product(y[n, :, start:stop], Wk[k], columns[:, at + start : at + stop])


@njit(nogil=True)
def backward_images(x, shape, WkT, gy, gx, gWk, gb, g, first, last, needs):
    """Fill gx[first:last] if it is needed, and add to gWk and gb.

    x, gx flat (N, C, H, W), WkT (kh, C*kw, O), gy (N, O, Ho*Wo), gWk (kh, O, C*kw), gb (O, 1).
    """
    C, H, W = shape
    _, K, O = WkT.shape
    padded = np.zeros(C * g.rows * g.pitch + RUN, x.dtype)
    gpadded = np.empty_like(padded)
    memory = np.empty(K * g.rows * g.Wo + RUN, x.dtype)
    lines = memory[:-RUN].reshape(g.rows * g.Wo, K)
    gmemory = np.empty(K * g.rows * g.Wo, x.dtype)
    gcolumns = gmemory.reshape(K, g.rows * g.Wo)
    ones = np.ones((g.Ho * g.Wo, 1), x.dtype)
    block = max(1, PRODUCT // (O * K * g.Wo))
    for n in range(first, last):
        pad(x, n * C * H * W, C, H, W, padded, g)
        widen_transposed(padded, C, memory, g)
        add_product(gb, gy[n], ones)
        gmemory[:] = 0
        for i in range(0, g.Ho, block):
            start, stop = i * g.Wo, min(i + block, g.Ho) * g.Wo
            for k in range(g.kh):
                at = (k % g.sy * g.Qy + k // g.sy) * g.Wo
                add_product(gWk[k], gy[n, :, start:stop], lines[at + start : at + stop])
                if needs:
                    add_product(gcolumns[:, at + start : at + stop], WkT[k], gy[n, :, start:stop])
        if needs:
            fold(gmemory, C, gpadded, g)
            unpad(gpadded, gx, n * C * H * W, C, H, W, g)


def convolve(x, W, b, stride: tuple, padding: tuple) -> np.ndarray:
    """Return y (N, O, Ho, Wo) for x (N, C, H, W), W (O, C, kh, kw), b (O,) of one dtype; sizes are checked above."""
    N, (O, C, kh, kw) = len(x), W.shape
    g = window(*x.shape[2:], (kh, kw), stride, padding)
    flat, Wk, b = plain(x).reshape(-1), plain(W.transpose(2, 0, 1, 3).reshape(kh, O, C * kw)), plain(b)
    y = np.empty((N, O, g.Ho * g.Wo), x.dtype)
    parallel_ranges(lambda first, last: forward_images(flat, x.shape[1:], Wk, b, y, g, first, last), N)
    return y.reshape(N, O, g.Ho, g.Wo)


def convolve_backward(x, W, gy, stride: tuple, padding: tuple, needs: bool = True) -> tuple:
    """Return (gx, gW, gb), gx None unless it is needed."""
    N, (O, C, kh, kw) = len(x), W.shape
    g = window(*x.shape[2:], (kh, kw), stride, padding)
    flat, WkT = plain(x).reshape(-1), plain(W.transpose(2, 1, 3, 0).reshape(kh, C * kw, O))
    gy = plain(gy).reshape(N, O, g.Ho * g.Wo)
    gx = np.empty(x.size if needs else 0, x.dtype)
    pieces = spans(N)
    gWk = np.zeros((len(pieces), kh, O, C * kw), x.dtype)  # a sum for each piece: added up in the order of the pieces
    gb = np.zeros((len(pieces), O, 1), x.dtype)
    parallel(
        lambda p: backward_images(flat, x.shape[1:], WkT, gy, gx, gWk[p], gb[p], g, *pieces[p], needs), len(pieces)
    )
    gW = gWk.sum(axis=0).reshape(kh, O, C, kw).transpose(1, 2, 0, 3)
    return (gx.reshape(x.shape) if needs else None), gW, gb.sum(axis=(0, 2))
