"""What the claims share: images, and points given in pixels.

This module uses nothing of sampler.py or coordinates.py, so that the claims judge them like any other code. Sizes are
chosen so that pixel centres are exact in binary: 4 x 8 for align_corners=False, 5 x 9 for True.
"""

import numpy as np

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")
EVERY = {"mode": MODES, "padding_mode": PADDINGS}
EXACT = {False: (4, 8), True: (5, 9)}  # (H, W) whose pixel centres have exact normalised coordinates


def normalised(points, size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Return points (..., 2), in pixels (x, y), in normalised coordinates of an image of size (H, W).

    align_corners=False: -1 and 1 are the outer edges, x = (2 x_s + 1) / W - 1; True: the centres of the corner pixels,
    x = 2 x_s / (W - 1) - 1.
    """
    points, spans = np.asarray(points, np.float64), np.array(size[::-1], np.float64)
    return 2 * points / (spans - 1) - 1 if align_corners else (2 * points + 1) / spans - 1


def at_pixels(subject, image, points, *, align_corners: bool = False, **options) -> np.ndarray:
    """Return the subject's values of one image (H, W) at points (P, 2), in pixels: (P,)."""
    image = np.asarray(image, np.float64)
    grid = normalised(points, image.shape, align_corners)[None, None]
    return subject.forward(image[None, None], grid, align_corners=align_corners, **options)[0, 0, 0]


def slopes_at_pixels(subject, image, points, *, align_corners: bool = False, **options) -> np.ndarray:
    """Return the subject's dV/dx_s and dV/dy_s at points (P, 2), per pixel: (P, 2)."""
    image = np.asarray(image, np.float64)
    grid = normalised(points, image.shape, align_corners)[None, None]
    gV = np.ones((1, 1, 1, grid.shape[2]))
    _, ggrid = subject.backward(image[None, None], grid, gV, align_corners=align_corners, **options)
    return ggrid[0, 0] / half_span(image.shape, align_corners)


def half_span(size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Return the pixels per unit of normalised x and y: W/2, H/2, or (W-1)/2, (H-1)/2."""
    return (np.array(size[::-1], np.float64) - align_corners) / 2


def grid_of_pixels(size: tuple[int, int]) -> np.ndarray:
    """Return (H, W, 2): each pixel's own (x, y)."""
    H, W = size
    return np.stack(np.meshgrid(np.arange(W, dtype=float), np.arange(H, dtype=float)), axis=-1)


def image(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Return an image (H, W) of random numbers."""
    return np.random.default_rng(seed).standard_normal(size)
