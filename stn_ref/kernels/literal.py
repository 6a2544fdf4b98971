"""Eqs. (3)-(7) of the paper as sums over pixels, in slow loops: the reference that tests compare fast backends with.

    V[b,c,i,j] = sum_{n,m} U[b,c,n,m] k(x_s - m) k(y_s - n)                                   Eq. (3)
    k(d) = max(0, 1 - |d|): Eq. (5), bilinear;  the nearest pixel: Eq. (4);  cubic, tent, gaussian: see scalar_math.py

This is plain Python that a debugger can step through. Along each axis one list holds the pixels with their weights,
(m, k(x_s - m)), and another the pixels with their slopes, (m, k'(x_s - m)). The sums run over one list in x and one in
y. Pixels outside the cell of the point are in neither list: their weight is 0, and 0 times a NaN pixel would be NaN.
"""

import itertools
import math
from functools import partial
from typing import NamedTuple

import numpy as np

from stn_ref.kernels import PIXELS
from stn_ref.kernels import scalar_math as sm

HAT_SLOPES = {  # the readings of Eq. (7) at a kink: (share, slope)
    "right": [(1, sm.hat_slope)],
    "left": [(1, sm.hat_slope_left)],
    "central": [(0.5, sm.hat_slope), (0.5, sm.hat_slope_left)],
    "as_printed": [(1, sm.hat_slope_as_printed)],
}


class Axis(NamedTuple):
    """One coordinate of a point.

    Attributes:
        k: (m, k(x - m)) of every pixel m that is multiplied.
        dk: (m, k'(x - m)).
        dphi: (m, dk/dphi), for kernels with a width.
        slope: of the padding, dx'/dx; where it is 0 the gradient is 0 for any pixels.
        phi_slope: of the width in use, dw/dphi.
    """

    k: list
    dk: list
    dphi: list
    slope: float
    phi_slope: float


def nearest_axis(x, size, padding, ties):
    """Return the Axis of Eq. (4): one pixel of weight 1. The sample changes only in jumps, so the slope is 0."""
    x, _ = sm.fold(x, size, padding)
    m = sm.nearest(*sm.cell(x, size), ties)
    return Axis([(m, type(x)(1))] if 0 <= m < size else [], [], [], 0, 0)


def bilinear_axis(x, size, padding, kink):
    """Return the Axis of Eqs. (5) and (7): the pixels of the floor cell; at a kink the slope that `kink` names."""
    x, slope = sm.fold(x, size, padding)
    k = [(m, sm.hat(x, m)) for m in range(size) if sm.hat_slope(x, m) != 0]
    dk = [(m, type(x)(share) * d(x, m)) for share, d in HAT_SLOPES[kink] for m in range(size) if d(x, m) != 0]
    return Axis(k, dk, [], slope, 0)


def cubic_axis(x, size, padding, a):
    """Return the Axis of Keys' kernel: two places on either side; the padding fills places outside the image."""
    x, slope = sm.anchor(x, size, padding, 2)
    place = math.floor(x)
    t = float(x) - place
    taps = [(sm.tap(place + i, size, padding), t - i) for i in (-1, 0, 1, 2)]
    k, dk = ([(m, type(x)(f(d, a))) for m, d in taps if m >= 0] for f in (sm.cubic, sm.cubic_slope))
    return Axis(k, dk, [], slope, 0)


def wide_axis(x, size, padding, phi, kernel):
    """Return the Axis of a kernel of width phi. The weights are divided by their sum: a constant image stays constant.

    The weights are k_m / K with K = sum_m k_m over all places, also those outside the image. By the quotient rule their
    derivatives are (dk_m - (k_m / K) dK) / K.
    """
    w, phi_slope = sm.width(float(phi), size, kernel)
    r = sm.reach(w, kernel)
    x, slope = sm.anchor(x, size, padding, math.ceil(r))
    place = math.floor(x)
    t = float(x) - place
    kernel_of = sm.tent if kernel == sm.TENT else sm.gaussian
    places = range(math.ceil(t - r), math.floor(t + r) + 1)
    values = [kernel_of(t - i, w) for i in places]
    K, dK, dKdphi = (sum(column) for column in zip(*values, strict=True))
    k, dk, dphi = [], [], []
    for i, (ki, di, pi) in zip(places, values, strict=True):
        m = sm.tap(place + i, size, padding)
        if m >= 0:
            k.append((m, type(x)(ki / K)))
            dk.append((m, type(x)((di - ki / K * dK) / K)))
            dphi.append((m, type(x)((pi - ki / K * dKdphi) / K)))
    return Axis(k, dk, dphi, slope, phi_slope)


def axes_of(xy, phi, H, W, unit, axis):
    """Return (Axis in x, Axis in y) of one point, None if xy or phi contains NaN. phi: (2,), or None."""
    if np.isnan(xy).any() or (phi is not None and np.isnan(phi).any()):
        return None
    before, scale_x, after_x, scale_y, after_y = unit
    x, y = sm.to_pixel(xy[0], before, scale_x, after_x), sm.to_pixel(xy[1], before, scale_y, after_y)
    return (axis(x, W), axis(y, H)) if phi is None else (axis(x, W, phi[0]), axis(y, H, phi[1]))


def _forward(U, points, phi, unit, axis):
    """Return V, Eq. (3). axis: (coordinate, size[, phi]) -> Axis; phi: (N, Ho, Wo, 2), or None."""
    N, C, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    V = np.zeros((N, C, Ho, Wo), U.dtype)
    for b, i, j in np.ndindex(N, Ho, Wo):
        axes = axes_of(points[b, i, j], None if phi is None else phi[b, i, j], H, W, unit, axis)
        if axes is None:
            V[b, :, i, j] = np.nan
            continue
        x, y = axes
        for (n, ky), (m, kx) in itertools.product(y.k, x.k):
            V[b, :, i, j] += U[b, :, n, m] * (kx * ky)  # Eq. (3)
    return V


def _backward(U, points, phi, gV, unit, axis):
    """Return (gU, gpoints, gphi): Eqs. (6) and (7), and the same for phi, times gV and summed."""
    N, _, H, W = U.shape
    _, Ho, Wo, _ = points.shape
    gU, gpoints = np.zeros(U.shape, U.dtype), np.zeros(points.shape, points.dtype)
    gphi = None if phi is None else np.zeros(phi.shape, phi.dtype)
    for b, i, j in np.ndindex(N, Ho, Wo):
        axes = axes_of(points[b, i, j], None if phi is None else phi[b, i, j], H, W, unit, axis)
        if axes is None:
            gpoints[b, i, j] = np.nan
            if phi is not None:
                gphi[b, i, j] = np.nan
            continue
        x, y = axes
        u, g = U[b], gV[b, :, i, j]
        for (n, ky), (m, kx) in itertools.product(y.k, x.k):
            gU[b, :, n, m] += g * (kx * ky)  # Eq. (6)
        gpoints[b, i, j] = _slope(u, g, y.k, x.dk, x.slope), _slope(u, g, y.dk, x.k, y.slope)  # Eq. (7)
        gpoints[b, i, j] *= unit[1], unit[3]  # the chain factor, 1 if points are in pixels
        if phi is not None:
            gphi[b, i, j] = _slope(u, g, y.k, x.dphi, x.phi_slope), _slope(u, g, y.dphi, x.k, y.phi_slope)
    return gU, gpoints, gphi


def _slope(u, g, in_y, in_x, slope):
    """Return slope * sum_c g_c dV_c. dV_c: the sum of u over both lists; slope: of the padding or the width."""
    return slope * (g * total((u, in_y, in_x))).sum() if slope != 0 else 0


def total(*terms):
    """Return the sums (C,) of pixels times their weights. A term: pixels (C, H, W), a list in y and one in x."""
    sums = np.zeros(len(terms[0][0]), terms[0][0].dtype)
    for u, in_y, in_x in terms:
        for (n, ky), (m, kx) in itertools.product(in_y, in_x):
            sums += u[:, n, m] * (kx * ky)
    return sums


def axis_of(mode, padding, kink, a, ties):
    """Return the function (coordinate, size) -> Axis for these options."""
    padding = sm.PADDINGS.index(padding)
    if mode == "nearest":
        return partial(nearest_axis, padding=padding, ties=sm.TIES.index(ties))
    if mode == "bilinear":
        return partial(bilinear_axis, padding=padding, kink=kink)
    return partial(cubic_axis, padding=padding, a=a)


@np.errstate(all="ignore")  # infinite pixels: inf * 0 is NaN, as required
def sample_forward(U, points, mode="bilinear", padding="zeros", a=-0.75, unit=None, ties="even"):
    """Return V (N, C, Ho, Wo), Eq. (3), for U (N, C, H, W) and points (N, Ho, Wo, 2)."""
    unit = PIXELS[U.dtype] if unit is None else unit
    return _forward(U, points, None, unit, axis_of(mode, padding, "right", a, ties))


@np.errstate(all="ignore")
def sample_backward(
    U, points, gV, mode="bilinear", padding="zeros", kink="right", a=-0.75, needs=(True, True), unit=None, ties="even"
):
    """Return (gU, gpoints), Eqs. (6) and (7) times gV and summed; None for a gradient that `needs` excludes."""
    unit = PIXELS[U.dtype] if unit is None else unit
    gU, gpoints, _ = _backward(U, points, None, gV, unit, axis_of(mode, padding, kink, a, ties))
    return (gU if needs[0] else None), (gpoints if needs[1] else None)


@np.errstate(all="ignore")
def wide_forward(U, points, phi, kernel, padding="zeros"):
    """Return V by Eq. (3) with the kernel "tent" or "gaussian"; phi (N, Ho, Wo, 2): widths in x and y, pixels."""
    return _forward(U, points, phi, PIXELS[U.dtype], _wide_axis_of(kernel, padding))


@np.errstate(all="ignore")
def wide_backward(U, points, phi, gV, kernel, padding="zeros", needs=(True, True, True)):
    """Return (gU, gpoints, gphi); None for a gradient that `needs` excludes."""
    gradients = _backward(U, points, phi, gV, PIXELS[U.dtype], _wide_axis_of(kernel, padding))
    return tuple(g if need else None for g, need in zip(gradients, needs, strict=True))


def _wide_axis_of(kernel, padding):
    return lambda x, size, phi: wide_axis(x, size, sm.PADDINGS.index(padding), phi, sm.KERNELS[kernel])


# The grid, Sec. 3.2. An axis is (target, start, factor, shift), see coordinates.Axis; D is T - identity.


@np.errstate(all="ignore")
def matrix_forward(D, axes):
    """Eq. (1). D (N, 2, 3), or (N, 3, 3) for a homography -> points (N, Ho, Wo, 2)."""
    x, y = axes[0].target, axes[1].target
    d = np.empty((len(D), len(y), len(x), 2), D.dtype)
    for b, i, j in np.ndindex(d.shape[:3]):
        d[b, i, j] = (sm.affine if len(D[b]) == 2 else sm.projective)(D[b], x[j], y[i])[:2]
    return shift_forward(d, axes)


@np.errstate(all="ignore")
def matrix_backward(D, gpoints, axes, aspect=1.0):
    """Return the eight sums (N, 8) over a sample's points, see `stn_ref.kernels`."""
    x, y = axes[0].target, axes[1].target
    gd, r = shift_backward(gpoints, axes), D.dtype.type(aspect)
    sums = np.zeros((len(D), 8), D.dtype)
    for b, i, j in np.ndindex(gd.shape[:3]):
        gX, gY = gd[b, i, j]
        more = gX * x[j] + gY * y[i], gY * (r * x[j]) - gX * (y[i] / r)
        if len(D[b]) == 3:
            gX, gY, gw = sm.projective_backward(D[b], x[j], y[i], gX, gY)
            more = gw * x[j], gw * y[i]
        sums[b] += (gX * x[j], gX * y[i], gX, gY * x[j], gY * y[i], gY, *more)  # Eq. (1) transposed
    return sums


@np.errstate(all="ignore")
def shift_forward(d, axes):
    """Return the points (N, Ho, Wo, 2) that lie d from the target points."""
    (_, start_x, *to_x), (_, start_y, *to_y) = axes
    points = np.empty(d.shape, d.dtype)
    for b, i, j in np.ndindex(d.shape[:3]):
        points[b, i, j] = sm.pixel(d[b, i, j, 0], start_x[j], *to_x), sm.pixel(d[b, i, j, 1], start_y[i], *to_y)
    return points


@np.errstate(all="ignore")
def shift_backward(gpoints, axes):
    """Return gd, the gradient of d: each coordinate times its factor."""
    gd = np.empty(gpoints.shape, gpoints.dtype)
    for at in np.ndindex(gd.shape):
        gd[at] = gpoints[at] * axes[at[-1]].factor
    return gd
