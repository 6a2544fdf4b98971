"""The gradient of U without atomic sums: every run gives the same bits.

This is Eq. (6) as a sum for each pixel. The points of an image are sorted into lists by their cell. Then one thread for
each pixel walks the lists of the four cells that touch the pixel (of one cell for nearest). It adds in a fixed order.
The index of a cell is its first tap (n, m), from (-1, -1) to (H - 1, W - 1). Points of other cells use no pixel.

    push     insert each point at the head of its cell's list, in any order, by an atomic exchange of integers
    sort     sort each list by the index of the point
    gather   sum, for each pixel, the contributions of its lists

The cost, compared with atomics: 4 bytes for each point and each cell (8 from 2^31 points an image), two more short
kernels, and the time to sort the longest list. One thread sorts and walks a list, so a cell with k points takes k log k
steps. This is negligible if the map spreads its points, and slow if it sends most of them into one cell. Then
backend="cuda_atomic" is faster, but its order of summation changes from run to run.

heads (N, (H + 1)(W + 1)): the first point of each cell. following (N, P): the point after each point. -1 ends a list.
"""

from stn_ref.kernels.cuda.device import cuda, device
from stn_ref.kernels.cuda.maths import corner, pixel, times, weight


@cuda.jit
def push(points, heads, following, H, W, unit, padding, taps, ties):
    """Insert every point at the head of its cell's list."""
    N, P, _ = points.shape
    start, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for b in range(row, N, rows):
        for p in range(start, P, columns):
            x, y = pixel(points, b, p, unit)
            if x != x or y != y:
                continue
            m, _, _ = corner(x, W, padding, taps, ties)
            n, _, _ = corner(y, H, padding, taps, ties)
            if -1 <= m < W and -1 <= n < H:
                following[b, p] = cuda.atomic.exch(heads, (b, (n + 1) * (W + 1) + m + 1), p)


@device
def sorted_list(head, following, b):
    """Sort a list in place by merging runs of 1, 2, 4, ... points (Tatham's merge sort); return its first point."""
    run = 1
    while True:
        left, head, last, merges = head, -1, -1, 0
        while left >= 0:
            merges += 1
            right, in_left, in_right = left, 0, run
            while in_left < run and right >= 0:
                right = following[b, right]
                in_left += 1
            while in_left > 0 or (in_right > 0 and right >= 0):
                if in_left > 0 and (in_right == 0 or right < 0 or left < right):
                    taken, in_left = left, in_left - 1
                    left = following[b, left]
                else:
                    taken, in_right = right, in_right - 1
                    right = following[b, right]
                if last < 0:
                    head = taken
                else:
                    following[b, last] = taken
                last = taken
            left = right
        if last >= 0:
            following[b, last] = -1
        if merges <= 1:
            return head
        run *= 2


@cuda.jit
def sort(heads, following):
    """Sort the list of every cell, one thread for each cell."""
    N, cells = heads.shape
    start, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for b in range(row, N, rows):
        for i in range(start, cells, columns):
            heads[b, i] = sorted_list(heads[b, i], following, b)


@cuda.jit
def gather(points, gV, heads, following, gU, unit, padding, taps, ties):
    """Set gU by Eq. (6). One thread computes one pixel, all its channels."""
    N, C, H, W = gU.shape
    start, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for b in range(row, N, rows):
        for i in range(start, H * W, columns):
            n, m = i // W, i % W
            for c in range(C):
                gU[b, c, n, m] = 0
            for j in range(taps):  # the pixel is tap (j, k) of the cell
                for k in range(taps):
                    p = heads[b, (n - j + 1) * (W + 1) + m - k + 1]
                    while p >= 0:
                        x, y = pixel(points, b, p, unit)
                        _, tx, _ = corner(x, W, padding, taps, ties)
                        _, ty, _ = corner(y, H, padding, taps, ties)
                        w = times(weight(k, tx), weight(j, ty))
                        for c in range(C):
                            gU[b, c, n, m] += times(gV[b, c, p], w)
                        p = following[b, p]
