"""Keep machine code on disk: a user's first process compiles, later processes load.

Place: ROOT/kernels-HASH. ROOT is the value of STN_REF_CACHE, or the folder stn_ref in the user's cache folder. HASH
covers every source under kernels/, the versions of numba, llvmlite, NumPy and Python, numba's settings, and the
processor: an edit, an update or another machine uses a new folder.

Trust: machine code is executed, so both folders and each entry must belong to this user, and no other user may write
there.

Damage: an entry is a checksum of its key and contents, then the contents as numba serialises them for its own cache.
An entry that cannot be read, or has a wrong checksum, is compiled again and overwritten. (Numba's own cache raises on a
truncated file, and executes a modified one.)

Growth: each process updates the time of its folder. A process that makes a new folder removes those that no process has
opened for DAYS days. A process that runs longer has its code in memory; it only stops saving.

Names: if two loaded entries define symbols of the same name, one definition serves both. A symbol consists of the
module, the qualified name, and a number that counts the functions of a process; two processes may reach the same
number. So each compiled function of kernels/ has a unique qualified name (jit.njit, scalar_math.bound), and an entry
that defines functions of other packages, such as most of numba's, is not kept.

The only private name of numba is `_cache`. Without it the import of this module fails, and jit.py keeps nothing.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import re
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core.caching import CompileResultCacheImpl, NullCache
from numba.core.serialize import dumps

DAYS = 30
KERNELS = Path(__file__).parents[1]
# Symbols. NRT_ and rem, numba's reference counts and remainder, have no number and are the same in every process.
OURS = re.compile(r"NRT_|_ZN05numba6python3remE|(cfunc\.)?_ZN(7cpython)?7stn_ref7kernels")

if not numba.config.DISABLE_JIT and type(numba.njit(lambda: None)._cache) is not NullCache:
    raise ImportError("a dispatcher has another kind of cache")


def root() -> Path:
    """Return the folder that STN_REF_CACHE or the system names; OSError if there is none."""
    asked, home = os.environ.get("STN_REF_CACHE") or "1", os.environ.get("HOME", "")
    if asked == "0":
        raise OSError("STN_REF_CACHE=0")
    if sys.platform == "win32":
        caches = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        caches = os.path.join(home, "Library", "Caches")
    else:
        caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    path = os.path.join(caches, "stn_ref") if asked == "1" else os.path.expanduser(asked)
    if not os.path.isabs(path):
        raise OSError(f"{path} is not an absolute path")
    return Path(path)


def state() -> str:
    """Return kernels-HASH, from all that machine code depends on; an entry's key has the processor's features."""
    found, sources = hashlib.sha256(), sorted(KERNELS.rglob("*.py"))
    if not sources:  # for example in a zip file
        raise OSError(f"there are no sources in {KERNELS}")
    for source in sources:
        text = source.read_bytes()
        found.update(f"{source.relative_to(KERNELS).as_posix()} {len(text)} ".encode() + text)
    versions = sys.version, sys.flags.optimize, numba.__version__, llvmlite.__version__, np.__version__
    settings = [(n, repr(v)) for n, v in vars(numba.config).items() if n.isupper() and not n.endswith("NUM_THREADS")]
    found.update(repr((versions, sorted(settings), binding.get_process_triple(), binding.get_host_cpu_name())).encode())
    return "kernels-" + found.hexdigest()[:32]


def is_private(about: os.stat_result) -> bool:
    """Return whether a file or folder is this user's, and only this user may write to it; always True on Windows."""
    return not hasattr(os, "geteuid") or (about.st_uid == os.geteuid() and not about.st_mode & 0o022)


def read(file: Path) -> bytes:
    """Return the contents of an entry; OSError if it is missing, no plain file, or not private."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(file, flags), "rb") as entry:
        about = os.fstat(entry.fileno())
        if not stat.S_ISREG(about.st_mode) or not is_private(about):
            raise OSError(f"{file} is not private")
        return entry.read()


def make_private(path: Path) -> None:
    """Make a folder if it is missing; OSError unless it belongs to this user, and no other user may write there."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    about = os.lstat(path)
    if not stat.S_ISDIR(about.st_mode):
        raise OSError(f"{path} is a symbolic link")
    if not is_private(about):
        raise OSError(f"{path} belongs to another user, or others may write to it: remove it")
    if not os.access(path, os.W_OK | os.X_OK):
        raise OSError(f"{path} is not writable")


def sweep(path: Path) -> None:
    """Remove the folders of other sources and versions that no process has opened for DAYS days."""
    for old in path.glob("kernels-" + 32 * "[0-9a-f]"):
        with contextlib.suppress(OSError):
            about = os.lstat(old)
            if stat.S_ISDIR(about.st_mode) and about.st_mtime < time.time() - DAYS * 86400:
                shutil.rmtree(old, ignore_errors=True)


@functools.cache
def folder() -> tuple[Path | None, str]:
    """Return the folder where this process keeps machine code and "", or None and the reason why it keeps none."""
    if numba.config.DISABLE_JIT:
        return None, "NUMBA_DISABLE_JIT=1"
    try:
        place = root() / state()
        make_private(place.parent)
        new = not place.exists()
        make_private(place)
        os.utime(place)
    except OSError as error:
        return None, str(error)
    if new:
        sweep(place.parent)
    return place, ""


class Kept(NullCache):
    """The entries of one function, one per signature; numba's dispatcher calls the methods."""

    def __init__(self, function):
        self.function = function.__module__, function.__qualname__

    def _key(self, signature, target) -> tuple[bytes, Path]:
        key = hashlib.sha256(repr((self.function, signature, target.codegen().magic_tuple())).encode()).digest()
        return key, folder()[0] / key.hex()[:32]

    def load_overload(self, sig, target_context):
        """Return the code compiled for this signature, or None."""
        with contextlib.suppress(Exception):  # no file, or an unreadable one
            key, file = self._key(sig, target_context)
            entry = read(file)
            if entry[:32] == hashlib.sha256(key + entry[32:]).digest():
                target_context.refresh()
                return CompileResultCacheImpl.rebuild(self, target_context, pickle.loads(entry[32:]))

    def save_overload(self, sig, data):
        """Keep the code compiled for this signature, if possible: a full disk is not an error."""
        with contextlib.suppress(Exception):
            foreign = not all(OURS.match(function.name) for function in data.library.get_defined_functions())
            edited = folder()[0].name != state()  # sources changed while this process ran
            if foreign or edited or data.lifted or data.library.has_dynamic_globals:
                return
            key, file = self._key(sig, data.target_context)
            contents = dumps(CompileResultCacheImpl.reduce(self, data))
            handle, part = tempfile.mkstemp(dir=file.parent)
            try:
                with open(handle, "wb") as entry:
                    entry.write(hashlib.sha256(key + contents).digest() + contents)
                if file.is_dir():
                    shutil.rmtree(file)
                os.replace(part, file)  # atomic: another process reads a whole entry or none
            except BaseException:
                os.unlink(part)
                raise


def keep(dispatcher) -> None:
    """Keep the machine code of this function, which numba.njit decorates."""
    if folder()[0]:
        dispatcher._cache = Kept(dispatcher.py_func)
