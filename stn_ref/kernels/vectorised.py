"""The bilinear sampler in NumPy: the four taps of every point at once, gathered and scattered by fancy indexing."""

import numpy as np


def cell(x, size):
    """Return (m, t) of every coordinate, as scalar_math.cell does for one."""
    x = np.clip(x, -2, size + 1)  # keeps NaN
    m = np.floor(x)
    return np.where(np.isnan(m), -2, m).astype(np.intp), x - m


def taps(points, H, W):
    """Yield the four taps (n, m) of each point: where it lies, whether it is in the image, its weights and slopes.

    Args:
        points: (N, P, 2), pixels.
        H: rows.
        W: columns.

    Yields:
        (index, inside, (kx, dkx), (ky, dky)), each (N, P): n * W + m clipped into the image, a mask, and the kernel
        and its slope, Eqs. (5) and (7), in x and in y.
    """
    m0, tx = cell(points[..., 0], W)
    n0, ty = cell(points[..., 1], H)
    one = np.ones_like(tx)
    for n, ky, dky in ((n0, 1 - ty, -one), (n0 + 1, ty, one)):
        for m, kx, dkx in ((m0, 1 - tx, -one), (m0 + 1, tx, one)):
            inside = (n >= 0) & (n < H) & (m >= 0) & (m < W)
            yield np.clip(n, 0, H - 1) * W + np.clip(m, 0, W - 1), inside, (kx, dkx), (ky, dky)


@np.errstate(all="ignore")  # infinite pixels: inf * 0 is NaN, as it should be
def sample_forward(U, points):
    """Eq. (5). U (N, C, H, W), points (N, Ho, Wo, 2) in pixels -> V (N, C, Ho, Wo)."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    pixels, xy = U.reshape(N, C, H * W), points.reshape(N, Ho * Wo, 2)
    V = np.zeros((N, C, Ho * Wo), U.dtype)
    for index, inside, (kx, _), (ky, _) in taps(xy, H, W):
        tap = np.take_along_axis(pixels, index[:, None], 2)
        V += np.where(inside[:, None], tap, 0) * (kx * ky)[:, None]
    V.transpose(0, 2, 1)[np.isnan(xy).any(-1)] = np.nan
    return V.reshape(N, C, Ho, Wo)


@np.errstate(all="ignore")
def sample_backward(U, points, gV, needs=(True, True)):
    """Eqs. (6) and (7), times gV and summed. Returns (gU, gpoints), None where `needs` says so."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    pixels, xy, g = U.reshape(N, C, H * W), points.reshape(N, Ho * Wo, 2), gV.reshape(N, C, Ho * Wo)
    gU = np.zeros((N, C, H * W), U.dtype) if needs[0] else None
    dVdx, dVdy = np.zeros((2, *g.shape), U.dtype) if needs[1] else (None, None)
    broken = np.isnan(xy).any(-1)
    for index, inside, (kx, dkx), (ky, dky) in taps(xy, H, W):
        inside &= ~broken
        if needs[0]:
            b, p = np.nonzero(inside)
            channels = np.arange(C)[:, None]
            np.add.at(gU, (b, channels, index[b, p]), g[b, channels, p] * (kx * ky)[b, p])  # Eq. (6)
        if needs[1]:
            tap = np.where(inside[:, None], np.take_along_axis(pixels, index[:, None], 2), 0)
            dVdx += tap * (dkx * ky)[:, None]  # Eq. (7)
            dVdy += tap * (kx * dky)[:, None]
    gpoints = None
    if needs[1]:
        gpoints = np.stack([(g * dVdx).sum(1), (g * dVdy).sum(1)], axis=-1)
        gpoints[broken] = np.nan
        gpoints = gpoints.reshape(points.shape)
    return (None if gU is None else gU.reshape(U.shape)), gpoints
