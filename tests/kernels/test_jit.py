"""Machine code kept on disk: never old, never mixed up, never an error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stn_ref.kernels.cpu import cache, jit

TOY = '''
import math
from types import FunctionType
from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.part import SHIFT

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

def bound(shift):
    return njit()(FunctionType(base.__code__, {**globals(), "SHIFT": shift}, "base"))

near, far = bound(SHIFT), bound(20)

@njit(nogil=True)
def first(x):
    return near(x) + near(x + 1) + near(x + 2) + near(x - 1) + near(x * 2)

@njit(nogil=True)
def second(x):
    return far(x) + far(x + 1) + far(x + 2) + far(x - 1) + far(x * 2)

def times(n):
    @njit(nogil=True)
    def product(x):
        return n * x
    return product
'''


@pytest.fixture
def toy(tmp_path):
    """A package of that name with jit.py, cache.py and two small modules; called with an expression, its value."""
    kernels = tmp_path / "stn_ref" / "kernels" / "cpu"
    kernels.mkdir(parents=True)
    for folder in (kernels.parent.parent, kernels.parent, kernels):
        (folder / "__init__.py").touch()
    for module in (jit, cache):
        shutil.copy(module.__file__, kernels)
    (kernels / "toy.py").write_text(TOY)
    (kernels / "part.py").write_text("SHIFT = 10\n")

    def value(expression, warns="", **environment):
        code = f"from stn_ref.kernels.cpu.toy import *\nprint({expression})"
        settings = {"STN_REF_CACHE": str(tmp_path / "kept"), "NUMBA_DISABLE_JIT": "0"} | environment
        command = [sys.executable, *([] if warns else ["-W", "error"]), "-c", code]
        run = subprocess.run(command, cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True)
        assert run.returncode == 0 and (warns in run.stderr if warns else not run.stderr), run.stderr
        return run.stdout.strip()

    value.kernels, value.kept = kernels, tmp_path / "kept"
    return value


def entries(toy) -> list[Path]:
    return sorted(toy.kept.iterdir())


def test_kept_code_is_used_and_never_old_or_mixed_up(toy):
    """Numba gives near and far one name; in two processes both are also its first function, of one number."""
    expected = toy("first(3.0), second(3.0)", STN_REF_CACHE="0")
    assert not toy.kept.exists()
    assert toy("first(3.0)") in expected and toy("second(3.0)") in expected
    assert len(entries(toy)) == 2
    hits = "[sum(f.stats.cache_hits.values()) for f in (first, second)]"
    assert toy(f"first(3.0), second(3.0), {hits}") == f"{expected} [1, 1]"
    assert len(entries(toy)) == 2
    (toy.kernels / "part.py").write_text("SHIFT = 11\n")  # an edit in another file
    assert toy("first(3.0)") == toy("first(3.0)", STN_REF_CACHE="0") not in expected


def test_what_is_damaged_or_belongs_to_other_settings_is_compiled_anew(toy):
    """A cut entry, one with a wrong bit, a folder in the place of one; the functions differ in their closures."""
    values_and_hits = "[(f(5), sum(f.stats.cache_hits.values())) for f in map(times, {})]"
    new, kept = "[(10, 0), (15, 0), (20, 0)]", "[(20, 1), (15, 1), (10, 1)]"
    assert toy(values_and_hits.format((2, 3, 4))) == new
    assert toy(values_and_hits.format((4, 3, 2))) == kept
    cut, wrong, folder = entries(toy)
    cut.write_bytes(cut.read_bytes()[:-100])
    whole = wrong.read_bytes()
    wrong.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    folder.unlink()
    folder.mkdir()
    assert toy(values_and_hits.format((2, 3, 4))) == new
    assert len(entries(toy)) == 3  # what could not take the folder's place is not left behind
    again = toy(values_and_hits.format((4, 3, 2)))
    assert again.count(", 1)") == 2  # the others have been mended
    assert toy(values_and_hits.format((2, 3, 4)), NUMBA_OPT="1") == new
    assert len(entries(toy)) == 6
    assert toy("[times(n)(5) for n in (2, 3, 4)]", NUMBA_DISABLE_JIT="1") == "[10, 15, 20]"
    assert len(entries(toy)) == 6


@pytest.mark.parametrize("name", ("import FunctionIdentity", "_unique_ids"))
def test_a_numba_that_has_changed_is_told_and_nothing_is_kept(toy, name):
    source = toy.kernels / "cache.py"
    source.write_text(source.read_text().replace(name, name + "_of_old"))
    assert toy("times(2)(5), times(3)(5)", warns="is unknown: compiled code is not kept") == "10 15"
    assert not toy.kept.exists()


def test_a_folder_that_cannot_be_made_is_told_and_does_no_harm(toy, tmp_path):
    (tmp_path / "file").write_text("")
    said = toy("times(2)(5)", warns="compiled code is not kept", STN_REF_CACHE=str(tmp_path / "file" / "below"))
    assert said == "10"


def test_one_stands_for_the_users_own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "FunctionIdentity", type("NoCounter", (), {}))
    for asked, place in (("1", tmp_path / "stn_ref"), (str(tmp_path / "x"), tmp_path / "x")):
        monkeypatch.setenv("STN_REF_CACHE", asked)
        assert cache.folder.__wrapped__() == place and place.is_dir()


def test_without_being_asked_nothing_of_numbas_own_is_needed():
    code = (
        "from stn_ref.kernels.cpu import jit; import sys; "
        "print(jit.folder(), 'stn_ref.kernels.cpu.cache' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"STN_REF_CACHE": "0"}, capture_output=True)
    assert done.stdout.split() == [b"None", b"False"], done.stderr


def test_the_layers_are_kept_and_give_the_same_bits(tmp_path):
    """A pointer to BLAS's routine in the code would forbid it."""
    code = (
        "import numpy as np; from stn_ref.kernels.cpu import convolution as c\n"
        "x, W = np.random.default_rng(0).random((2, 3, 2, 7, 6)), np.random.default_rng(1).random((3, 2, 2, 3))\n"
        "y = c.convolve(x[0], W, np.ones(3), (1, 1), (0, 0))\n"
        "hits = [sum(f.stats.cache_hits.values()) for f in vars(c).values() if hasattr(f, 'stats')]\n"
        "print(y.tobytes().hex(), sum(hits))"
    )

    def run(kept):
        env = os.environ | {"STN_REF_CACHE": kept, "NUMBA_DISABLE_JIT": "0"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.split()

    (cold, none), (warm, one) = run(str(tmp_path)), run(str(tmp_path))
    assert cold == warm and none == "0" < one
    assert np.isfinite(np.frombuffer(bytes.fromhex(cold))).all()
