"""Creatures: pictures whose class depends on two small parts of an object at a random place and slant.

Reads: ../../data/, ../../sampler.py. Read next: parts.py.

A creature is a bright body with a dark disc at each end: the head on its right and the tail on its left. The head has
one of four marks: a spot, a ring, a cross or a bar. The tail has a spot or, a third as often, a ring. The class is the
pair of marks. The best accuracy of a classifier that sees only the head is three of four, only the tail one of four,
and neither part three of sixteen. The creature is turned by up to 45 degrees and scaled by up to 10 %. Its place is
random, at least 4 pixels from the edge. The background is a texture with stray marks of the same kinds, which do not
affect the class: a list of the marks in the picture is therefore not enough. A part is 9 pixels wide in 48 x 48, three
in a hundred pixels. All marks have about the same ink, and ring, cross and bar have about the same spread, so they are
hard to distinguish at low resolution.

The pictures are synthetic. They imitate the task of CUB-200-2011, whose birds differ in the head and the body.
"""

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stn_ref import checks, data
from stn_ref.sampler import sample

SIZE = 48  # pixels of a side of the picture
HEADS = ("spot", "ring", "cross", "bar")  # the possible marks of a head
TAILS = ("spot", "ring")
CLASSES = len(HEADS) * len(TAILS)
OFTEN = np.array([2 * head + tail for head in range(len(HEADS)) for tail in (0, 0, 0, 1)])  # labels of 16 creatures
FRAME = 36  # pixels of a side of the frame that a creature is drawn in, upright and in the middle
ARM, RADIUS = 10.0, 4.5  # distance of a part from the middle of the creature; radius of a part; frame pixels
EDGE = 4  # least distance of a creature from the edge, pixels of the picture
STRAY, PATCH = 2, 11  # stray marks: their number, pixels of a side
FINE = 4  # the frame is drawn at this multiple of its resolution, and averaged

POSE = np.dtype(
    [
        ("label", np.int64),  # 2 head + tail, indices in HEADS and TAILS
        ("angle", np.float64),  # radians, clockwise on the screen, because y points down
        ("scale", np.float64),  # pixels of the picture for one pixel of the frame
        ("centre", np.float64, 2),  # pixel (x, y) of the middle
        ("texture", np.int64, 2),  # first (x, y) in the large texture
        ("stray", np.int64, STRAY),  # indices of the stray marks in HEADS
        ("stray_place", np.int64, (STRAY, 2)),  # their first (x, y)
    ]
)


def draw_pose(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return random poses of n creatures, (n,) of POSE. All heads are equally frequent; 3 of 4 tails have a spot."""
    n = checks.integer("n", n)
    checks.generator("rng", rng)
    pose = np.zeros(n, POSE)
    pose["label"] = rng.permutation(OFTEN[np.arange(n) % len(OFTEN)])
    pose["angle"] = np.deg2rad(rng.uniform(-45, 45, n))
    pose["scale"] = rng.uniform(0.9, 1.1, n)
    edge = EDGE + np.abs(_arm(pose)) + RADIUS * pose["scale"][:, None]
    pose["centre"] = edge + rng.random((n, 2)) * (SIZE - 2 * edge) - 0.5
    pose["texture"] = rng.integers(0, len(_texture()) - SIZE, (n, 2))
    pose["stray"] = rng.integers(0, len(HEADS), (n, STRAY))
    pose["stray_place"] = rng.integers(0, SIZE - PATCH, (n, STRAY, 2), endpoint=True)
    return pose


def part_centres(pose: np.ndarray) -> np.ndarray:
    """Return (n, 2, 2): the centres (x, y) of head and tail, in pixels, for evaluation only: nets do not see them."""
    arm = _arm(pose)
    return np.stack([pose["centre"] + arm, pose["centre"] - arm], axis=1)


def _arm(pose: np.ndarray) -> np.ndarray:
    """Return (n, 2): the vector (x, y) from the middle to the head, in pixels."""
    return (ARM * pose["scale"] * np.array([np.cos(pose["angle"]), np.sin(pose["angle"])])).T


def draw(pose: np.ndarray) -> np.ndarray:
    """Return pictures (n, 1, SIZE, SIZE) float32, grey values from 0 to 1.

    U = creature + (1 - opaque) background,   both warped from the frame: target -> source
    """
    n, at = len(pose), np.arange(SIZE)
    x, y = at - pose["centre"][:, 0, None, None], at[:, None] - pose["centre"][:, 1, None, None]
    cos, sin = (f(pose["angle"])[:, None, None] / pose["scale"][:, None, None] for f in (np.cos, np.sin))
    middle = (FRAME - 1) / 2
    points = np.stack([middle + cos * x + sin * y, middle + cos * y - sin * x], axis=-1).astype(np.float32)
    creature, opaque = np.moveaxis(sample(_creatures()[pose["label"]], points), 1, 0)
    first_x, first_y = pose["texture"].T[..., None, None]
    background = _texture()[first_y + at[:, None], first_x + at]
    for k in range(STRAY):
        first_x, first_y = pose["stray_place"][:, k].T[..., None, None]
        where = np.arange(n)[:, None, None], first_y + at[:PATCH, None], first_x + at[:PATCH]
        background[where] = np.maximum(background[where], _marks()[pose["stray"][:, k]])
    return (creature + (1 - opaque) * background)[:, None]


@dataclass(frozen=True)
class Creatures:
    """A Source of creatures: n_train new pictures in every epoch, and fixed sets of n_val and n_test pictures."""

    n_train: int
    n_val: int
    n_test: int
    name: str = "creatures"

    @property
    def fingerprint(self) -> int:
        """The CRC-32 of the creatures, the texture and the marks that all pictures consist of."""
        return zlib.crc32(_creatures(), zlib.crc32(_texture(), zlib.crc32(_marks())))

    def size(self, part: str) -> int:
        """Return the number of pictures of a part."""
        return getattr(self, f"n_{part}")

    def batches(
        self, batch_size: int, seed: int, epoch: int, *, start: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over an epoch from batch `start` on: (U (B, 1, 48, 48), labels (B,))."""
        pose = draw_pose(self.n_train, data.stream(seed, "digits", epoch))
        which = data.batches(self.n_train, batch_size, seed=seed, epoch=epoch, start=start)
        return ((draw(pose[batch]), pose["label"][batch]) for batch in which)

    def fixed(self, part: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (U, labels) of "val" or "test"."""
        pose = self.fixed_pose(part, seed)
        return draw(pose), pose["label"]

    def fixed_pose(self, part: str, seed: int) -> np.ndarray:
        """Return the poses of the pictures that `fixed` returns."""
        return draw_pose(self.size(part), data.stream(seed, part))


def _inside(distance: np.ndarray) -> np.ndarray:
    """Return 1 inside a shape and 0 outside, with a grey rim of one pixel; distance: from the edge, in pixels."""
    return np.clip(0.5 - distance, 0, 1)


def _mark(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return grey values at (x, y) of a mark at (0, 0); all marks have about the same ink, 8.5 pixels of white."""
    r, x, y = np.hypot(x, y), np.abs(x), np.abs(y)
    if name == "spot":
        return _inside(r - 1.62)
    if name == "ring":
        return _inside(np.abs(r - 1.75) - 0.39)
    if name == "bar":
        return _inside(np.maximum(x - 0.8, y - 2.6))
    return np.maximum(_inside(np.maximum(x - 0.42, y - 2.6)), _inside(np.maximum(y - 0.42, x - 2.6)))


def _part(name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return grey values times opacity, and opacity, of a mark on a dark disc at (0, 0)."""
    disc = _inside(np.hypot(x, y) - RADIUS)
    return disc * (0.25 + 0.75 * _mark(name, x, y)), disc


def _fine(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (x, y) of the fine pixels of a frame, relative to its middle, in frame pixels."""
    at = (np.arange(size * FINE) + 0.5) / FINE - size / 2
    return np.meshgrid(at, at)


def _averaged(fine: np.ndarray) -> np.ndarray:
    size = len(fine) // FINE
    return fine.reshape(size, FINE, size, FINE).mean((1, 3))


@functools.cache
def _creatures() -> np.ndarray:
    """Return upright creatures (CLASSES, 2, FRAME, FRAME): grey values times opacity, and opacity."""
    x, y = _fine(FRAME)
    body = _inside(4 * (np.hypot(x / 9, y / 4) - 1))
    found = []
    for head in HEADS:
        for tail in TAILS:
            value, opaque = 0.75 * body, body
            for mark, end in ((head, ARM), (tail, -ARM)):
                part, disc = _part(mark, x - end, y)
                value = part + (1 - disc) * value
                opaque = np.maximum(opaque, disc)
            found.append([_averaged(value), _averaged(opaque)])
    return np.array(found, np.float32)


@functools.cache
def _marks() -> np.ndarray:
    """Return the marks on black, (len(HEADS), PATCH, PATCH)."""
    return np.array([_averaged(_mark(name, *_fine(PATCH))) for name in HEADS], np.float32)


@functools.cache
def _texture() -> np.ndarray:
    """Return smooth noise (256, 256), the same for all data sets; each background is a part of it."""
    rng, waves = np.random.default_rng(0), np.fft.fftfreq(256)
    spectrum = np.fft.fft2(rng.standard_normal((256, 256))) * np.exp(-((np.hypot(waves, waves[:, None]) / 0.12) ** 2))
    noise = np.fft.ifft2(spectrum).real
    return np.clip(0.15 + 0.05 * noise / noise.std(), 0, 1).astype(np.float32)
