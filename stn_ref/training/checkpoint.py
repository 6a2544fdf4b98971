"""Write and read checkpoints: npz files without pickles, which files.py replaces as a whole or not at all.

So a kill at any moment leaves a complete checkpoint. Reading verifies the zip checksum of every array.
"""

import json
import os
import zipfile
from pathlib import Path

import numpy as np

from stn_ref import checks, files

FORMAT = "stn_ref checkpoint 1"


class CheckpointError(checks.DamagedFileError):
    """A checkpoint is damaged, has another format, or belongs to another run; the message names file and fault."""


def save(path: str | os.PathLike, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write arrays and meta (any JSON value; floats keep every bit) to `path`; an error leaves the file unchanged."""
    header = np.frombuffer(json.dumps({"format": FORMAT, "arrays": sorted(arrays), **meta}).encode(), np.uint8)
    with files.replacing(path) as file:
        np.savez(file, **{"meta.json": header}, **arrays)


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
                if (damaged := members.testzip()) is not None:  # np.load may stop before the checksum
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
    except Exception as error:  # zip and npy readers raise many kinds of errors for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{path} is damaged or not a stn_ref checkpoint: {reason}") from None
    try:
        meta = json.loads(arrays.pop("meta.json").tobytes())
        known, names = meta.pop("format"), meta.pop("arrays")
    except (KeyError, ValueError, AttributeError, TypeError):
        raise CheckpointError(f"{path} is an npz file, but not a stn_ref checkpoint: it has no header") from None
    if known != FORMAT:
        raise CheckpointError(f"{path} has format {known!r}; this version reads {FORMAT!r}")
    if sorted(arrays) != names:
        got = f"expected {len(names)} arrays from its header, got {len(arrays)} others"
        raise CheckpointError(f"{path} is damaged: {got}")
    return arrays, meta
