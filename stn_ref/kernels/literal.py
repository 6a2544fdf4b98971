"""Eqs. (5)-(7) of the paper as sums over all pixels, in slow loops: the oracle that the fast backends are held to.

    V[b,c,i,j] = sum_{n,m} U[b,c,n,m] k(x_s - m) k(y_s - n),     k(d) = max(0, 1 - |d|)

Step through it with a debugger; it is plain Python. Pixels outside the floor cell of (x_s, y_s) are skipped: their
weight is 0, and 0 times a NaN elsewhere in the image would spoil every sample.
"""

import numpy as np

from stn_ref.kernels.scalar_math import hat, hat_slope


def taps(x_s, y_s, H, W):
    """Yield (n, m) for the pixels of the floor cell of (x_s, y_s) that lie inside the image."""
    for n in range(H):
        if hat_slope(y_s, n) == 0:
            continue
        for m in range(W):
            if hat_slope(x_s, m) != 0:
                yield n, m


@np.errstate(all="ignore")  # infinite pixels: inf * 0 is NaN, as it should be
def sample_forward(U, points):
    """Eq. (5). U (N, C, H, W), points (N, Ho, Wo, 2) in pixels -> V (N, C, Ho, Wo)."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    V = np.zeros((N, C, Ho, Wo), U.dtype)
    for b, i, j in np.ndindex(N, Ho, Wo):
        x_s, y_s = points[b, i, j]
        if np.isnan(x_s) or np.isnan(y_s):
            V[b, :, i, j] = np.nan
            continue
        for n, m in taps(x_s, y_s, H, W):
            V[b, :, i, j] += U[b, :, n, m] * (hat(x_s, m) * hat(y_s, n))  # Eq. (5)
    return V


@np.errstate(all="ignore")
def sample_backward(U, points, gV, needs=(True, True)):
    """Eqs. (6) and (7), times gV and summed. Returns (gU, gpoints), None where `needs` says so."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    gU, gpoints = np.zeros(U.shape, U.dtype), np.zeros(points.shape, points.dtype)
    for b, i, j in np.ndindex(N, Ho, Wo):
        x_s, y_s = points[b, i, j]
        if np.isnan(x_s) or np.isnan(y_s):
            gpoints[b, i, j] = np.nan
            continue
        dVdx, dVdy = np.zeros((2, C), U.dtype)
        for n, m in taps(x_s, y_s, H, W):
            gU[b, :, n, m] += gV[b, :, i, j] * (hat(x_s, m) * hat(y_s, n))  # Eq. (6)
            dVdx += U[b, :, n, m] * (hat_slope(x_s, m) * hat(y_s, n))  # Eq. (7)
            dVdy += U[b, :, n, m] * (hat(x_s, m) * hat_slope(y_s, n))
        gpoints[b, i, j, 0] = (gV[b, :, i, j] * dVdx).sum()
        gpoints[b, i, j, 1] = (gV[b, :, i, j] * dVdy).sum()
    return (gU if needs[0] else None), (gpoints if needs[1] else None)
