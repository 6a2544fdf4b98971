"""Test a trained net on digits that are moved, turned or scaled, one at a time, and moved by a single pixel.

Reads: ../../data/, ../invariance.py. Read next: pooling.py.

The canvas is that of RTS, 42 x 42. A digit at rest is upright, in its original size and in the middle. It is an exact
copy, because the margin of 14 pixels is even.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stn_ref import data
from stn_ref.data.distortions import POSE
from stn_ref.lab.invariance import SHIFTS, shifted
from stn_ref.nn import Layer, MaxPool2d, Sequential

RTS = data.KINDS["RTS"]
CANVAS = RTS.canvas
TRAINED = {  # the range of RTS in training: shifts, angles, scales
    "shift": (0.0, (CANVAS - 28) / 2),  # of a digit of scale 1; smaller digits move farther
    "rotation": RTS.angle,
    "scale": RTS.scale,
}
DIRECTIONS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # (x, y) of a shift; digit n uses direction n mod 4
AT_ONCE = 200  # digits in one forward, which limits the memory
SAME = 1e-5  # share of the largest activation: a smaller difference counts as rounding


def posed(
    images: np.ndarray, *, shift: np.ndarray | tuple[float, float] = (0, 0), angle: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """Return digits (N, 1, 42, 42) float32 on the canvas of RTS, all in one pose.

    Args:
        images: (N, 1, 28, 28) uint8, or float32 in [0, 1].
        shift: (x, y) from the middle in pixels, one for all digits or one for each.
        angle: degrees, counterclockwise on the screen.
        scale: canvas pixels for one pixel of the digit.
    """
    pose = np.zeros(len(images), POSE)
    pose["angle"], pose["scale"], pose["centre"] = angle, scale, (CANVAS - 1) / 2 + np.asarray(shift)
    return data.apply_pose(data.to_float(images), pose, "RTS")


@dataclass(frozen=True)
class UprightDigits(data.DigitSource):
    """A Source of digits at rest: the same images in every epoch, in another order."""

    def batches(
        self, batch_size: int, seed: int, epoch: int, *, start: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over an epoch from batch `start` on: (U (B, 1, 42, 42), labels (B,))."""
        images, labels = self.dataset.train_images, self.dataset.train_labels
        for batch in data.batches(len(labels), batch_size, seed=seed, epoch=epoch, start=start):
            yield posed(images[batch]), labels[batch]

    def fixed(self, part: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (U, labels) of "val" or "test"."""
        return posed(getattr(self.dataset, f"{part}_images")), getattr(self.dataset, f"{part}_labels")


def sweep(net: Layer, what: str, values: Sequence[float], images: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return the accuracy in % at each value of "shift", "rotation" or "scale", the other two at rest.

    A shift of d moves the digits by d pixels right, down, left, up, right, and so on, in their order.
    """
    net, correct = net.share().eval(), np.zeros(len(values), int)
    for part in _parts(len(images)):
        directions = DIRECTIONS[np.arange(part.start, part.stop) % 4]
        for k, value in enumerate(values):
            poses = {"shift": {"shift": value * directions}, "rotation": {"angle": value}, "scale": {"scale": value}}
            scores = net.forward(posed(images[part], **poses[what]))
            correct[k] += np.count_nonzero(scores.argmax(1) == labels[part])
    return [100 * int(n) / len(images) for n in correct]


def one_pixel(net: Sequential, images: np.ndarray) -> dict[str, float]:
    """Return what stays unchanged when digits at rest move by one pixel, as means over the digits and all 8 shifts.

    Returns:
        class_stays_of_8: number of shifts that do not change the class that the net predicts.
        outputs_stay_of_8: number of shifts that do not change an output of the net's first max-pooling. This applies
            the question of "3 of 8" to learnt features. Only outputs that see ink count, before or after the shift:
            those that differ from the output for a blank canvas.
        relative_change: |P(U_s) - P(U)| / |P(U) - P(0)|, where P is the output of this pooling and U_s the moved digit.
    """
    U, net = posed(images), net.share().eval()
    first = next(k for k, layer in enumerate(net.layers) if isinstance(layer, MaxPool2d))  # none inside a transformer
    pooled = Sequential(*net.layers[: first + 1]).eval()
    before, decided, blank = _outputs(pooled, U), _outputs(net, U).argmax(1), pooled.forward(np.zeros_like(U[:1]))
    equal = SAME * np.abs(before).max()
    seen_before = np.abs(before - blank) > equal
    size = np.linalg.norm((before - blank).reshape(len(U), -1), axis=1)
    class_stays, outputs_stay, change = [], [], []
    for shift in SHIFTS:
        V = shifted(U, *shift)
        after = _outputs(pooled, V)
        seen = seen_before | (np.abs(after - blank) > equal)
        class_stays.append(np.mean(_outputs(net, V).argmax(1) == decided))
        outputs_stay.append(np.mean((np.abs(after - before) <= equal)[seen]))
        change.append(np.mean(np.linalg.norm((after - before).reshape(len(U), -1), axis=1) / size))
    return {
        "class_stays_of_8": float(np.sum(class_stays)),
        "outputs_stay_of_8": float(np.sum(outputs_stay)),
        "relative_change": float(np.mean(change)),
    }


def _parts(n: int) -> list[slice]:
    return [slice(k, min(k + AT_ONCE, n)) for k in range(0, n, AT_ONCE)]


def _outputs(net: Layer, U: np.ndarray) -> np.ndarray:
    return np.concatenate([net.forward(U[part]) for part in _parts(len(U))])
