"""Dropout, weight decay, early stopping and a consistency loss, alone and together, with 1,000 digits to learn from.

Reads: cell.py, ../training/consistency.py. Read next: run.py.

Articles recommend them to whoever trains a spatial transformer; the paper, as far as is known, uses none of them, so
there is no number to compare with, no `paper` scale, and every choice here is ours. A net that sees a digit turned anew
in each epoch hardly overfits, so here each of the 1,000 training digits is turned once (R) and stays so: every net
learns them by heart. `fresh-distortions` is the control: the same digits, turned anew in each epoch, and nothing else.

Two of them cost more than the others. Early stopping needs validation digits, here 1,000, as many as are learnt from;
it is then the best epoch that is tested, without it the last. The consistency loss moves every digit anew in each step
(without a look at the label), so it sees distortions that the others do not see; its gain, if any, has to be held
against that of `fresh-distortions`. A CNN has no transformer to be consistent: its `together` is the first three.

The factors were chosen on 1,000 validation digits of seed 100, which is not reported: weight decay among 0.001 and
0.01, consistency among 0.2, 1 and 5 (13.3, 12.4 and 14.3 % error, with a standard error of one point); dropout is the
usual one. All nets are trained with Adam, a warm-up and a cosine, as in Table 1.
"""

from dataclasses import dataclass, replace
from functools import partial

from stn_ref import data, models
from stn_ref.lab.experiments.cell import Cell, described, trained
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
    """A Source: digits of which each is distorted once, and comes like that in every epoch."""

    @property
    def name(self) -> str:
        """The name of the data set, and what is done with it."""
        return f"{self.dataset.name}, each distorted once"

    def batches(self, batch_size: int, seed: int, epoch: int, *, start: int = 0):
        """Iterate over an epoch from batch `start` on: (U (B, 1, S, S), labels (B,))."""
        images, labels = self.dataset.train_images, self.dataset.train_labels
        U = data.distort(data.to_float(images), self.kind, data.stream(seed, "distortion")).images
        which = data.batches(len(labels), batch_size, seed=seed, epoch=epoch, start=start)
        return ((U[batch], labels[batch]) for batch in which)


def cells(scale: str, seed: int, data_dir: str | None) -> list[Cell]:
    """Return the cells of one seed: 13, a net and a row each; a CNN has no transformer to be consistent."""
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
            compute = trained(config, lambda source=source: source, measure=partial(measured, seed=seed))
            found.append(Cell(f"{net}/{row}", seed, dataset.name, described(config, source), compute))
    return found


def measured(net: Sequential, source: data.DistortedDigits, seed: int) -> dict[str, float]:
    """Return the training error in %, of digits as they were in the first epoch, and a transformer's inconsistency."""
    _, accuracy = evaluate(net, *next(source.batches(source.size("train"), seed, 0)))
    found = {"train_error_percent": round(100 * (1 - accuracy), 10)}
    if models.transformer_of(net):
        found["inconsistency_percent"] = 100 * inconsistency(net, source, seed)
    return found


def inconsistency(net: Sequential, source: data.Source, seed: int) -> float:
    """Return the consistency loss of 1,000 test digits: 0 where the transformer follows every movement of a digit.

    One that passes its image on, whatever it sees, has 0.13.

    Args:
        net: begins with a transformer.
        source: whose test digits are looked at.
        seed: of the movements.
    """
    images = source.fixed("test", seed)[0][:1000]
    a = draw_similarities(len(images), images.shape[2:], data.stream(seed, "consistency"))
    _, found = Consistent(net).eval().forward(images, seen_through(images, a), a)
    net.train()
    return found.item()


def table(results: list[dict]) -> list[str]:
    """Return the table of training and test errors and `inconsistency`; several seeds: mean and standard deviation."""
    columns = {"train": "train_error_percent", "test": "test_error_percent", "inconsistency": "inconsistency_percent"}
    found = {title: over_seeds(results, key) for title, key in columns.items()}
    heads = [(net, title) for net in NETS for title in columns if (net, title) != ("cnn", "inconsistency")]
    rows = [("%", *(f"{net} {title}" for net, title in heads))]
    rows += [(row, *(str(found[title].get(f"{net}/{row}", "-")) for net, title in heads)) for row in ROWS]
    return aligned(rows)
