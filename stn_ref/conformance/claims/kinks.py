"""At a kink: at integer coordinates the slope of V to the left differs from the slope to the right.

The identity transform puts every point on a kink. There Eq. (7), read literally, gives neither slope.
"""

import numpy as np

from stn_ref.conformance.claim import TOLERANCE, Violated, expect, gradient_claim
from stn_ref.conformance.claims.points import EXACT, PADDINGS, at_pixels, grid_of_pixels, image, slopes_at_pixels

_H = 1 / 64  # pixels; V is straight inside a cell


@gradient_claim(
    "At the identity transform, where training starts, the gradient of theta is 0: nothing is learnt.",
    known="jax#3024, dm_pix PR 126: the neighbours are floor(x) and ceil(x), the same pixel at an integer",
)
def gradient_at_pixels_is_alive(subject, options):
    """At pixel centres the gradient of a ramp is its slope: both one-sided slopes have this value."""
    H, W = EXACT[options["align_corners"]]
    ramp = 3 * np.arange(W) + 5 * np.arange(H)[:, None]
    inner = grid_of_pixels((H - 2, W - 2)).reshape(-1, 2) + 1
    g = slopes_at_pixels(subject, ramp, inner, **options)
    expect("slope at a pixel centre of U[n, m] = 3 m + 5 n", g, (3, 5), points=inner)


@gradient_claim(
    "A uniform patch gives a gradient, as if it had an edge as strong as its grey value.",
    known="Eq. (7) as printed: +1 at m = x and 0 at its neighbours",
)
def constant_image_has_no_slope_at_pixels(subject, options):
    """At pixel centres inside a constant image the slope is 0."""
    H, W = EXACT[options["align_corners"]]
    inner = grid_of_pixels((H - 2, W - 2)).reshape(-1, 2) + 1
    g = slopes_at_pixels(subject, np.full((H, W), 5.0), inner, **options)
    expect("slope at a pixel centre of a constant 5", g, 0.0, points=inner)


def _sides(subject, U, points, options) -> tuple[np.ndarray, np.ndarray]:
    """Return the subject's own slopes to the left and to the right of points, by differences: (P, 2) each."""
    left, right = np.empty(points.shape), np.empty(points.shape)
    V = at_pixels(subject, U, points, **options)
    for axis in (0, 1):
        step = _H * np.eye(2)[axis]
        left[:, axis] = (V - at_pixels(subject, U, points - step, **options)) / _H
        right[:, axis] = (at_pixels(subject, U, points + step, **options) - V) / _H
    return left, right


@gradient_claim(
    "The gradient there is not a derivative, and a gradient check at the identity correctly fails.",
    known="gradient checks should accept the interval: BVLC/caffe#1334",
    padding_mode=PADDINGS,
)
def slope_at_a_kink_lies_between(subject, options):
    """At a kink the gradient lies between the slopes to its left and its right, along each coordinate."""
    U = image(EXACT[options["align_corners"]])
    points = grid_of_pixels((U.shape[0] + 2, U.shape[1] + 2)).reshape(-1, 2) - 1  # from -1 to W
    left, right = _sides(subject, U, points, options)
    g = slopes_at_pixels(subject, U, points, **options)
    slack = 100 * TOLERANCE * max(1, np.abs(U).max())
    low, high = np.minimum(left, right) - slack, np.maximum(left, right) + slack
    wrong = ~((low <= g) & (g <= high))
    if wrong.any():
        k, axis = np.argwhere(wrong)[0]
        x, y = points[k]
        raise Violated(
            f"dV/d{'xy'[axis]} at ({x:g}, {y:g}) pixels: expected from {left[k, axis]:.6g} (left) to "
            f"{right[k, axis]:.6g} (right), got {g[k, axis]:.6g}; {int(wrong.sum())} of {wrong.size} are wrong"
        )


@gradient_claim(
    "If the slope lies between the two this is not a fault, but at the identity your gradients differ from PyTorch's.",
    known="PyTorch, Chainer, Lasagne and JAX use the cell of floor(x); dm_pix and deformable convolution give slope 0",
)
def kink_takes_the_right_slope(subject, options):
    """With zeros the gradient at a kink is the slope to the right: that of the cell of floor(x)."""
    U = image(EXACT[options["align_corners"]])
    points = grid_of_pixels((U.shape[0] + 2, U.shape[1] + 2)).reshape(-1, 2) - 1
    _, right = _sides(subject, U, points, options)
    expect("slope at kinks", slopes_at_pixels(subject, U, points, **options), right, 1e-3, points)


@gradient_claim(
    "A point on the border gets a gradient although the padding beyond it is flat; gradient checks miss this.",
    known="pytorch#23925",
    padding_mode=PADDINGS[1:],
)
def padded_border_is_flat(subject, options):
    """With border or reflection the gradient across the border is exactly 0 at the outer pixel centres."""
    H, W = EXACT[options["align_corners"]]
    U = image((H, W))
    g = slopes_at_pixels(subject, U, [(0, 1.5), (W - 1, 1.5), (2.5, 0), (2.5, H - 1)], **options)
    expect("slope across the border", [g[0, 0], g[1, 0], g[2, 1], g[3, 1]], 0.0)


# PyTorch's own test: every row of the 5 x 5 input is 0 .. 4, the loss is the sum of the outputs. +-1 is exact in
# binary; +-0.8 with align_corners=False is a pixel centre up to rounding, so the slope of either side is accepted.
_POINTS = [(1, 1), (1, -1), (0.8, 0.8), (0.8, -0.8)], [(-1, -1), (-1, 1), (-0.8, -0.8), (-0.8, 0.8)]


def _golden(subject, options: dict, low, high) -> None:
    U, grid = np.tile(np.arange(5.0), (5, 1)), np.array(_POINTS)
    _, ggrid = subject.backward(U[None, None], grid[None], np.ones((1, 1, 2, 4)), **options)
    nearest = np.clip(ggrid[0], low, high)
    expect("ggrid of PyTorch's test", ggrid[0], np.where(np.isnan(ggrid[0]), low, nearest))


@gradient_claim(
    "At the corners of the picture your gradients differ from PyTorch's.",
    known="pytorch PR 24929",
    align_corners=(False,),
)
def golden_zeros_align_corners_false(subject, options):
    """The gradients at and near the corners equal PyTorch's: zeros, align_corners=False."""
    corners = [(-5, -5), (-5, 5)], [(0, 0), (0, 0)]
    low = [*corners[0], (-10, -10), (-10, 0)], [*corners[1], (0, 0), (0, 0)]
    high = [*corners[0], (2.5, 0), (2.5, 10)], [*corners[1], (2.5, 0), (2.5, 0)]
    _golden(subject, options, low, high)


@gradient_claim(
    "At the corners of the picture your gradients differ from PyTorch's.",
    known="pytorch PR 24929",
    align_corners=(True,),
)
def golden_zeros_align_corners_true(subject, options):
    """The gradients at and near the corners equal PyTorch's: zeros, align_corners=True."""
    expected = [(-8, -8), (-8, 0), (2, 0), (2, 0)], [(2, 0)] * 4
    _golden(subject, options, expected, expected)


@gradient_claim(
    "At the corners of the picture your gradients differ from PyTorch's.",
    known="pytorch#23925",
    padding_mode=PADDINGS[1:],
)
def golden_padded(subject, options):
    """The gradients at and near the corners equal PyTorch's: border and reflection, both values of align_corners."""
    inner = (2, 0) if options["align_corners"] else (0, 0)
    low = [(0, 0), (0, 0), inner, inner]
    high = low if options["align_corners"] else [(0, 0), (0, 0), (2.5, 0), (2.5, 0)]
    _golden(subject, options, [low, low], [high, high])
