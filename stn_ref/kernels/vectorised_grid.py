"""The grid, Sec. 3.2, in NumPy: how a matrix moves points, and its gradient, for any points and for the grid.

The rows of D = T - identity are those of Eq. (1), and a homography has a third one. An entry is an array that
broadcasts against the coordinates, or the number 0: that term is not computed, so that 0 never meets infinity.
"""

from itertools import zip_longest

import numpy as np

from stn_ref.kernels.scalar_math import HORIZON


def displacement(D, x, y):
    """Return d = D (x, y, 1) (N, ..., 2) for x and y (1 or N, ...); of a homography (D (x, y, 1) - e (x, y)) / w.

    There w = e + 1 is the third row of T. Where w <= HORIZON both coordinates of d are +inf.
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
    """Return (sums, gxy): the eight sums over a sample's points, see `stn_ref.kernels`, and (N, ..., 2).

    Of a homography gX = gd_x / w, gY = gd_y / w, gw = -(gX x_s + gY y_s). A product of 0 and infinity is never formed:
    where a point is not seen, 0 stands for gd, the point and e.
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
        for axis in range(2):  # the matrix transposed; of a homography less gd = w gX, w gY
            column = [row[axis] for row in D]
            if len(D) == 3:
                column[axis] = column[axis] - e
            gxy[..., axis] = _line(column, *((gX, gY, gw) if len(D) == 3 else (gX, gY)))
    return sums, gxy


def _line(coefficients, *values):
    """Return the sum of coefficient times value, from left to right; the last coefficient may stand alone."""
    pairs = [(c, v) for c, v in zip_longest(coefficients, values) if not isinstance(c, (int, float)) or c != 0]
    terms = [c if v is None else c * v for c, v in pairs]
    return sum(terms[1:], start=terms[0]) if terms else 0


def _seen(e):
    """Return whether w = e + 1 puts a point on the horizon or behind it, and w, or 1 there, to divide by."""
    w = e + 1
    unseen = w <= HORIZON
    return unseen, np.where(unseen, 1, w)


def at_infinity(d):
    """Return (N, ...): whether a point went to infinity, and with it out of every image and every gradient."""
    d_x, d_y = d[..., 0], d[..., 1]
    return (np.isinf(d_x) | np.isinf(d_y)) & ~(np.isnan(d_x) | np.isnan(d_y))


def replaced(points, where, value):
    """Return (N, ..., 2) points, both coordinates `value` at those that `where` (N, ...) marks."""
    if not where.any():
        return points
    return np.where(where[..., None], points.dtype.type(value), points)


def _on_grid(D, axes):
    """Return the rows of D (N, 2 or 3, 3), to broadcast against the target points, and these: x and y (1, Ho, Wo)."""
    x, y = np.broadcast_arrays(axes[0].target, axes[1].target[:, None])
    return D.transpose(1, 2, 0)[..., None, None], x[None], y[None]


@np.errstate(all="ignore")
def matrix_forward(D, axes):
    """Eq. (1). D (N, 2, 3), or (N, 3, 3) for a homography -> points (N, Ho, Wo, 2)."""
    return shift_forward(displacement(*_on_grid(D, axes)), axes)


@np.errstate(all="ignore")
def matrix_backward(D, gpoints, axes, aspect=1.0):
    """Return the eight sums (N, 8) over a sample's points, see `stn_ref.kernels`."""
    return displacement_backward(*_on_grid(D, axes), shift_backward(gpoints, axes), aspect, (True, False))[0]


@np.errstate(all="ignore")
def shift_forward(d, axes):
    """Return the points (N, Ho, Wo, 2) that lie d from the target points."""
    points = np.empty(d.shape, d.dtype)
    for k, (_, start, factor, shift) in enumerate(axes):
        points[..., k] = (start if k == 0 else start[:, None]) + factor * d[..., k] + shift
        if factor == 0:  # one pixel: infinity is not in the image
            np.copyto(points[..., k], d[..., k], where=np.isinf(d[..., k]))
    return points


@np.errstate(all="ignore")
def shift_backward(gpoints, axes):
    """Return gd, the gradient of d: each coordinate times its factor."""
    gd = np.empty(gpoints.shape, gpoints.dtype)
    for k, axis in enumerate(axes):  # one by one: NumPy is slow along an axis of length 2
        np.multiply(gpoints[..., k], axis.factor, out=gd[..., k])
    return gd
