"""The figure of CIFAR-10: the accuracy that a README logged after each epoch, and our accuracy if there are results.

Reads: ../../lab/results/kept.py, ../../lab/published_numbers.py, drawing.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stn_ref.lab.published_numbers import CIFAR10_CORRECT
from stn_ref.lab.results import kept
from stn_ref.plotting import style
from stn_ref.plotting.gallery.drawing import Drawing

LOGGED = np.array(CIFAR10_CORRECT) / 100  # % of 10,000 test images, epoch by epoch
NETS = {  # cell -> its name in the figure, colour, marker, dash
    "st-cnn": ("with its transformer", "blue", "s", "-"),
    "cnn": ("without", "vermillion", "o", "--"),
}
MARKS = 10  # approximate number of markers on a curve


def cifar10(folder: Path | None = None) -> Drawing:
    """Draw the README's accuracy over its 50 epochs, and ours."""
    try:
        return draw(kept.shown("cifar10", folder))
    except FileNotFoundError:
        if folder is not None:
            raise
        return draw([])


def draw(found: Sequence[dict]) -> Drawing:
    """Return the figure of results of `cifar10`: the mean over seeds, and each of several seeds as a thin line."""
    fig = style.figure(7.4, 4.0)
    ax = fig.subplots()
    numbers, label = {"README": LOGGED}, "a README's log, test images"
    ax.plot(np.arange(1, len(LOGGED) + 1), LOGGED, color=style.ink(), alpha=0.55, lw=1.4, label=label)
    watched = found[0]["configuration"]["watched"] if found else "test"
    column = "test_accuracy" if watched == "test" else "val_accuracy"
    for cell, (name, colour, marker, dash) in NETS.items():
        curves = np.array([[100 * row[column] for row in r["history"]] for r in found if r["cell"] == cell])
        if not len(curves):
            continue
        numbers[cell], look = curves.mean(axis=0), {"color": style.OKABE_ITO[colour]}
        epochs = np.arange(1, curves.shape[1] + 1)
        if len(curves) > 1:
            ax.plot(epochs, curves.T, lw=0.5, alpha=0.6, **look)
        look |= {"ls": dash, "marker": marker, "markevery": max(1, len(epochs) // MARKS), "ms": 5}
        ax.plot(epochs, numbers[cell], label=f"ours, {name}, {watched} images", **look)
    ax.set(xlabel="epoch", ylabel="accuracy, %")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(axis="y", color=style.ink(), alpha=0.15)
    ax.legend(loc="lower right", frameon=False)
    return Drawing(fig, _alt(numbers), _caption(found, watched), numbers)


def _alt(numbers: dict[str, np.ndarray]) -> str:
    def course(name: str) -> str:
        values = numbers[name]
        return f"from {values[0]:.1f} to {values[-1]:.1f} % in {len(values)} epochs"

    ours = [f"ours {NETS[cell][0]} {course(cell)}" for cell in NETS if cell in numbers]
    return (
        f"Accuracy against the epoch. The README's curve goes {course('README')}, up and down by a point or two at the "
        f"end; {', '.join(ours) or 'ours has not been computed yet'}."
    )


def _caption(found: Sequence[dict], watched: str) -> str:
    if not found:
        return "CIFAR-10 behind a transformer: the test accuracy that a widely copied README logged after each epoch."
    first, seeds = found[0], len({result["seed"] for result in found})
    return (
        f"CIFAR-10 behind a transformer: a README's log, of test images, and ours, of {watched} images of "
        f"{first['data']}, scale {first['scale']}, {seeds} seed{'s' if seeds > 1 else ''}."
    )
