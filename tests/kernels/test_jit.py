"""Machine code kept on disk: never old, never mixed up, never that of another user, never an error."""

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stn_ref.kernels import scalar_math
from stn_ref.kernels.cpu import cache, jit
from stn_ref.lab import machine_report

TOY = '''
import math
import numpy as np
from stn_ref.kernels.cpu.jit import kept, njit
from stn_ref.kernels.cpu.part import SHIFT
from stn_ref.kernels.scalar_math import bound

def base(x):
    """So long that it is not inlined."""
    s = 0.0
    for i in range(int(x)):
        s += math.sin(x + i) * math.cos(s) + math.exp(-s * s) + SHIFT
        if s > 1e9:
            s -= math.log(s) * SHIFT
        for j in range(i):
            s += math.atan(s + j) * SHIFT
    return s

def close(shift):
    def base(x):
        s = 0.0
        for i in range(int(x)):
            s += math.sin(x + i) * math.cos(s) + math.exp(-s * s) + shift
            if s > 1e9:
                s -= math.log(s) * shift
            for j in range(i):
                s += math.atan(s + j) * shift
        return s
    return njit()(base)

near, far = njit()(bound(base, SHIFT=SHIFT)), njit()(bound(base, SHIFT=20))
low, high = close(10), close(20)

@njit(nogil=True)
def bound_near(x):
    return near(x) + near(x + 1) + near(x + 2) + near(x - 1) + near(x * 2)

@njit(nogil=True)
def bound_far(x):
    return far(x) + far(x + 1) + far(x + 2) + far(x - 1) + far(x * 2)

@njit(nogil=True)
def close_low(x):
    return low(x) + low(x + 1) + low(x + 2) + low(x - 1) + low(x * 2)

@njit(nogil=True)
def close_high(x):
    return high(x) + high(x + 1) + high(x + 2) + high(x - 1) + high(x * 2)

def times(n):
    @njit(nogil=True)
    def product(x):
        return n * x
    return product

@njit(nogil=True)
def least(x):
    return np.sort(x)[0]

def hits(*functions):
    return [sum(function.stats.cache_hits.values()) for function in functions]

def products(count):
    functions = [times(n) for n in range(count)]
    return [function(5) for function in functions], sum(hits(*functions))
'''


class Toy:
    """A package named stn_ref: the modules under test and two small ones. Each value is from a new process."""

    def __init__(self, path):
        self.path, self.kernels, self.root = path, path / "stn_ref" / "kernels", path / "kept"
        (self.kernels / "cpu").mkdir(parents=True)
        for folder in (path / "stn_ref", self.kernels, self.kernels / "cpu"):
            (folder / "__init__.py").touch()
        for module in (jit, cache):
            shutil.copy(module.__file__, self.kernels / "cpu")
        shutil.copy(scalar_math.__file__, self.kernels)
        (self.kernels / "cpu" / "toy.py").write_text(TOY)
        (self.kernels / "cpu" / "part.py").write_text("SHIFT = 10\n")

    def start(self, expression, setup="", **environment):
        code = f"from stn_ref.kernels.cpu.toy import *\n{setup}\nprint({expression})"
        settings = {"STN_REF_CACHE": str(self.root), "NUMBA_DISABLE_JIT": "0", "PYTHONPATH": str(self.path)}
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code], cwd=self.path, env=os.environ | settings | environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def value(self, expression, setup="", **environment):
        process = self.start(expression, setup, **environment)
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0 and not errors, errors
        return out.strip()

    def entries(self):
        return sorted(self.root.glob("*/*"))


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


@pytest.mark.parametrize("names", ("bound_near, bound_far", "close_low, close_high"))
def test_kept_code_is_used_and_never_mixed_up(toy, names):
    """The code of both has one name and, as the first function of a process of its own, one number."""
    both = f"*[f(3.0) for f in ({names})]"
    one, other = names.split(", ")
    expected = toy.value(both, STN_REF_CACHE="0")
    assert not toy.root.exists()
    assert toy.value(f"{one}(3.0)") in expected and toy.value(f"{other}(3.0)") in expected
    assert len(toy.entries()) == 2
    assert toy.value(f"{both}, *hits({names})") == f"{expected} 1 1"
    assert len(toy.entries()) == 2


def test_an_edit_of_what_a_function_calls_makes_its_kept_code_worthless(toy):
    before = toy.value("bound_near(3.0)")
    (toy.kernels / "cpu" / "part.py").write_text("SHIFT = 11\n")
    after, hits = toy.value("bound_near(3.0), *hits(bound_near)").split()
    assert after != before and hits == "0" and len(list(toy.root.iterdir())) == 2


def test_code_of_sources_edited_while_the_process_runs_is_not_kept(toy):
    edit = f"import pathlib; pathlib.Path({str(toy.kernels / 'late.py')!r}).touch()"
    assert toy.value("times(2)(5)", edit) == "10" and not toy.entries()


def test_code_that_defines_functions_of_numba_is_not_kept(toy):
    """Their names are not unique: two processes may give one name and number to different closures of numba."""
    assert toy.value("least(np.array([2.0, 1.0])), times(2)(5)") == "1.0 10" and len(toy.entries()) == 1


def test_a_damaged_entry_is_compiled_anew_and_replaced(toy):
    def flip(place):
        def damage(file):
            code = bytearray(file.read_bytes())
            code[int(place * (len(code) - 1))] ^= 4
            file.write_bytes(code)

        return damage

    def instead(make):
        def damage(file):
            file.unlink()
            make(file)

        return damage

    def full_folder(file):
        file.mkdir()
        (file / "x").touch()

    damages = (
        *map(flip, (0, 0.3, 0.5, 0.9, 1)),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[:1000]),
        lambda file: file.write_bytes(file.read_bytes()[:20]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(os.urandom(5000)),
        lambda file: file.write_bytes(file.read_bytes() + b"x"),
        instead(lambda file: file.mkdir()),
        instead(full_folder),
        instead(lambda file: file.symlink_to("nowhere")),
        instead(os.mkfifo),
    )
    swapped, call = 2, f"products({len(damages) + 2})"
    products = [5 * n for n in range(len(damages) + swapped)]
    assert toy.value(call) == f"({products}, 0)"
    entries = toy.entries()
    assert len(entries) == len(products)
    for damage, file in zip(damages, entries, strict=False):
        damage(file)
    one, other = entries[len(damages) :]
    contents = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(contents)
    assert toy.value(call) == f"({products}, 0)"
    assert toy.entries() == entries and all(file.is_file() for file in entries)
    assert toy.value(call) == f"({products}, {len(products)})"


def test_other_settings_have_other_code_and_the_interpreter_none(toy):
    assert toy.value("products(2)") == toy.value("products(2)", NUMBA_OPT="1") == "([0, 5], 0)"
    assert len(list(toy.root.iterdir())) == 2
    shutil.rmtree(toy.root)
    interpreted = toy.value("times(2)(5), kept()", NUMBA_DISABLE_JIT="1")
    assert interpreted == "10 for this process only: NUMBA_DISABLE_JIT=1" and not toy.root.exists()


def test_two_processes_may_compile_at_the_same_time(toy):
    started = [toy.start("products(5)[0]") for _ in range(3)]
    for process in started:
        assert process.communicate(timeout=120) == ("[0, 5, 10, 15, 20]\n", "")
    assert len(toy.entries()) == 5 and toy.value("products(5)[1]") == "5"


def test_a_full_disk_is_no_error_and_leaves_no_parts(toy):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    assert toy.value("products(2)", full) == "([0, 5], 0)" and toy.root.exists() and not toy.entries()


def test_a_users_own_numba_cache_is_left_where_it_is(toy):
    (toy.path / "user.py").write_text("import numba\n@numba.njit(cache=True)\ndef own(x):\n    return x + 1\n")
    assert toy.value("__import__('user').own(2), times(2)(5)") == "3 10"
    assert len(list((toy.path / "__pycache__").glob("user.own*.nbc"))) == 1 and len(toy.entries()) == 1


@pytest.mark.parametrize("name", ("CompileResultCacheImpl, NullCache", "._cache)"))
def test_with_a_numba_that_has_changed_nothing_is_kept(toy, name):
    source = toy.kernels / "cpu" / "cache.py"
    text = source.read_text()
    assert text.count(name) == 1
    source.write_text(text.replace(name, f"{name[:-1]}_of_old{name[-1:]}" if name[-1] == ")" else f"{name}_of_old"))
    said = toy.value("times(2)(5), kept()")
    assert said.startswith("10 for this process only: numba ") and "_of_old" in said and not toy.root.exists()


# Where: in this process, whose own code stays where it is.


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Returns what folder() says with other settings; None: not set."""
    monkeypatch.setattr(cache.numba.config, "DISABLE_JIT", 0)

    def found(**environment):
        for name in ("STN_REF_CACHE", "XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        return cache.folder.__wrapped__()

    return found


def test_the_folder_is_the_users_own_or_what_the_environment_names(place, monkeypatch, tmp_path):
    def root(**environment):
        folder, why = place(**environment)
        assert folder.is_dir() and why == "" and folder.name == cache.state()
        return folder.parent

    home, caches, asked = tmp_path / "home", tmp_path / "caches", tmp_path / "asked"
    assert root(HOME=home) == home / ".cache" / "stn_ref"
    assert root(HOME=home, XDG_CACHE_HOME="", STN_REF_CACHE="") == home / ".cache" / "stn_ref"
    assert (
        root(HOME=home, XDG_CACHE_HOME=caches) == root(XDG_CACHE_HOME=caches, STN_REF_CACHE="1") == caches / "stn_ref"
    )
    assert root(HOME=home, XDG_CACHE_HOME=caches, STN_REF_CACHE=asked) == root(STN_REF_CACHE=f"{asked}/") == asked
    assert root(HOME=home, STN_REF_CACHE="~/here") == home / "here"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert root(HOME=home, XDG_CACHE_HOME=caches) == home / "Library" / "Caches" / "stn_ref"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert root() == tmp_path / "local" / "stn_ref"


def test_a_relative_path_is_refused(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for environment in (
        {"STN_REF_CACHE": "here", "HOME": tmp_path}, {"STN_REF_CACHE": "~nobody_of_that_name/x", "HOME": tmp_path},
        {"XDG_CACHE_HOME": "here", "HOME": tmp_path}, {"XDG_CACHE_HOME": "~/here", "HOME": tmp_path},
        {"HOME": "here"}, {"HOME": ""}, {},
    ):  # fmt: skip
        folder, why = place(**environment)
        assert folder is None and why.endswith("is not an absolute path")
    assert place(STN_REF_CACHE="0", HOME=tmp_path) == (None, "STN_REF_CACHE=0")
    assert not list(tmp_path.iterdir())


def test_new_folders_are_private_whatever_the_umask(place, tmp_path):
    before = os.umask(0)
    try:
        folder, _ = place(STN_REF_CACHE=tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)] == [0o700, 0o700]


def test_a_folder_that_others_may_write_or_own_or_redirect_is_refused(place, monkeypatch, tmp_path):
    settings = {"STN_REF_CACHE": tmp_path / "kept"}
    folder, _ = place(**settings)
    for path in (folder, folder.parent):
        for mode in (0o720, 0o702, 0o777, 0o1777):
            path.chmod(mode)
            assert place(**settings) == (None, f"{path} belongs to another user, or others may write to it: remove it")
        path.chmod(0o755)
        assert place(**settings) == (folder, "")
        target = path.rename(tmp_path / "target")
        path.symlink_to(target)
        assert place(**settings) == (None, f"{path} is a symbolic link")
        path.unlink()
        path.write_text("a file")
        assert place(**settings)[0] is None and str(path) in place(**settings)[1]
        path.unlink()
        target.rename(path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert place(**settings) == (None, f"{folder.parent} belongs to another user, or others may write to it: remove it")


def test_a_folder_of_another_user_is_refused(place, tmp_path):
    if os.getuid():
        pytest.skip("only root can give a folder away")
    folder, _ = place(STN_REF_CACHE=tmp_path)
    for path in (folder, folder.parent):
        os.chown(path, 12345, -1)
        assert place(STN_REF_CACHE=tmp_path) == (
            None,
            f"{path} belongs to another user, or others may write to it: remove it",
        )
        os.chown(path, 0, -1)


def test_a_folder_that_cannot_be_made_or_written_is_said(place, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    folder, why = place(STN_REF_CACHE=tmp_path / "file" / "below")
    assert folder is None and "file" in why
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert place(STN_REF_CACHE=tmp_path / "kept") == (None, f"{tmp_path / 'kept'} is not writable")


def test_folders_that_no_process_has_opened_for_long_are_removed_with_the_next_new_one(place, tmp_path):
    def make(name, days):
        path = tmp_path / name
        path.mkdir()
        (path / "entry").touch()
        os.utime(path, (time.time() - days * 86400,) * 2)
        return path

    other = f"kernels-{'0123456789abcdef' * 2}"
    old, young = make(other, cache.DAYS + 1), make(other.replace("0", "1"), cache.DAYS - 1)
    mine = [make(name, 1000) for name in ("thesis", "kernels-", other[:-1], other + "0", other.replace("a", "z"))]
    link = tmp_path / other.replace("0", "2")
    link.symlink_to(mine[0])
    os.utime(link, (0, 0), follow_symlinks=False)
    folder, _ = place(STN_REF_CACHE=tmp_path)
    assert not old.exists() and all((path / "entry").exists() for path in (young, link, *mine))
    os.utime(folder, (0, 0))
    old = make(other, cache.DAYS + 1)
    assert place(STN_REF_CACHE=tmp_path)[0] == folder and old.exists()
    assert time.time() - folder.stat().st_mtime < 1000


def test_the_hash_depends_on_every_source_and_every_version(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "KERNELS", tmp_path)
    (tmp_path / "cpu" / "deep").mkdir(parents=True)
    seen = []

    def differs():
        seen.append(cache.state())
        assert seen.count(cache.state()) == 1 and len(set(seen)) == len(seen)

    with pytest.raises(OSError, match="there are no sources"):
        cache.state()
    for path in ("a.py", "cpu/a.py", "cpu/deep/a.py"):
        (tmp_path / path).write_text("x = 1")
        differs()
        (tmp_path / path).write_text("x = 2")
        differs()
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    differs()
    for module in (cache.numba, cache.llvmlite, cache.np):
        monkeypatch.setattr(module, "__version__", "x")
        differs()
    monkeypatch.setattr(sys, "version", "x")
    differs()
    monkeypatch.setattr(cache.binding, "get_host_cpu_name", lambda: "x")
    differs()
    monkeypatch.setattr(cache.numba.config, "BOUNDSCHECK", 1)  # from the environment or from numba's own file
    differs()
    monkeypatch.setattr(cache.numba.config, "NUMBA_NUM_THREADS", 77)  # does not change the code
    assert cache.state() == seen[-1]


def test_the_report_of_the_machine_says_where_or_why_not(monkeypatch):
    for found, said in (((Path("/x/y"), ""), "/x/y"), ((None, "the reason"), "for this process only: the reason")):
        monkeypatch.setattr(cache, "folder", lambda found=found: found)
        assert machine_report.environment()["compiled code"] == said


# The package itself.


def test_no_two_compiled_functions_share_a_name():
    code = """
import pkgutil, numba
from collections import defaultdict
from stn_ref.kernels import cpu

seen, njit = defaultdict(set), numba.njit  # name -> functions and options; a function compiled twice is one

def recording(*functions, **options):
    def record(function):
        seen[function.__module__, function.__qualname__].add((function, repr(options)))
        return njit(**options)(function)

    return record(*functions) if functions else record

numba.njit = recording
for module in pkgutil.iter_modules(cpu.__path__):
    __import__(f"{cpu.__name__}.{module.name}")
for kernel, stride in ((2, 2), (2, 2)), ((2, 3), (2, 2)), ((3, 2), (2, 2)), ((2, 2), (1, 1)), ((2, 2), (2, 1)):
    cpu.pooling._max_pool(kernel, stride), cpu.pooling._mean_pool(kernel, stride)
print(len(seen), [name for name, functions in seen.items() if len(functions) > 1])
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "0", "STN_REF_CACHE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    count, twice = done.stdout.split(" ", 1)
    assert int(count) > 50 and twice == "[]\n", done.stderr


def test_products_and_pools_are_kept_and_give_the_same_bits(tmp_path):
    """A pointer to BLAS's routine in the code would forbid it."""
    code = (
        "import numpy as np; from stn_ref.kernels.cpu import blas, pooling\n"
        "A, B, C = *np.random.default_rng(0).random((2, 3, 3)), np.zeros((3, 3))\n"
        "blas.product(C, A, B, False)\n"
        "y = pooling.mean_pool(C[None, None], (2, 2), (1, 1))\n"
        "functions = blas.product, pooling._mean_pool((2, 2), (1, 1))[0]\n"
        "print(C.tobytes().hex() + y.tobytes().hex(), *[sum(f.stats.cache_hits.values()) for f in functions])"
    )

    def run():
        env = os.environ | {"STN_REF_CACHE": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.split()

    (cold, *none), (warm, *hits) = run(), run()
    assert cold == warm and none == ["0", "0"] and hits == ["1", "1"]
    assert np.isfinite(np.frombuffer(bytes.fromhex(cold))).all()


def test_every_mode_of_sampling_is_kept():
    """Neither the remainder of numba in a fold nor a function as an argument may forbid it."""
    from stn_ref.kernel_sampler import kernel_sample, kernel_sample_backward
    from stn_ref.kernels.cpu import bilinear, cache, cubic, nearest, windows
    from stn_ref.sampler import MODES, sample, sample_backward

    if cache.folder()[0] is None:
        pytest.skip(f"nothing is kept: {cache.folder()[1]}")
    U, points, phi = np.ones((1, 1, 3, 4)), np.ones((1, 2, 3, 2)), np.array([1.5, 2.5])
    for mode in MODES:
        for padding in ("zeros", "reflect"):
            V = sample(U, points, mode=mode, padding=padding)
            sample_backward(U, points, V, mode=mode, padding=padding)
    kernel_sample_backward(U, points, phi, kernel_sample(U, points, phi))
    forward = bilinear.forward_blocks, nearest.forward_blocks, cubic.forward_blocks, windows.forward_points
    for function in (*forward, *(module.backward_images for module in (bilinear, nearest, cubic, windows))):
        compiled = function.overloads.items()
        assert compiled
        for signature, result in compiled:
            assert function._cache._key(signature, result.target_context)[1].is_file(), (function.__module__, signature)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no Unix owners and modes")
def test_an_entry_that_another_user_could_have_written_is_not_executed(tmp_path):
    entry = tmp_path / "entry"
    entry.write_bytes(b"code")
    entry.chmod(0o600)
    assert cache.read(entry) == b"code"
    for mode in (0o620, 0o602):
        entry.chmod(mode)
        with pytest.raises(OSError, match="is not private"):
            cache.read(entry)
    entry.chmod(0o600)
    (tmp_path / "link").symlink_to(entry)
    with pytest.raises(OSError):
        cache.read(tmp_path / "link")
    if os.geteuid() == 0:
        os.chown(entry, 12345, -1)
        with pytest.raises(OSError, match="is not private"):
            cache.read(entry)
