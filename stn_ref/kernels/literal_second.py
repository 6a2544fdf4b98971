"""Second order, as sums in slow loops: the tangent of V, and the gradient of the gradients.

The lists of literal.py hold (m, k(x - m)) and (m, k'(x - m)). Here the point moves as well, by (dx, dy) pixels. Its
weights then change by k' dx, and its slopes by k'' dx: two more lists. A list is empty where dx = 0, so that a point
that does not move multiplies no pixel.

    dV        = sum h k k + sum u (k' dx) k + sum u k (k' dy)                                    h: the tangent of U
    ggrid2_x  = sum_c gV (sum h k' k + sum u (k'' dx) k + sum u k' (k' dy)),   the same for y    h: hU
    gU2[n, m] = sum over points of gV ((k' dx) k + k (k' dy))
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from stn_ref.kernels import PIXELS
from stn_ref.kernels import scalar_math as sm
from stn_ref.kernels.literal import axes_of, axis_of, total

SIDES = {"right": [(1, 0)], "left": [(1, 1)], "central": [(0.5, 0), (0.5, 1)]}  # (share, pixels to the left)


class Moving(NamedTuple):
    """One coordinate of a point that moves.

    Attributes:
        k: (m, k(x - m)).
        dk: (m, k'(x - m)).
        moved: (m, k'(x - m) dx).
        bent: (m, k''(x - m) dx).
        slope: of the padding; dx includes it.
    """

    k: list
    dk: list
    moved: list
    bent: list
    slope: float


def curvatures(x, size, mode, padding, kink, a):
    """Return (m, k''(x - m)). Only Keys' k'' is not 0. It jumps at pixels, and there `kink` names the cell."""
    if mode != "bicubic":
        return []
    padding = sm.PADDINGS.index(padding)
    x, _ = sm.anchor(x, size, padding, 2)
    place = math.floor(x)
    t = float(x) - place
    found = []
    for share, back in SIDES[kink if t == 0 else "right"]:
        for i in (-1, 0, 1, 2):
            m, d = sm.tap(place - back + i, size, padding), abs(t + back - i)
            curvature = sm.cubic_inner_curvature(d, a) if i in (0, 1) else sm.cubic_outer_curvature(d, a)
            if m >= 0:
                found.append((m, type(x)(share * curvature)))
    return found


def moving(axis, curved, h, scale):
    """Return the Moving of an Axis whose coordinate moves by h, in the unit of the points; scale: pixels per unit."""
    dx = axis.slope * (h * scale) if axis.slope != 0 else 0
    moved, bent = ([(m, k * dx) for m, k in weights if dx != 0] for weights in (axis.dk, curved))
    return Moving(axis.k, axis.dk, moved, bent, axis.slope)


def _moving_axes(U, points, dpoints, unit, options):
    """Yield ((b, i, j), axes) for every point; axes is None for a NaN coordinate, else (Moving in x, Moving in y)."""
    mode, padding, kink, a, ties = options
    H, W = U.shape[2:]
    axis = axis_of(mode, padding, kink, a, ties)
    before, *to_pixels = unit
    for at in np.ndindex(points.shape[:3]):
        axes = axes_of(points[at], None, H, W, unit, axis)
        if axes is not None:
            x, y = (sm.to_pixel(points[at][k], before, *to_pixels[2 * k : 2 * k + 2]) for k in (0, 1))
            curved = (curvatures(z, size, mode, padding, kink, a) for z, size in ((x, W), (y, H)))
            scales = unit[1], unit[3]
            axes = tuple(moving(*each) for each in zip(axes, curved, dpoints[at], scales, strict=True))
        yield at, axes


@np.errstate(all="ignore")
def sample_jvp(U, points, dU, dpoints, mode="bilinear", padding="zeros", kink="right", a=-0.75, unit=None, ties="even"):
    """Return dV (N, C, Ho, Wo): the change of V as U moves by dU and the points move by dpoints."""
    unit = PIXELS[U.dtype] if unit is None else unit
    N, C, _, _ = U.shape
    dV = np.empty((N, C, *points.shape[1:3]), U.dtype)
    for (b, i, j), axes in _moving_axes(U, points, dpoints, unit, (mode, padding, kink, a, ties)):
        if axes is None:
            dV[b, :, i, j] = np.nan
            continue
        x, y = axes
        dV[b, :, i, j] = total((dU[b], y.k, x.k), (U[b], y.k, x.moved), (U[b], y.moved, x.k))
    return dV


@np.errstate(all="ignore")
def sample_double_backward(
    U, points, gV, hU, hpoints, mode="bilinear", padding="zeros", kink="right", a=-0.75, unit=None, ties="even"
):
    """Return (gV2, gU2, gpoints2), the gradients of <gU, hU> + <gpoints, hpoints>."""
    unit = PIXELS[U.dtype] if unit is None else unit
    options = mode, padding, kink, a, ties
    gV2 = sample_jvp(U, points, hU, hpoints, *options[:4], unit, ties)
    gU2, gpoints2 = np.zeros(U.shape, U.dtype), np.zeros(points.shape, U.dtype)
    for (b, i, j), axes in _moving_axes(U, points, hpoints, unit, options):
        if axes is None:
            gpoints2[b, i, j] = np.nan
            continue
        x, y = axes
        u, h, g = U[b], hU[b], gV[b, :, i, j]
        for in_y, in_x in ((y.k, x.moved), (y.moved, x.k)):
            for (n, ky), (m, kx) in itertools.product(in_y, in_x):
                gU2[b, :, n, m] += g * (kx * ky)
        if x.slope != 0:
            slopes = total((h, y.k, x.dk), (u, y.k, x.bent), (u, y.moved, x.dk))
            gpoints2[b, i, j, 0] = x.slope * (g * slopes).sum() * unit[1]
        if y.slope != 0:
            slopes = total((h, y.dk, x.k), (u, y.bent, x.k), (u, y.dk, x.moved))
            gpoints2[b, i, j, 1] = y.slope * (g * slopes).sum() * unit[3]
    return gV2, gU2, gpoints2
