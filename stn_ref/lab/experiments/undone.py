"""How far a trained transformer undoes the distortion of each digit: its angle, scale and place.

Reads: ../../data/, ../../models.py. Read next: table1.py.

A perfect transformer shows each digit in the same pose. This does not have to be upright: any fixed pose serves the
classifier. So the pose of a view is compared with the true pose by its correlation over the digits, and by what varies
between the digits before and after the transformer.
"""

from typing import NamedTuple

import numpy as np

from stn_ref import data, models
from stn_ref.nn import Sequential

MIDDLE = 7  # pixels of the digit around its centre: a bent map is approximated there by a linear one
AT_ONCE = 500  # digits in one forward, which limits the memory
LEAST = {"angle": 1.0, "scale": 1.0, "place": 0.1}  # degrees, %, pixels: what varies less is no distortion to undo


class Pose(NamedTuple):
    """Poses of N digits on a canvas.

    Attributes:
        angle: (N,) degrees, counterclockwise on the screen.
        scale: (N,) logarithm of the canvas pixels per pixel of the digit.
        place: (N, 2) canvas pixel (x, y) of the digit's centre.
    """

    angle: np.ndarray
    scale: np.ndarray
    place: np.ndarray


def fitted(p: np.ndarray, t: np.ndarray) -> Pose:
    """Return the poses of the maps t -> p, fitted by least squares near t = 0.

        p = place + J t   for |t_x|, |t_y| <= MIDDLE,      scale = log(|det J|)/2

    and the angle is that of the rotation nearest to J.

    Args:
        p: (N, P, 2) canvas pixels (x, y).
        t: (N, P, 2) or (1, P, 2) pixels of the digit (x, y), relative to its centre.
    """
    t = np.broadcast_to(t, p.shape).astype(np.float64)
    near = (np.abs(t) <= MIDDLE).all(axis=-1, keepdims=True)
    A = np.concatenate([np.ones_like(t[..., :1]), t], axis=-1) * near
    sums = np.linalg.solve(np.einsum("npi,npj->nij", A, A), np.einsum("npi,npj->nij", A, p * near))
    place, J = sums[:, 0], sums[:, 1:].swapaxes(1, 2)  # J[:, i, j] = dp_i/dt_j
    angle = np.degrees(np.arctan2(J[:, 0, 1] - J[:, 1, 0], J[:, 0, 0] + J[:, 1, 1]))
    return Pose(angle, np.log(np.abs(np.linalg.det(J))) / 2, place)


def true_pose(pose: np.ndarray, kind: str) -> Pose:
    """Return the poses of digits, from their distortions, a structured array of data.draw_pose."""
    canvas = data.KINDS[kind].canvas
    t = data.source_points(pose, canvas).reshape(len(pose), -1, 2) - 13.5
    x, y = np.meshgrid(np.arange(canvas), np.arange(canvas))
    return fitted(np.broadcast_to(np.stack([x, y], axis=-1).reshape(1, -1, 2), t.shape), t)


def shown_pose(points: np.ndarray) -> Pose:
    """Return the poses that views show upright: points (N, S, S, 2) of the canvas, S pixels for 28 of a digit."""
    S = points.shape[1]
    at = (np.arange(S) - (S - 1) / 2) * 28 / S
    t = np.stack(np.meshgrid(at, at), axis=-1).reshape(1, -1, 2)
    return fitted(points.reshape(len(points), -1, 2).astype(np.float64), t)


def compared(true: Pose, shown: Pose) -> dict:
    """Return for angle (degrees), scale (%) and place (pixels) how much of the distortion is undone.

    Returns:
        name -> {"correlation": of the true and the undone values, "before": the standard deviation of the true ones,
        "after": that of their difference, which is what the classifier still sees}; for place over x and y together.
        None where the distortion has nothing to undo.
    """
    turned = shown.angle - true.angle
    middle = np.degrees(np.angle(np.exp(1j * np.radians(turned)).sum()))
    turned = (turned - middle + 180) % 360 - 180  # an angle has no first value: unwrap around the mean
    pairs = {
        "angle": (true.angle, true.angle + turned),
        "scale": (100 * true.scale, 100 * shown.scale),
        "place": (true.place, shown.place),
    }
    found = {}
    for name, (a, b) in pairs.items():
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        before, after = np.sqrt(np.mean(a * a)), np.sqrt(np.mean((b - a) ** 2))
        if before < LEAST[name]:
            found[name] = None
            continue
        size = np.sqrt(np.sum(a * a) * np.sum(b * b))
        moves = size > 1e-6 * np.sum(a * a)  # below this, b is constant but for rounding
        correlation = float(np.sum(a * b) / size) if moves else 0.0
        found[name] = {"correlation": correlation, "before": float(before), "after": float(after)}
    return found


def measure(net: Sequential, source: data.DistortedDigits, seed: int) -> dict:
    """Return {"undone": `compared` over the test digits, "views": theta of `sample_digits`}; {} without transformer."""
    transformer = models.transformer_of(net)
    if transformer is None or not source.size("test"):
        return {}
    images, _ = source.fixed("test", seed)
    pose = data.draw_pose(len(images), source.kind, data.stream(seed, "test"))  # as `fixed` draws it
    parts = [
        (true_pose(pose[k : k + AT_ONCE], source.kind), shown_pose(transformer.look(images[k : k + AT_ONCE])[1]))
        for k in range(0, len(images), AT_ONCE)
    ]
    true, shown = (Pose(*map(np.concatenate, zip(*poses, strict=True))) for poses in zip(*parts, strict=True))
    theta = transformer.look(sample_digits(source.kind))[0]
    return {"undone": compared(true, shown), "views": [[float(f"{value:.5g}") for value in row] for row in theta]}


def sample_digits(kind: str) -> np.ndarray:
    """Return the ten digits that figures show, drawn and then distorted: (10, 1, S, S) float32."""
    rng = np.random.default_rng(0)
    images, _, _ = data.draw_digits(np.arange(10), rng)
    return data.distort(images, kind, rng).images
