"""Training: bit-identical by seed, whatever the threads; resumable after a kill at any moment."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from stn_ref import data
from stn_ref.kernels import threads
from stn_ref.training import CheckpointError, Config, DivergedError, History, Trainer, checkpoint, evaluate
from stn_ref.training.history import Epoch
from stn_ref.training.run import run

SMALL = {"n_train": 96, "n_val": 32, "n_test": 32}


@pytest.fixture(scope="module")
def digits():
    return data.load(**SMALL, seed=0)


def config(**changes):
    return Config(**{"model": "st-fcn-affine", "epochs": 3, "batch_size": 32, "lr": 0.02} | changes)


def train(trainer):
    for _ in trainer.epochs():
        pass
    return trainer


def test_the_loss_falls(digits):
    rows = train(Trainer(config(model="cnn", distortion="none", epochs=8, lr=0.05), digits)).history.epochs
    assert rows[-1].train_loss < 0.5 * rows[0].train_loss
    assert [row.epoch for row in rows] == list(range(1, 9))


@pytest.mark.parametrize("model", ("st-cnn-affine", "fcn"))
def test_the_same_seed_gives_the_same_bits_whatever_the_threads(digits, model):
    before, crcs = threads.get_num_threads(), []
    try:
        for n in (1, 2, 3):
            threads.set_num_threads(n)
            crcs.append(train(Trainer(config(model=model, distortion="TC", epochs=1), digits)).weights_crc())
    finally:
        threads.set_num_threads(before)
    assert len(set(crcs)) == 1
    assert train(Trainer(config(model=model, distortion="TC", epochs=1, seed=1), digits)).weights_crc() != crcs[0]


@pytest.mark.parametrize("optimizer", ("sgd", "adam"))
def test_a_training_stopped_within_an_epoch_and_resumed_ends_in_the_same_bits(digits, tmp_path, optimizer):
    wanted = train(Trainer(config(optimizer=optimizer), digits))
    path = tmp_path / "checkpoint.npz"
    stopped = Trainer(config(optimizer=optimizer), digits, path=path, save_seconds=0)
    epochs = stopped.epochs()
    next(epochs)
    step, calls = stopped._step, []

    def fails_at_the_third(U, y):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(U, y)

    stopped._step = fails_at_the_third
    with pytest.raises(KeyboardInterrupt):
        next(epochs)
    resumed = Trainer(config(optimizer=optimizer), digits, path=path, resume=True)
    assert resumed.position["epoch"] == 1 and resumed.position["batch"] == 2
    train(resumed)
    assert resumed.weights_crc() == wanted.weights_crc()
    assert [r.train_loss for r in resumed.history.epochs] == [r.train_loss for r in wanted.history.epochs]
    assert resumed.test() == wanted.test()
    assert train(Trainer(config(optimizer=optimizer), digits, path=path, resume=True)).test() == wanted.test()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kill_9_and_resume_from_the_command_line(tmp_path):
    def command(out, *more):
        sizes = [f"--n-{part}={n}" for part, n in (("train", 600), ("val", 50), ("test", 50))]
        options = ["--model", "st-fcn-affine", "--epochs", "6", "--batch-size", "20", "--json", "-"]
        return [sys.executable, "-m", "stn_ref", "train", *options, *sizes, "--out", str(out), *more]

    whole = subprocess.run(command(tmp_path / "whole"), capture_output=True, text=True, check=True)
    killed = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    path = tmp_path / "killed" / "checkpoint.npz"
    while not path.exists() and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    resumed = subprocess.run(command(tmp_path / "killed", "--resume"), capture_output=True, text=True, check=True)
    a, b = json.loads(whole.stdout), json.loads(resumed.stdout)
    assert a["weights_crc32"] == b["weights_crc32"] and a["test_loss"] == b["test_loss"]
    first, second = (checkpoint.load(tmp_path / name / "checkpoint.npz")[0] for name in ("whole", "killed"))
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_patience_stops_early_and_the_best_weights_are_tested(digits):
    trainer = Trainer(config(epochs=50, lr=0.0, schedule="constant", patience=2), digits)
    train(trainer)
    assert len(trainer.history.epochs) == 3  # nothing improves after the first
    best = Trainer(config(epochs=2, lr=0.02), digits)
    train(best)
    best.history.epochs[0].val_accuracy = 2.0
    kept = best.best
    best.test()
    for name, param in best.params.items():
        np.testing.assert_array_equal(param.value, kept[name])


def test_best_is_the_highest_accuracy_then_the_lowest_loss():
    rows = [(0.5, 0.2), (0.9, 0.4), (0.9, 0.3), (0.8, 0.1)]
    history = History()
    assert [history.append(Epoch(k + 1, 1, 1, 1, loss, acc, 1)) for k, (acc, loss) in enumerate(rows)] == [
        True,
        True,
        True,
        False,
    ]
    assert history.best.epoch == 3 and history.stale() == 1
    assert History.from_list(json.loads(json.dumps(history.to_list()))) == history


def test_without_validation_the_last_weights_are_the_best():
    dataset = data.load(n_train=64, n_val=0, n_test=16)
    trainer = train(Trainer(config(epochs=2), dataset))
    assert trainer.history.best.epoch == 2 and trainer.history.best.val_loss is None


def test_evaluate_weighs_a_short_batch_as_what_it_is(digits):
    net = Trainer(config(model="fcn", distortion="none"), digits).net
    images = digits.test_images.astype(np.float32) / 255
    whole, parts = evaluate(net, images, digits.test_labels), evaluate(net, images, digits.test_labels, batch_size=5)
    assert whole == pytest.approx(parts, rel=1e-6)
    assert net.training


def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_checkpoint(digits, tmp_path):
    path = tmp_path / "checkpoint.npz"
    trainer = Trainer(config(), digits, path=path)
    epochs = trainer.epochs()
    next(epochs)
    trainer.params["layers.2.W"].value[...] = np.nan
    with pytest.raises(DivergedError, match="the loss is nan in epoch 2, batch 1"), np.errstate(invalid="ignore"):
        next(epochs)
    assert len(Trainer(config(), digits, path=path, resume=True).history.epochs) == 1


# Checkpoints.


def saved(path):
    checkpoint.save(path, {"param/W": np.arange(6.0)}, {"x": 0.1})
    return path


def test_a_checkpoint_returns_every_bit(tmp_path):
    arrays, meta = checkpoint.load(saved(tmp_path / "c.npz"))
    assert meta == {"x": 0.1} and arrays["param/W"].tobytes() == np.arange(6.0).tobytes()
    assert os.listdir(tmp_path) == ["c.npz"]


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = saved(tmp_path / "c.npz")
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", lambda file, **arrays: (file.write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        checkpoint.save(path, {}, {})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["c.npz"]


@pytest.mark.parametrize("damage", ("truncated", "flipped", "empty", "text", "npy", "foreign", "pickle", "directory"))
def test_a_damaged_or_foreign_checkpoint_is_named(tmp_path, damage):
    path = saved(tmp_path / "c.npz")
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        at = content.index(np.arange(6.0).tobytes()[8:])
        content[at] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
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


def test_a_checkpoint_of_another_run_is_refused_and_says_why(digits, tmp_path):
    path = tmp_path / "checkpoint.npz"
    train(Trainer(config(epochs=1), digits, path=path))
    with pytest.raises(CheckpointError, match=r"is of another run: its lr is 0\.02, not 0\.03"):
        Trainer(config(epochs=1, lr=0.03), digits, path=path, resume=True)
    with pytest.raises(CheckpointError, match="its fingerprint is"):
        Trainer(config(epochs=1), data.load(**SMALL, seed=5), path=path, resume=True)


def test_a_second_run_sets_the_first_checkpoint_aside(tmp_path):
    options = {"out": tmp_path, "progress": False, **SMALL}
    first, second = [], []
    report = run(config(epochs=1), say=first.append, **options)
    content = (tmp_path / "checkpoint.npz").read_bytes()
    run(config(epochs=1), say=second.append, **options)
    assert (tmp_path / "checkpoint.npz.1").read_bytes() == content
    assert "an earlier checkpoint is kept as" in second[0] and not any("earlier" in line for line in first)
    assert report["test_accuracy"] <= 1 and report["parameters"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "x"}, "model must be one of"),
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"lr": float("nan")}, "lr must lie in"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_a_bad_configuration_is_refused_before_anything_is_done(change, message):
    with pytest.raises(ValueError, match=message):
        config(**change)
