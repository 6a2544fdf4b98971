"""Dropout, weight decay, early stopping and a consistency loss, alone and together, with 1,000 training digits.

Reads: cell.py, ../../training/consistency.py. Read next: run.py.

Articles recommend these regularisers for spatial transformers. The paper uses none of them, as far as known. There is
therefore no number to compare with and no `paper` scale, and every choice here is ours. A net that sees each digit
with a new rotation in each epoch hardly overfits. Here each of the 1,000 training digits is rotated once (R) and stays
the same in all epochs, so every net memorises them. `fresh-distortions` is the control: the same digits with new
rotations in each epoch, without a regulariser.

Two regularisers need more than the others. Early stopping needs validation digits, here 1,000, as many as there are
training digits; then the best epoch is tested, and without it the last. The consistency loss moves every digit in each
step, without use of its label. It thus sees distortions that the others do not see, and its gain must be compared with
that of `fresh-distortions`. A CNN has no transformer, so its `together` has the first three only.

The factors were chosen on 1,000 validation digits of seed 100, which is not reported: weight decay among 0.001 and
0.01, consistency among 0.2, 1 and 5 (13.3, 12.4 and 14.3 % error, with a standard error of one point). Dropout has its
usual value. All nets are trained with Adam, a warm-up and a cosine schedule, as in Table 1.
"""

from dataclasses import dataclass, replace
from functools import partial

from stn_ref import data, models
from stn_ref.lab.experiments.cell import Cell, training_cell
from stn_ref.lab.experiments.table1 import digits
from stn_ref.lab.results.summary import aligned, over_seeds
from stn_ref.nn import Sequential
from stn_ref.training import Config, evaluate
from stn_ref.training.consistency import Consistent, draw_similarities, seen_through

TITLE = "Regularisers, alone and together: a CNN and an ST-CNN that learn 1,000 rotated digits by heart"
DATA = "mnist"
NO_PAPER = "the paper has no such experiment"
NETS = ("cnn", "st-cnn-affine")
DISTORTION = "R"

SIZES = {
    "smoke": {"n_train": 100, "n_val": 50, "n_test": 50},
    "small": {"n_train": 1_000, "n_val": 1_000, "n_test": 10_000},
}
RECIPES = {
    "smoke": {"epochs": 2, "batch_size": 50},
    "small": {"epochs": 40, "batch_size": 32},
}
EACH = {
    "dropout": {"dropout": 0.5},
    "weight-decay": {"weight_decay": 1e-2},
    "early-stopping": {"patience": 10},
    "consistency": {"consistency": 1.0},
}
TOGETHER = {name: value for switches in EACH.values() for name, value in switches.items()}
FRESH = "fresh-distortions"
ROWS = {"none": {}, **EACH, "together": TOGETHER, FRESH: {}}


@dataclass(frozen=True)
class OnceDistorted(data.DistortedDigits):
    """A Source of digits that are distorted once and stay the same in every epoch."""

    @property
    def name(self) -> str:
        """The name of the data set, with the note that each digit is distorted once."""
        return f"{self.dataset.name}, each distorted once"

    def batches(self, batch_size: int, seed: int, epoch: int, *, start: int = 0):
        """Iterate over an epoch from batch `start` on: (U (B, 1, S, S), labels (B,))."""
        images, labels = self.dataset.train_images, self.dataset.train_labels
        pose = data.draw_pose(len(images), self.kind, data.stream(seed, "distortion"))
        for batch in data.batches(len(labels), batch_size, seed=seed, epoch=epoch, start=start):
            U = data.to_float(images[batch])
            yield data.apply_pose(U, pose[batch], self.kind, patches_from=images), labels[batch]


def cells(scale: str, seed: int, data_dir: str | None) -> list[Cell]:
    """Return the 13 cells of one seed, one for each net and row; a CNN has no row for the consistency loss."""
    dataset = digits(data_dir, seed, **SIZES[scale])
    unvalidated = replace(dataset, val_images=dataset.val_images[:0], val_labels=dataset.val_labels[:0])
    found = []
    for net in NETS:
        for row, switches in ROWS.items():
            if net == "cnn":
                switches = {name: value for name, value in switches.items() if name != "consistency"}
                if not switches and row not in ("none", FRESH):
                    continue
            config = Config(model=net, distortion=DISTORTION, seed=seed, **RECIPES[scale], **switches)
            kind = data.DistortedDigits if row == FRESH else OnceDistorted
            source = kind(dataset if config.patience else unvalidated, DISTORTION)
            cell = training_cell(f"{net}/{row}", config, source, measure=partial(measured, seed=seed))
            found.append(replace(cell, data=dataset.name))
    return found


def measured(net: Sequential, source: data.DistortedDigits, seed: int) -> dict[str, float]:
    """Return the training error in % on the digits of the first epoch, and the inconsistency of a transformer."""
    _, accuracy = evaluate(net, *next(source.batches(source.size("train"), seed, 0)))
    found = {"train_error_percent": round(100 * (1 - accuracy), 10)}
    if models.transformer_of(net):
        found["inconsistency_percent"] = 100 * inconsistency(net, source, seed)
    return found


def inconsistency(net: Sequential, source: data.Source, seed: int) -> float:
    """Return the consistency loss of 1,000 test digits, for a net that begins with a transformer.

    It is 0 if the transformer follows every movement of a digit, and 0.13 if it always returns its input unchanged.
    """
    images = source.fixed("test", seed)[0][:1000]
    a = draw_similarities(len(images), images.shape[2:], data.stream(seed, "consistency"))
    _, found = Consistent(net).eval().forward(images, seen_through(images, a), a)
    net.train()
    return found.item()


def table(results: list[dict]) -> list[str]:
    """Return the table of training errors, test errors and inconsistency (mean and standard deviation over seeds)."""
    columns = {"train": "train_error_percent", "test": "test_error_percent", "inconsistency": "inconsistency_percent"}
    found = {title: over_seeds(results, key) for title, key in columns.items()}
    heads = [(net, title) for net in NETS for title in columns if (net, title) != ("cnn", "inconsistency")]
    rows = [("%", *(f"{net} {title}" for net, title in heads))]
    rows += [(row, *(str(found[title].get(f"{net}/{row}", "-")) for net, title in heads)) for row in ROWS]
    return aligned(rows)
