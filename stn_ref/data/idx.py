"""Read the IDX files of MNIST, with an error message that explains what is wrong with a bad file.

Reads: checks.py. Read next: batching.py.

An IDX file is two zero bytes, a type code, the number of axes, the size of each axis as four bytes (big-endian), and
the values. Every error message is one line that names the file.
"""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from stn_ref.checks import DamagedFileError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
STEMS = ("train-images", "train-labels", "t10k-images", "t10k-labels")
ADVICE = "fetch it again"
_PIECE = 1 << 20  # bytes read at once: a header that announces terabytes costs no more memory than the file has bytes


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Read one IDX file, gzipped or not (the first bytes decide, not the name).

    Returns:
        A writable array with the axes and the type of the header, in native byte order.

    Raises:
        FileNotFoundError, IsADirectoryError: the file does not exist, or is a directory.
        DamagedFileError: the file is not an IDX file, is cut short, or has bytes left over.

    Source: the format is described on the MNIST page, yann.lecun.com/exdb/mnist.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory, expected an IDX file")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected an IDX file, gzipped or not")
    with path.open("rb") as raw:
        first = raw.read(256)
        raw.seek(0)
        if not first.startswith(b"\x1f\x8b"):
            refuse_strangers(path, first, "an IDX file")
            return _parse(path, raw)
        try:
            with gzip.open(raw, "rb") as stream:
                return _parse(path, stream)
        except EOFError:
            raise DamagedFileError(f"{path}: the gzip stream ends too early: {ADVICE}") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DamagedFileError(f"{path}: the gzip stream is corrupt ({error}): {ADVICE}") from None


def refuse_strangers(path: Path, first: bytes, wanted: str) -> None:
    """Raise DamagedFileError if `first`, the first bytes, is empty, a git-annex or git-lfs pointer, or a web page."""
    text = first.lstrip().lower()
    if not first:
        raise DamagedFileError(f"{path} is empty: {ADVICE}")
    if b"/annex/" in first or first.startswith(b"version https://git-lfs"):
        raise DamagedFileError(f"{path} is a pointer of git-annex or git-lfs, not the data: have that tool fetch it")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise DamagedFileError(f"{path} is a web page, not {wanted}: its address has moved, fetch it elsewhere")


def _parse(path: Path, stream: BinaryIO) -> np.ndarray:
    magic = stream.read(4)
    if not magic:
        raise DamagedFileError(f"{path}: a gzip header without data: {ADVICE}")
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DamagedFileError(f"{path} is not an IDX file: expected two zero bytes first, got {magic.hex(' ')}")
    code, axes = magic[2:]
    if code not in TYPES:
        known = ", ".join(f"{c:#04x}" for c in TYPES)
        raise DamagedFileError(f"{path}: type code must be one of {known}; got {code:#04x}")
    if axes == 0:
        raise DamagedFileError(f"{path}: the header must state at least 1 axis; got 0")
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DamagedFileError(f"{path} ends within its header of {axes} axes: {ADVICE}")
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    dtype = np.dtype(TYPES[code])
    wanted, held = math.prod(shape) * dtype.itemsize, bytearray()
    while len(held) < wanted and (piece := stream.read(min(_PIECE, wanted - len(held)))):
        held += piece
    if len(held) < wanted:
        raise DamagedFileError(
            f"{path} is cut short: expected {wanted} bytes of values from its header {shape}, got {len(held)}: {ADVICE}"
        )
    if stream.read(1):  # this also makes gzip verify its checksum
        raise DamagedFileError(f"{path}: expected {wanted} bytes of values from its header {shape}, got more")
    values = np.frombuffer(held, dtype).astype(dtype.newbyteorder("="), copy=False)
    try:
        return values.reshape(shape)
    except ValueError:  # more axes than NumPy allows, or an empty array with other axes too large
        raise DamagedFileError(f"{path}: no array can have the shape {shape} of its header") from None


def find_idx(directory: str | os.PathLike, stem: str) -> Path:
    """Return the path of one file of MNIST: <stem>-idxD-ubyte or <stem>.idxD-ubyte, with or without .gz.

    The stem is "train-images", "train-labels", "t10k-images" or "t10k-labels".

    Returns:
        The first of these files that exists; the unpacked file comes before the gzipped one.

    Raises:
        FileNotFoundError: none of the files exists, or the directory does not exist.
        NotADirectoryError: `directory` is a file.
    """
    directory = Path(directory)
    if not directory.exists():
        raise FileNotFoundError(f"{directory} does not exist; expected the directory of the four MNIST files")
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is a file; expected the directory of the four MNIST files")
    axes = 3 if stem.endswith("images") else 1
    names = [f"{stem}{joint}idx{axes}-ubyte{end}" for end in ("", ".gz") for joint in "-."]
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise FileNotFoundError(f"{directory} holds no {stem}: looked for {', '.join(names)}")


def load_mnist(directory: str | os.PathLike) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read MNIST, or a data set of the same form, for example Fashion-MNIST.

    Args:
        directory: holds the four files under their usual names, gzipped or not.

    Returns:
        train_images (N, 28, 28), train_labels (N,), test_images (M, 28, 28), test_labels (M,), all uint8.

    Raises:
        FileNotFoundError, NotADirectoryError: as `find_idx`.
        DamagedFileError: a file is damaged, holds something else, or does not fit its partner.

    Source: LeCun, Cortes and Burges, the MNIST database of handwritten digits.
    """
    paths = [find_idx(directory, stem) for stem in STEMS]  # find all four before the slow reading begins
    arrays = []
    for path, stem in zip(paths, STEMS, strict=True):
        values = read_idx(path)
        kind, axes = ("images", ("N", 28, 28)) if stem.endswith("images") else ("labels", ("N",))
        if values.dtype != np.uint8 or values.ndim != len(axes) or values.shape[1:] != axes[1:]:
            wanted = f"({', '.join(map(str, axes))}{',' * (len(axes) == 1)})"
            raise DamagedFileError(
                f"{path} must hold {kind}, uint8 {wanted}; got {values.dtype} {values.shape}: is it under a wrong name?"
            )
        if kind == "labels":
            if values.size and values.max() > 9:
                raise DamagedFileError(f"{path}: labels must lie in 0..9; got {values.max()}")
            if len(values) != len(arrays[-1]):
                raise DamagedFileError(
                    f"{path} holds {len(values)} labels, expected {len(arrays[-1])} from {paths[len(arrays) - 1].name}"
                )
        arrays.append(values)
    return tuple(arrays)
