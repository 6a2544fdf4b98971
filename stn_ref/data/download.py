"""Fetch and verify data sets: known files, their lengths and SHA-256 sums.

A download is stored only if its SHA-256 sum is correct; an existing file is never overwritten. An archive is unpacked
only if its sum is correct.

Reads: transfer.py.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from stn_ref import checks, files
from stn_ref.data import cifar, transfer
from stn_ref.data.idx import read_idx


@dataclass(frozen=True)
class KnownFile:
    """A file of a data set, as published."""

    name: str
    size: int
    sha256: str


def _array(path: Path) -> str:
    """Return a phrase that describes the content of an IDX file."""
    return f"array of shape {read_idx(path).shape}"


def _batches(path: Path) -> str:
    """Return a phrase that describes the content of CIFAR-10's archive or folder."""
    images, _, test_images, _ = cifar.load_cifar10(path)
    return f"{len(images):,} + {len(test_images):,} colour images"


@dataclass(frozen=True)
class KnownSet:
    """A data set.

    Attributes:
        what: one line that describes the set.
        files: the files as published.
        mirrors: addresses of directories that hold the files, tried in this order.
        holds: function from a path to a phrase about its content; raises DamagedFileError if the file is unusable.
        unpacked: module that unpacks the only file of the set (unpack, find_folder, is_unpacked); None: no unpacking.
    """

    what: str
    files: tuple[KnownFile, ...]
    mirrors: tuple[str, ...]
    holds: Callable[[Path], str] = _array
    unpacked: ModuleType | None = None


MNIST = (
    ("train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    ("train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ("t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    ("t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
CIFAR10 = (cifar.ARCHIVE, 170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")

BAR = {"unit": "B", "unit_scale": True, "disable": None}  # None: only on a terminal

SETS = {
    "mnist": KnownSet(
        "handwritten digits, 60,000 for training and 10,000 for test, 28 x 28 (LeCun, Cortes, Burges)",
        tuple(KnownFile(*row) for row in MNIST),
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    ),
    "cifar10": KnownSet(
        "colour photographs of ten classes, 50,000 for training and 10,000 for test, 32 x 32 (Krizhevsky), 170 MB",
        (KnownFile(*CIFAR10),),
        ("https://www.cs.toronto.edu/~kriz/",),
        _batches,
        cifar,
    ),
}


def sha256(path: Path) -> str:
    """Return the SHA-256 sum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify(directory: str | os.PathLike, name: str = "mnist") -> list[dict]:
    """Check for each file of a set whether it exists, is readable, and equals the published one.

    Returns:
        One dict per file: "file", "ok" (it can be used), "canonical" (its sum is the published one), "says" (a phrase).
    """
    checks.one_of("name", name, SETS)
    dataset, directory = SETS[name], Path(directory)
    paths = {directory / known.name: known for known in dataset.files}
    other, report = "not the published file (its SHA-256 differs)", []
    for path, known in paths.items():
        report.append(_row(dataset, path, path.is_file() and sha256(path) == known.sha256, other))
    if dataset.unpacked and (folder := dataset.unpacked.find_folder(directory)):
        (archive,), (row,) = paths, report
        published = row["canonical"] and dataset.unpacked.is_unpacked(archive, folder)
        absent = f"the published {archive.name} is not here to compare"
        other = "not what the archive holds" if row["canonical"] else absent
        report.append(_row(dataset, folder, published, other))
        if not archive.exists():  # the archive is no longer needed
            del report[0]
    return report


def _row(dataset: KnownSet, path: Path, canonical: bool, other: str) -> dict:
    """Return the row of `verify` for one path; `other` describes a file that is readable but not canonical."""
    try:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file")
        origin = "the published file" if canonical else f"readable, but {other}"
        ok, says = True, f"{dataset.holds(path)}, {origin}"
    except (checks.DamagedFileError, OSError) as error:
        ok, says = False, str(error)
    return {"file": path.name, "ok": ok, "canonical": canonical, "says": says}


def fetch(
    directory: str | os.PathLike, name: str = "mnist", *, mirrors: tuple[str, ...] = (), say: Callable = print
) -> None:
    """Download the missing files of a set.

    Args:
        directory: the directory for the files; it is created if missing.
        name: a key of SETS.
        mirrors: addresses of directories to try before the known ones, for example on your own server.
        say: called with a line for each file.

    Raises:
        ValueError: an address does not begin with http:// or https://.
        OSError: no mirror had the correct bytes, and the message has the answer of each; or a file cannot be written.
        DamagedFileError: a file of that name exists but is not the published one; it is not changed.
    """
    checks.one_of("name", name, SETS)
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise ValueError(f"a mirror must begin with http:// or https://; got {mirror!r}")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for known in SETS[name].files:
        path = directory / known.name
        files.sweep(path)
        if path.exists():
            if sha256(path) != known.sha256:
                raise checks.DamagedFileError(
                    f"{path} is not the published file (its SHA-256 differs); move it away to fetch it again"
                )
            say(f"{path}: already there")
            continue
        urls = [f"{mirror.rstrip('/')}/{known.name}" for mirror in (*mirrors, *SETS[name].mirrors)]
        with files.replacing(path) as file, tqdm(total=known.size, desc=known.name, leave=False, **BAR) as bar:

            def progress(received: int, bar=bar) -> None:
                bar.update(received - bar.n)

            try:
                transfer.receive(urls, file, known.size, known.sha256, progress=progress)
            except transfer.NotReceived as error:
                raise OSError(f"{known.name} could not be fetched: {error}") from None
        say(f"{path}: fetched, checksum right")
    if unpacked := SETS[name].unpacked:
        for path in unpacked.unpack(directory / SETS[name].files[0].name):
            say(f"{path}: unpacked")
