"""Machine code kept on disk: never old, never mixed up, never an error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stn_ref.kernels import jit

TOY = '''
import math
from types import FunctionType
from stn_ref.kernels.jit import njit
from stn_ref.kernels.part import SHIFT

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
    """A package of that name with jit.py and two small modules; call it with an expression to get its value."""
    kernels = tmp_path / "stn_ref" / "kernels"
    kernels.mkdir(parents=True)
    for folder in (kernels.parent, kernels):
        (folder / "__init__.py").touch()
    shutil.copy(jit.__file__, kernels)
    (kernels / "toy.py").write_text(TOY)
    (kernels / "part.py").write_text("SHIFT = 10\n")

    def value(expression, warns="", **environment):
        code = f"from stn_ref.kernels.toy import *\nprint({expression})"
        settings = {"STN_REF_CACHE": str(tmp_path / "kept")} | environment
        command = [sys.executable, *([] if warns else ["-W", "error"]), "-c", code]
        run = subprocess.run(command, cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True)
        assert run.returncode == 0 and (warns in run.stderr if warns else not run.stderr), run.stderr
        return run.stdout.strip()

    value.kernels, value.kept = kernels, tmp_path / "kept"
    return value


def entries(toy) -> list[Path]:
    return sorted(toy.kept.iterdir())


def test_kept_code_is_used_and_never_mixed_up(toy):
    """Numba gives near and far one name; in two processes both are also its first function, of one number."""
    expected = toy("first(3.0), second(3.0)", STN_REF_CACHE="0")
    assert not toy.kept.exists()
    assert toy("first(3.0)") in expected and toy("second(3.0)") in expected
    assert len(entries(toy)) == 2
    assert toy("first(3.0), second(3.0)") == expected
    assert toy("first(3.0) and sum(first.stats.cache_hits.values())") == "1"
    assert len(entries(toy)) == 2


def test_an_edit_in_another_file_is_seen(toy):
    before = toy("first(3.0)")
    (toy.kernels / "part.py").write_text("SHIFT = 11\n")
    assert toy("first(3.0)") == toy("first(3.0)", STN_REF_CACHE="0") != before


def test_values_of_a_closure_tell_functions_apart(toy):
    assert toy("(times(2)(5), times(3)(5))") == toy("(times(2)(5), times(3)(5))") == "(10, 15)"
    assert toy("(times(3)(5), times(2)(5))") == "(15, 10)"
    assert len(entries(toy)) == 2


@pytest.mark.parametrize("damage", ("cut", "one bit", "a folder"))
def test_a_damaged_entry_is_compiled_anew(toy, damage):
    expected = toy("times(2)(5)")
    (entry,) = entries(toy)
    whole = entry.read_bytes()
    if damage == "a folder":
        entry.unlink()
        entry.mkdir()
    else:
        entry.write_bytes(whole[:-100] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    assert toy("times(2)(5)") == expected
    if damage != "a folder":
        assert toy("(f := times(2))(5) and sum(f.stats.cache_hits.values())") == "1"  # it has been mended


def test_a_folder_that_cannot_be_made_is_told_and_does_no_harm(toy, tmp_path):
    (tmp_path / "file").write_text("")
    said = toy("times(2)(5)", warns="compiled code is not kept", STN_REF_CACHE=str(tmp_path / "file" / "below"))
    assert said == "10"


def test_interpreted_nothing_is_kept(toy):
    assert toy("times(2)(5)", NUMBA_DISABLE_JIT="1") == "10"
    assert not toy.kept.exists()


def test_another_setting_of_numba_is_another_entry(toy):
    assert toy("times(2)(5)") == toy("times(2)(5)", NUMBA_OPT="1") == "10"
    assert len(entries(toy)) == 2


def test_one_stands_for_the_users_own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jit, "FunctionIdentity", type("NoCounter", (), {}))
    monkeypatch.setattr(jit.numba.config, "DISABLE_JIT", 0)
    for asked, place in (("1", tmp_path / "stn_ref"), (str(tmp_path / "x"), tmp_path / "x"), ("0", None), ("", None)):
        monkeypatch.setenv("STN_REF_CACHE", asked)
        assert jit.folder.__wrapped__() == place
        assert place is None or place.is_dir()


def test_the_layers_are_kept_and_give_the_same_bits(tmp_path):
    """A pointer to BLAS's routine in the code would forbid it."""
    code = (
        "import numpy as np; from stn_ref.kernels import conv_cpu as c\n"
        "x, W = np.random.default_rng(0).random((2, 3, 2, 7, 6)), np.random.default_rng(1).random((3, 2, 2, 3))\n"
        "y = c.convolve(x[0], W, np.ones(3), (1, 1), (0, 0))\n"
        "hits = [sum(f.stats.cache_hits.values()) for f in vars(c).values() if hasattr(f, 'stats')]\n"
        "print(y.tobytes().hex(), sum(hits))"
    )

    def run(kept):
        env = os.environ | {"STN_REF_CACHE": kept}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.split()

    (cold, none), (warm, one) = run(str(tmp_path)), run(str(tmp_path))
    assert cold == warm and none == "0" < one
    assert np.isfinite(np.frombuffer(bytes.fromhex(cold))).all()
