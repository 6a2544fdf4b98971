"""CUDA kernels: Eq. (3) and its gradients. One thread computes one point, all its channels.

Threads of a warp take consecutive points, so they read and write whole cache lines of points, V, gV and gpoints.
Indices have 64 bits. bilinear and nearest are one kernel with 2 taps or 1 tap along each axis.

Arrays: U, gU (N, C, H, W); points, gpoints (N, P, 2); V, gV (N, C, P), all contiguous. unit is a tuple. Read next:
lists.py, the gradient of U without atomics.
"""

from stn_ref.kernels.cuda.device import cuda
from stn_ref.kernels.cuda.maths import corner, pixel, slope_taps, slope_weight, times, weight


@cuda.jit
def forward(U, points, V, unit, padding, taps, ties):
    """Set V at every point, Eq. (3). The order of the four products is that of the other backends."""
    N, C, H, W = U.shape
    P = points.shape[1]
    first, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for b in range(row, N, rows):
        for p in range(first, P, columns):
            x, y = pixel(points, b, p, unit)
            if x != x or y != y:
                for c in range(C):
                    V[b, c, p] = x + y
                continue
            m, tx, _ = corner(x, W, padding, taps, ties)
            n, ty, _ = corner(y, H, padding, taps, ties)
            for c in range(C):
                v = type(x)(0)
                for j in range(2):
                    for k in range(2):
                        if j < taps and k < taps and 0 <= n + j < H and 0 <= m + k < W:
                            v += times(U[b, c, n + j, m + k], times(weight(k, tx), weight(j, ty)))
                V[b, c, p] = v


@cuda.jit
def scatter(points, gV, gU, unit, padding, taps, ties):
    """Add Eq. (6) to gU by atomic operations. The order of the sums changes from run to run."""
    N, C, H, W = gU.shape
    P = points.shape[1]
    first, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for b in range(row, N, rows):
        for p in range(first, P, columns):
            x, y = pixel(points, b, p, unit)
            if x != x or y != y:
                continue
            m, tx, _ = corner(x, W, padding, taps, ties)
            n, ty, _ = corner(y, H, padding, taps, ties)
            for c in range(C):
                g = gV[b, c, p]
                for j in range(2):
                    for k in range(2):
                        if j < taps and k < taps and 0 <= n + j < H and 0 <= m + k < W:
                            w = times(weight(k, tx), weight(j, ty))
                            cuda.atomic.add(gU, (b, c, n + j, m + k), times(g, w))


@cuda.jit
def slopes(U, points, gV, gpoints, unit, padding, taps, ties, kink):
    """Set gpoints to Eq. (7) times gV, summed over channels. Each point's gradient is written by its own thread."""
    N, C, H, W = U.shape
    P = points.shape[1]
    start, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for b in range(row, N, rows):
        for p in range(start, P, columns):
            x, y = pixel(points, b, p, unit)
            if x != x or y != y:
                gpoints[b, p, 0] = gpoints[b, p, 1] = x + y
                continue
            one = type(x)(1)
            gx, gy = type(x)(0), type(x)(0)
            m, tx, slope_x = corner(x, W, padding, taps, ties)
            n, ty, slope_y = corner(y, H, padding, taps, ties)
            first_x, last_x = slope_taps(tx, kink)
            first_y, last_y = slope_taps(ty, kink)
            if slope_x != 0:
                for c in range(C):
                    dV = type(x)(0)
                    for j in range(2):
                        for k in range(first_x, last_x + 1):
                            if 0 <= n + j < H and 0 <= m + k < W:
                                w = times(slope_weight(k, first_x, last_x, one), weight(j, ty))
                                dV += times(U[b, c, n + j, m + k], w)
                    gx += times(gV[b, c, p], dV)
            if slope_y != 0:
                for c in range(C):
                    dV = type(x)(0)
                    for j in range(first_y, last_y + 1):
                        for k in range(2):
                            if 0 <= n + j < H and 0 <= m + k < W:
                                w = times(weight(k, tx), slope_weight(j, first_y, last_y, one))
                                dV += times(U[b, c, n + j, m + k], w)
                    gy += times(gV[b, c, p], dV)
            gpoints[b, p, 0] = times(times(gx, slope_x), unit[1])
            gpoints[b, p, 1] = times(times(gy, slope_y), unit[3])


@cuda.jit
def fill(array, value):
    """Set every element of a (rows, columns) array."""
    start, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for i in range(row, array.shape[0], rows):
        for j in range(start, array.shape[1], columns):
            array[i, j] = value


@cuda.jit
def copy(source, target):
    """Copy an array with four axes and any strides."""
    A, B, C, D = target.shape
    start, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for i in range(row, A * B, rows):
        for j in range(start, C * D, columns):
            target[i // B, i % B, j // D, j % D] = source[i // B, i % B, j // D, j % D]
