"""Machine code kept on disk, where STN_REF_CACHE asks for it: later processes need not compile.

STN_REF_CACHE=1 keeps it in ~/.cache/stn_ref (or $XDG_CACHE_HOME/stn_ref); any other value is taken for a folder. What
lies there is run unseen: the folder must be one that nobody else can write to. It may be deleted at any time, and now
and then it should be: entries of older sources are never looked for again and never removed.

Numba has a cache of its own. It goes on using old code after an edit of a function in another file, and an unwritable
folder or a damaged file is an error. Here the name of an entry is a hash of all that its code depends on: every source
in kernels/, the versions of Python, numba, llvmlite and NumPy, numba's settings and the processor; and an entry that
cannot be read, or has a wrong checksum, is compiled anew. Kept are the functions that Python calls (those with
nogil=True); what they call is part of their code.

All this needs names that are Numba's own business. Nobody but jit.py imports this module, and only when asked; if a
release of Numba has changed one of them, it fails at once, and nothing is kept.
"""

import contextlib
import functools
import hashlib
import itertools
import os
import pickle
import platform
import sys
import tempfile
import warnings
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

SOURCES = Path(__file__).parent

for owner, name in ((CompileResult, "_reduce"), (CompileResult, "_rebuild"), (FunctionIdentity, "_unique_ids")):
    getattr(owner, name)  # better an AttributeError here than a mix-up below


@functools.cache
def folder() -> Path | None:
    """Return where machine code is kept; None if that is impossible."""
    asked = os.environ["STN_REF_CACHE"]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    place = Path(home, "stn_ref") if asked == "1" else Path(asked).absolute()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        warnings.warn(f"STN_REF_CACHE={asked}: compiled code is not kept: {error}", RuntimeWarning, stacklevel=2)
        return None
    # Numba numbers the functions of a process, and entries of two processes that gave one name and number to different
    # functions would be mixed up when a third one loads both: let each process count from a number of its own.
    FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(6), "little"))
    return place


def keep(dispatcher) -> None:
    """Keep what this function of ours, decorated by numba.njit(nogil=True), is compiled to."""
    if folder() and _named(dispatcher.py_func):
        dispatcher._cache = _Entries(dispatcher.py_func)


def _named(function) -> bool:
    """Whether its place in the source and the values of its closure say all about the function."""
    module, code = sys.modules.get(function.__module__), function.__code__
    own = module is not None and function.__globals__ is vars(module) and Path(code.co_filename).parent == SOURCES
    return own and all(_plain(cell.cell_contents) for cell in function.__closure__ or ())


def _plain(value) -> bool:
    return all(map(_plain, value)) if type(value) is tuple else value is None or type(value) in (int, float, bool, str)


def _state() -> bytes:
    """Return what every entry depends on."""
    state = hashlib.sha256()
    for source in sorted(SOURCES.glob("*.py")):
        text = source.read_bytes()
        state.update(f"{source.name} {len(text)} ".encode() + text)
    versions = sys.version, platform.machine(), numba.__version__, llvmlite.__version__, np.__version__
    state.update(repr((versions, sorted(v for v in os.environ.items() if v[0].startswith("NUMBA_")))).encode())
    return state.digest()


class _Entries(NullCache):
    """The entries of one function, one for each signature; the methods are those that numba's dispatcher calls."""

    def __init__(self, function):
        closure = tuple(cell.cell_contents for cell in function.__closure__ or ())
        place = function.__module__, function.__qualname__, function.__code__.co_firstlineno
        self.state, self.function = _state(), repr((place, closure))

    def _file(self, signature, target) -> Path:
        key = repr((self.state, self.function, signature, target.codegen().magic_tuple()))
        return folder() / hashlib.sha256(key.encode()).hexdigest()

    def load_overload(self, sig, target_context):
        """Return what was compiled for this signature, or None."""
        with contextlib.suppress(Exception):  # no such file, or no such contents
            entry = self._file(sig, target_context).read_bytes()
            checksum, code = entry[:32], entry[32:]
            if hashlib.sha256(code).digest() == checksum:
                target_context.refresh()
                return CompileResult._rebuild(target_context, *pickle.loads(code))

    def save_overload(self, sig, data):
        """Keep what was compiled, if that is possible: a full disk is no error."""
        if data.lifted or data.library.has_dynamic_globals or self.state != _state():  # edited while it ran
            return
        with contextlib.suppress(Exception):
            code = dumps(data._reduce())
            file, name = tempfile.mkstemp(dir=folder())
            try:
                with open(file, "wb") as entry:
                    entry.write(hashlib.sha256(code).digest() + code)
                os.replace(name, self._file(sig, data.target_context))  # in one step: nobody reads half an entry
            except BaseException:
                os.unlink(name)
                raise
