"""Results on disk: each cell is a file, written completely or not at all, and computed by one process at a time.

Reads: ../../files.py, schemas.py. Read next: kept.py.
"""

import contextlib
import json
import os
import re
from pathlib import Path

from stn_ref import checks, files, schema
from stn_ref.lab.results import schemas

FORMAT, WHAT = "stn_ref result 1", "a file of results"


class ResultError(checks.DamagedFileError):
    """A file of results is damaged, of another format, or of another cell or configuration; the message names it."""


def read(path: str | os.PathLike) -> dict:
    """Return the result in a file.

    Raises:
        FileNotFoundError: the file does not exist.
        ResultError: the file is damaged or not a file of results.
    """
    path = Path(path)
    result = schema.read(path, object, WHAT, ResultError)
    if not isinstance(result, dict) or "format" not in result:
        raise ResultError(f"{path} is not {WHAT}: it does not say its format; move it away")
    if result["format"] != FORMAT:
        raise ResultError(f"{path} has format {result['format']!r:.60}; this version reads {FORMAT!r}")
    if why := schemas.why_damaged(result):
        raise ResultError(f"{path} is damaged or not {WHAT}: {why}; move it away")
    return result


def write(path: Path, result: dict) -> dict:
    """Write a result, completely or not at all, and return what `read` will return; floats keep every bit.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    text = json.dumps({"format": FORMAT, **result}, indent=1, allow_nan=False) + "\n"
    files.write(path, text)
    return json.loads(text)


def file_name(*parts: str | int) -> str:
    """Return the parts joined to a name that every file system accepts: letters, digits, dots, dashes.

    >>> file_name("table1", "small", "st-cnn-affine/R", "seed0")
    'table1-small-st-cnn-affine-R-seed0'
    """
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", str(part)).strip("-") for part in parts)


def difference(found: dict, wanted: dict) -> str:
    """Return a text that names the first difference of two configurations, or an empty string.

    A setting that is missing in an older file counts as off: 0, empty or None.
    """
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    for name in sorted(found.keys() | wanted.keys()):
        there, here = found.get(name), wanted.get(name)
        both_off = not (there or here) and (name not in found or name not in wanted)
        if there != here and not both_off:
            return f"{name} is {there!r}, not {here!r}"
    return ""


def half_done(path: Path) -> Path:
    """Return the path of a cell's checkpoint while it runs, beside its result."""
    return path.with_suffix(".checkpoint.npz")


def tidy(path: Path) -> None:
    """Remove the files that a killed process may have left beside a result: a checkpoint, part files, a lock.

    Files that another process has locked, on systems with locks, are kept, and so are files that cannot be removed.
    During the call other claims on the same cell fail.
    """
    half = half_done(path)
    for file in (half, path):
        files.sweep(file)
    if half.exists() or files.lock_of(path).exists():
        with contextlib.suppress(OSError), files.claimed(path) as mine:  # removes the lock at the end
            if mine:
                half.unlink(missing_ok=True)


def stamp(path: Path) -> tuple[int, int] | None:
    """Return (inode, time of change), which differs once a file is replaced; None if there is no file."""
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None
