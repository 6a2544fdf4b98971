"""Results on the disk: a cell is a file, written whole or not at all, and computed by one process at a time.

Reads: ../training/checkpoint.py, ../environment.py. Read next: cell.py.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from stn_ref import checks
from stn_ref.training import checkpoint

FORMAT = "stn_ref result 1"


class ResultError(checks.DamagedFileError):
    """A file of results is damaged, or not ours, or of another configuration; the message names it."""


def read(path: str | os.PathLike) -> dict:
    """Return the result in a file.

    Raises:
        FileNotFoundError: there is none.
        ResultError: it is damaged, or something else.
    """
    path = Path(path)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if result["format"] != FORMAT:
            raise ResultError(f"{path} has format {result['format']!r}; this version reads {FORMAT!r}")
        for key, kind in (("experiment", str), ("scale", str), ("cell", str), ("seed", int), ("result", dict)):
            if not isinstance(result[key], kind):
                raise KeyError(key)
        return result
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such result") from None
    except IsADirectoryError:
        raise ResultError(f"{path} is a directory, expected a file of results") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ResultError(
            f"{path} is damaged or not a result of an experiment; move it away, or give --again to replace it"
        ) from None


def write(path: Path, result: dict) -> None:
    """Write a result, all of it or nothing; floats keep every bit."""
    text = json.dumps({"format": FORMAT, **result}, indent=1, allow_nan=False) + "\n"
    checkpoint.replace(path, lambda file: file.write(text.encode()))


def file_name(*parts: str | int) -> str:
    """Return the parts joined to a name that every file system takes: letters, digits, dots, dashes.

    >>> file_name("table1", "small", "st-cnn-affine/R", "seed0")
    'table1-small-st-cnn-affine-R-seed0'
    """
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", str(part)).strip("-") for part in parts)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Context for computing what goes to `path`: True if nobody else is at it, False if another process is.

    The claim is a lock on a file beside it, and ends with the process, however that ends. Where the system has no such
    locks (Windows), every claim succeeds: then run one process a folder.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    lock = path.with_name(f".{path.name}.lock")
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            lock.unlink(missing_ok=True)
