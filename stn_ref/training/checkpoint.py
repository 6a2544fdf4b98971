"""Write and read checkpoints: npz files without pickles, which files.py replaces as a whole or not at all.

So a kill at any moment leaves a complete checkpoint. Reading verifies the zip checksum of every array.
"""

import os
import zipfile
from pathlib import Path

import numpy as np

from stn_ref import checks, files, schema

FORMAT = "stn_ref checkpoint 1"
HEADER = {"format": str, "arrays": [str, ...]}  # of meta.json, besides the caller's meta
RESERVED = ("meta.json", "file", "allow_pickle")  # our header, and arguments of np.savez


class CheckpointError(checks.DamagedFileError):
    """A checkpoint is damaged, has another format, or belongs to another run; the message names file and fault."""


def save(path: str | os.PathLike, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Replace `path` by a checkpoint, of which `load` will return the same arrays and meta.

    Args:
        path: the file; an error leaves it unchanged.
        arrays: name -> array; all dtypes except objects.
        meta: JSON values; floats keep every bit, but NaN and infinity are no JSON.

    Raises:
        ValueError: `load` could not return a name, an array or a value of meta.
        OSError: the file cannot be written.
    """
    for name, array in arrays.items():
        if name in RESERVED or name.endswith(".npy") or "\0" in name:  # a zip member's name ends at \0
            raise ValueError(
                f"a name in arrays must not be one of {', '.join(RESERVED)}, nor end in .npy; got {name!r}"
            )
        if not isinstance(array, np.ndarray | np.generic) or array.dtype.hasobject:
            raise ValueError(
                f"arrays[{name!r}] must be an array without objects; got {getattr(array, 'dtype', array)!r}"
            )
    if taken := meta.keys() & HEADER.keys():
        raise ValueError(f"a key of meta must not be one of {', '.join(HEADER)}; got {min(taken)!r}")
    text = schema.dump({"format": FORMAT, "arrays": sorted(arrays), **meta})
    header = np.frombuffer(text.encode(), np.uint8)
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
    if "meta.json" not in arrays:
        raise CheckpointError(f"{path} is an npz file, but not a stn_ref checkpoint: it has no header")
    try:
        meta = schema.parse(arrays.pop("meta.json").tobytes())
    except ValueError as error:
        raise CheckpointError(
            f"{path} is damaged or not a stn_ref checkpoint: its header is no JSON ({error})"
        ) from None
    if isinstance(meta, dict) and isinstance(meta.get("format"), str) and meta["format"] != FORMAT:
        raise CheckpointError(f"{path} has format {meta['format']!r:.60}; this version reads {FORMAT!r}")
    if why := schema.misfit(meta, HEADER):
        raise CheckpointError(f"{path} is damaged or not a stn_ref checkpoint: {why}")
    del meta["format"]
    if sorted(arrays) != (names := meta.pop("arrays")):
        got = f"expected {len(names)} arrays from its header, got {len(arrays)} others"
        raise CheckpointError(f"{path} is damaged: {got}")
    return arrays, meta
