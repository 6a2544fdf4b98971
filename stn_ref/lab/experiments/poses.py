"""What a trained net makes of digits that are moved, turned or scaled, one at a time, and moved by a single pixel.

Reads: ../data/, ../invariance.py. Read next: pooling.py.

The canvas is that of RTS, 42 x 42. A digit at rest stands upright in its own size in the middle: to the bit, since 14
whole pixels are left over.
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
TRAINED = {  # what RTS has shown a net: the farthest shift, angles, scales
    "shift": (0.0, (CANVAS - 28) / 2),  # of a digit of scale 1; smaller ones go farther
    "rotation": RTS.angle,
    "scale": RTS.scale,
}
DIRECTIONS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # (x, y) of a shift: the digits take them in turns
AT_ONCE = 200  # digits: what is computed on the way then stays small
SAME = 1e-5  # of the largest activation: below it a difference is rounding


def posed(
    images: np.ndarray, *, shift: np.ndarray | tuple[float, float] = (0, 0), angle: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """Return digits on the canvas of RTS, all in one pose: (N, 1, 42, 42) float32.

    Args:
        images: (N, 1, 28, 28) uint8, or float32 in [0, 1].
        shift: (x, y) from the middle in pixels, for all or for each.
        angle: degrees, counterclockwise as seen.
        scale: canvas pixels to one pixel of the digit.
    """
    pose = np.zeros(len(images), POSE)
    pose["angle"], pose["scale"], pose["centre"] = angle, scale, (CANVAS - 1) / 2 + np.asarray(shift)
    return data.apply_pose(data.to_float(images), pose, "RTS")


@dataclass(frozen=True)
class UprightDigits(data.DigitSource):
    """A Source: digits at rest, the same in every epoch but for their order.

    Args:
        dataset: from `data.load`.
    """

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

    A shift of d moves each digit by d pixels to the right, down, to the left or up, one after the other.
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
    """Return what is left as it was when digits at rest move by one pixel; the mean over digits and all 8 shifts.

    Returns:
        class_stays_of_8: shifts that leave the class that the net decides for.
        outputs_stay_of_8: shifts that leave an output of the net's first max-pooling, of those that see ink before or
            after: the question of "3 of 8", asked of learnt features. They differ from what a blank canvas gives.
        relative_change: |P(U_s) - P(U)| / |P(U) - P(0)|, P the output of that pooling, U_s the digit moved.
    """
    U, net = posed(images), net.share().eval()
    pooled = Sequential(*net.layers[: first_pooling(net) + 1]).eval()
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


def first_pooling(net: Sequential) -> int:
    """Return the place of the net's first max-pooling; that of a localisation net is inside its transformer."""
    return next(k for k, layer in enumerate(net.layers) if isinstance(layer, MaxPool2d))
