"""The two distortions that bend a canvas: a projective transform (P) and a thin-plate spline (E).

Reads: ../transforms/. Read next: distortions.py, which says what the sources state about them and what we chose.
"""

import functools

import numpy as np

from stn_ref import transforms

CORNERS = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])  # of a canvas, normalised (x, y), cyclic
FAR = 1e3  # half canvases; replaces points at infinity, which P may have outside the quadrilateral


def draw_corners(n: int, canvas: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Return random displacements N(0, deviation) of the corners of n canvases of canvas x canvas pixels.

    Returns:
        (n, 4, 2) pixels (x, y), in the order of CORNERS. The moved corners are a convex quadrilateral around the middle
        of the canvas, without reflection, as a camera can see it; other displacements are drawn again.
    """
    moved = np.zeros((n, 4, 2))
    again = np.arange(n)
    while len(again):
        moved[again] = rng.normal(0, deviation, (len(again), 4, 2))
        at = CORNERS * canvas / 2 + moved[again]
        after = np.roll(at, -1, axis=1)
        turns = _cross(after - at, np.roll(at, -2, axis=1) - after) > 0  # all corners turn in the same direction,
        about = _cross(at, after) > 0  # and so do all sides, seen from the middle
        again = again[~(turns & about).all(axis=1)]
    return moved


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def homography(corners: np.ndarray) -> np.ndarray:
    """Return theta (N, 8) of the projective transform that maps the moved corners of a canvas to its corners.

    Args:
        corners: (N, 4, 2), normalised, in the order of CORNERS: the positions of the moved corners.

    Each corner (x, y) -> (u, v) gives two rows of a linear system, u (h31 x + h32 y + 1) = h11 x + h12 y + h13 and the
    same for v (Hartley and Zisserman 2004, Sec. 4.1).
    """
    x, y = corners[..., 0], corners[..., 1]
    (u, v), one, nil = CORNERS.T, np.ones_like(x), np.zeros_like(x)
    rows = [
        np.stack([x, y, one, nil, nil, nil, -u * x, -u * y], axis=-1),
        np.stack([nil, nil, nil, x, y, one, -v * x, -v * y], axis=-1),
    ]
    system = np.concatenate(rows, axis=1)
    wanted = np.broadcast_to(np.concatenate([u, v])[:, None], (len(corners), 8, 1))
    return np.linalg.solve(system, wanted)[..., 0]


def deformed(corners: np.ndarray, bend: np.ndarray, canvas: int) -> np.ndarray:
    """Return (N, S, S, 2) pixels (x, y): each canvas pixel, mapped by the spline and then by the projective transform.

    Args:
        corners: (N, 4, 2), displacements in pixels of the corners of the canvas; the content of a corner moves with it.
        bend: (N, 16, 2), displacements in pixels of the sources of the spline's 4 x 4 control points.
        canvas: S, side in pixels.
    """
    at = (2 * np.arange(canvas) + 1 - canvas) / canvas
    xy = np.stack(np.broadcast_arrays(at, at[:, None]), axis=-1)[None]
    if bend.any():
        spline = _spline()
        xy = spline.apply((spline.control_points + bend * 2 / canvas).reshape(len(bend), -1), xy)
    if corners.any():
        xy = transforms.get("projective").apply(homography(CORNERS + corners * 2 / canvas), xy)
    return (canvas * np.clip(xy, -FAR, FAR) + canvas - 1) / 2


@functools.cache
def _spline() -> transforms.Transform:
    return transforms.get("tps")
