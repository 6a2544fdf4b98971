"""A cell: one number of an experiment, computed separately, and all settings that determine it.

Reads: ../results/store.py, ../../training/. Read next: table1.py, run.py.
"""

import datetime
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

from stn_ref import data, files
from stn_ref.kernels.cpu import threads
from stn_ref.lab.machine_report import processor, versions
from stn_ref.lab.results import store
from stn_ref.lab.results.summary import duration
from stn_ref.nn import Layer
from stn_ref.training import CheckpointError, Recipe, Trainer, checkpoint

VERSIONS = ("stn_ref", "python", "numpy", "scipy", "numba")


@dataclass(frozen=True)
class Cell:
    """One number of an experiment.

    Attributes:
        name: the name within the experiment, for example "st-cnn-affine/R".
        seed: the seed of all random numbers.
        data: the name of the data, for the name of the file.
        configuration: all other settings that determine the result, in JSON types. A stored result belongs to this
            cell if the two configurations are equal.
        compute: (path of a checkpoint, whether to show a bar, note) -> {"result": {...}, ...}, which is stored.
    """

    name: str
    seed: int
    data: str
    configuration: dict
    compute: Callable[[Path, bool, Callable[[str], None]], dict] = field(repr=False)

    def path(self, out: Path, experiment: str, scale: str) -> Path:
        """Return the path of the result in the folder `out`."""
        return out / f"{store.file_name(experiment, scale, self.data, self.name, f'seed{self.seed}')}.json"

    def known(self, path: Path, experiment: str, scale: str) -> dict | None:
        """Return the result at `path`, None if there is no file.

        Raises:
            ResultError: the file is damaged, or of another cell or configuration.
        """
        if not path.exists():
            return None
        result = store.read(path)
        for key, wanted in self._named(experiment, scale).items():
            if result[key] != wanted:
                raise store.ResultError(
                    f"{path} is of another cell: its {key} is {result[key]!r}, not {wanted!r}; move it away"
                )
        if why := store.difference(result["configuration"], self.configuration):
            raise store.ResultError(
                f"{path} is of another configuration: its {why}; "
                f"--only {self.name} --again replaces it, another --out keeps it"
            )
        return result

    def run(
        self,
        path: Path,
        experiment: str,
        scale: str,
        *,
        weights: Path | None = None,
        progress: bool = False,
        note: Callable[[str], None] = print,
    ) -> dict:
        """Compute the cell, write the result to `path`, and return it.

        With a folder `weights`, the best weights of the trained net are written there, to a file of the same name.

        Raises:
            DivergedError: a training diverged.
            ResultError: the existing checkpoint is damaged, or of another configuration.
            OSError: the result or a checkpoint cannot be written.
        """
        began, started = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
        half_done = store.half_done(path)
        try:
            computed = self.compute(half_done, progress, note)
        except CheckpointError as error:
            raise store.ResultError(f"{error}; move it away, and the cell starts over") from None
        if weights is not None and half_done.exists():
            keep_weights(half_done, weights / f"{path.stem}.npz")
        known = versions()
        result = {
            **self._named(experiment, scale),
            "configuration": self.configuration,
            **computed,
            "versions": {name: known[name] for name in VERSIONS},
            "machine": f"{processor()}, {os.cpu_count()} cores, {threads.get_num_threads()} used",
            "date": started.strftime("%Y-%m-%d %H:%M UTC"),
            "seconds": round(time.monotonic() - began, 1),
        }
        written = store.write(path, result)
        half_done.unlink(missing_ok=True)
        return written

    def _named(self, experiment: str, scale: str) -> dict:
        return {"experiment": experiment, "scale": scale, "cell": self.name, "seed": self.seed, "data": self.data}


def keep_weights(path: Path, to: Path) -> None:
    """Write the best weights of the checkpoint `path` to the npz file `to`: an array for each name of a parameter."""
    arrays, _ = checkpoint.load(path)
    best = {name.removeprefix("best/"): value for name, value in arrays.items() if name.startswith("best/")}
    with files.replacing(to) as file:
        np.savez_compressed(file, **best)


def training_cell(
    name: str,
    recipe: Recipe,
    source: data.Source,
    *,
    build: Callable[..., Layer] | None = None,
    measure: Callable[[Layer, data.Source], dict] = lambda net, source: {},
    **settings,
) -> Cell:
    """Return a cell that trains a net and tests the best weights.

    Args:
        name: the name of the cell.
        recipe: how to train, and the seed.
        source: the training data.
        build: (rng of the weights, localisation_lr_scale=...) -> the net; default: the model that the recipe, a Config,
            names.
        measure: (net with the best weights, source) -> more entries of the result.
        settings: more entries of the configuration. `watched` also names the validation images in progress lines.
    """
    sizes = {f"n_{part}": source.size(part) for part in ("train", "val", "test")}
    about = {"data": source.name, **sizes, "data_crc32": source.fingerprint}

    def compute(path: Path, progress: bool, note: Callable[[str], None]) -> dict:
        rng = data.stream(recipe.seed, "weights")
        net = build and build(rng, localisation_lr_scale=recipe.localisation_lr_scale)
        trainer = Trainer(recipe, source, net=net, path=path, resume=True, progress=progress)
        if done := len(trainer.history.epochs):
            note(f"  continuing after epoch {done}")
        for row in trainer.epochs():
            error = None if row.val_accuracy is None else 100 * (1 - row.val_accuracy)
            val = "" if error is None else f", {settings.get('watched', 'validation')} error {error:.2f} %"
            left = fmean(row.seconds for row in trainer.history.epochs) * (recipe.epochs - row.epoch)
            left = f", {duration(left)} left" if left else ""
            note(f"  epoch {row.epoch}/{recipe.epochs}: loss {row.train_loss:.4f}{val}, {row.seconds:.0f} s{left}")
        _, accuracy = trainer.test()
        return {
            "result": {
                "test_error_percent": None if accuracy is None else round(100 * (1 - accuracy), 10),
                "n_test": source.size("test"),
                "parameters": sum(param.value.size for param in trainer.net.params()),
                "best_epoch": trainer.history.best.epoch,
                "training_seconds": round(sum(row.seconds for row in trainer.history.epochs), 1),
                "weights_crc32": trainer.weights_crc(),
                **measure(trainer.net, source),
            },
            "history": trainer.history.to_list(),
        }

    return Cell(name, recipe.seed, source.name, {**settings, **asdict(recipe), **about}, compute)
