"""Data sets, splits and batches that depend on (seed, epoch) alone.

Reads: digits.py, idx.py, distortions.py. Read next: ../models.py.

Every random choice has its own stream of random numbers, named by its purpose and the epoch. So a choice does not
depend on earlier draws, and a training that is stopped and resumed sees the same bits as one that is not.
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
    """Return an iterator over the batches of 0..n-1 in random order; the last batch may be shorter.

    Args:
        n: number of examples.
        batch_size: at least 1.
        seed, epoch: together they determine the order.
        start: number of batches to skip at the beginning, to resume a training within an epoch.

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
    """Return an iterator over one epoch of training batches; each image gets a new distortion in each epoch.

    The distortion of an image depends on seed, epoch, its index and the number of images; it does not depend on the
    batch size or the number of threads.

    Args:
        images: (N, 1, 28, 28) uint8, or float32 in [0, 1].
        labels: (N,) integers.
        kind: one of data.KINDS.
        batch_size, seed, epoch, start: as for `batches`.
        backend: backend of the sampler.

    Returns:
        An iterator over (U (B, 1, S, S) float32, labels (B,) int64). The background is 0: the mean is not subtracted,
        because the sampler pads with 0.

    Raises:
        TypeError, ShapeError, ValueError: an argument breaks its contract; raised by the call, not by the iterator.
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
    """Return a distorted validation or test set, which depends on the seed but not on an epoch.

    Args:
        images, kind, backend: as for `epoch_batches`.
        seed, part: together they determine the distortion; part is "val" or "test".

    Returns:
        Distorted(images (N, 1, S, S) float32, pose (N,)).
    """
    checks.one_of("part", part, ("val", "test"))
    return distort(to_float(images), kind, stream(seed, part), backend=backend)


def split(n: int, *sizes: int, seed: int) -> tuple[np.ndarray, ...]:
    """Split 0..n-1 at random into parts that do not overlap.

    Args:
        n: number of examples.
        sizes: sizes of the parts; their sum is at most n.
        seed: determines the split.

    Returns:
        One index array (size,) int64 for each part.

    Raises:
        ValueError: the sum of the sizes exceeds n.
    """
    sizes = [checks.integer("sizes", size) for size in sizes]
    if sum(sizes) > n:
        raise ValueError(f"sizes must add up to at most n={n}; got {' + '.join(map(str, sizes))} = {sum(sizes)}")
    order = stream(seed, "split").permutation(n)
    return tuple(np.split(order, np.cumsum(sizes))[: len(sizes)])


@dataclass(frozen=True)
class Dataset:
    """Images (N, 1, 28, 28) uint8 and labels (N,) int64 for training, validation and test.

    `fingerprint` is the CRC-32 of all fields, in their order: two runs with the same fingerprint saw the same data.
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
    """The data of a training: batches of training examples, and a fixed validation and test set.

    To train on images other than digits, write a class with these five members and pass it to `training.Trainer`.
    """

    name: str
    fingerprint: int  # two sources with the same fingerprint give the same examples

    def size(self, part: str) -> int:
        """Return the number of examples in "train", "val" or "test"."""

    def batches(self, batch_size: int, seed: int, epoch: int, *, start: int = 0) -> Batches:
        """Iterate over an epoch from batch `start` on: (U (B, C, H, W) float32, labels (B,) int64)."""

    def fixed(self, part: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (U, labels) of "val" or "test"; they depend on the seed but not on an epoch."""


@dataclass(frozen=True)
class DigitSource:
    """Base class of the Sources of digits: name, fingerprint and sizes of their data set."""

    dataset: Dataset

    @property
    def name(self) -> str:
        """The name of the data set."""
        return self.dataset.name

    @property
    def fingerprint(self) -> int:
        """The fingerprint of the data set; the configuration of the training determines the distortions."""
        return self.dataset.fingerprint

    def size(self, part: str) -> int:
        """Return the number of digits in a part."""
        return len(self.dataset.part(part)[1])


@dataclass(frozen=True)
class DistortedDigits(DigitSource):
    """A Source: the digits of a data set, distorted anew in every epoch; `kind` is one of KINDS."""

    kind: str

    def batches(self, batch_size: int, seed: int, epoch: int, *, start: int = 0) -> Batches:
        """Return the iterator of `epoch_batches`."""
        return epoch_batches(*self.dataset.part("train"), self.kind, batch_size, seed, epoch, start=start)

    def fixed(self, part: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (images, labels) of `fixed_distortion`."""
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
    """Return a Dataset of digits: procedural ones, or real MNIST.

    Args:
        data_dir: None for the procedural digits of digits.py, else the directory of MNIST's four files.
        n_train: number of training images; default 10,000, for MNIST 55,000. With MNIST, training and validation
            images are chosen at random from its training set.
        n_val: number of validation images; default 1,000, for MNIST 5,000.
        n_test: number of test images; default 2,000, for MNIST all 10,000. With MNIST, the first images of its test
            set.
        seed: seed of the drawing, or of the random choice.

    Returns:
        A Dataset without distortion.

    Raises:
        FileNotFoundError, NotADirectoryError, DamagedFileError: see `load_mnist`.
        ValueError: more images are requested than MNIST has.
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
