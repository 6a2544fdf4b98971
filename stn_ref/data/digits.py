"""Handwritten digits without a data set: smooth curves through jittered points, drawn by a pen of varying width.

Reads: glyphs.py, checks.py. Read next: distortions.py.
"""

import functools

import numpy as np

from stn_ref import checks
from stn_ref.data.glyphs import GLYPHS

SIZE = 28  # pixels of an image, as MNIST
BOX = 20  # side in pixels of the box that the ink fills, as in MNIST
DABS = 80  # pen positions of a digit: at most about 1 px apart, so that no gap is visible
KNOTS = 20  # knots of the tremor along a digit

POSE = np.dtype(
    [
        ("style", np.int64),  # row of glyphs.GLYPHS
        ("slant", np.float64),  # shift to the right per height
        ("aspect", np.float64),  # width over height, relative to the glyph
        ("rotation", np.float64),  # radians, counterclockwise on the screen
        ("scale", np.float64),  # pixels per glyph height
        ("centre", np.float64, 2),  # pixel (x, y) of the glyph's (0, 0), the mean of its points
        ("pen", np.float64),  # mean radius of the pen, pixels
        ("edge", np.float64),  # width of the grey rim, pixels
    ]
)


def draw_digits(
    labels_or_n: int | np.ndarray, rng: np.random.Generator, *, chunk: int = 64
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw handwritten digits that resemble MNIST.

    The points of a glyph are jittered, bent by a smooth quadratic field, stretched, slanted and rotated. A pen of
    varying width follows the curve. The longer side of the ink is scaled to 20 pixels, and its centre of mass is moved
    to the middle of the 28 x 28 image. An image is

        I(p) = clip(1/2 + r (1 - min_k |p - q_k| / r_k) / e, 0, 1),

    with q_k the positions of the pen, r_k its radius there, r the mean radius, e the width of the grey rim, all in
    pixels. I is rounded to a multiple of 1/255, so that 8 bits can hold it.

    Args:
        labels_or_n: the digits to draw, (N,) integers 0..9, or their number: then each digit occurs equally often, in
            random order.
        rng: the only source of randomness. Each digit uses the same count of random numbers, for every label.
        chunk: number of digits drawn at once. It limits the memory (about 40 kB per digit) and changes no bit of the
            result.

    Returns:
        images (N, 1, 28, 28) float32 in [0, 1], background 0; labels (N,) int64; pose (N,), a structured array with
        the fields of POSE that describes each digit, for tests and figures.

    Raises:
        TypeError, ShapeError, ValueError: rng is not a Generator, or labels_or_n is not an integer or one axis of
            integers in 0..9.

    Source: the appearance, the box and the centring follow MNIST (LeCun et al. 1998); the strokes are ours.

    >>> images, labels, pose = draw_digits(np.array([4, 2]), np.random.default_rng(0))
    >>> images.shape, images.dtype.name, labels.tolist()
    ((2, 1, 28, 28), 'float32', [4, 2])
    """
    checks.generator("rng", rng)
    labels = _labels(labels_or_n, rng)
    chunk = checks.integer("chunk", chunk, 1)
    images = np.empty((len(labels), 1, SIZE, SIZE), np.float32)
    pose = np.empty(len(labels), POSE)
    for start in range(0, len(labels), chunk):
        part = slice(start, start + chunk)
        z = _deviates(len(labels[part]), rng)
        pose[part] = _pose(labels[part], z)
        curve, radius = _write(pose[part], z)
        _centre(curve, radius, pose[part])
        levels = _ink(np.arange(SIZE), curve, radius, pose[part])
        images[part, 0] = (levels / np.float32(255)).transpose(2, 0, 1)
    return images, labels, pose


def _labels(labels_or_n: int | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if np.ndim(labels_or_n) == 0:
        return rng.permutation(np.arange(checks.integer("labels_or_n", labels_or_n)) % 10)
    labels = np.asarray(labels_or_n)
    checks.shape("labels_or_n", labels, ("N",))
    if labels.size and labels.dtype.kind not in "iu":
        raise TypeError(f"labels_or_n must be integers; got an array of {labels.dtype}")
    if labels.size and not (labels.min() >= 0 and labels.max() <= 9):
        raise ValueError(f"labels_or_n must lie in 0..9; got {labels.min()}..{labels.max()}")
    return labels.astype(np.int64)


# ---- From here on the last axis counts digits. Arithmetic is elementwise, or a sum whose order is fixed or does not
# ---- matter, so that no bit depends on the number of digits in a chunk.


def _deviates(n: int, rng: np.random.Generator) -> dict:
    """Return name -> standard normal deviates (..., n), clipped to +-2.2; those of one digit are drawn together."""
    shapes = dict.fromkeys(("style", "slant", "aspect", "rotation", "pen", "edge", "shake", "messy"), ())
    shapes |= {"bend": (2, 3), "pressure": (5,), "tremor": (3, KNOTS), "jitter": _alphabet()[2].shape[1:]}
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    rows = np.clip(rng.standard_normal((n, sum(sizes))).T, -2.2, 2.2)
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    return {name: part.reshape(*shapes[name], n) for name, part in zip(shapes, parts, strict=True)}


def _pose(labels: np.ndarray, z: dict) -> np.ndarray:
    """Return (n,) of POSE; `_write` sets the scale, and `_centre` the centre."""
    digits, weights, _, _ = _alphabet()
    pose = np.zeros(len(labels), POSE)
    uniform = 40 * z["style"] % 1  # a wide normal distribution modulo 1 is uniform
    for digit in range(10):
        styles, mine = np.flatnonzero(digits == digit), labels == digit
        bounds = np.cumsum(weights[styles]) / weights[styles].sum()
        pose["style"][mine] = styles[np.searchsorted(bounds[:-1], uniform[mine], side="right")]
    pose["slant"] = 0.12 + 0.23 * z["slant"]
    pose["aspect"] = 1.12 * np.exp(0.16 * z["aspect"])
    pose["rotation"] = 0.08 * z["rotation"]
    pose["pen"] = 1.27 * np.exp(0.27 * z["pen"])
    pose["edge"] = 1.1 * np.exp(0.12 * z["edge"])
    return pose


def _write(pose: np.ndarray, z: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return the pen's path (2, DABS, n), its longer side scaled to the box, and its radius (DABS, n), in pixels."""
    digits, _, points, basis = _alphabet()
    messy = 0.033 * np.exp(0.32 * z["messy"]) * np.where(digits[pose["style"]] == 0, 0.65, 1.0)  # a 0 has no corners
    moved = (points[pose["style"]] + (messy * z["jitter"]).transpose(2, 0, 1)).transpose(2, 1, 0)  # (2, P, n)
    x, y = sum(b * at[:, None] for b, at in zip(basis[pose["style"]].T, moved.swapaxes(0, 1), strict=True))

    x, y = (c + 0.23 * (b[0] * x * x + b[1] * x * y + b[2] * y * y) for c, b in zip((x, y), z["bend"], strict=True))
    x = pose["aspect"] * x - pose["slant"] * y
    cos, sin = np.cos(pose["rotation"]), np.sin(pose["rotation"])
    x, y = cos * x + sin * y, cos * y - sin * x
    shake = 0.008 * np.exp(0.4 * z["shake"])
    dx, dy, dr = (_along(knots) for knots in z["tremor"])
    x, y = x + shake * dx, y + shake * dy

    radius = pose["pen"] * np.clip(1 + 0.13 * _along(z["pressure"]) + 0.05 * dr, 0.6, 1.5)
    extent = np.maximum(np.ptp(x, axis=0), np.ptp(y, axis=0))
    pose["scale"] = (BOX - 2 * pose["pen"] - 0.9 * pose["edge"]) / extent  # the pen and its rim extend beyond the curve
    return pose["scale"] * np.stack([x, y]), radius


def _along(knots: np.ndarray) -> np.ndarray:
    """Return (DABS, n): values (K, n), evenly spaced along a digit, interpolated smoothly at its pen positions."""
    at = np.linspace(0, len(knots) - 1, DABS)
    i = np.minimum(at.astype(int), len(knots) - 2)
    u = (at - i)[:, None]
    return knots[i] + u * u * (3 - 2 * u) * (knots[i + 1] - knots[i])


def _centre(curve: np.ndarray, radius: np.ndarray, pose: np.ndarray) -> None:
    """Move `curve`, in place, so that the centre of mass of the ink is the middle of the image."""
    middle = (SIZE - 1) / 2
    pose["centre"] = middle - (curve.max(axis=1) + curve.min(axis=1)).T / 2
    curve += pose["centre"].T[:, None]
    pixels = np.arange(0.5, SIZE, 2)  # every second pixel is enough, with a rim of 2 pixels
    soft = pose.copy()
    soft["edge"] = 2.0
    levels = _ink(pixels, curve, radius, soft).astype(np.float64)
    mass = levels.sum(axis=(0, 1))  # levels are integers and pixels multiples of 1/2: the sums are exact in any order
    x, y = levels.sum(axis=0).T @ pixels / mass, levels.sum(axis=1).T @ pixels / mass
    margin = (SIZE - BOX) / 2
    shift = np.clip(middle - np.stack([x, y]), -margin, margin)  # no ink may leave the image
    curve += shift[:, None]
    pose["centre"] += shift.T


def _ink(pixels: np.ndarray, curve: np.ndarray, radius: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Return grey levels 0..255 (rows, columns, n) at the given rows and columns: integers as float32."""
    pixels, curve, radius = pixels.astype(np.float32)[:, None], curve.astype(np.float32), radius.astype(np.float32)
    nearest = np.full((len(pixels), len(pixels), len(pose)), np.inf, np.float32)  # in radii, squared
    distance = np.empty_like(nearest)
    for (x, y), r in zip(curve.swapaxes(0, 1), radius, strict=True):
        np.add(np.square((pixels - y) / r)[:, None], np.square((pixels - x) / r), out=distance)
        np.minimum(nearest, distance, out=nearest)
    steep = (pose["pen"] / pose["edge"]).astype(np.float32)
    return np.rint(255 * np.clip(0.5 + steep * (1 - np.sqrt(nearest)), 0, 1))


@functools.cache
def _alphabet() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return digits (G,), weights (G,), points (G, P, 2) about their mean, and basis (G, DABS, P): see _spline."""
    glyphs = [[[tuple(map(int, at.split(","))) for at in stroke.split()] for stroke in rest] for _, _, *rest in GLYPHS]
    named = [list(dict.fromkeys(at for stroke in strokes for at in stroke)) for strokes in glyphs]  # each point once
    P = max(map(len, named))
    points, basis = np.zeros((len(GLYPHS), P, 2)), np.zeros((len(GLYPHS), DABS, P))
    for g, strokes in enumerate(glyphs):
        points[g, : len(named[g])] = np.array(named[g]) / 100 - np.mean(named[g], axis=0) / 100
        paths = [[named[g].index(at) for at in stroke] for stroke in strokes]
        lengths = [np.hypot(*np.diff(points[g, path], axis=0).T).sum() for path in paths]
        stops = np.rint(np.cumsum([0, *lengths]) / sum(lengths) * DABS).astype(int)
        for path, start, stop in zip(paths, stops[:-1], stops[1:], strict=True):
            basis[g, start:stop, path] = _spline(points[g, path], stop - start).T
    return np.array([digit for digit, *_ in GLYPHS]), np.array([often for _, often, *_ in GLYPHS]), points, basis


def _spline(points: np.ndarray, count: int) -> np.ndarray:
    """Return B (count, P): B @ points are positions evenly spaced along a smooth curve through `points` (P, 2).

    The curve is a cubic Hermite spline with parabolic tangents. Its knots are spaced by the square roots of the chords,
    which prevents overshoot (centripetal Catmull-Rom). B belongs to these points; with moved points B @ points is still
    a smooth curve.
    """
    h = np.hypot(*np.diff(points, axis=0).T) ** 0.5
    knots = np.concatenate([[0.0], np.cumsum(h)])
    chords = np.diff(np.eye(len(points)), axis=0) / h[:, None]  # row i: the slope from point i to point i+1
    before, after = h[:-1, None], h[1:, None]
    inner = (after * chords[:-1] + before * chords[1:]) / (before + after)
    tangents = np.concatenate([chords[:1], inner, chords[-1:]])

    def at(t: np.ndarray) -> np.ndarray:
        i = np.clip(np.searchsorted(knots, t, side="right") - 1, 0, len(h) - 1)
        step = h[i, None]
        u = (t[:, None] - knots[i, None]) / step
        ends = (1 + 2 * u) * (1 - u) ** 2 * np.eye(len(points))[i] + u**2 * (3 - 2 * u) * np.eye(len(points))[i + 1]
        return ends + step * (u * (1 - u) ** 2 * tangents[i] - u**2 * (1 - u) * tangents[i + 1])

    fine = np.linspace(0.0, knots[-1], 40 * len(points))
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(at(fine) @ points, axis=0).T))])
    return at(np.interp(np.linspace(0.0, length[-1], count), length, fine))
