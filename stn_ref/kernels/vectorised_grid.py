"""The grid, Sec. 3.2, in NumPy: the displacement of points by a matrix, and its gradient, for any points.

D = T - identity has the rows of Eq. (1), and for a homography a third one. An entry is an array that broadcasts against
the coordinates, or the number 0. The term of a number 0 is not computed, because 0 times infinity is NaN.
"""

from itertools import zip_longest

import numpy as np

from stn_ref.kernels.scalar_math import HORIZON


def displacement(D, x, y):
    """Return d = D (x, y, 1) (N, ..., 2) for x and y (1 or N, ...); for a homography (D (x, y, 1) - e (x, y)) / w.

    e is the third row of D times (x, y, 1), and w = e + 1. If w <= HORIZON both coordinates of d are +inf.
    """
    d = np.empty((len(D[0][2]), *x.shape[1:], 2), x.dtype)
    for axis in range(2):
        d[..., axis] = _line(D[axis], x, y)
    if len(D) == 3:
        e = _line(D[2][:2], x, y)
        unseen, w = _seen(e)
        for axis, coordinate in enumerate((x, y)):
            d[..., axis] -= e * coordinate
            d[..., axis] /= w
        d = replaced(d, unseen, np.inf)
    return d


def displacement_backward(D, x, y, gd, aspect, needs):
    """Return (sums, gxy): the eight sums over a sample's points (N, 8), see `stn_ref.kernels`, and (N, ..., 2).

    For a homography gX = gd_x / w, gY = gd_y / w, gw = -(gX x_s + gY y_s). For a point at infinity gd, d and e are set
    to 0, because 0 times infinity is NaN.
    """
    gX, gY = gd[..., 0], gd[..., 1]
    sums = gxy = None
    if len(D) == 3:
        d = displacement(D, x, y)
        infinite = at_infinity(d)
        gd, d = replaced(gd, infinite, 0), replaced(d, infinite, 0)
        e = np.where(infinite, 0, _line(D[2][:2], x, y))
        _, w = _seen(e)
        gX, gY = gd[..., 0] / w, gd[..., 1] / w
        gw = -(gX * (x + d[..., 0]) + gY * (y + d[..., 1]))
    if needs[0]:
        more = (gw * x, gw * y) if len(D) == 3 else (gX * x + gY * y, gY * (aspect * x) - gX * (y / aspect))
        terms = (gX * x, gX * y, gX, gY * x, gY * y, gY, *more)  # Eq. (1) transposed
        sums = np.stack([term.sum(tuple(range(1, term.ndim))) for term in terms], axis=1)
    if needs[1]:
        gxy = np.empty_like(gd)
        for axis in range(2):  # D transposed; for a homography minus gd = (w gX, w gY)
            column = [row[axis] for row in D]
            if len(D) == 3:
                column[axis] = column[axis] - e
            gxy[..., axis] = _line(column, *((gX, gY, gw) if len(D) == 3 else (gX, gY)))
    return sums, gxy


def _line(coefficients, *values):
    """Return the sum of coefficient times value, from left to right; the last coefficient may have no value."""
    pairs = [(c, v) for c, v in zip_longest(coefficients, values) if not isinstance(c, (int, float)) or c != 0]
    terms = [c if v is None else c * v for c, v in pairs]
    return sum(terms[1:], start=terms[0]) if terms else 0


def _seen(e):
    """Return a mask of the points with w = e + 1 <= HORIZON, and w with 1 at these points, to divide by."""
    w = e + 1
    unseen = w <= HORIZON
    return unseen, np.where(unseen, 1, w)


def at_infinity(d):
    """Return a mask (N, ...) of the points at infinity: they are outside every image and have no gradient."""
    d_x, d_y = d[..., 0], d[..., 1]
    return (np.isinf(d_x) | np.isinf(d_y)) & ~(np.isnan(d_x) | np.isnan(d_y))


def replaced(points, where, value):
    """Return points (N, ..., 2) with both coordinates set to `value` where the mask `where` (N, ...) is true."""
    if not where.any():
        return points
    return np.where(where[..., None], points.dtype.type(value), points)


def _on_grid(D, axes):
    """Return the rows of D (N, 2 or 3, 3), broadcastable to the target points, and the points: x and y (1, Ho, Wo)."""
    x, y = np.broadcast_arrays(axes[0].target, axes[1].target[:, None])
    return D.transpose(1, 2, 0)[..., None, None], x[None], y[None]


@np.errstate(all="ignore")
def matrix_forward(D, axes):
    """Return points (N, Ho, Wo, 2) by Eq. (1), for D (N, 2, 3), or (N, 3, 3) for a homography."""
    return shift_forward(displacement(*_on_grid(D, axes)), axes)


@np.errstate(all="ignore")
def matrix_backward(D, gpoints, axes, aspect=1.0):
    """Return the eight sums (N, 8) over a sample's points, see `stn_ref.kernels`."""
    return displacement_backward(*_on_grid(D, axes), shift_backward(gpoints, axes), aspect, (True, False))[0]


@np.errstate(all="ignore")
def shift_forward(d, axes):
    """Return points (N, Ho, Wo, 2): the target points, displaced by d."""
    points = np.empty(d.shape, d.dtype)
    for k, (_, start, factor, shift) in enumerate(axes):
        points[..., k] = (start if k == 0 else start[:, None]) + factor * d[..., k] + shift
        if factor == 0:  # one pixel with align_corners: 0 times infinity is NaN
            np.copyto(points[..., k], d[..., k], where=np.isinf(d[..., k]))
    return points


@np.errstate(all="ignore")
def shift_backward(gpoints, axes):
    """Return gd, the gradient of d: each coordinate times its factor."""
    gd = np.empty(gpoints.shape, gpoints.dtype)
    for k, axis in enumerate(axes):  # one at a time: NumPy is slow along an axis of length 2
        np.multiply(gpoints[..., k], axis.factor, out=gd[..., k])
    return gd
