"""Results on the disk: a cell is a file, written whole or not at all, and computed by one process at a time.

Reads: ../../files.py. Read next: kept.py.
"""

import contextlib
import json
import os
import re
from pathlib import Path

from stn_ref import checks, files

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
    files.write(path, text)
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


def tidy(path: Path) -> None:
    """Remove what a kill may have left beside an existing result: a checkpoint, part files, a lock.

    Files that another process works on (where there are locks) and files that cannot be removed stay. Meanwhile another
    claim on the same cell fails.
    """
    half = half_done(path)
    for file in (half, path):
        files.sweep(file)
    if half.exists() or files.lock_of(path).exists():
        with contextlib.suppress(OSError), files.claimed(path) as mine:  # removes the lock in the end
            if mine:
                half.unlink(missing_ok=True)


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced, None where there is none."""
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None
