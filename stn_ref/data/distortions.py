"""The distortions of MNIST in Table 1: R, RTS, P, E and TC. Each is a warp: a map target -> source and our sampler.

Reads: deform.py, sampler.py, checks.py. Read next: batching.py.

What independent sources agree on: R is a rotation by U(-90, 90) degrees. RTS is a rotation by U(-45, 45), a scale of
U(0.7, 1.2) and a random place in 42 x 42. TC is a random place in 60 x 60 and six 6 x 6 patches cut from other digits.
TC16 is TC with sixteen patches, as in the paper's co-localisation.
Only one source states that P and E scale a digit by U(0.75, 1), that P then moves each corner by N(0, 5) pixels, and
that E moves each of 16 control points of a thin-plate spline by N(0, 1.5) pixels.

What no source states, so that we chose it:

- the canvas of R and E: 28 x 28;
- the canvas of P: 42 x 42. On 28 x 28 the same 5 pixels reduce one digit in twenty to a third of its ink, and the nets
  err three times as often as the paper's;
- the random place: see `draw_pose`;
- the corners that P moves: those of the canvas, each coordinate independently. They are drawn again until they are a
  convex quadrilateral around the middle, which a camera can see;
- the points that E moves: the source points of a 4 x 4 grid over the canvas;
- where a patch is cut: within the 20 x 20 pixels that MNIST's ink fills, so that few patches are empty;
- where ink overlaps: the brighter value stays.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stn_ref import checks
from stn_ref.data import deform
from stn_ref.sampler import sample

PATCHES, PATCH = 16, 6  # the largest number of patches, and their side in pixels
MARGIN = 4  # MNIST's ink fills pixels 4..23 of 28


@dataclass(frozen=True)
class Kind:
    """A distortion.

    Attributes:
        canvas: side in pixels.
        angle: range in degrees.
        scale: range, canvas pixels per pixel of the digit.
        corners: standard deviation of the displacement of the canvas corners, in pixels, for each coordinate.
        bend: the same for the 16 control points.
        anywhere: whether the digit has a random place on the canvas; else it is in the middle.
        whole: whether this place is a whole number of pixels.
        clutter: the number of patches of other digits that are added.
    """

    canvas: int
    angle: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    corners: float = 0.0
    bend: float = 0.0
    anywhere: bool = False
    whole: bool = False
    clutter: int = 0


KINDS = {
    "none": Kind(28),
    "R": Kind(28, angle=(-90.0, 90.0)),
    "RTS": Kind(42, angle=(-45.0, 45.0), scale=(0.7, 1.2), anywhere=True),
    "P": Kind(42, scale=(0.75, 1.0), corners=5.0),
    "E": Kind(28, scale=(0.75, 1.0), bend=1.5),
    "TC": Kind(60, anywhere=True, whole=True, clutter=6),
    "TC16": Kind(60, anywhere=True, whole=True, clutter=16),
}

POSE = np.dtype(
    [
        ("angle", np.float64),  # degrees, counterclockwise on the screen
        ("scale", np.float64),  # canvas pixels per pixel of the digit
        ("centre", np.float64, 2),  # canvas pixel (x, y) of the middle of the digit's image
        ("corners", np.float64, (4, 2)),  # P, else 0: displacement (x, y) of each corner, canvas pixels; deform.CORNERS
        ("bend", np.float64, (16, 2)),  # E, else 0: displacement (x, y) of the control points' sources, canvas pixels
        ("patch_image", np.int64, PATCHES),  # the image that a patch is cut from; -1: there is no such patch
        ("patch_cut", np.int64, (PATCHES, 2)),  # first (x, y) of the patch in that image, or -1
        ("patch_place", np.int64, (PATCHES, 2)),  # first (x, y) of the patch on the canvas, or -1
    ]
)


class Distorted(NamedTuple):
    """The result of `distort`: images (N, 1, S, S) float32, and pose (N,), a structured array with POSE's fields."""

    images: np.ndarray
    pose: np.ndarray


def draw_pose(n: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Draw n distortions at random.

    A random place keeps the whole scaled image of the digit (28 s pixels wide, without its rotation) inside the canvas;
    its centre is uniform over the range that remains. RTS draws a real-valued place. TC draws a place at whole pixels,
    which keeps the grey levels. R, P and E put the digit in the middle. A patch of TC comes from one of the other n - 1
    images (from the same one if n = 1).

    Returns:
        (n,) structured array with the fields of POSE; `rng` is the only source of randomness.

    Raises:
        TypeError, ValueError: n is not an integer of at least 0, kind is not one of KINDS, rng is not a Generator.

    Source: Jaderberg et al. 2015, Sec. 4.1 and appendix A.4; see the head of this file.
    """
    n = checks.integer("n", n)
    checks.one_of("kind", kind, KINDS)
    checks.generator("rng", rng)
    rule = KINDS[kind]
    pose = np.zeros(n, POSE)
    for field in ("patch_image", "patch_cut", "patch_place"):
        pose[field] = -1
    pose["angle"] = rng.uniform(*rule.angle, n)
    pose["scale"] = rng.uniform(*rule.scale, n)
    free = rule.canvas - 28 * pose["scale"][:, None]  # space beside the digit's image
    corner = rng.integers(0, rule.canvas - 28, (n, 2), endpoint=True) if rule.whole else rng.random((n, 2)) * free
    pose["centre"] = corner + 14 * pose["scale"][:, None] - 0.5  # from edges to pixel centres
    if not rule.anywhere:
        pose["centre"] = (rule.canvas - 1) / 2
    if rule.corners:
        pose["corners"] = deform.draw_corners(n, rule.canvas, rule.corners, rng)
    if rule.bend:
        pose["bend"] = rng.normal(0, rule.bend, (n, 16, 2))
    if k := rule.clutter:
        others = rng.integers(1, max(n, 2), (n, k))
        pose["patch_image"][:, :k] = (np.arange(n)[:, None] + others) % max(n, 1)
        pose["patch_cut"][:, :k] = rng.integers(MARGIN, 28 - MARGIN - PATCH, (n, k, 2), endpoint=True)
        pose["patch_place"][:, :k] = rng.integers(0, rule.canvas - PATCH, (n, k, 2), endpoint=True)
    return pose


def source_points(pose: np.ndarray, canvas: int) -> np.ndarray:
    """Return the source point of each canvas pixel; the map from target to source needs no inverse.

        (x, y) = T_theta(x_t, y_t)    P: projective, E: thin-plate spline, both of the canvas; else (x_t, y_t)
        x_s = 13.5 + ( cos a (x - cx) - sin a (y - cy)) / s
        y_s = 13.5 + ( sin a (x - cx) + cos a (y - cy)) / s

    Args:
        pose: (N,) structured array with the fields of POSE; a = angle, s = scale, (cx, cy) = centre.
        canvas: S, side in pixels.

    Returns:
        points (N, S, S, 2) float32, pixels (x, y) of the 28 x 28 digit.
    """
    a = np.deg2rad(pose["angle"])[:, None, None]
    cos, sin = np.cos(a) / pose["scale"][:, None, None], np.sin(a) / pose["scale"][:, None, None]
    x, y = np.arange(canvas, dtype=np.float64), np.arange(canvas, dtype=np.float64)[:, None]
    if pose["corners"].any() or pose["bend"].any():
        x, y = np.moveaxis(deform.deformed(pose["corners"], pose["bend"], canvas), -1, 0)
    x, y = x - pose["centre"][:, 0, None, None], y - pose["centre"][:, 1, None, None]
    return np.stack([13.5 + (cos * x - sin * y), 13.5 + (sin * x + cos * y)], axis=-1).astype(np.float32)


def upright_points(pose: np.ndarray, size: int = 28) -> np.ndarray:
    """Return the points on the canvas that show the digit without distortion, as a perfect transformer would.

        x_s = cx + s ( cos a (x_t - m) + sin a (y_t - m)),   m = (size - 1)/2
        y_s = cy + s (-sin a (x_t - m) + cos a (y_t - m))

    Args:
        pose: (N,) structured array with the fields of POSE, not of P or E: a spline has no inverse in closed form.
        size: side of the view in pixels, at the digit's own resolution.

    Returns:
        points (N, size, size, 2) float32, canvas pixels (x, y).

    Raises:
        ValueError: a pose belongs to P or E.
    """
    if pose["corners"].any() or pose["bend"].any():
        raise ValueError("pose must not be of P or E; got one whose corners or control points are moved")
    a = np.deg2rad(pose["angle"])[:, None, None]
    cos, sin = np.cos(a) * pose["scale"][:, None, None], np.sin(a) * pose["scale"][:, None, None]
    cx, cy = (c[:, None, None] for c in pose["centre"].T)
    x = np.arange(size) - (size - 1) / 2
    y = x[:, None]
    return np.stack([cx + (cos * x + sin * y), cy + (cos * y - sin * x)], axis=-1).astype(np.float32)


def apply_pose(
    images: np.ndarray, pose: np.ndarray, kind: str, *, patches_from: np.ndarray | None = None, backend: str = "cpu"
) -> np.ndarray:
    """Return images distorted by given poses.

    Args:
        images: (N, 1, 28, 28) float32, background 0.
        pose: (N,) structured array with the fields of POSE.
        kind: the kind of these poses.
        patches_from: (M, 1, 28, 28), float32, or uint8, which is divided by 255: the images that pose["patch_image"]
            indexes (TC and TC16 only); default `images`.
        backend: backend of the sampler.

    Returns:
        (N, 1, S, S) float32, S the canvas of the kind. Outside the digit's image it is 0.

    Raises:
        TypeError, ShapeError, ValueError: an argument breaks its contract above.
    """
    checks.one_of("kind", kind, KINDS)
    _check_images("images", images)
    checks.shape("pose", pose, ("N",), N=(len(images), "images"))
    rule = KINDS[kind]
    if kind == "none":
        return images.copy()
    canvas = sample(images, source_points(pose, rule.canvas), backend=backend)
    if rule.clutter:
        patches_from = images if patches_from is None else patches_from
        checks.shape("patches_from", patches_from, ("M", 1, 28, 28))
        square = np.stack(np.meshgrid(np.arange(PATCH), np.arange(PATCH)), axis=-1)  # (x, y) of a patch's pixels
        n = np.arange(len(images))[:, None, None]
        for k in range(rule.clutter):
            others = to_float(patches_from[pose["patch_image"][:, k]])
            points = (pose["patch_cut"][:, k, None, None] + square).astype(np.float32)
            x, y = np.moveaxis(pose["patch_place"][:, k, None, None] + square, -1, 0)
            patch = sample(others, points, backend=backend)[:, 0]
            canvas[n, 0, y, x] = np.maximum(canvas[n, 0, y, x], patch)
    return canvas


def distort(images: np.ndarray, kind: str, rng: np.random.Generator, *, backend: str = "cpu") -> Distorted:
    """Distort each image at random.

        V = sample(U, source_points(pose));   TC: six patches of other images (TC16: sixteen) on top, the brighter stays

    Args:
        images: (N, 1, 28, 28) float32, background 0: with another background an edge would appear where the zero
            padding begins.
        kind: "R", "E" (28 x 28), "RTS", "P" (42 x 42), "TC", "TC16" (60 x 60), or "none" (28 x 28).
        rng: the only source of randomness; see `draw_pose`.
        backend: backend of the sampler: "cpu" or "vectorised".

    Returns:
        Distorted(images (N, 1, S, S) float32, pose (N,)).

    Raises:
        TypeError, ShapeError, ValueError: images are not float32 or have other axes, kind is unknown, or rng is not a
            Generator.

    Source: Jaderberg et al. 2015, Sec. 4.1 and appendix A.4; the choices are at the head of this file.
    """
    _check_images("images", images)
    pose = draw_pose(len(images), kind, rng)
    return Distorted(apply_pose(images, pose, kind, backend=backend), pose)


def to_float(images: np.ndarray) -> np.ndarray:
    """Return uint8 images divided by 255 as float32, so that the background stays 0; float32 ones as they are."""
    return images / np.float32(255) if images.dtype == np.uint8 else images


def _check_images(name: str, images: np.ndarray) -> None:
    if checks.floating(name, images).dtype != np.float32:
        raise TypeError(f"{name} must be float32; got float64")
    checks.shape(name, images, ("N", 1, 28, 28))
