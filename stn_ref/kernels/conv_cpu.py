"""Convolution (correlation, as every deep-learning library means it) as a few matrix products for each image.

    y[n,o,i,j] = b[o] + sum_{c,k,l} W[o,c,k,l] x[n,c, i*sy + k - py, j*sx + l - px],     x = 0 outside the image

The usual way, im2col, copies every pixel kh*kw times before one large product. Here only the shifts l along a row are
copied out (kw times), so that row (c,l) of `columns` holds x[c, :, j*sx + l - px]; a shift k from row to row is then
a window of the same matrix, and y = sum_k W[:,:,k,:] @ window_k. This is MEC (Cho & Brand 2017, "Memory-efficient
convolution"), image by image: the copies stay in the second-level cache.

Stride: row h of the padded image is stored at place (h mod sy, h div sy), columns likewise, so that what a stride
picks out lies side by side. With stride 1 that changes nothing.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from stn_ref.kernels.blas import add_product
from stn_ref.kernels.threads import parallel, spans

PRODUCT = 1_000_000  # multiply-adds: up to here OpenBLAS multiplies in place, beyond it copies the operands first


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


def window(H: int, W: int, kernel: tuple, stride: tuple, padding: tuple) -> Window:
    """Return the geometry for images of H x W."""
    (kh, kw), (sy, sx), (py, px) = kernel, stride, padding
    Ho, Wo = (H + 2 * py - kh) // sy + 1, (W + 2 * px - kw) // sx + 1
    return Window(kh, kw, sy, sx, py, px, Ho, Wo, -(-(H + 2 * py) // sy), -(-(W + 2 * px) // sx))


# From the image to its columns, and back (each pair is a linear map and its transpose).


@njit(nogil=True)
def pad(x, padded, g):
    """padded[c, place of h + py, place of w + px] = x[c,h,w]; the rest of `padded` is zero and stays so."""
    C, H, W = x.shape
    for c in range(C):
        for h in range(H):
            row = (h + g.py) % g.sy * g.Qy + (h + g.py) // g.sy
            for w in range(W):
                padded[c, row, (w + g.px) % g.sx * g.Qx + (w + g.px) // g.sx] = x[c, h, w]


@njit(nogil=True)
def unpad(gpadded, gx, g):
    """gx[c,h,w] = gpadded[c, place of h + py, place of w + px]."""
    C, H, W = gx.shape
    for c in range(C):
        for h in range(H):
            row = (h + g.py) % g.sy * g.Qy + (h + g.py) // g.sy
            for w in range(W):
                gx[c, h, w] = gpadded[c, row, (w + g.px) % g.sx * g.Qx + (w + g.px) // g.sx]


@njit(nogil=True)
def widen(padded, columns, g):
    """columns[(c,l), (row,j)] = padded[c, row, place of l, + j]."""
    C, rows, _ = padded.shape
    for c in range(C):
        for l in range(g.kw):
            start = l % g.sx * g.Qx + l // g.sx
            for row in range(rows):
                for j in range(g.Wo):
                    columns[c * g.kw + l, row * g.Wo + j] = padded[c, row, start + j]


@njit(nogil=True)
def widen_transposed(padded, lines, g):
    """lines[(row,j), (c,l)] = padded[c, row, place of l, + j]: the layout in which BLAS is fast for gW."""
    C, rows, _ = padded.shape
    for row in range(rows):
        for j in range(g.Wo):
            for c in range(C):
                for l in range(g.kw):
                    lines[row * g.Wo + j, c * g.kw + l] = padded[c, row, l % g.sx * g.Qx + l // g.sx + j]


@njit(nogil=True)
def fold(gcolumns, gpadded, g):
    """gpadded[c, row, place of l, + j] = sum of gcolumns[(c,l), (row,j)]."""
    C, rows, _ = gpadded.shape
    gpadded[:] = 0
    for c in range(C):
        for l in range(g.kw):
            start = l % g.sx * g.Qx + l // g.sx
            for row in range(rows):
                for j in range(g.Wo):
                    gpadded[c, row, start + j] += gcolumns[c * g.kw + l, row * g.Wo + j]


# Forward and backward of the images first to last - 1.


@njit(nogil=True)
def forward_images(x, Wk, b, y, g, first, last):
    """Fill y[first:last]; x (N, C, H, W), Wk (kh, O, C*kw), b (O,), y (N, O, Ho*Wo)."""
    C, O, K = x.shape[1], Wk.shape[1], Wk.shape[2]
    padded = np.zeros((C, g.sy * g.Qy, g.sx * g.Qx), x.dtype)
    columns = np.empty((K, g.sy * g.Qy * g.Wo), x.dtype)
    block = max(1, PRODUCT // (O * K * g.Wo))  # output rows for one product
    for n in range(first, last):
        pad(x[n], padded, g)
        widen(padded, columns, g)
        for o in range(O):
            y[n, o] = b[o]
        for i in range(0, g.Ho, block):
            start, stop = i * g.Wo, min(i + block, g.Ho) * g.Wo
            for k in range(g.kh):
                shift = (k % g.sy * g.Qy + k // g.sy) * g.Wo
                add_product(y[n, :, start:stop], Wk[k], columns[:, shift + start : shift + stop])


@njit(nogil=True)
def backward_images(x, WkT, gy, gx, gWk, gb, g, first, last, needs):
    """Fill gx[first:last] if it is needed, and add to gWk and gb.

    x, gx (N, C, H, W), WkT (kh, C*kw, O), gy (N, O, Ho*Wo), gWk (kh, O, C*kw), gb (O, 1).
    """
    C, K, O = x.shape[1], WkT.shape[1], WkT.shape[2]
    rows = g.sy * g.Qy
    padded, gpadded = np.zeros((2, C, rows, g.sx * g.Qx), x.dtype)
    lines = np.empty((rows * g.Wo, K), x.dtype)
    gcolumns = np.empty((K if needs else 0, rows * g.Wo), x.dtype)
    ones = np.ones((g.Ho * g.Wo, 1), x.dtype)
    block = max(1, PRODUCT // (O * K * g.Wo))
    for n in range(first, last):
        pad(x[n], padded, g)
        widen_transposed(padded, lines, g)
        gcolumns[:] = 0
        add_product(gb, gy[n], ones)
        for i in range(0, g.Ho, block):
            start, stop = i * g.Wo, min(i + block, g.Ho) * g.Wo
            for k in range(g.kh):
                shift = (k % g.sy * g.Qy + k // g.sy) * g.Wo
                add_product(gWk[k], gy[n, :, start:stop], lines[shift + start : shift + stop])
                if needs:
                    add_product(gcolumns[:, shift + start : shift + stop], WkT[k], gy[n, :, start:stop])
        if needs:
            fold(gcolumns, gpadded, g)
            unpad(gpadded, gx[n], g)


def convolve(x, W, b, stride: tuple, padding: tuple) -> np.ndarray:
    """Return y (N, O, Ho, Wo) for x (N, C, H, W), W (O, C, kh, kw), b (O,) of one dtype; sizes are checked above."""
    O, C, kh, kw = W.shape
    g = window(*x.shape[2:], (kh, kw), stride, padding)
    x, Wk = plain(x), plain(W.transpose(2, 0, 1, 3).reshape(kh, O, C * kw))
    y = np.empty((len(x), O, g.Ho * g.Wo), x.dtype)
    pieces = spans(len(x))
    parallel(lambda p: forward_images(x, Wk, plain(b), y, g, *pieces[p]), len(pieces))
    return y.reshape(len(x), O, g.Ho, g.Wo)


def convolve_backward(x, W, gy, stride: tuple, padding: tuple, needs: bool = True) -> tuple:
    """Return (gx, gW, gb), gx None unless it is needed."""
    O, C, kh, kw = W.shape
    g = window(*x.shape[2:], (kh, kw), stride, padding)
    x, WkT = plain(x), plain(W.transpose(2, 1, 3, 0).reshape(kh, C * kw, O))
    gy = plain(gy).reshape(len(x), O, g.Ho * g.Wo)
    gx = np.empty(x.shape if needs else (0, *x.shape[1:]), x.dtype)
    pieces = spans(len(x))
    gWk = np.zeros((len(pieces), kh, O, C * kw), x.dtype)  # a sum for each piece: added up in the order of the pieces
    gb = np.zeros((len(pieces), O, 1), x.dtype)
    parallel(lambda p: backward_images(x, WkT, gy, gx, gWk[p], gb[p], g, *pieces[p], needs), len(pieces))
    gW = gWk.sum(axis=0).reshape(kh, O, C, kw).transpose(1, 2, 0, 3)
    return (gx if needs else None), gW, gb.sum(axis=(0, 2))


def plain(array: np.ndarray) -> np.ndarray:
    """Return the array in one piece and writable, copied only if it is not: one compiled version serves all."""
    return np.require(array, requirements=["C", "W"])
