"""CIFAR-10: a reader for its binary files, and a Source of colour images.

Reads: batching.py, idx.py. Read next: download.py.

A batch is 10,000 records of 3,073 bytes: a label 0..9, then 1,024 red, 1,024 green and 1,024 blue values, each row by
row. The file has no header, so only its length and the range of the labels can be checked.
"""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stn_ref import checks, files
from stn_ref.checks import DamagedFileError
from stn_ref.data.batching import Batches, batches, fingerprint
from stn_ref.data.idx import ADVICE, refuse_strangers

SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # bytes
PER_BATCH = 10_000  # records
TRAIN = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
TEST = "test_batch.bin"
FILES = (*TRAIN, TEST)
META = "batches.meta.txt"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE, FOLDER = "cifar-10-binary.tar.gz", "cifar-10-batches-bin"  # the archive holds the folder


def load_cifar10(
    directory: str | os.PathLike, *, per_batch: int = PER_BATCH
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read the binary version of CIFAR-10.

    Args:
        directory: a directory with data_batch_1.bin to data_batch_5.bin and test_batch.bin, or with the folder
            cifar-10-batches-bin that holds them, or with the archive cifar-10-binary.tar.gz; or the archive itself.
        per_batch: records per file.

    Returns:
        train_images (5 per_batch, 3, 32, 32), train_labels (5 per_batch,), test_images (per_batch, 3, 32, 32),
        test_labels (per_batch,), all uint8; the channels are red, green, blue.

    Raises:
        FileNotFoundError: a file is missing.
        DamagedFileError: a file is damaged, or holds something else.

    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009; the format is described on
        www.cs.toronto.edu/~kriz/cifar.html.
    """
    place = find_cifar10(directory)
    if place.is_dir():
        content = {name: (place / name).read_bytes() for name in (*FILES, META) if (place / name).is_file()}
    else:
        content = dict(members(place, per_batch=per_batch))
    for name in FILES:
        if name not in content:
            raise FileNotFoundError(f"{place} holds no {name}; expected {', '.join(FILES)}")
    if META in content:
        check_names(place / META, content.pop(META))
    parts = {name: parse(place / name, content.pop(name), per_batch) for name in FILES}
    images, labels = (np.concatenate(arrays) for arrays in zip(*(parts[name] for name in TRAIN), strict=True))
    return images, labels, *parts[TEST]


def find_cifar10(directory: str | os.PathLike) -> Path:
    """Return the folder that holds the batches, or the archive; raise FileNotFoundError if there is neither."""
    directory = Path(directory)
    if directory.is_file():
        return directory
    if not directory.exists():
        raise FileNotFoundError(f"{directory} does not exist; expected a directory with CIFAR-10's binary files")
    if folder := find_folder(directory):
        return folder
    if (directory / ARCHIVE).is_file():
        return directory / ARCHIVE
    pickles = (directory, directory / "cifar-10-batches-py")
    hint = "; it holds the Python version instead" if any((p / "data_batch_1").exists() for p in pickles) else ""
    raise FileNotFoundError(f"{directory} holds no {TRAIN[0]}, no {FOLDER} and no {ARCHIVE}{hint}")


def find_folder(directory: Path) -> Path | None:
    """Return the folder of the unpacked batches, `directory` or cifar-10-batches-bin in it; None without batches."""
    folders = (directory, directory / FOLDER)
    return next((f for f in folders if any((f / name).exists() for name in FILES)), None)


def parse(path: Path, content: bytes, per_batch: int = PER_BATCH) -> tuple[np.ndarray, np.ndarray]:
    """Return (images (N, 3, 32, 32), labels (N,)), uint8, from the bytes of a batch.

    Raises:
        DamagedFileError: the length does not fit `per_batch` records, or a label is above 9; the message names `path`.
    """
    refuse_strangers(path, content[:256], "a batch of CIFAR-10")
    if content.startswith(b"\x1f\x8b"):
        raise DamagedFileError(f"{path} is gzipped; expected it unpacked, as it is in {ARCHIVE}")
    if len(content) != per_batch * RECORD:
        raise DamagedFileError(
            f"{path} has {len(content)} bytes, expected {per_batch * RECORD}: {per_batch} records of {RECORD}: {ADVICE}"
        )
    records = np.frombuffer(content, np.uint8).reshape(per_batch, RECORD)
    labels = records[:, 0].copy()
    if labels.max(initial=0) > 9:
        k = int(np.argmax(labels > 9))
        raise DamagedFileError(f"{path}: labels must lie in 0..9; got {labels[k]} in record {k}")
    return records[:, 1:].reshape(-1, *SHAPE).copy(), labels


def check_names(path: Path, content: bytes) -> None:
    """Raise DamagedFileError unless `content`, from batches.meta.txt, names the ten classes in the usual order."""
    refuse_strangers(path, content[:256], "the names of CIFAR-10's classes")
    got = tuple(content.decode("ascii", "replace").split())
    if got != CLASSES:
        start = " ".join(got)[:60]
        raise DamagedFileError(f"{path} must name CIFAR-10's classes, {', '.join(CLASSES)}; it begins {start!r}")


def members(archive: Path, *, per_batch: int = PER_BATCH) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the batches and of batches.meta.txt in the archive; skip everything else.

    Raises:
        DamagedFileError: it is no gzipped tar file, is cut short, or has a batch of more than `per_batch` records.
    """
    with open(archive, "rb") as file:
        refuse_strangers(archive, file.read(256), ARCHIVE)
    sizes = dict.fromkeys(FILES, per_batch * RECORD) | {META: 1000}
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                folder, _, name = member.name.removeprefix("./").rpartition("/")
                if folder == FOLDER and name in sizes and member.isfile():
                    if member.size > sizes[name]:
                        raise DamagedFileError(f"{archive}: {name} has {member.size} bytes, expected {sizes[name]}")
                    yield name, tar.extractfile(member).read()
            while stream.read(1 << 20):  # read to the end, where gzip verifies its checksum
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        reason = " ".join(str(error).split())
        raise DamagedFileError(f"{archive} is not a gzipped tar file, or is cut short ({reason}): {ADVICE}") from None


def unpack(archive: Path, *, per_batch: int = PER_BATCH) -> list[Path]:
    """Unpack the batches and batches.meta.txt into the folder cifar-10-batches-bin beside the archive.

    Only files with these names are written, each completely or not at all; no name or path is taken from the archive.
    Existing files are never overwritten.

    Returns:
        The files written.

    Raises:
        DamagedFileError: the archive or a file in it is damaged, or an existing file has other content.
        OSError: a file cannot be written.
    """
    folder, written = archive.parent / FOLDER, []
    folder.mkdir(exist_ok=True)
    for name, content in members(archive, per_batch=per_batch):
        path = folder / name
        files.sweep(path)
        if path.exists():
            if path.read_bytes() != content:
                raise DamagedFileError(f"{path} is not the file in {archive}; move it away to unpack it again")
            continue
        if name != META:
            parse(archive / name, content, per_batch)
        files.write(path, content)
        written.append(path)
    return written


def is_unpacked(archive: Path, folder: Path) -> bool:
    """Return whether the folder holds every file that `unpack` would write, byte for byte."""
    paths = ((folder / name, content) for name, content in members(archive))
    return all(path.is_file() and path.read_bytes() == content for path, content in paths)


@dataclass(frozen=True)
class ColourImages:
    """A Source: colour images without distortion; each channel c becomes (U - mean[c]) / std[c], with U in [0, 1].

    So 0, the padding of a transformer, is the mean colour.

    Args:
        train, val, test: images (N, 3, H, W) uint8 and labels (N,).
        mean, std: mean and standard deviation of each channel, for values in [0, 1].

    Attributes:
        fingerprint: CRC-32 of everything above: two runs with the same fingerprint saw the same data.
    """

    name: str
    train: tuple[np.ndarray, np.ndarray]
    val: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: int = field(init=False)

    def __post_init__(self):
        parts = {"train": self.train, "val": self.val, "test": self.test}
        for part, (images, labels) in parts.items():
            checks.shape(f"{part} images", images, ("N", 3, "H", "W"))
            checks.shape(f"{part} labels", labels, ("N",), N=(len(images), "images"))
            if images.dtype != np.uint8:
                raise TypeError(f"{part} images must be uint8; got {images.dtype}")
        crc = fingerprint(repr((self.name, self.mean, self.std)), *parts.values())
        object.__setattr__(self, "fingerprint", crc)

    def size(self, part: str) -> int:
        """Return the number of images in a part."""
        return len(getattr(self, part)[1])

    def batches(self, batch_size: int, seed: int, epoch: int, *, start: int = 0) -> Batches:
        """Yield (U (B, 3, H, W) float32, labels (B,) int64) of an epoch, from batch `start` on."""
        images, labels = self.train
        for batch in batches(len(labels), batch_size, seed=seed, epoch=epoch, start=start):
            yield self.normalised(images[batch]), labels[batch].astype(np.int64)

    def fixed(self, part: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (U, labels) of "val" or "test"; the seed has no effect."""
        images, labels = getattr(self, part)
        return self.normalised(images), labels.astype(np.int64)

    def normalised(self, images: np.ndarray) -> np.ndarray:
        """Return (images / 255 - mean) / std, float32."""
        mean, std = (np.array(values, np.float64)[:, None, None] for values in (self.mean, self.std))
        U = images * (1 / (255 * std)).astype(np.float32)
        U -= (mean / std).astype(np.float32)
        return U


def draw_colour_images(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw images that can replace CIFAR-10: an ellipse on grey noise, whose hue is its class.

    Place, size, shape, angle and brightness of the ellipse do not depend on the class. The ten hues are 36 degrees
    apart, and the hue of an image deviates by at most 9 degrees.

    Args:
        n: number of images; all classes occur equally often, in random order.
        rng: the only source of randomness.

    Returns:
        images (n, 3, 32, 32) uint8, labels (n,) uint8.
    """
    n = checks.integer("n", n)
    labels = checks.generator("rng", rng).permutation(np.arange(n) % len(CLASSES)).astype(np.uint8)
    images = np.empty((n, *SHAPE), np.uint8)
    y, x = np.mgrid[:32, :32]
    for start in range(0, n, 1000):  # limits the memory
        part = slice(start, start + 1000)
        low, high = np.array([[-9, 10, 10, 5, 5, 0, 0.6, 0.3], [9, 21, 21, 10, 10, np.pi, 1.0, 0.7]])
        drawn = rng.uniform(low, high, (len(labels[part]), len(low))).T[..., None, None]
        off, x0, y0, a, b, angle, bright, grey = drawn
        along = np.cos(angle) * (x - x0) + np.sin(angle) * (y - y0)
        across = np.cos(angle) * (y - y0) - np.sin(angle) * (x - x0)
        inside = ((along / a) ** 2 + (across / b) ** 2 < 1)[:, None]
        hue = np.radians(36.0 * labels[part, None, None] + off)
        colour = np.stack([bright * (0.5 + 0.5 * np.cos(hue - third)) for third in np.radians([0, 120, 240])], axis=1)
        U = np.where(inside, colour, grey[:, None]) + 0.1 * rng.standard_normal((len(drawn[0]), *SHAPE))
        images[part] = np.rint(255 * np.clip(U, 0, 1))
    return images, labels
