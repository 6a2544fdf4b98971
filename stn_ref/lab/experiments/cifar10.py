"""CIFAR-10 behind a transformer: the net, schedule and logged accuracy of a widely copied README, and a baseline.

Reads: cell.py, ../published_numbers.py, ../../data/cifar.py. Read next: run.py.

Known from the README and the notebook beside it: the net (1,585,008 parameters, PyTorch's initial weights), SGD at
0.01 without momentum, batches of 64, 50 epochs, images normalised by the mean and standard deviation of each channel,
and the number of correct answers on the 10,000 test images after each epoch. Not known: the seed, and whether there
were several runs. The baseline is ours: `cnn` is the same net without its transformer, trained in the same way.

The test set. The README has no validation images. It evaluates the test images after each epoch, and its best number,
66.68 %, is the highest of 50 evaluations. This is not an estimate of the accuracy on new images. The accuracy varies
from epoch to epoch (the last ten: mean 65.07, standard deviation 1.23), and the highest of many values is partly
chance on these 10,000 images. `paper` follows the README for comparison: all 50,000 images train, the test images are
evaluated after each epoch, and there are three numbers. That of the last epoch is the result, because it was chosen in
advance. The mean of the last ten epochs was also chosen in advance and varies less. That of the best epoch serves only
for comparison with the README's best. `small` does not use test images for choices: the optimiser is the same, there
are 30 epochs, 45,000 images train, the other 5,000 choose the epoch, and the test images are evaluated once.

The README computed mean and standard deviation over training and test images together. This experiment uses the same
numbers: they are six numbers without labels, and none differs by 0.001 from that of the training images alone.

`small` and `paper` take about 40 and 75 minutes on two otherwise idle cores.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np

from stn_ref import data, models
from stn_ref.data import cifar
from stn_ref.lab.experiments.cell import Cell, training_cell
from stn_ref.lab.published_numbers import CIFAR10_CORRECT
from stn_ref.lab.results.summary import aligned, over_seeds, standard_error
from stn_ref.nn import Layer
from stn_ref.training import Recipe

TITLE = "CIFAR-10: a README's net with its transformer and without, beside the accuracy that it logged"
DATA = "cifar10"
NETS = ("st-cnn", "cnn")
MEAN, STD = (0.4919, 0.4827, 0.4472), (0.247, 0.2434, 0.2616)
LOGGED = tuple(correct / 100 for correct in CIFAR10_CORRECT)  # % of 10,000, epoch by epoch
LAST = 10  # number of epochs that are averaged
SIZES = {  # without validation images the test images are evaluated after each epoch
    "smoke": {"n_train": 128, "n_val": 0, "n_test": 64},
    "small": {"n_train": 45_000, "n_val": 5_000, "n_test": 10_000},
    "paper": {"n_train": 50_000, "n_val": 0, "n_test": 10_000},
}
EPOCHS = {"smoke": 2, "small": 30, "paper": 50}


@dataclass(frozen=True)
class Schedule(Recipe):
    """The README's recipe; `model` names the net in the progress bar and the checkpoints."""

    model: str = "st-cnn"
    epochs: int = 50
    batch_size: int = 64
    optimiser: str = "sgd"
    momentum: float = 0.0
    lr: float = 0.01
    schedule: str = "constant"
    warmup: int = 0
    clip: float = 0.0


def cells(scale: str, seed: int, data_dir: str | None) -> list[Cell]:
    """Return the cells of one seed: the net with its transformer and without."""
    source = images(data_dir, seed, **SIZES[scale])
    watched = "validation" if SIZES[scale]["n_val"] else "test"
    found = []
    for name in NETS:
        recipe = Schedule(model=name, epochs=EPOCHS[scale], seed=seed)
        build, measure = functools.partial(net, name), functools.partial(view, name)
        cell = training_cell(name, recipe, source, build=build, measure=measure, watched=watched)
        found.append(replace(cell, compute=_reported(cell.compute, watched)))
    return found


def net(name: str, rng: np.random.Generator, *, localisation_lr_scale: float = 1.0) -> Layer:
    """Return "st-cnn" or "cnn" with PyTorch's initial weights."""
    if name == "cnn":
        return models.cifar10_cnn(rng)
    return models.build("cifar10", 32, rng, localisation_lr_scale=localisation_lr_scale)


@functools.lru_cache(maxsize=1)
def images(data_dir: str | None, seed: int, n_train: int, n_val: int, n_test: int) -> cifar.ColourImages:
    """Return CIFAR-10 from data_dir, or as many drawn images if data_dir is None.

    The seed determines the drawing, or chooses the validation images from the training set. If n_val is 0, the test
    images also serve as validation images. Of the test images the first n_test are used.
    """
    if data_dir is None:
        U, y = cifar.draw_colour_images(n_train + n_val + n_test, data.stream(seed, "digits"))
        name, (test_U, test_y) = "procedural", (U[n_train + n_val :], y[n_train + n_val :])
    else:
        name, (U, y, test_U, test_y) = DATA, cifar.load_cifar10(data_dir)
    train, val = data.split(n_train + n_val, n_train, n_val, seed=seed) if n_val else (slice(n_train), None)
    test = test_U[:n_test], test_y[:n_test]
    return cifar.ColourImages(name, (U[train], y[train]), (U[val], y[val]) if n_val else test, test, MEAN, STD)


def view(name: str, net: Layer, source: data.Source) -> dict:
    """Return how the transformer maps the test images, an empty dict for a net without a transformer.

        A = [[theta_11, theta_12], [theta_21, theta_22]],   side = sqrt|det A|,
        angle = atan2(theta_21 - theta_12, theta_11 + theta_22),   shift = |(theta_13, theta_23)|

    Returns:
        {"view": means over the images}: `side` of the sampled area as a share of the image's side, its standard
        deviation `side_sd`, the absolute angle `angle_degrees`, and the `shift` of its centre, normalised.
    """
    if name == "cnn":
        return {}
    f_loc = models.transformer_of(net).localisation.share().eval()
    U, _ = source.fixed("test", 0)
    theta = np.concatenate([f_loc.forward(U[k : k + 256]) for k in range(0, len(U), 256)]).astype(np.float64)
    t11, t12, t13, t21, t22, t23 = theta.T
    side = np.sqrt(np.abs(t11 * t22 - t12 * t21))
    angle = np.degrees(np.arctan2(t21 - t12, t11 + t22))
    found = {"side": side.mean(), "side_sd": side.std(), "angle_degrees": np.abs(angle).mean()}
    return {"view": {key: float(value) for key, value in found.items()} | {"shift": float(np.hypot(t13, t23).mean())}}


def _reported(compute: Callable[..., dict], watched: str) -> Callable[..., dict]:
    """Return a `compute` whose result also has accuracies, as in the README.

    If the test images were watched, the result is that of the last epoch. best_epoch, weights_crc32 and view are still
    those of the best epoch on the test images, and the columns of the history are named after the test images.
    """

    def reported(*args) -> dict:
        computed = compute(*args)
        result, history = computed["result"], computed["history"]
        if watched == "test":
            history = [{key.replace("val_", "test_"): value for key, value in row.items()} for row in history]
            result |= _three([100 * row["test_accuracy"] for row in history])
            result["test_error_percent"] = round(100 - result["last_percent"], 10)
        result["test_accuracy_percent"] = round(100 - result["test_error_percent"], 10)
        return {"result": result, "history": history}

    return reported


def _three(accuracies: list[float]) -> dict:
    """Return the accuracy of the last epoch, the mean over the last ten epochs, and that of the best epoch."""
    three = {"last": accuracies[-1], "last_ten": fmean(accuracies[-LAST:]), "best": max(accuracies)}
    return {f"{name}_percent": round(value, 10) for name, value in three.items()}


def table(results: list[dict]) -> list[str]:
    """Return the table of test accuracies in % (mean and standard deviation over seeds), the README's below."""
    if results and results[0]["configuration"]["watched"] == "validation":
        epochs = results[0]["configuration"]["epochs"]
        found = {"chosen": over_seeds(results, "test_accuracy_percent")}
        heads, logged = ("epoch chosen by validation", f"epoch {epochs}"), ("-", f"{LOGGED[epochs - 1]:.2f}")
    else:
        found = {key: over_seeds(results, key) for key in _three(LOGGED)}
        heads = ("last epoch", f"last {LAST} epochs", "best epoch*")
        logged = tuple(f"{value:.2f}" for value in _three(LOGGED).values())
    drawn = any(result["data"] != DATA for result in results)
    rows = [("test accuracy of drawn images, %" if drawn else "test accuracy, %", *heads)]
    for name in NETS:
        numbers = [str(column[name]) if name in column else "-" for column in found.values()]
        rows.append((name, *numbers, *["-"] * (len(heads) - len(numbers))))
    return [*aligned([*rows, ("README's st-cnn", *logged)]), *_words(results, starred="best epoch*" in heads)]


def _words(results: list[dict], starred: bool) -> list[str]:
    """Return the lines below the table."""
    lines = []
    if starred:
        lines.append("* chosen by the test images that it is judged on: to be put beside the README's best only")
    lines.append(
        f"of the README's, on 10,000 images, the standard error is {standard_error(LOGGED[-1], 10_000):.2f} points; "
        f"its last {LAST} epochs scatter by {stdev(LOGGED[-LAST:]):.2f}"
    )
    if views := [result["result"]["view"] for result in results if "view" in result["result"]]:
        side, sd, angle = (fmean(view[key] for view in views) for key in ("side", "side_sd", "angle_degrees"))
        lines.append(
            f"st-cnn looks at {side:.2f} of an image's side (standard deviation {sd:.2f}), turned {angle:.1f} degrees"
        )
    return lines
