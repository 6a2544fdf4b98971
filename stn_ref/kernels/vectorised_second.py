"""Second order in NumPy: the tangent of V, and the gradient of the gradients, see literal_second.py for the sums."""

from typing import NamedTuple

import numpy as np

from stn_ref.kernels import PIXELS
from stn_ref.kernels.vectorised import anchor, axis_of, columns_of, gather, scatter, tap


class Moving(NamedTuple):
    """One coordinate of all points, which move. A tap is (m, weights), two arrays over the points.

    Attributes:
        k: taps with the weights k(x - m).
        dk: taps with the slopes k'(x - m).
        moved: taps with k'(x - m) dx; m is -1 where dx = 0.
        bent: taps with k''(x - m) dx, likewise.
        slope: of the padding; dx includes it.
    """

    k: list
    dk: list
    moved: list
    bent: list
    slope: np.ndarray


def curvatures(x, size, mode, padding, kink, a):
    """Return taps with k''(x - m), see literal_second.curvatures."""
    if mode != "bicubic":
        return []
    place, t, _ = anchor(x, size, padding, 2)
    on = t == 0
    shares = {"right": ((0, 1.0),), "left": ((on, 1.0),), "central": ((0, 0.5), (on, 0.5))}[kink]
    found = []
    for back, share in shares:
        for i in (-1, 0, 1, 2):
            d = np.abs(t + back - i)
            curvature = 6 * (a + 2) * d - 2 * (a + 3) if i in (0, 1) else a * (6 * d - 10)
            found.append((tap(place - back + i, size, padding), (share * curvature).astype(x.dtype)))
    return found


def moving(axis, curved, h, scale):
    """Return the Moving of an Axis whose coordinates move by h, in the unit of the points; scale: pixels per unit."""
    dx = np.where(axis.slope == 0, 0, axis.slope * (h * scale))
    moved, bent = ([(np.where(dx == 0, -1, m), k * dx) for m, k in taps] for taps in (axis.dk, curved))
    return Moving(axis.k, axis.dk, moved, bent, axis.slope)


def _moving_axes(U, points, dpoints, unit, mode, padding, kink, a, ties):
    """Return (Moving in x, Moving in y, whether a coordinate is NaN)."""
    at, axis = columns_of(points, None, unit), axis_of(mode, padding, kink, a, ties)
    moves = np.moveaxis(dpoints.reshape(*at.shape[1:], 2), -1, 0)
    axes = (
        moving(axis(z, size), curvatures(z, size, mode, padding, kink, a), h, scale)
        for z, size, h, scale in zip(at, U.shape[:1:-1], moves, unit[[1, 3]], strict=True)
    )
    return (*axes, np.isnan(at).any(0))


def total(shape, W, *terms):
    """Return the sums, of `shape` (N, C, P), of pixels times weights. A term: pixels (N, C, HW), taps in y and in x."""
    sums = np.zeros(shape, terms[0][0].dtype)
    for pixels, in_y, in_x in terms:
        gather(sums, pixels, W, in_y, in_x)
    return sums


@np.errstate(all="ignore")
def sample_jvp(U, points, dU, dpoints, mode="bilinear", padding="zeros", kink="right", a=-0.75, unit=None, ties="even"):
    """Return dV (N, C, Ho, Wo): the change of V as U moves by dU and the points move by dpoints."""
    unit = PIXELS[U.dtype] if unit is None else unit
    x, y, broken = _moving_axes(U, points, dpoints, unit, mode, padding, kink, a, ties)
    return _jvp(U, dU, x, y, broken).reshape(*U.shape[:2], *points.shape[1:3])


def _jvp(U, dU, x, y, broken):
    """Return dV (N, C, P)."""
    N, C, H, W = U.shape
    u, h, shape = U.reshape(N, C, H * W), dU.reshape(N, C, H * W), (N, C, broken.shape[1])
    dV = total(shape, W, (h, y.k, x.k), (u, y.k, x.moved), (u, y.moved, x.k))
    dV.transpose(0, 2, 1)[broken] = np.nan
    return dV


@np.errstate(all="ignore")
def sample_double_backward(
    U, points, gV, hU, hpoints, mode="bilinear", padding="zeros", kink="right", a=-0.75, unit=None, ties="even"
):
    """Return (gV2, gU2, gpoints2), the gradients of <gU, hU> + <gpoints, hpoints>."""
    unit = PIXELS[U.dtype] if unit is None else unit
    x, y, broken = _moving_axes(U, points, hpoints, unit, mode, padding, kink, a, ties)
    N, C, H, W = U.shape
    u, h, g = U.reshape(N, C, H * W), hU.reshape(N, C, H * W), gV.reshape(N, C, broken.shape[1])
    gU2 = np.zeros(u.shape, U.dtype)
    for in_y, in_x in ((y.k, x.moved), (y.moved, x.k)):
        scatter(gU2, g, W, in_y, in_x, broken)

    def slope(factor, *terms):
        slopes = factor * (g * total(g.shape, W, *terms)).sum(1)
        return np.where(broken, np.nan, np.where(factor == 0, 0, slopes))

    gx = slope(x.slope, (h, y.k, x.dk), (u, y.k, x.bent), (u, y.moved, x.dk)) * unit[1]
    gy = slope(y.slope, (h, y.dk, x.k), (u, y.bent, x.k), (u, y.dk, x.moved)) * unit[3]
    gpoints2 = np.stack([gx, gy], axis=-1).astype(U.dtype).reshape(points.shape)
    return _jvp(U, hU, x, y, broken).reshape(gV.shape), gU2.reshape(U.shape), gpoints2
