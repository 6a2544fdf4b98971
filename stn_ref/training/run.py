"""Run one training from start to report, for `stn-ref train`."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from stn_ref import data, files
from stn_ref.training.config import Config
from stn_ref.training.loop import Trainer


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
    note: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> dict:
    """Train one model, keep its checkpoint, test the best weights.

    Args:
        config: what to train, and how.
        data_dir: MNIST's directory; None: procedural digits.
        n_train, n_val, n_test: numbers of images; None: the default of data.load.
        out: directory of checkpoint.npz; default runs/MODEL-DISTORTION-DATA-seedSEED.
        resume: continue from the checkpoint in `out`; the result has the same bits as without the interruption.
        progress: show a bar on standard error.
        note: called with lines of progress, one per epoch.
        say: called with the result.

    Returns:
        A report for JSON: config, data, parameters, history, test_accuracy, weights_crc32, ...

    Raises:
        CheckpointError: `resume` is set, and the checkpoint is damaged or belongs to another run.
        BlockingIOError: another process is training into `out`.
        OSError: the checkpoint cannot be written, which is found out before the first epoch.
        DamagedFileError, FileNotFoundError, NotADirectoryError: the data cannot be read.
        DivergedError: the loss is NaN or infinite.
    """
    name = "procedural" if data_dir is None else "mnist"
    out = Path(out if out is not None else f"runs/{config.model}-{config.distortion}-{name}-seed{config.seed}")
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is not a directory, but the checkpoint should be written to it")
    path = out / "checkpoint.npz"
    dataset = data.load(data_dir, n_train=n_train, n_val=n_val, n_test=n_test, seed=config.seed)
    trainer = Trainer(config, dataset, path=path, progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    with files.claimed(path) as mine:
        if not mine:
            raise BlockingIOError(f"another process is training into {out}; wait for its end, or choose another --out")
        if resume:
            there = trainer.resume()
            done = len(trainer.history.epochs)
            note(f"continuing {path} after epoch {done}" if there else f"nothing to resume in {path}: starting")
        elif old := files.set_aside(path):
            note(f"an earlier checkpoint is kept as {old}")
        files.expect_writable(path)
        return _report(trainer, dataset, name, note, say)


def _report(
    trainer: Trainer, dataset: data.Dataset, name: str, note: Callable[[str], None], say: Callable[[str], None]
) -> dict:
    """Train and test; return the report of `run`."""
    config, path, began = trainer.config, trainer.path, time.monotonic()
    parameters = sum(param.value.size for param in trainer.net.params())
    sizes = {f"n_{part}": len(dataset.part(part)[1]) for part in ("train", "val", "test")}
    note(f"{config.model} on {config.distortion}: {parameters:,} parameters, {sizes['n_train']:,} {name} digits")
    for row in trainer.epochs():
        val = "" if row.val_accuracy is None else f", validation accuracy {row.val_accuracy:.2%}"
        train = f"loss {row.train_loss:.4f}, accuracy {row.train_accuracy:.2%}"
        note(f"epoch {row.epoch}: {train}{val}, {row.seconds:.1f} s")
    test_loss, test_accuracy = trainer.test()
    result = "no test images" if test_accuracy is None else f"test accuracy {test_accuracy:.2%}"
    say(f"{result}; weights of epoch {trainer.history.best.epoch}; {path}")
    return {
        "config": asdict(config),
        "data": {"name": name, **sizes, "crc32": dataset.fingerprint},
        "parameters": parameters,
        "history": trainer.history.to_list(),
        "best_epoch": trainer.history.best.epoch,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
        "test_error_percent": None if test_accuracy is None else 100 * (1 - test_accuracy),
        "weights_crc32": trainer.weights_crc(),
        "seconds": time.monotonic() - began,
        "checkpoint": str(path),
    }
