"""Normalised coordinates and pixels: the only place that knows align_corners and its chain-rule factor.

                          -1 and 1 are                      x pixels from x normalised      dx pixels / dx normalised
    align_corners=False   the outer edges of the image      ((x + 1) W - 1) / 2             W / 2
    align_corners=True    the centres of the corner pixels  (x + 1) (W - 1) / 2             (W - 1) / 2

The paper does not write the conversion down: Sec. 3.2 is normalised, Eq. (3) counts pixels. Both conventions are
PyTorch's; False is the default there and here. Read next: grid.py, sampler.py.
"""

import numpy as np


def _span(size: int, align_corners: bool) -> int:
    """Return S, the pixels between -1 and 1: W, or W - 1 with align_corners."""
    return size - 1 if align_corners else size


def _odd(size: int, dtype) -> np.ndarray:
    """Return a_j = 2 j + 1 - size: the pixel centres, counted in half pixels from the middle."""
    return np.arange(1 - size, size, 2).astype(dtype)


def target_axis(size: int, align_corners: bool, dtype) -> np.ndarray:
    """Return the `size` normalised coordinates of pixel centres, a_j / D with D = size (or size - 1, at least 1)."""
    return _odd(size, dtype) / max(1, _span(size, align_corners))


def target_grid(out_size: tuple[int, int], align_corners: bool, dtype) -> np.ndarray:
    """Return G, the regular target grid of Sec. 3.2: (Ho, Wo, 2), last axis (x, y), normalised.

    >>> target_grid((1, 2), False, np.float64).tolist()
    [[[-0.5, 0.0], [0.5, 0.0]]]
    """
    Ho, Wo = out_size
    G = np.empty((Ho, Wo, 2), dtype)
    G[..., 0] = target_axis(Wo, align_corners, dtype)
    G[..., 1] = target_axis(Ho, align_corners, dtype)[:, None]
    return G


def pixels_per_unit(in_size: tuple[int, int], align_corners: bool, dtype) -> np.ndarray:
    """Return (dx pixels / dx normalised, the same for y): the chain factor, half the span."""
    return unit(in_size, align_corners, dtype)[[1, 3]]


def aspect(size: tuple[int, int], align_corners: bool = False) -> float:
    """Return r = W / H of an image of size = (H, W), or (W - 1) / (H - 1): what a rotation needs, see Similarity.

    >>> aspect((28, 56)), aspect((3, 5), align_corners=True)
    (2.0, 2.0)
    """
    H, W = size
    return max(1, _span(W, align_corners)) / max(1, _span(H, align_corners))


def unit(in_size: tuple[int, int], align_corners: bool, dtype) -> np.ndarray:
    """Return what makes pixels of normalised points, as kernels take it: (before, scale_x, after_x, scale_y, after_y).

        x pixels = (x + before) scale_x + after_x,   the same for y

    scale is also the chain factor of the way back.

    >>> unit((4, 8), False, np.float32).tolist()
    [1.0, 4.0, -0.5, 2.0, -0.5]
    """
    (H, W), after = in_size, (0 if align_corners else -0.5)
    return np.array([1, _span(W, align_corners) / 2, after, _span(H, align_corners) / 2, after], dtype)


@np.errstate(all="ignore")  # a huge coordinate may become +-inf, which is outside every image
def to_pixels(grid: np.ndarray, in_size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Return normalised points (..., 2) in pixels of an image of in_size = (H, W); +-inf stays +-inf, NaN stays NaN.

    The samplers do this inside their loops; here it is for looking at.
    """
    before, scale_x, after_x, scale_y, after_y = unit(in_size, align_corners, grid.dtype)
    points = (grid + before) * np.array([scale_x, scale_y]) + np.array([after_x, after_y])
    return np.where(np.isinf(grid), grid, points)  # one pixel, its centre at both ends: inf * 0 would be NaN


@np.errstate(all="ignore")
def to_pixels_backward(gpoints: np.ndarray, in_size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Return the gradient with respect to normalised points."""
    return gpoints * pixels_per_unit(in_size, align_corners, gpoints.dtype)


@np.errstate(all="ignore")
def displaced(d: np.ndarray, in_size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Return the points T(G) in pixels, given the displacement d = T(G) - G in normalised coordinates.

        x_s = ((S / D) a_j + S d_x + (W - 1)) / 2

    Where d = 0 and the output is as large as the input this is (2 j + 1 - W + W - 1) / 2 = j, without rounding: the
    identity transform samples exactly at the pixels. Through `to_pixels(G + d)` most widths would miss some of them,
    and with them the side of the kink on which the gradient is taken.

    Args:
        d: (N, Ho, Wo, 2), normalised.
        in_size: (H, W) of the image that is sampled.
        align_corners: the convention.

    Returns:
        points: (N, Ho, Wo, 2), pixels.
    """
    points = np.empty_like(d)
    for axis, size_in, size_out in ((0, in_size[1], d.shape[2]), (1, in_size[0], d.shape[1])):
        S, D = _span(size_in, align_corners), max(1, _span(size_out, align_corners))
        start = d.dtype.type(S / D) * _odd(size_out, d.dtype)
        start = start if axis == 0 else start[:, None]
        points[..., axis] = (start + S * d[..., axis] + (size_in - 1)) / 2
        if S == 0:  # one pixel, as in to_pixels: infinity is not in the image
            np.copyto(points[..., axis], d[..., axis], where=np.isinf(d[..., axis]))
    return points
