"""Checkpoints: whole or refused; a training killed at any moment and resumed ends in the same bits."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from stn_ref import cli, data, models
from stn_ref.nn import Dropout
from stn_ref.training import CheckpointError, Config, Trainer, checkpoint, loop
from stn_ref.training.run import run


def trainer(dataset, *, path=None, resume=False, save_seconds=0, **changes):
    config = {"model": "st-fcn-affine", "epochs": 3, "batch_size": 32, "lr": 0.02} | changes
    return Trainer(Config(**config), dataset, path=path, resume=resume, save_seconds=save_seconds)


def trained(*args, **options):
    made = trainer(*args, **options)
    for _ in made.epochs():
        pass
    return made


def rows(made):
    """The history apart from the seconds."""
    return [{**asdict(row), "seconds": 0} for row in made.history.epochs]


# The file.


ARRAYS, META = {"param/W": np.arange(6.0).reshape(2, 3), "steps": np.array(3, np.int64)}, {"x": 0.1, "rows": [{"y": 1}]}


@pytest.fixture
def path(tmp_path):
    checkpoint.save(tmp_path / "c.npz", ARRAYS, META)
    return tmp_path / "c.npz"


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape, got[name].tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_a_checkpoint_returns_every_bit(path):
    arrays, meta = checkpoint.load(path)
    assert_same(arrays, ARRAYS)
    assert meta == META and os.listdir(path.parent) == ["c.npz"]


def test_a_flipped_byte_is_noticed_or_changes_nothing(path):
    content, refused = path.read_bytes(), 0
    for at in range(len(content)):
        for mask in (0x01, 0x20, 0xFF):
            path.write_bytes(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])
            try:
                arrays, meta = checkpoint.load(path)
            except CheckpointError as error:
                assert "c.npz" in str(error) and "\n" not in str(error)
                refused += 1
            else:
                assert_same(arrays, ARRAYS)
                assert meta == META
    assert refused > 2 * len(content)  # what may change unnoticed is the date and such, a small part


def test_a_large_array_whose_header_says_less_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    checkpoint.save(path, {"W": np.zeros((5, 30_000))}, {})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"'shape': (5, 30000)", b"'shape': (4, 30000)"))
    assert path.read_bytes() != content
    with pytest.raises(CheckpointError, match=r"c\.npz is damaged"):  # though the bytes that are wanted can be read
        checkpoint.load(path)


def test_a_file_cut_short_anywhere_is_refused(path):
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError, match=r"c\.npz"):
            checkpoint.load(path)


def test_a_failed_save_leaves_the_old_checkpoint(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", lambda file, **arrays: (file.write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        checkpoint.save(path, {}, {})
    assert path.read_bytes() == before and os.listdir(path.parent) == ["c.npz"]


@pytest.mark.parametrize("damage", ("empty", "text", "npy", "foreign", "pickle", "directory"))
def test_a_foreign_file_is_named(path, damage):
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("<html>not found</html>")
    elif damage == "npy":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "foreign":
        np.savez(path, weights=np.zeros(3))
    elif damage == "pickle":
        np.savez(path, weights=np.array([{}], object))
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(CheckpointError, match=r"c\.npz") as error:
        checkpoint.load(path)
    assert "\n" not in str(error.value)


def test_save_refuses_what_load_could_not_return(path):
    before, W, deep = path.read_bytes(), np.zeros(2), [1]
    for _ in range(60):
        deep = [deep]
    for arrays, meta, why in (
        ({}, {"format": 1}, "a key of meta must not be one of format, arrays; got 'format'"),
        ({}, {"arrays": []}, "a key of meta must not be one of format, arrays; got 'arrays'"),
        ({}, {"a": float("nan")}, "not JSON compliant"),
        ({}, {"a": [-float("inf")]}, "not JSON compliant"),
        ({}, {"a": deep}, "nested more than 50 levels deep"),
        ({}, {1: "a"}, "not JSON: keys must be text"),
        ({}, {"a": {1: 2, "1": 3}}, "the key '1' occurs twice"),
        ({}, {"a": (1, 2)}, "not JSON: keys must be text, and lists must not be tuples"),
        ({}, {"a": {1, 2}}, "not JSON: Object of type set is not JSON serializable"),
        ({"meta.json": W}, {}, "a name in arrays must not be one of meta.json, file, allow_pickle, nor"),
        ({"allow_pickle": W}, {}, "got 'allow_pickle'"),
        ({"file": W}, {}, "got 'file'"),
        ({"w": W, "w.npy": W}, {}, "nor end in .npy; got 'w.npy'"),
        ({"a\0b": W}, {}, r"got 'a\x00b'"),
        ({"w": np.array([{}], object)}, {}, r"arrays['w'] must be an array without objects; got dtype('O')"),
        ({"w": [1, 2]}, {}, "arrays['w'] must be an array without objects; got [1, 2]"),
    ):
        with pytest.raises(ValueError, match=re.escape(why)):
            checkpoint.save(path, arrays, meta)
        assert path.read_bytes() == before
    odd = {
        "a/b": W,
        "a": W.astype(">f4"),
        "": np.array("text"),
        "é": np.zeros((0, 3), bool),
        "s": W.astype([("x", "f8")]),
    }
    checkpoint.save(path, odd, {"a": None, "": [[]], "n": 2**200})
    arrays, meta = checkpoint.load(path)
    assert_same(arrays, odd)
    assert meta == {"a": None, "": [[]], "n": 2**200}


def with_header(path, text):
    """Replace the header of a checkpoint by this text."""
    with np.load(path) as members:
        arrays = {name: members[name] for name in members.files}
    np.savez(path, **arrays | {"meta.json": np.frombuffer(text.encode(), np.uint8)})


def test_a_header_that_fits_no_checkpoint_is_named(path):
    for header, why in (
        ("[" * 9999, "is damaged or not a stn_ref checkpoint: its header is no JSON (nested more than 50 levels deep)"),
        ('{"format": ' + "[" * 60 + "]" * 60 + "}", "its header is no JSON (nested more than 50 levels deep)"),
        ("[]", "it must be an object; got a list"),
        ("{}", "format is missing"),
        ('{"format": 5}', "format must be text; got 5"),
        ('{"format": "stn_ref checkpoint 9"}', "has format 'stn_ref checkpoint 9'; this version reads"),
        ('{"format": "stn_ref checkpoint 1", "arrays": 5}', "arrays must be a list; got 5"),
        ('{"format": "stn_ref checkpoint 1", "arrays": [5]}', "arrays[0] must be text; got 5"),
        ('{"format": "stn_ref checkpoint 1", "arrays": [], "arrays": []}', "the key 'arrays' occurs twice"),
        ('{"format": "stn_ref checkpoint 1", "arrays": [], "x": NaN}', "NaN is not a finite number"),
        ('{"format": "stn_ref checkpoint 1", "arrays": ["x"]}', "is damaged: expected 1 arrays from its header, got 2"),
    ):
        with_header(path, header)
        with pytest.raises(CheckpointError, match=rf"c\.npz .*{re.escape(why)}") as error:
            checkpoint.load(path)
        assert "\n" not in str(error.value)


@pytest.fixture
def nets_with_dropout(monkeypatch):
    """Every net that is built has dropout before its last layer, with a generator of its own."""
    build = models.build

    def with_dropout(*args, **options):
        net = build(*args, **options)
        net.layers.insert(-1, Dropout(0.5, np.random.default_rng(7)))
        return net

    monkeypatch.setattr(models, "build", with_dropout)


def test_a_checkpoint_that_no_training_could_have_saved_is_refused(digits, tmp_path, nets_with_dropout):
    path = tmp_path / "c.npz"
    stopped_at(trainer(digits, path=path), "_step", 6)  # after 2 of 3 batches of the second epoch
    arrays, good = checkpoint.load(path)
    state = good["rngs"][0]

    def fails(why, meta, arrays=arrays):
        checkpoint.save(path, arrays, meta)
        with pytest.raises(CheckpointError, match=rf"c\.npz .*{why}") as error:
            trainer(digits, path=path, resume=True)
        assert "\n" not in str(error.value)

    for change, why in (
        ({"batch": 4}, "position.batch must be an integer from 0 to 3; got 4"),
        ({"batch": -1}, "position.batch must be an integer from 0 to 3; got -1"),
        ({"batch": 1.5}, "position.batch must be an integer"),
        ({"batch": 1}, "optimiser/steps must be 4 at this position; got 5"),
        ({"epoch": 4}, "position.epoch must be an integer from 0 to 3; got 4"),
        ({"epoch": 2}, r"position.epoch is 2, but history has the epochs \[1\]"),
        ({"correct": 97}, "position.correct must be an integer from 0 to 96; got 97"),
        ({"loss": "0"}, "position.loss must be a number; got '0'"),
        ({"seconds": -1}, "position.seconds must be a number of at least 0; got -1"),
    ):
        fails(why, good | {"position": good["position"] | change})
    row = good["history"][0]
    for change, why in (
        ({"position": []}, "position must be an object; got a list"),
        ({"history": [row, row]}, r"history has the epochs \[1, 1\]"),
        (
            {"history": [row | {"val_accuracy": 2}]},
            r"history\[0\].val_accuracy must be a number from 0 to 1 or null; got 2",
        ),
        ({"history": [row | {"more": 2}]}, "does not fit this version: .*more"),
        ({"rngs": []}, "does not fit this version"),
        ({"rngs": [5]}, r"rngs\[0\] must be an object; got 5"),
        ({"rngs": [{}]}, "does not fit this version"),
        ({"rngs": [state | {"bit_generator": "MT19937"}]}, "does not fit this version"),
        ({"rngs": [state | {"state": {"state": 2**200, "inc": 1}}]}, "does not fit this version"),
        ({"rngs": [state | {"state": {"state": -1, "inc": 1}}]}, "does not fit this version"),
        ({"rngs": [state | {"uinteger": 2**40}]}, "does not fit this version"),
    ):
        fails(why, good | change)
    for kind in ("param/", "optimiser/"):
        name = next(name for name in arrays if name.startswith(kind))
        fails("", good, {key: array for key, array in arrays.items() if key != name})
    no_best = {key: array for key, array in arrays.items() if not key.startswith("best/")}
    fails("it must have best weights after the first epoch, and not before", good, no_best)
    for bad in (np.array([5, 5]), np.array(-5)):
        fails("optimiser/steps must be 5", good, arrays | {"optimiser/steps": bad})
    checkpoint.save(path, arrays, good)
    assert trainer(digits, path=path, resume=True).position["batch"] == 2


# Which run it is of.


def test_a_checkpoint_of_another_run_is_refused_and_says_why(digits, tmp_path):
    path = tmp_path / "checkpoint.npz"
    trained(digits, path=path, epochs=1)
    with pytest.raises(CheckpointError, match=r"is of another run: its lr is 0\.02, not 0\.03"):
        trainer(digits, path=path, resume=True, epochs=1, lr=0.03)
    with pytest.raises(CheckpointError, match="is of another run: it saw other data"):
        trainer(data.load(n_train=96, n_val=32, n_test=32, seed=5), path=path, resume=True, epochs=1)


def test_a_second_run_sets_the_first_aside_and_writes_the_same_but_for_the_seconds(tmp_path):
    options = {"out": tmp_path, "n_train": 96, "n_val": 32, "n_test": 32, "progress": False}
    config, first, second = Config(model="st-fcn-affine", epochs=2), [], []
    report = run(config, note=first.append, **options)
    content = (tmp_path / "checkpoint.npz").read_bytes()
    run(config, note=second.append, **options)
    assert (tmp_path / "checkpoint.npz.1").read_bytes() == content
    assert "an earlier checkpoint is kept as" in second[0] and not any("earlier" in line for line in first)
    assert report["test_accuracy"] <= 1 and report["parameters"] > 0

    both = [checkpoint.load(tmp_path / name) for name in ("checkpoint.npz.1", "checkpoint.npz")]
    assert_same(both[0][0], both[1][0])
    for _, meta in both:
        assert len(meta["history"]) == 2 and meta["run"]["seed"] == 0
        assert all(row.pop("seconds") > 0 for row in meta["history"])
        meta["position"].pop("seconds")
    assert both[0][1] == both[1][1]


# Stopped and resumed.


def stopped_at(made, method, call):
    """Train, with a KeyboardInterrupt in the given call of a method of the trainer."""
    original, calls = getattr(made, method), []

    def stops(*args):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args)

    setattr(made, method, stops)
    with pytest.raises(KeyboardInterrupt):
        for _ in made.epochs():
            pass


@pytest.mark.parametrize("optimiser", ("sgd", "adam"))
@pytest.mark.parametrize(
    ("method", "call", "where"),
    [("_step", 2, (0, 1)), ("_step", 6, (1, 2)), ("_row", 1, (0, 3)), ("_row", 2, (1, 3))],
    ids=["first epoch", "second epoch", "first validation", "second validation"],
)
def test_a_training_stopped_anywhere_and_resumed_ends_in_the_same_bits(
    digits, tmp_path, optimiser, method, call, where
):
    path, options = tmp_path / "checkpoint.npz", {"optimiser": optimiser, "distortion": "none"}
    wanted = trained(digits, **options)
    stopped_at(trainer(digits, path=path, **options), method, call)
    resumed = trainer(digits, path=path, resume=True, **options)
    assert (resumed.position["epoch"], resumed.position["batch"]) == where
    for _ in resumed.epochs():
        pass
    assert rows(resumed) == rows(wanted) and resumed.weights_crc() == wanted.weights_crc()
    again = trainer(digits, path=path, resume=True, **options)
    assert again.finished and again.weights_crc() == wanted.weights_crc()
    assert again.test() == resumed.test() == wanted.test()


def test_the_best_weights_come_back_with_the_checkpoint(digits, tmp_path, monkeypatch):
    scores = iter([(0.5, 0.9), (0.5, 0.1)])  # the first epoch is the better one
    monkeypatch.setattr(loop, "evaluate", lambda *args: next(scores))
    path = tmp_path / "checkpoint.npz"
    made = trainer(digits, path=path, epochs=2)
    crcs = [made.weights_crc() for _ in made.epochs()]
    assert crcs[0] != crcs[1]
    resumed = trainer(digits, path=path, resume=True, epochs=2)
    assert resumed.weights_crc() == crcs[1]
    monkeypatch.undo()
    resumed.test()
    assert resumed.weights_crc() == crcs[0]


def test_the_state_of_dropout_comes_back_with_the_checkpoint(digits, tmp_path, nets_with_dropout):
    path = tmp_path / "checkpoint.npz"
    wanted = trained(digits)
    stopped_at(trainer(digits, path=path), "_step", 6)
    assert trained(digits, path=path, resume=True).weights_crc() == wanted.weights_crc()


KILLS = {  # what replaces a function in the child, so that it dies in that very moment; epochs that are safe by then
    "in the fifth epoch": (
        "step, calls = Adam.step, iter(range(4 * 4)); Adam.step = lambda adam: step(adam) if more(calls) else die()",
        4,
    ),
    "halfway through a save": (
        "savez, calls = np.savez, iter(range(2));"
        "np.savez = lambda file, **arrays: savez(file, **arrays) if more(calls) else half(file)",
        2,
    ),
    "before the rename": (
        "replace, calls = os.replace, iter(range(1));"  # kept machine code is renamed, too
        "os.replace = lambda a, b: replace(a, b) if not str(b).endswith('.npz') or more(calls) else die()",
        1,
    ),
}
DYING = """
import os, signal, sys, numpy as np
from stn_ref import cli
from stn_ref.nn import Adam
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
half = lambda file: (file.write(b"PK half"), file.flush(), die())
more = lambda calls: next(calls, None) is not None
{}
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(("kill", "done"), KILLS.values(), ids=KILLS.keys())
def test_kill_9_and_resume_from_the_command_line(tmp_path, capsys, kill, done):
    options = ["train", "--model", "st-fcn-affine", "--distortion", "none", "--epochs", "6", "--batch-size", "20"]
    options += ["--n-train", "80", "--n-val", "20", "--n-test", "20", "--json", "-", "--out"]
    child = [sys.executable, "-c", DYING.format(kill), *options, str(tmp_path / "killed")]
    killed = subprocess.run(child, capture_output=True, text=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert cli.main([*options, str(tmp_path / "killed"), "--resume"]) == 0
    resumed = capsys.readouterr()
    assert f"continuing {tmp_path / 'killed' / 'checkpoint.npz'} after epoch {done}\n" in resumed.err
    assert cli.main([*options, str(tmp_path / "whole")]) == 0
    a, b = json.loads(capsys.readouterr().out), json.loads(resumed.out)
    assert a["weights_crc32"] == b["weights_crc32"] and a["test_loss"] == b["test_loss"]
    first, second = (checkpoint.load(tmp_path / name / "checkpoint.npz")[0] for name in ("whole", "killed"))
    assert_same(second, first)
    assert os.listdir(tmp_path / "killed") == ["checkpoint.npz"]  # and nothing of what was half written
