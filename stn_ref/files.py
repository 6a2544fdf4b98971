"""Write files completely or not at all: the only module that replaces files.

A file is written to the same folder as `.NAME.<16 hexadecimal digits>.part`, flushed to the disk, then renamed: a
reader finds the complete old file or the complete new one. Only a killed process leaves a part file behind. A writer
locks its part file and the lock ends with the process, so `sweep` removes only part files that no process is writing.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_DISK = {errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}  # errors that name no file


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file; at the end of the context its content replaces `path`.

    After an error in the context, KeyboardInterrupt included, `path` is unchanged. A new file gets the permissions that
    `open` would give it; a replaced file keeps its own. A symbolic link stays, and the file that it points to is
    replaced. A device or a pipe cannot be replaced and is written to directly.

    Raises:
        OSError: `path` cannot be written; the message names it, also on a full disk.
    """
    if not os.path.basename(os.fspath(path)):  # "" and "folder/": realpath would give another name
        error = errno.EISDIR if os.fspath(path) else errno.ENOENT
        raise OSError(error, os.strerror(error), os.fspath(path))
    mode = None
    if os.path.exists(path):  # a read-only file must not be replaced: open it first
        with _named(path), open(path, "ab") as old:
            mode = os.fstat(old.fileno()).st_mode
            if not stat.S_ISREG(mode):
                yield old
                return
    target = os.path.realpath(path)
    if os.path.islink(target):  # links in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
    sweep(target)
    with _named(path), contextlib.ExitStack() as held:
        with _new_part(target) as part:
            held.callback(_remove, part.name)
            if fcntl:  # a copy of the descriptor keeps the lock until the file has its name
                held.callback(os.close, os.dup(part.fileno()))
            if mode is not None:
                with contextlib.suppress(OSError):  # a disk without permissions
                    os.chmod(part.name, stat.S_IMODE(mode))
            yield part
            part.flush()
            os.fsync(part.fileno())
        os.replace(part.name, target)
    if os.name == "posix":  # flushing the folder flushes the rename
        with contextlib.suppress(OSError):
            folder = os.open(os.path.dirname(target), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def write(path: str | os.PathLike, content: bytes | str) -> None:
    """Replace `path` by a file with this content, text as UTF-8; errors as for `replacing`."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def expect_writable(path: str | os.PathLike) -> None:
    """Raise the errors of `replacing`, to find them before long work; `path` does not change."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        return  # to open and close a pipe would end it for its reader

    class GivenUp(Exception):
        pass

    with contextlib.suppress(GivenUp), replacing(path):
        raise GivenUp


def sweep(path: str | os.PathLike) -> None:
    """Remove the part files of `path` that killed processes left. Without file locks (Windows) they stay."""
    folder, name = os.path.split(os.path.realpath(path))
    part_of_it = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.part")
    with contextlib.suppress(OSError):
        for part in [os.path.join(folder, found) for found in os.listdir(folder) if part_of_it.fullmatch(found)]:
            if stat.S_ISREG(os.lstat(part).st_mode):
                with contextlib.suppress(OSError), open(part, "r+b", opener=_plainly) as file:
                    if _lock(file):
                        os.unlink(part)


def set_aside(path: str | os.PathLike) -> Path | None:
    """Rename a file to the first free name of path.1, path.2, ... and return it; None if there is no file."""
    path = Path(path)
    if not path.exists():
        return None
    k = 1
    while (old := path.with_name(f"{path.name}.{k}")).exists():
        k += 1
    path.rename(old)
    return old


def lock_of(path: Path) -> Path:
    """Return the file whose lock `claimed` holds."""
    return path.with_name(f".{path.name}.lock")


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Yield True if no other process has claimed `path`, otherwise False; the claim ends with the context.

    The claim is a lock on a file beside `path`. It also ends when the process ends or is killed. If the system has no
    locks (Windows, some network disks), every claim succeeds: then run one process per folder.

    Raises:
        OSError: the lock file cannot be created.
    """
    if fcntl is None:
        yield True
        return
    lock = lock_of(path)
    while True:
        with open(lock, "ab", opener=_plainly) as file:
            locked = _lock(file)
            if locked and not _is_at(lock, file):
                continue  # its previous holder has removed the file: this lock would exclude no process
            try:
                yield locked is not False
            finally:
                if locked:
                    _remove(lock)
            return


def _lock(file: BinaryIO) -> bool | None:
    """Lock an open file until it is closed; return False if another process has locked it, None without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN, or EACCES on some network disks
        return False
    except (OSError, AttributeError):  # a disk without locks, a system without fcntl
        return None
    return True


def _is_at(path: str | os.PathLike, file: BinaryIO) -> bool:
    """Return whether the open file still has this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _plainly(path: str, flags: int) -> int:
    """Open a file for `open`; fail on a symbolic link, and do not wait for the reader of a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)


def _new_part(target: str) -> BinaryIO:
    """Return a new part file of `target`, open and locked."""
    folder, name = os.path.split(target)
    while True:
        part = os.path.join(folder, f".{name}.{os.urandom(8).hex()}.part")
        file = open(part, "x+b", opener=_plainly)  # x: fails if the name exists
        if _lock(file) is not False and _is_at(part, file):
            return file
        file.close()  # a sweep removed it before it was locked


def _remove(path: str | os.PathLike) -> None:
    with contextlib.suppress(OSError):  # the error before it is the one to report
        Path(path).unlink()


@contextlib.contextmanager
def _named(path: str | os.PathLike) -> Iterator[None]:
    """Replace an OSError that names no file, or a part file, by one that names `path`."""
    try:
        yield
    except OSError as error:
        unnamed = error.filename is None and error.errno in _DISK
        if unnamed or str(error.filename).endswith(".part"):
            raise OSError(error.errno, f"cannot write: {error.strerror or error}", os.fspath(path)) from error
        raise
