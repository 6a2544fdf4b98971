"""Normalised coordinates and pixels: the only module that uses align_corners and its chain factor.

                          -1 and 1 are                      x pixels from x normalised      dx pixels / dx normalised
    align_corners=False   the outer edges of the image      ((x + 1) W - 1) / 2             W / 2
    align_corners=True    the centres of the corner pixels  (x + 1) (W - 1) / 2             (W - 1) / 2

The paper omits the conversion: Sec. 3.2 uses normalised coordinates, Eq. (3) uses pixels. PyTorch has the same two
conventions and the same default, False. Read next: grid.py, sampler.py.
"""

import functools
from typing import NamedTuple

import numpy as np


def _span(size: int, align_corners: bool) -> int:
    """Return the number of pixels between -1 and 1: W, or W - 1 with align_corners."""
    return size - 1 if align_corners else size


def _odd(size: int, dtype) -> np.ndarray:
    """Return a_j = 2 j + 1 - size: the pixel centres, in half pixels from the middle."""
    return np.arange(1 - size, size, 2).astype(dtype)


def target_axis(size: int, align_corners: bool, dtype) -> np.ndarray:
    """Return the normalised coordinates of `size` pixel centres, a_j / D with D = size (or size - 1, at least 1)."""
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


class Axis(NamedTuple):
    """Numbers that convert a displacement d = T(G) - G along one axis to pixels: x_s = start_j + factor d_x + shift.

    Attributes:
        target: (Wo,), x_t, normalised.
        start: (Wo,), pixels.
        factor: pixels per normalised unit; it is also the chain factor.
        shift: the middle of the image, pixels.
    """

    target: np.ndarray
    start: np.ndarray
    factor: np.floating
    shift: np.floating


@functools.lru_cache(maxsize=64)
def axes(
    out_size: tuple[int, int], in_size: tuple[int, int] | None, align_corners: bool, dtype: np.dtype
) -> tuple[Axis, Axis]:
    """Return the axes x and y of the target grid of an output of out_size, for an input of in_size = (H, W).

        x_s = (S / D) a_j / 2 + (S / 2) d_x + (W - 1) / 2,   S and D the spans of input and output

    If d = 0 and the output has the size of the input, this is (2 j + 1 - W + W - 1) / 2 = j without rounding: the
    identity transform samples exactly at the pixels. For most widths `to_pixels(G + d)` would miss some of the pixels
    by a rounding error, and the gradient there could be that of the other side of the kink.

    Without in_size, start and shift are 0 and factor is 1: the matrix T, not T - identity, then gives T(G), normalised.
    """
    found = []
    for k in (1, 0):
        target = target_axis(out_size[k], align_corners, dtype)
        if in_size is None:
            start, factor, shift = np.zeros_like(target), 1, 0
        else:
            S, D = _span(in_size[k], align_corners), max(1, _span(out_size[k], align_corners))
            start, factor, shift = dtype.type(S / D) * _odd(out_size[k], dtype) / 2, S / 2, (in_size[k] - 1) / 2
        for array in (target, start):
            array.setflags(write=False)  # all callers share it
        found.append(Axis(target, start, dtype.type(factor), dtype.type(shift)))
    return tuple(found)


def pixels_per_unit(in_size: tuple[int, int], align_corners: bool, dtype) -> np.ndarray:
    """Return the chain factors (dx pixels / dx normalised, the same for y): half the span."""
    return unit(in_size, align_corners, dtype)[[1, 3]]


def aspect(size: tuple[int, int], align_corners: bool = False) -> float:
    """Return r = W / H for size = (H, W), or (W - 1) / (H - 1) with align_corners; a rotation needs r, see Similarity.

    >>> aspect((28, 56)), aspect((3, 5), align_corners=True)
    (2.0, 2.0)
    """
    H, W = size
    return max(1, _span(W, align_corners)) / max(1, _span(H, align_corners))


def unit(in_size: tuple[int, int], align_corners: bool, dtype) -> np.ndarray:
    """Return the conversion to pixels in the form of the kernels, (before, scale_x, after_x, scale_y, after_y).

        x pixels = (x + before) scale_x + after_x,   the same for y

    scale is also the chain factor of the backward.

    >>> unit((4, 8), False, np.float32).tolist()
    [1.0, 4.0, -0.5, 2.0, -0.5]
    """
    (H, W), after = in_size, (0 if align_corners else -0.5)
    return np.array([1, _span(W, align_corners) / 2, after, _span(H, align_corners) / 2, after], dtype)


@np.errstate(all="ignore")  # a huge coordinate may become +-inf, which is outside every image
def to_pixels(grid: np.ndarray, in_size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Return normalised points (..., 2) in pixels of an image of in_size = (H, W); +-inf stays +-inf, NaN stays NaN.

    The samplers convert points inside their loops; this function is for plots and tests.
    """
    before, scale_x, after_x, scale_y, after_y = unit(in_size, align_corners, grid.dtype)
    points = (grid + before) * np.array([scale_x, scale_y]) + np.array([after_x, after_y])
    return np.where(np.isinf(grid), grid, points)  # scale is 0 for one pixel with align_corners: inf * 0 is NaN


@np.errstate(all="ignore")
def to_pixels_backward(gpoints: np.ndarray, in_size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Return the gradient with respect to normalised points, from the gradient with respect to pixels."""
    return gpoints * pixels_per_unit(in_size, align_corners, gpoints.dtype)
