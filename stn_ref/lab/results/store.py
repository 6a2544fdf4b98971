"""Results on the disk: a cell is a file, written whole or not at all, and computed by one process at a time.

Reads: ../training/checkpoint.py. Read next: kept.py.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from stn_ref import checks
from stn_ref.training import checkpoint

FORMAT = "stn_ref result 1"
_KINDS = {
    **dict.fromkeys(("experiment", "scale", "cell", "data", "machine", "date"), str),
    **dict.fromkeys(("configuration", "result", "versions"), dict),
    "seed": int,
    "seconds": (int, float),
}


class ResultError(checks.DamagedFileError):
    """A file of results is damaged, or not ours, or of another cell or configuration; the message names it."""


def read(path: str | os.PathLike) -> dict:
    """Return the result in a file.

    Raises:
        FileNotFoundError: there is none.
        ResultError: it is damaged, or something else.
    """
    path = Path(path)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such result") from None
    except IsADirectoryError:
        raise ResultError(f"{path} is a directory, expected a file of results") from None
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is damaged or not a file of results ({error}); move it away") from None
    if not isinstance(result, dict) or "format" not in result:
        raise ResultError(f"{path} is not a file of results: it does not say its format; move it away")
    if result["format"] != FORMAT:
        raise ResultError(f"{path} has format {result['format']!r}; this version reads {FORMAT!r}")
    for key, kind in _KINDS.items():
        if not isinstance(result.get(key), kind):
            raise ResultError(f"{path} is damaged: its {key} is {result.get(key)!r}; move it away")
    return result


def write(path: Path, result: dict) -> dict:
    """Write a result, all of it or nothing, and return what `read` will return; floats keep every bit.

    Raises:
        OSError: it cannot be written; the message names the file.
    """
    text = json.dumps({"format": FORMAT, **result}, indent=1, allow_nan=False) + "\n"
    checkpoint.replace(path, lambda file: file.write(text.encode()))
    return json.loads(text)


def file_name(*parts: str | int) -> str:
    """Return the parts joined to a name that every file system takes: letters, digits, dots, dashes.

    >>> file_name("table1", "small", "st-cnn-affine/R", "seed0")
    'table1-small-st-cnn-affine-R-seed0'
    """
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", str(part)).strip("-") for part in parts)


def difference(found: dict, wanted: dict) -> str:
    """Say where two configurations differ, an empty string if nowhere.

    A setting that the file does not know, because it is older, was off: 0, empty, None.
    """
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as they did in the file
    for name in sorted(found.keys() | wanted.keys()):
        there, here = found.get(name), wanted.get(name)
        both_off = not (there or here) and (name not in found or name not in wanted)
        if there != here and not both_off:
            return f"{name} is {there!r}, not {here!r}"
    return ""


def half_done(path: Path) -> Path:
    """Return where the checkpoint of a cell is kept while it runs, beside its result."""
    return path.with_suffix(".checkpoint.npz")


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def tidy(path: Path) -> None:
    """Remove what a kill may have left beside a result that is there: a checkpoint, half-written files, a lock.

    What another process is at, where there are locks, or what cannot be removed, stays. While it looks, a claim on the
    same cell fails.
    """
    half = half_done(path)
    left = (half, checkpoint.aside(half), checkpoint.aside(path))
    if any(file.exists() for file in (*left, _lock(path))):
        with contextlib.suppress(OSError), claimed(path) as mine:  # removes the lock in the end, where there are locks
            for file in left if mine else ():
                file.unlink(missing_ok=True)


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced, None where there is none."""
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Context for computing what goes to `path`: True if nobody else is at it, False if another process is.

    The claim is a lock on a file beside it, and ends with the process, however that ends. Where the system has no such
    locks (Windows, some network disks), every claim succeeds: then run one process a folder.

    Raises:
        OSError: nothing can be written there.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    lock = _lock(path)
    while True:
        with open(lock, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # EAGAIN, or EACCES on some network disks
                yield False
                return
            except OSError:  # a disk without locks; or none for us only: what another may have locked stays
                yield True
                return
            if not _is_at(lock, file):
                continue  # whoever had it before us has removed it meanwhile: ours would keep nobody out
            try:
                yield True
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_at(path: Path, file: TextIO) -> bool:
    """Return whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
