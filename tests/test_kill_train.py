"""`train` in its own processes: killed at random moments it ends in the same bits; two never use one checkpoint."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from stn_ref.cli import main
from stn_ref.training import checkpoint

pytest.importorskip("fcntl")  # locks

EPOCHS = 12
COMMAND = ["train", "--model", "st-fcn-affine", "--distortion", "none", "--epochs", str(EPOCHS), "--batch-size", "20"]
COMMAND += ["--n-train", "80", "--n-val", "20", "--n-test", "20", "--lr", "0.01", "--threads", "1"]
CHILD = """
import sys
from stn_ref import cli
from stn_ref.training import loop
loop.Trainer.__init__.__kwdefaults__["save_seconds"] = 0  # a checkpoint after each step
sys.exit(cli.main(sys.argv[1:]))
"""


def child(out, *more):
    command = [sys.executable, "-c", CHILD, *COMMAND, "--out", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(out, capsys):
    """Resume here; return (crc of the last weights, loss on the test images, arrays of the checkpoint, lines)."""
    capsys.readouterr()
    assert main([*COMMAND, "--out", str(out), "--resume", "--json", "-"]) == 0
    shown = capsys.readouterr()
    report, (arrays, _) = json.loads(shown.out), checkpoint.load(out / "checkpoint.npz")
    assert os.listdir(out) == ["checkpoint.npz"]  # no lock and no part file
    return report["weights_crc32"], report["test_loss"], arrays, shown.err


def read_lines(running, count):
    for _ in range(count):
        running.stderr.readline()


def test_kill_9_at_random_moments_again_and_again(tmp_path, capsys, request):
    *wanted, arrays, _ = finish(tmp_path / "undisturbed", capsys)
    moments, kills = random.Random(1), 0
    while kills < request.config.getoption("--kills"):
        out, killed = tmp_path / str(kills), 0
        for _ in range(4):
            running = child(out, "--resume")
            read_lines(running, moments.randrange(2, 5))
            time.sleep(moments.random() * 0.05)
            running.kill()
            running.communicate(timeout=300)
            killed += running.returncode == -signal.SIGKILL
            if (out / "checkpoint.npz").exists():
                checkpoint.load(out / "checkpoint.npz")
        *found, resumed, lines = finish(out, capsys)
        assert found == wanted and resumed.keys() == arrays.keys(), lines
        assert all(np.array_equal(resumed[name], array) for name, array in arrays.items())
        assert killed
        kills += killed


def test_of_two_at_once_one_works_and_the_other_says_why_not(tmp_path, capsys):
    first = child(tmp_path)
    read_lines(first, 2)  # the first epoch is done
    for more in ((), ("--resume",)):
        assert main([*COMMAND, "--out", str(tmp_path), *more]) == 2
        assert capsys.readouterr().err == (
            f"stn-ref train: error: another process is training into {tmp_path}; wait for its end, or choose another "
            "--out\n"
        )
    _, lines = first.communicate(timeout=300)
    assert first.returncode == 0 and f"epoch {EPOCHS}: " in lines and os.listdir(tmp_path) == ["checkpoint.npz"]


def test_a_place_that_cannot_be_written_is_found_before_the_first_epoch(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("stn_ref.training.loop.Trainer.epochs", lambda trainer: pytest.fail("the training has begun"))
    (tmp_path / "checkpoint.npz").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / ".checkpoint.npz.lock")
    for out, more, error in (
        (tmp_path, ["--resume"], "is a directory, expected a checkpoint file"),
        (tmp_path / "file", [], "is not a directory, but the checkpoint should be written to it"),
        (tmp_path / "file" / "x", [], "[Errno 20] Not a directory"),
        (tmp_path / "pipe", [], "[Errno 6] No such device or address"),
    ):
        assert main([*COMMAND, "--out", str(out), *more]) == 2
        shown = capsys.readouterr().err
        assert error in shown and shown.count("\n") == 1


def test_an_error_of_the_training_is_shown_and_not_that_of_cleaning_up(tmp_path, monkeypatch, capsys):
    import shutil

    def fails(trainer):
        shutil.rmtree(tmp_path / "x")  # lock and checkpoint cannot be removed any more
        raise OSError(28, "No space left on device", "what went wrong")

    monkeypatch.setattr("stn_ref.training.loop.Trainer.epochs", fails)
    assert main([*COMMAND, "--out", str(tmp_path / "x")]) == 2
    assert "No space left on device: 'what went wrong'" in capsys.readouterr().err
