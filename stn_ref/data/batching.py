"""Data sets, splits and batches, reproducible from (seed, epoch) alone.

Reads: digits.py, idx.py, distortions.py. Read next: ../models.py.

Every random choice has its own stream, named by what it is for and by the epoch, so that a training that is stopped
and resumed sees the same bits as one that is not, whatever was drawn before.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from stn_ref import checks
from stn_ref.data.digits import draw_digits
from stn_ref.data.distortions import Distorted, apply_pose, distort, draw_pose, to_float
from stn_ref.data.idx import load_mnist

Batches = Iterator[tuple[np.ndarray, np.ndarray]]  # (U, labels) of each batch

_STREAMS = {"digits": 0, "split": 1, "order": 2, "distortion": 3, "val": 4, "test": 5, "weights": 6, "consistency": 7}


def stream(seed: int, purpose: str, epoch: int = 0) -> np.random.Generator:
    """Return the generator for one purpose in one epoch; different arguments give independent generators.

    A purpose is "digits", "split", "order", "distortion", "val", "test", "weights" or "consistency".
    """
    seed, epoch = checks.integer("seed", seed), checks.integer("epoch", epoch)
    checks.one_of("purpose", purpose, _STREAMS)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAMS[purpose], epoch)))


def batches(n: int, batch_size: int, *, seed: int, epoch: int, start: int = 0) -> Iterator[np.ndarray]:
    """Shuffle 0..n-1 and cut it into batches; the last one may be shorter.

    Args:
        n: how many examples.
        batch_size: at least 1.
        seed, epoch: decide the order.
        start: batches to leave out at the beginning, for a training resumed within an epoch.

    Returns:
        An iterator over index arrays (batch_size,) int64.

    >>> [len(batch) for batch in batches(10, 4, seed=0, epoch=0)]
    [4, 4, 2]
    """
    n, batch_size = checks.integer("n", n), checks.integer("batch_size", batch_size, 1)
    start = checks.integer("start", start)
    order = stream(seed, "order", epoch).permutation(n)
    return (order[k : k + batch_size] for k in range(start * batch_size, n, batch_size))


def epoch_batches(
    images: np.ndarray,
    labels: np.ndarray,
    kind: str,
    batch_size: int,
    seed: int,
    epoch: int,
    *,
    start: int = 0,
    backend: str = "cpu",
) -> Batches:
    """Iterate over one epoch of training batches, each image freshly distorted.

    An image's distortion follows from (seed, epoch, its index, how many images there are); neither the batch size nor
    the number of threads changes it.

    Args:
        images: (N, 1, 28, 28) uint8, or float32 in [0, 1].
        labels: (N,) integers.
        kind: one of data.KINDS.
        batch_size, seed, epoch, start: as of `batches`.
        backend: of the sampler.

    Returns:
        An iterator over (U (B, 1, S, S) float32, labels (B,) int64). Background 0: the mean is not subtracted, since
        the sampler pads with 0.

    Raises:
        TypeError, ShapeError, ValueError: at the call, not at the first batch.
    """
    _check_pair(images, labels)
    pose = draw_pose(len(images), kind, stream(seed, "distortion", epoch))
    indices = batches(len(images), batch_size, seed=seed, epoch=epoch, start=start)

    def distorted(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        U = apply_pose(to_float(images[batch]), pose[batch], kind, patches_from=images, backend=backend)
        return U, labels[batch].astype(np.int64)

    return map(distorted, indices)


def fixed_distortion(
    images: np.ndarray, kind: str, seed: int, *, part: str = "test", backend: str = "cpu"
) -> Distorted:
    """Distort a validation or test set once and for all: the seed decides, no epoch does.

    Args:
        images, kind, backend: as of `epoch_batches`.
        seed, part: decide the distortion; a part is "val" or "test".

    Returns:
        Distorted(images (N, 1, S, S) float32, pose (N,)).
    """
    checks.one_of("part", part, ("val", "test"))
    return distort(to_float(images), kind, stream(seed, part), backend=backend)


def split(n: int, *sizes: int, seed: int) -> tuple[np.ndarray, ...]:
    """Split 0..n-1 at random into parts that do not overlap.

    Args:
        n: how many examples.
        sizes: of the parts; together at most n.
        seed: decides which example goes where.

    Returns:
        One index array (size,) int64 a part.

    Raises:
        ValueError: the parts need more than n.
    """
    sizes = [checks.integer("sizes", size) for size in sizes]
    if sum(sizes) > n:
        raise ValueError(f"sizes must add up to at most n={n}; got {' + '.join(map(str, sizes))} = {sum(sizes)}")
    order = stream(seed, "split").permutation(n)
    return tuple(np.split(order, np.cumsum(sizes))[: len(sizes)])


@dataclass(frozen=True)
class Dataset:
    """Images (N, 1, 28, 28) uint8 and labels (N,) int64 for training, validation and test.

    `fingerprint` is the CRC-32 of all of it, in the order of the fields: two runs that agree in it saw the same data.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    val_images: np.ndarray
    val_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    fingerprint: int = field(init=False)

    def __post_init__(self):
        parts = [self.part(name) for name in ("train", "val", "test")]
        for part in parts:
            _check_pair(*part)
        object.__setattr__(self, "fingerprint", fingerprint(self.name, *parts))

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return (images, labels) of "train", "val" or "test"."""
        return getattr(self, f"{name}_images"), getattr(self, f"{name}_labels")


def fingerprint(name: str, *parts: tuple[np.ndarray, np.ndarray]) -> int:
    """Return the CRC-32 of a name and of the (images, labels) of every part."""
    crc = zlib.crc32(name.encode())
    for images, labels in parts:
        crc = zlib.crc32(np.ascontiguousarray(labels, "<i8"), zlib.crc32(np.ascontiguousarray(images), crc))
    return crc


class Source(Protocol):
    """What a training is fed with: examples by the batch, and two sets that stay as they are.

    Whoever has images of another kind than digits writes these five down, and `training.Trainer` takes it from there.
    """

    name: str
    fingerprint: int  # two sources that agree in it feed the same examples

    def size(self, part: str) -> int:
        """Return how many examples "train", "val" or "test" has."""

    def batches(self, batch_size: int, seed: int, epoch: int, *, start: int = 0) -> Batches:
        """Iterate over an epoch from batch `start` on: (U (B, C, H, W) float32, labels (B,) int64)."""

    def fixed(self, part: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (U, labels) of "val" or "test"; the seed decides, no epoch does."""


@dataclass(frozen=True)
class DigitSource:
    """What every Source of digits has: the name of their data set, what it was, and how many there are."""

    dataset: Dataset

    @property
    def name(self) -> str:
        """The name of the data set."""
        return self.dataset.name

    @property
    def fingerprint(self) -> int:
        """The data set's; what is done with its digits is in the configuration of the training."""
        return self.dataset.fingerprint

    def size(self, part: str) -> int:
        """Return how many digits a part has."""
        return len(self.dataset.part(part)[1])


@dataclass(frozen=True)
class DistortedDigits(DigitSource):
    """A Source: the digits of a data set, distorted anew in every epoch; `kind` is one of KINDS."""

    kind: str

    def batches(self, batch_size: int, seed: int, epoch: int, *, start: int = 0) -> Batches:
        """See `epoch_batches`."""
        return epoch_batches(*self.dataset.part("train"), self.kind, batch_size, seed, epoch, start=start)

    def fixed(self, part: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See `fixed_distortion`."""
        images, labels = self.dataset.part(part)
        return fixed_distortion(images, self.kind, seed, part=part).images, labels


def load(
    data_dir: str | os.PathLike | None = None,
    *,
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load digits: drawn on the spot, or real MNIST.

    Args:
        data_dir: None for the procedural digits of digits.py, else the directory of MNIST's four files.
        n_train: training images; default 10,000, of MNIST 55,000. With MNIST they and the validation images are chosen
            at random from its training set.
        n_val: validation images; default 1,000, of MNIST 5,000.
        n_test: test images; default 2,000, of MNIST all 10,000. With MNIST, the first ones of its test set.
        seed: of the drawing, or of the choice.

    Returns:
        A Dataset, not distorted.

    Raises:
        FileNotFoundError, NotADirectoryError, DamagedFileError: see `load_mnist`.
        ValueError: more images wanted than MNIST has.
    """
    defaults = (10_000, 1_000, 2_000) if data_dir is None else (55_000, 5_000, 10_000)
    wanted = {"n_train": n_train, "n_val": n_val, "n_test": n_test}
    n_train, n_val, n_test = sizes = [
        default if size is None else checks.integer(name, size)
        for (name, size), default in zip(wanted.items(), defaults, strict=True)
    ]
    if data_dir is None:
        drawn, labels, _ = draw_digits(sum(sizes), stream(seed, "digits"))
        images = np.rint(drawn * 255).astype(np.uint8)  # exact: a drawn digit is a multiple of 1/255
        stops = np.cumsum(sizes)[:2]
        parts = zip(np.split(images, stops), np.split(labels, stops), strict=True)
        return Dataset("procedural", *(array for part in parts for array in part))
    images, labels, test_images, test_labels = load_mnist(data_dir)
    for name, size, have in (("n_train + n_val", sum(sizes[:2]), len(images)), ("n_test", n_test, len(test_images))):
        if size > have:
            raise ValueError(f"{name} must be at most {have}, the images in {data_dir}; got {size}")
    train, val = split(len(images), n_train, n_val, seed=seed)
    parts = (images[train], labels[train]), (images[val], labels[val]), (test_images[:n_test], test_labels[:n_test])
    return Dataset("mnist", *(array for U, y in parts for array in (U[:, None], y.astype(np.int64))))


def _check_pair(images: np.ndarray, labels: np.ndarray) -> None:
    if images.dtype not in (np.dtype(np.uint8), np.dtype(np.float32)):
        raise TypeError(f"images must be uint8 or float32; got {images.dtype}")
    checks.shape("images", images, ("N", 1, 28, 28))
    checks.shape("labels", labels, ("N",), N=(len(images), "images"))
