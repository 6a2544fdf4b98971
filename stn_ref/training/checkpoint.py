"""Checkpoints that survive a kill at any moment: written aside, flushed to disk, renamed. npz without pickles.

A file is the old one or the new one, never half of either. Every array is read back through zip's checksums.
"""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from stn_ref import checks

FORMAT = "stn_ref checkpoint 1"


class CheckpointError(checks.DamagedFileError):
    """A checkpoint is damaged, or not ours, or of another run; the message names the file and what is wrong."""


def save(path: str | os.PathLike, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write arrays and meta (anything JSON can hold; floats keep every bit) to `path`, or leave it as it was."""
    header = np.frombuffer(json.dumps({"format": FORMAT, "arrays": sorted(arrays), **meta}).encode(), np.uint8)
    replace(path, lambda file: np.savez(file, **{"meta.json": header}, **arrays))


def aside(path: Path) -> Path:
    """Return where `replace` writes first; what a kill leaves there, the next one overwrites."""
    return path.with_name(f".{path.name}.part")


def replace(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Put what `write(file)` writes at `path`, or leave the path as it was: there is never half a file.

    Raises:
        OSError: it cannot be written; the message names the path, also where the system's does not (a full disk).
    """
    path = Path(path)
    part = aside(path)
    try:
        with open(part, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror or error}", str(path)) from error
    finally:
        part.unlink(missing_ok=True)
    if os.name == "posix":  # the rename itself reaches the disk with its directory
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict]:
    """Return (arrays, meta).

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or was not written by `save`.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            with zipfile.ZipFile(file) as members:
                if (damaged := members.testzip()) is not None:  # np.load stops reading where a header tells it to
                    raise CheckpointError(f"{path} is damaged: the checksum of {damaged} is wrong")
            file.seek(0)
            members = np.load(file, allow_pickle=False)
            arrays = {name: members[name] for name in members.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such checkpoint") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path} is a directory, expected a checkpoint file") from None
    except CheckpointError:
        raise
    except Exception as error:  # whatever zip, npy and its little parser make of a damaged file
        raise CheckpointError(f"{path} is damaged or not a stn_ref checkpoint: {_one_line(error)}") from None
    try:
        meta = json.loads(arrays.pop("meta.json").tobytes())
        known, names = meta.pop("format"), meta.pop("arrays")
    except (KeyError, ValueError, AttributeError, TypeError):
        raise CheckpointError(f"{path} is an npz file, but not a stn_ref checkpoint: it has no header") from None
    if known != FORMAT:
        raise CheckpointError(f"{path} has format {known!r}; this version reads {FORMAT!r}")
    if sorted(arrays) != names:
        raise CheckpointError(f"{path} is damaged: it should hold {len(names)} arrays, and holds {len(arrays)} others")
    return arrays, meta


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def set_aside(path: str | os.PathLike) -> Path | None:
    """Rename an existing file to the first free of path.1, path.2, ..., and return that name: nothing is lost."""
    path = Path(path)
    if not path.exists():
        return None
    k = 1
    while (old := path.with_name(f"{path.name}.{k}")).exists():
        k += 1
    path.rename(old)
    return old
