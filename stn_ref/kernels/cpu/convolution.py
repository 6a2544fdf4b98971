"""Convolution (strictly a correlation, as in deep-learning libraries) as a few large matrix products.

    y[n,o,i,j] = b[o] + sum_{c,k,l} W[o,c,k,l] x[n,c, i*sy + k - py, j*sx + l - px],     x = 0 outside the image

im2col, the usual method, copies every pixel kh*kw times. Row (c,k,l) of `columns` holds x[c, i*sy + k - py,
j*sx + l - px] for every output place (i,j), and y = W @ columns. If there are enough channels for an efficient product,
only the shifts l along a row are copied (kw times). A shift k by rows is then a window of the same matrix, and
y = sum_k W[:,:,k,:] @ window_k. This method is MEC (Cho & Brand 2017, "Memory-efficient convolution").

A few images are processed together, so that a product has enough columns. Their number is limited to keep `columns`
small: 600 KB in float32, which fits into a second-level cache of 1 MB, and 1.2 MB in float64, which does not. One large
image may take more. A line of `columns` is (i, image, j), so each window is contiguous. Backward uses the same products
transposed.

Stride: row h of the padded image is stored at place (h mod sy, h div sy), and columns likewise. The pixels that a
stride selects are then adjacent. With stride 1 the order stays the same.

In the terms of restrict.py, x, gy and the arrays that BLAS writes (products, gcolumns) are inputs. The padded images
are scratch. columns, lines of gy, y and gx are outputs: only BLAS reads them, and the compiler assumes nothing about
BLAS.
"""

from typing import NamedTuple

import numpy as np

from stn_ref.kernels.cpu.arrays import plain
from stn_ref.kernels.cpu.blas import product
from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.one_blas_thread import one_blas_thread
from stn_ref.kernels.cpu.restrict import load, load_scratch, store, store_scratch
from stn_ref.kernels.cpu.threads import parallel, parallel_ranges, spans, worth_a_thread

SHIFTS, SHIFTS_BACK = 16, 32  # least number of rows (c,l) for shifts k as windows; backward: rows of gW
PLACES = 512  # columns: about as many as a product needs to be efficient
CACHE = 150_000  # most elements of `columns`, unless one image has more
SUMS = 8  # partial sums of gW
PRODUCT = 1_000_000  # multiply-adds: for larger products OpenBLAS copies the operands first
NARROW = 64  # columns; a narrower product in place is slower than a wide one with copies
SPEED = 16  # multiply-adds a nanosecond on one thread, about
RUN = 8  # elements copied at once, one vector register


class Window(NamedTuple):
    """The geometry of a convolution: Ho, Wo are the output's size, Qy, Qx the padded size over the stride."""

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
    pitch: int  # from one padded row to the next, sx * Qx
    step: int  # shifts k in one product: kh, or 1 if shifts k are windows
    lines: int  # values of i in a line (i, image, j): Ho, or `rows` if shifts k are windows


def window(x_shape: tuple, kernel: tuple, stride: tuple, padding: tuple, shifts: int) -> Window:
    """Return the geometry for images x (N, C, H, W). With at least `shifts` rows (c,l), shifts k are windows."""
    _, C, H, W = x_shape
    (kh, kw), (sy, sx), (py, px) = kernel, stride, padding
    Ho, Wo = (H + 2 * py - kh) // sy + 1, (W + 2 * px - kw) // sx + 1
    Qy, Qx = -(-(H + 2 * py) // sy), -(-(W + 2 * px) // sx)
    step, lines = (1, sy * Qy) if C * kw >= shifts else (kh, Ho)
    return Window(kh, kw, sy, sx, py, px, Ho, Wo, Qy, Qx, sy * Qy, sx * Qx, step, lines)


def groups(N: int, C: int, g: Window) -> int:
    """Return the number of groups that N images are processed in: a multiple of 8 if N allows.

    The groups determine the rounding. Their number therefore depends only on the shapes, not on the number of threads.
    1, 2, 4 or 8 threads get equal shares.
    """
    together = min(PLACES // (g.Ho * g.Wo), CACHE // (C * g.step * g.kw * g.lines * g.Wo))
    return min(N, 8 * -(-N // (8 * max(1, together))))


@njit(nogil=True)
def top(k, g):
    """Return the stored row of the padded image that holds the first pixel under row k of the kernel."""
    return k % g.sy * g.Qy + k // g.sy


# Images to columns, and back. Each pair is a linear map and its transpose. Arrays are flat.


@njit(nogil=True)
def pad(x, first, count, shape, padded, g):
    """Set padded[m, c, place of h + py, place of w + px] = x[first+m, c, h, w]. The other elements stay zero."""
    C, H, W = shape
    for c in range(count * C):
        for h in range(H):
            row = (c * g.sy + (h + g.py) % g.sy) * g.Qy + (h + g.py) // g.sy
            for r in range(min(g.sx, W)):
                start = (row * g.sx + (r + g.px) % g.sx) * g.Qx + (r + g.px) // g.sx
                source = ((first * C + c) * H + h) * W + r
                for t in range((W - r + g.sx - 1) // g.sx):
                    store_scratch(padded, start + t, load(x, source + t * g.sx))


@njit(nogil=True)
def unpad(gpadded, gx, first, count, shape, g):
    """Set gx[first+m, c, h, w] = gpadded[m, c, place of h + py, place of w + px]."""
    C, H, W = shape
    for c in range(count * C):
        for h in range(H):
            row = (c * g.sy + (h + g.py) % g.sy) * g.Qy + (h + g.py) // g.sy
            for r in range(min(g.sx, W)):
                start = (row * g.sx + (r + g.px) % g.sx) * g.Qx + (r + g.px) // g.sx
                target = ((first * C + c) * H + h) * W + r
                for t in range((W - r + g.sx - 1) // g.sx):
                    store(gx, target + t * g.sx, load_scratch(gpadded, start + t))


@njit(nogil=True)
def im2col(padded, count, C, columns, g):
    """Set columns[(c,k,l), (i,m,j)] = padded[m, c, i + top(k), place of l, + j]."""
    place, image, runs = 0, C * g.rows * g.pitch, (g.Wo + RUN - 1) // RUN
    for c in range(C):
        for k in range(g.step):
            for l in range(g.kw):
                start = (c * g.rows + top(k, g)) * g.pitch + l % g.sx * g.Qx + l // g.sx
                for i in range(g.lines):
                    for m in range(count):
                        source = m * image + start + i * g.pitch
                        for run in range(runs):  # up to RUN - 1 extra elements, overwritten later or in spare room
                            for r in range(RUN):
                                store(columns, place + run * RUN + r, load_scratch(padded, source + run * RUN + r))
                        place += g.Wo


@njit(nogil=True)
def col2im(gcolumns, count, C, gpadded, g):
    """Set gpadded[m, c, i + top(k), place of l, + j] = sum of gcolumns[(c,k,l), (i,m,j)]."""
    gpadded[:] = 0
    place, image = 0, C * g.rows * g.pitch
    for c in range(C):
        for k in range(g.step):
            for l in range(g.kw):
                start = (c * g.rows + top(k, g)) * g.pitch + l % g.sx * g.Qx + l // g.sx
                for i in range(g.lines):
                    for m in range(count):
                        target = m * image + start + i * g.pitch
                        for j in range(g.Wo):
                            total = load_scratch(gpadded, target + j) + load(gcolumns, place + j)
                            store_scratch(gpadded, target + j, total)
                        place += g.Wo


@njit(nogil=True)
def to_rows(gy, first, count, O, gplaces, g):
    """Set gplaces[o, (i,m,j)] = gy[first+m, o, i, j]."""
    place = 0
    for o in range(O):
        for i in range(g.Ho):
            for m in range(count):
                source = (((first + m) * O + o) * g.Ho + i) * g.Wo
                for j in range(g.Wo):
                    store(gplaces, place + j, load(gy, source + j))
                place += g.Wo


@njit(nogil=True)
def from_rows(places, b, first, count, O, y, g):
    """Set y[first+m, o, i, j] = places[o, (i,m,j)] + b[o]."""
    place = 0
    for o in range(O):
        for i in range(g.Ho):
            for m in range(count):
                target = (((first + m) * O + o) * g.Ho + i) * g.Wo
                for j in range(g.Wo):
                    store(y, target + j, load(places, place + j) + load(b, o))
                place += g.Wo


# Forward and backward for some groups of images.


@njit(nogil=True)
def blocks(O, K, width, g):
    """Return the number of blocks that a product is divided into; an output row has `width` columns."""
    most = PRODUCT // (O * K)
    return -(-g.Ho // max(1, most // width)) if most >= NARROW else 1


@njit(nogil=True)
def forward_groups(x, shape, Wk, b, y, g, N, n_groups, first, last):
    """Fill y for groups first to last - 1; x and y flat (N, C, H, W) and (N, O, Ho, Wo), Wk (kh/step, O, C*step*kw)."""
    C = shape[0]
    _, O, K = Wk.shape
    most = -(-N // n_groups)
    padded = np.zeros(most * C * g.rows * g.pitch + RUN, x.dtype)
    columns = np.empty(K * g.lines * most * g.Wo + RUN, x.dtype)
    places = np.empty(O * g.Ho * most * g.Wo, x.dtype)
    for group in range(first, last):
        n = N * group // n_groups
        count = N * (group + 1) // n_groups - n
        width = count * g.Wo
        pad(x, n, count, shape, padded, g)
        im2col(padded, count, C, columns, g)
        X = columns[: K * g.lines * width].reshape(K, g.lines * width)
        Y = places[: O * g.Ho * width].reshape(O, g.Ho * width)
        n_blocks = blocks(O, K, width, g)
        for block in range(n_blocks):
            start, stop = g.Ho * block // n_blocks * width, g.Ho * (block + 1) // n_blocks * width
            for k in range(len(Wk)):
                at = top(k, g) * width
                product(Y[:, start:stop], Wk[k], X[:, at + start : at + stop], k > 0)
        from_rows(places, b, n, count, O, y, g)


@njit(nogil=True)
def backward_groups(x, shape, Wk, gy, gx, gWk, gb, g, N, n_groups, first, last, needs):
    """Fill gx if it is needed, and add to gWk (kh/step, C*step*kw, O) and gb (O, 1), for groups first to last - 1.

    gWk is stored transposed, because BLAS is then faster. The other arrays are as in forward_groups.
    """
    C = shape[0]
    _, O, K = Wk.shape
    most = -(-N // n_groups)
    padded = np.zeros(most * C * g.rows * g.pitch + RUN, x.dtype)
    columns = np.empty(K * g.lines * most * g.Wo + RUN, x.dtype)
    gplaces = np.empty(O * g.Ho * most * g.Wo, x.dtype)
    gpadded = np.empty(len(padded) if needs else 0, x.dtype)
    gcolumns = np.empty(len(columns) if needs else 0, x.dtype)
    ones = np.ones((g.Ho * most * g.Wo, 1), x.dtype)
    for group in range(first, last):
        n = N * group // n_groups
        count = N * (group + 1) // n_groups - n
        width = count * g.Wo
        pad(x, n, count, shape, padded, g)
        im2col(padded, count, C, columns, g)
        to_rows(gy, n, count, O, gplaces, g)
        X = columns[: K * g.lines * width].reshape(K, g.lines * width)
        gY = gplaces[: O * g.Ho * width].reshape(O, g.Ho * width)
        product(gb, gY, ones[: g.Ho * width], True)
        for k in range(len(Wk)):
            at = top(k, g) * width
            product(gWk[k], X[:, at : at + g.Ho * width], gY.T, True)
        if needs:
            n_blocks = blocks(O, K, width, g)
            gX = gcolumns[: K * g.lines * width].reshape(K, g.lines * width)
            if len(Wk) > 1:
                gX[:] = 0
            for block in range(n_blocks):
                start, stop = g.Ho * block // n_blocks * width, g.Ho * (block + 1) // n_blocks * width
                for k in range(len(Wk)):
                    at = top(k, g) * width
                    product(gX[:, at + start : at + stop], Wk[k].T, gY[:, start:stop], len(Wk) > 1)
            col2im(gcolumns, count, C, gpadded, g)
            unpad(gpadded, gx, n, count, shape, g)


def _shifts(W: np.ndarray, g: Window) -> np.ndarray:
    """Return W (O, C, kh, kw) as (kh/step, O, C*step*kw), one matrix for each product."""
    O, C, kh, kw = W.shape
    return plain(W.reshape(O, C, kh // g.step, g.step * kw).transpose(2, 0, 1, 3)).reshape(-1, O, C * g.step * kw)


@np.errstate(all="ignore")
def convolve(x, W, b, stride: tuple, padding: tuple) -> np.ndarray:
    """Return y (N, O, Ho, Wo) for x (N, C, H, W), W (O, C, kh, kw), b (O,) of one dtype; callers check the sizes."""
    N, C = x.shape[:2]
    g = window(x.shape, W.shape[2:], stride, padding, SHIFTS)
    y, n_groups = np.empty((N, len(W), g.Ho, g.Wo), x.dtype), groups(N, C, g)
    flat, shape, Wk, b = plain(x).reshape(-1), x.shape[1:], _shifts(W, g), plain(b)

    def part(first, last):
        forward_groups(flat, shape, Wk, b, y.reshape(-1), g, N, n_groups, first, last)

    with one_blas_thread:
        parallel_ranges(part, n_groups, worth_a_thread(y.size * Wk[:, 0].size / SPEED / max(1, n_groups)))
    return y


@np.errstate(all="ignore")
def convolve_backward(x, W, gy, stride: tuple, padding: tuple, needs: bool = True) -> tuple:
    """Return (gx, gW, gb); gx is None unless `needs` is true."""
    (N, C), (O, _, kh, kw) = x.shape[:2], W.shape
    g = window(x.shape, (kh, kw), stride, padding, SHIFTS_BACK)
    flat, shape, Wk, gy = plain(x).reshape(-1), x.shape[1:], _shifts(W, g), plain(gy).reshape(-1)
    gx, n_groups = np.empty(x.size if needs else 0, x.dtype), groups(N, C, g)
    pieces = spans(n_groups, SUMS)
    # Each piece has its own sum. The sums are added in the order of the pieces, so the result is deterministic.
    gWk, gb = np.zeros((len(pieces), len(Wk), Wk.shape[2], O), x.dtype), np.zeros((len(pieces), O, 1), x.dtype)

    def part(p):
        backward_groups(flat, shape, Wk, gy, gx, gWk[p], gb[p], g, N, n_groups, *pieces[p], needs)

    with one_blas_thread:
        parallel(part, len(pieces), worth_a_thread(2 * gy.size * Wk[:, 0].size / SPEED / max(1, len(pieces))))
    gW = gWk.sum(axis=0).reshape(-1, C, g.step, kw, O).transpose(4, 1, 0, 2, 3).reshape(W.shape)
    return (gx.reshape(x.shape) if needs else None), gW, gb.sum(axis=(0, 2))
