"""One training from start to report: what `stn-ref train` does."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from stn_ref import checks, data
from stn_ref.training import checkpoint
from stn_ref.training.loop import Config, Trainer

SIZES = {"mnist": (55_000, 5_000, 10_000), "procedural": (10_000, 1_000, 2_000)}  # train, validation, test


def run(
    config: Config,
    *,
    data_dir: str | os.PathLike | None = None,
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    out: str | os.PathLike | None = None,
    resume: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict:
    """Train one model, keep its checkpoint, test the best weights.

    Args:
        config: what to train, and how.
        data_dir: MNIST's directory; None: procedural digits.
        n_train: training images; default 55,000 of MNIST, 10,000 procedural ones.
        n_val: validation images; default 5,000 or 1,000.
        n_test: test images; default 10,000 or 2,000.
        out: directory of checkpoint.npz; default runs/MODEL-DISTORTION-DATA-seedSEED.
        resume: continue the checkpoint in `out`, bit for bit as if it had never stopped.
        progress: show a bar on standard error.
        say: called with one line an epoch.

    Returns:
        A report for JSON: config, data, parameters, history, test_accuracy, weights_crc32, ...

    Raises:
        CheckpointError: `resume`, and the checkpoint is damaged or of another run.
        DamagedFileError, FileNotFoundError, NotADirectoryError: the data cannot be read.
        DivergedError: the loss is no longer a number.
    """
    name = "procedural" if data_dir is None else "mnist"
    n_train, n_val, n_test = (
        default if size is None else checks.integer("size", size)
        for size, default in zip((n_train, n_val, n_test), SIZES[name], strict=True)
    )
    out = Path(out or f"runs/{config.model}-{config.distortion}-{name}-seed{config.seed}")
    path = out / "checkpoint.npz"
    dataset = data.load(data_dir, n_train=n_train, n_val=n_val, n_test=n_test, seed=config.seed)
    trainer = Trainer(config, dataset, path=path, resume=resume, progress=progress)
    if resume:
        done = len(trainer.history.epochs)
        say(f"continuing {path} after epoch {done}" if path.exists() else f"nothing to resume in {path}: starting")
    elif old := checkpoint.set_aside(path):
        say(f"an earlier checkpoint is kept as {old}")
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    parameters = sum(param.value.size for param in trainer.net.params())
    say(f"{config.model} on {config.distortion}: {parameters:,} parameters, {n_train:,} {name} digits")
    for row in trainer.epochs():
        val = "" if row.val_accuracy is None else f", validation accuracy {row.val_accuracy:.2%}"
        say(
            f"epoch {row.epoch}: loss {row.train_loss:.4f}, accuracy {row.train_accuracy:.2%}{val}, {row.seconds:.1f} s"
        )
    test_loss, test_accuracy = trainer.test()
    say(f"test accuracy {test_accuracy:.2%} with the weights of epoch {trainer.history.best.epoch}; {path}")
    return {
        "config": asdict(config),
        "data": {"name": name, "n_train": n_train, "n_val": n_val, "n_test": n_test, "crc32": dataset.fingerprint},
        "parameters": parameters,
        "history": trainer.history.to_list(),
        "best_epoch": trainer.history.best.epoch,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
        "test_error_percent": 100 * (1 - test_accuracy),
        "weights_crc32": trainer.weights_crc(),
        "seconds": time.monotonic() - began,
        "checkpoint": str(path),
    }
