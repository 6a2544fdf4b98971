"""Table 1: the error of nets with and without a transformer on distorted MNIST, and the cluttered 60 x 60 beside it.

Reads: cell.py. Read next: run.py.

`paper` is the paper's schedule: SGD, batches of 256, 150,000 steps at 0.01, a tenth of it after each 50,000; nothing is
known of its momentum (none is taken). `small` wants the same errors from a fraction of its 38 million samples, so it
has Adam with a warm-up and a cosine; 55,000 digits train, 5,000 choose the best epoch. Each column has as many epochs
as it takes the ST-CNN to come near the paper, and all nets of a column have the same.
"""

import functools

from stn_ref import data
from stn_ref.experiments.cell import Cell, described, trained
from stn_ref.experiments.summary import aligned, over_seeds
from stn_ref.training import Config

TITLE = "Table 1: test error on distorted MNIST, 8 nets on R, RTS, P, E, and 4 nets on TC"
DATA = "mnist"
COLUMNS = ("R", "RTS", "P", "E", "TC")
NETS = ("fcn", "cnn", *(f"st-{net}-{family}" for net in ("fcn", "cnn") for family in ("affine", "projective", "tps")))
ON_TC = ("fcn", "cnn", "st-fcn-affine", "st-cnn-affine")

PAPER = {  # test error in %, at least two independent sources for each; TC is the paper's text, not its Table 1
    "fcn": {"R": 2.1, "RTS": 5.2, "P": 3.1, "E": 3.2, "TC": 13.2},
    "cnn": {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 1.4, "TC": 3.5},
    "st-fcn-affine": {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 2.7, "TC": 2.0},
    "st-fcn-projective": {"R": 1.3, "RTS": 0.9, "P": 1.4, "E": 2.6},
    "st-fcn-tps": {"R": 1.1, "RTS": 0.8, "P": 1.4, "E": 2.4},
    "st-cnn-affine": {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.2, "TC": 1.7},
    "st-cnn-projective": {"R": 0.8, "RTS": 0.6, "P": 0.8, "E": 1.3},
    "st-cnn-tps": {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.1},
}

SIZES = {
    "smoke": {"n_train": 200, "n_val": 50, "n_test": 100},
    "small": {"n_train": 55_000, "n_val": 5_000, "n_test": 10_000},
    "paper": {"n_train": 60_000, "n_val": 0, "n_test": 10_000},
}
RECIPES = {
    "smoke": {"epochs": 1, "batch_size": 50},
    "small": {"batch_size": 64, "lr": 0.004},  # and EPOCHS
    "paper": {  # 638 epochs of 235 steps: 149,930
        "epochs": 638,
        "batch_size": 256,
        "optimiser": "sgd",
        "momentum": 0.0,
        "lr": 0.01,
        "schedule": "step",
        "warmup": 0,
        "clip": 0.0,
    },
}

EPOCHS = {"R": 12, "RTS": 16, "P": 8, "E": 12, "TC": 8}  # of `small`


def cells(scale: str, seed: int, data_dir: str | None) -> list[Cell]:
    """Return the cells of one seed: 36, a net and a distortion each."""
    dataset = digits(data_dir, seed, **SIZES[scale])
    found = []
    for net in NETS:
        for kind in COLUMNS:
            if kind != "TC" or net in ON_TC:
                recipe = RECIPES[scale] | ({"epochs": EPOCHS[kind]} if scale == "small" else {})
                config = Config(model=net, distortion=kind, seed=seed, **recipe)
                source = data.DistortedDigits(dataset, kind)
                found.append(
                    Cell(
                        f"{net}/{kind}",
                        seed,
                        dataset.name,
                        described(config, source),
                        trained(config, lambda source=source: source),
                    )
                )
    return found


@functools.lru_cache(maxsize=1)
def digits(data_dir: str | None, seed: int, **sizes: int) -> data.Dataset:
    """Return data.load(...), kept for the next experiment that asks for the same."""
    return data.load(data_dir, seed=seed, **sizes)


def table(results: list[dict]) -> list[str]:
    """Return the table of test errors in %, the paper's in brackets; several seeds: mean and standard deviation."""
    found = over_seeds(results)
    rows = [("test error, % (paper)", *COLUMNS)]
    for net in NETS:
        errors = [found.get(f"{net}/{kind}", "-") for kind in COLUMNS]
        paper = [PAPER[net].get(kind) for kind in COLUMNS]
        rows.append((net, *(f"{e} ({p})" if p else "" for e, p in zip(errors, paper, strict=True))))
    return aligned(rows)
