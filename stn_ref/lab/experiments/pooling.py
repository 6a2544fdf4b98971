"""The invariance of pooling: the counts of "3 of 8" and "5 of 8", and the invariance of trained nets.

Reads: poses.py, ../invariance.py, cell.py. Read next: overhead.py.

The claim: of the 8 shifts of an image by one pixel, 3 do not change the output of 2x2 max-pooling, and 5 do not change
that of 3x3. Each cell `counts/...` tests the assumptions under which this holds: exactly where possible (all places of
one maximum; all orderings of independent pixels), and by pooling drawn images. The digits are those of the test set.

The other cells train a CNN and an ST-CNN, once on upright digits in the middle of the canvas and once on RTS. A net
trained on upright digits shows the tolerance of its architecture alone. The nets are then tested on digits that are
moved, turned or scaled, one at a time and beyond the range of RTS. No source describes this experiment, so there is no
`paper` scale. Chosen here: the recipe of Table 1's `small` with fewer epochs (6; for upright digits 3, which is
enough), because the curves differ clearly; the first 5,000 test digits; nets with the affine transformer.
"""

import functools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from stn_ref import data, models
from stn_ref.lab import invariance
from stn_ref.lab.experiments import poses
from stn_ref.lab.experiments.cell import Cell, training_cell
from stn_ref.lab.experiments.table1 import RECIPES, SIZES, digits
from stn_ref.lab.results.summary import aligned, over_seeds
from stn_ref.nn import MaxPool2d, Sequential
from stn_ref.training import Recipe

TITLE = 'Pooling: "3 of 8" and "5 of 8" shifts, counted; accuracy of nets against shift, rotation and scale'
DATA = "mnist"
NO_PAPER = "no source trains nets for it; smoke and small are ours"
QUOTED = {2: 3, 3: 5}  # window -> number of shifts, of 8
NETS = ("cnn", "st-cnn-affine")
EPOCHS = {"upright": 3, "RTS": 6}  # at `small`
COUNTING = {"smoke": {"n_drawn": 2_000}, "small": {"n_drawn": 200_000}}
TESTING = {
    "smoke": {"n_posed": 40, "n_one_pixel": 10, "shift": [0, 7, 11], "rotation": [-90, 0, 45], "scale": [0.5, 1.0]},
    "small": {
        "n_posed": 5_000,
        "n_one_pixel": 1_000,
        "shift": list(range(12)),  # the ink of MNIST is 20 pixels wide: at a shift of 11 it touches the edge
        "rotation": list(range(-90, 91, 15)),
        "scale": [round(0.1 * k, 1) for k in range(4, 16)],
    },
}
DRAWN_AT_ONCE = 20_000  # images


def cells(scale: str, seed: int, data_dir: str | None) -> list[Cell]:
    """Return the cells of one seed: the counts for 2x2 and 3x3 windows, and four trained nets."""
    dataset = digits(data_dir, seed, **SIZES[scale])
    return [
        *(_counting(k, seed, dataset, **COUNTING[scale]) for k in QUOTED),
        *(_training(net, seen, scale, seed, dataset) for seen in EPOCHS for net in NETS),
    ]


# Counts.


def _counting(k: int, seed: int, dataset: data.Dataset, n_drawn: int) -> Cell:
    def compute(path: Path, progress: bool, note: Callable[[str], None]) -> dict:
        places = invariance.isolated_counts(k)
        return {
            "result": {
                "quoted": QUOTED[k],
                "isolated_maximum_at": places.tolist(),
                "share_of_places_as_quoted": float(np.mean(places == QUOTED[k])),
                "of_8": counted(k, n_drawn, seed) | counted_on_digits(k, data.to_float(dataset.test_images)),
            }
        }

    configuration = {"k": k, "seed": seed, "n_drawn": n_drawn, "data": dataset.name}
    configuration |= {"n_digits": len(dataset.test_labels), "data_crc32": dataset.fingerprint}
    return Cell(f"counts/{k}x{k}", seed, dataset.name, configuration, compute)


def counted(k: int, n_drawn: int, seed: int) -> dict[str, dict]:
    """Return, for each assumption on the image, the mean number of shifts (of 8) that k x k max-pooling survives.

    The result is assumption -> {"exact": a fraction as text, "value": the fraction as a number, "simulated": the mean
    over n_drawn images, "standard_error"}.
    """
    rng = np.random.default_rng((seed, k))
    isolated = invariance.isolated_counts(k)

    def maximum(n: int, side: int) -> np.ndarray:
        return invariance.one_maximum(k, rng.integers(0, k * k, n))

    def noise(n: int, side: int) -> np.ndarray:
        return rng.random((n, 1, (side + 2) * k, (side + 2) * k))

    cases = {  # assumption -> exact mean, windows on a side, images
        "one maximum, anywhere in its window": (Fraction(int(isolated.sum()), k * k), 1, maximum),
        "independent pixels, one window": (invariance.random_count(k), 1, noise),
        "independent pixels, all of 2x2 windows": (invariance.random_count(k, side=2), 2, noise),
    }
    found = {}
    parts = [min(DRAWN_AT_ONCE, n_drawn - done) for done in range(0, n_drawn, DRAWN_AT_ONCE)]
    for name, (exact, side, draw) in cases.items():
        counts = np.concatenate([invariance.surviving(draw(n, side), k, side) for n in parts])
        mean, error = invariance.mean_and_error(counts)
        found[name] = {"exact": str(exact), "value": float(exact), "simulated": mean, "standard_error": error}
    return found


def counted_on_digits(k: int, images: np.ndarray) -> dict[str, dict]:
    """Return these means for digits (N, 1, 28, 28): for windows with ink in them, and for whole maps.

    The means are over the digits and have no exact value. Pixels and windows are not independent, so the standard error
    is that of N digits.
    """
    same = invariance.unchanged(images, k)
    ink = MaxPool2d(k).eval().forward(images)[:, 0] > 0
    one = (same.sum(axis=0) * ink).sum(axis=(1, 2)) / np.maximum(1, ink.sum(axis=(1, 2)))
    whole = same.all(axis=(2, 3)).sum(axis=0)
    return {
        name: dict(zip(("simulated", "standard_error"), invariance.mean_and_error(counts), strict=True))
        for name, counts in (("digits, one window with ink", one), ("digits, the whole map", whole))
    }


# Trained nets.


def _training(net: str, seen: str, scale: str, seed: int, dataset: data.Dataset) -> Cell:
    recipe = Recipe(**RECIPES[scale] | ({"epochs": EPOCHS[seen]} if scale == "small" else {}), seed=seed)
    source = poses.UprightDigits(dataset) if seen == "upright" else data.DistortedDigits(dataset, seen)
    testing = TESTING[scale]

    def measure(trained_net: Sequential, source: data.Source) -> dict:
        images, labels = (array[: testing["n_posed"]] for array in (dataset.test_images, dataset.test_labels))
        return {
            "accuracy_percent": {
                what: poses.sweep(trained_net, what, testing[what], images, labels) for what in poses.TRAINED
            },
            "trained_range": {what: list(span) for what, span in poses.TRAINED.items()},  # of RTS, for the figure
            "one_pixel": poses.one_pixel(trained_net, images[: testing["n_one_pixel"]]),
        }

    build = functools.partial(models.build, net, poses.CANVAS)
    return training_cell(f"{net}/{seen}", recipe, source, build=build, measure=measure, model=net, seen=seen, **testing)


# The tables.


def table(results: list[dict]) -> list[str]:
    """Return the counts beside the quoted ones, and the accuracy of the nets at rest and in some poses."""
    counts = [result for result in results if result["cell"].startswith("counts/")]
    nets = [result for result in results if result not in counts]
    return [*(_counts_table(counts) if counts else []), *(_nets_table(nets) if nets else [])]


def _counts_table(results: list[dict]) -> list[str]:
    first: dict[str, dict] = {}  # seed
    for result in results:
        first.setdefault(result["cell"], result["result"])
    names = list(next(iter(first.values()))["of_8"])
    rows = [("shifts that max-pooling survives, of 8", *(cell.removeprefix("counts/") for cell in first))]
    rows.append(("quoted", *(str(result["quoted"]) for result in first.values())))
    for name in names:
        cases = [result["of_8"][name] for result in first.values()]
        if "exact" in cases[0]:
            rows.append((name, *(f"{case['value']:.3f}" for case in cases)))
            name = "  drawn"
        rows.append((name, *(f"{case['simulated']:.3f} (s.e. {case['standard_error']:.3f})" for case in cases)))
    return [*aligned(rows), ""]


def _nets_table(results: list[dict]) -> list[str]:
    marks = [(what, value) for what in poses.TRAINED for value in _shown(results[0]["configuration"][what])]
    shown = [f"{what} {value:g}" for what, value in marks]
    rows = [("%; trained on", "test error", *shown, "class stays", "outputs stay")]
    columns = [over_seeds(results)]
    columns += [over_seeds(results, functools.partial(_accuracy, what=what, value=value)) for what, value in marks]
    for key in ("class_stays_of_8", "outputs_stay_of_8"):
        columns.append(over_seeds(results, lambda result, key=key: result["result"]["one_pixel"][key]))
    for cell in dict.fromkeys(result["cell"] for result in results):
        rows.append((cell, *(f"{column[cell]}" for column in columns)))
    n_posed, n_one_pixel = (results[0]["configuration"][key] for key in ("n_posed", "n_one_pixel"))
    return [
        *aligned(rows),
        f"(test error: on digits as in training; shift, rotation, scale: accuracy on {n_posed:,} digits in that pose;",
        f"stays: after a shift by one pixel, of 8, for {n_one_pixel:,} digits; outputs: of the first max-pooling)",
    ]


def _shown(values: list[float]) -> list[float]:
    """Return the first, the middle and the last of some values."""
    return sorted({values[0], values[len(values) // 2], values[-1]})


def _accuracy(result: dict, what: str, value: float) -> float:
    return result["result"]["accuracy_percent"][what][result["configuration"][what].index(value)]
