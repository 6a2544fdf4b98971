"""Checkpoints: whole or refused; a training killed at any moment and resumed ends in the same bits."""

import json
import os
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


def test_the_state_of_dropout_comes_back_with_the_checkpoint(digits, tmp_path, monkeypatch):
    build = models.build

    def with_dropout(*args, **options):
        net = build(*args, **options)
        net.layers.insert(-1, Dropout(0.5, np.random.default_rng(7)))
        return net

    monkeypatch.setattr(models, "build", with_dropout)
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
