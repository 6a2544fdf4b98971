"""Figures of experiments, drawn from the results in figures/results.

Reads: ../../lab/results/, ../../lab/published_numbers.py, ../style.py, drawing.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FixedLocator, MultipleLocator, NullLocator, StrMethodFormatter

from stn_ref.lab.published_numbers import CIFAR10_CORRECT, TABLE_1
from stn_ref.lab.results import kept
from stn_ref.lab.results.summary import over_seeds, samples_seen, span, standard_error
from stn_ref.plotting import style
from stn_ref.plotting.gallery.drawing import Drawing

CHANCE = 10.0  # %, the accuracy of guessing among ten classes
NETS = {  # cell of `pooling` -> its name in the figure, colour, marker, dash
    "cnn/upright": ("CNN, trained on upright digits", "vermillion", "o", "--"),
    "st-cnn-affine/upright": ("ST-CNN, trained on upright digits", "blue", "s", "--"),
    "cnn/RTS": ("CNN, trained on RTS", "vermillion", "o", "-"),
    "st-cnn-affine/RTS": ("ST-CNN, trained on RTS", "blue", "s", "-"),
}
AXES = {  # sweep -> axis label, distance between ticks
    "shift": ("shift (pixels)", 2),
    "rotation": ("rotation (degrees)", 45),
    "scale": ("scale", 0.2),
}
PAPER_SHARE = 100 * (1 - 1 / 1.06)  # %, the share in a net that is 6 % slower than the net without


def invariance(folder: Path | None = None) -> Drawing:
    """Draw the accuracy of trained nets on digits that are moved, turned or scaled."""
    return draw_invariance(kept.shown("pooling", folder))


def overhead(folder: Path | None = None) -> Drawing:
    """Draw the transformer's share of time and multiplications."""
    return draw_overhead(kept.shown("overhead", folder))


def draw_invariance(found: list[dict]) -> Drawing:
    """Return the figure of results of `pooling`: the mean over seeds, and a band from the least to the largest.

    Raises:
        FileNotFoundError: a net has no result.
    """
    nets = [result for result in found if result["cell"] in NETS]
    if missing := NETS.keys() - {result["cell"] for result in nets}:
        raise FileNotFoundError(f"the figure needs a result of each net; missing: {', '.join(sorted(missing))}")
    testing = nets[0]["configuration"]
    fig = style.figure(9.2, 3.9)
    axes = fig.subplots(1, 3, sharey=True)
    numbers = {}
    for ax, (what, (label, tick)) in zip(axes, AXES.items(), strict=True):
        values = np.array(testing[what])
        ax.axvspan(*nets[0]["result"]["trained_range"][what], color=style.ink(), alpha=0.1, lw=0, label="range of RTS")
        ax.axhline(CHANCE, color=style.ink(), lw=1, ls=":", label="chance")
        for cell, (name, colour, marker, dash) in NETS.items():
            curves = np.array([n["result"]["accuracy_percent"][what] for n in nets if n["cell"] == cell])
            numbers[f"{cell}, {what}"] = mean = curves.mean(axis=0)
            look = {"color": style.OKABE_ITO[colour], "marker": marker, "ls": dash, "ms": 4.5, "lw": 1.6}
            face = style.OKABE_ITO[colour] if dash == "-" else ax.get_facecolor()
            ax.plot(values, mean, label=name, mfc=face, **look)
            ax.fill_between(values, curves.min(axis=0), curves.max(axis=0), color=look["color"], alpha=0.2, lw=0)
        ax.set(xlabel=label, ylim=(0, 103))
        ax.xaxis.set_major_locator(MultipleLocator(tick))
    axes[0].set_ylabel("accuracy, %")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    far = {what: values[-1] for what, values in testing.items() if what in AXES}
    end = {cell: numbers[f"{cell}, shift"][-1] for cell in NETS}
    return Drawing(
        fig,
        "Accuracy of four nets against shift, rotation and scale of the digits, in three panels. At a shift of "
        f"{far['shift']:g} pixels the nets that saw upright digits are at {end['cnn/upright']:.0f} % (CNN) and "
        f"{end['st-cnn-affine/upright']:.0f} % (ST-CNN), those that saw RTS at {end['cnn/RTS']:.0f} % and "
        f"{end['st-cnn-affine/RTS']:.0f} %; chance is 10 %.",
        f"Neither pooling nor a transformer is invariant by itself: what a net has been shown decides. {_source(nets)}",
        numbers,
    )


def draw_overhead(found: list[dict]) -> Drawing:
    """Return the figure of results of `overhead`, from the first seed."""
    rows = {}
    for result in sorted(found, key=lambda result: result["seed"]):
        rows.setdefault(result["cell"], result["result"])
    order = sorted(rows, key=lambda cell: rows[cell]["multiplications_share_percent"]["step"])
    fig = style.figure(7.4, 1.3 + 0.3 * len(order))
    ax = fig.subplots()
    blue, red = (style.OKABE_ITO[name] for name in ("blue", "vermillion"))
    time = np.array([rows[cell]["share_percent"]["step"] for cell in order])
    count = np.array([rows[cell]["multiplications_share_percent"]["step"] for cell in order])
    slower = np.array([rows[cell]["slower_percent"]["step"][0] for cell in order])
    y = np.arange(len(order))
    ax.hlines(y, time[:, 1], time[:, 2], color=blue, lw=1.6)
    ax.plot(time[:, 0], y, "o", color=blue, ms=6, label="of the time of a training step")
    ax.plot(count, y, "D", color=red, mfc=ax.get_facecolor(), ms=6, label="of its multiplications")
    ax.axvline(PAPER_SHARE, color=style.ink(), lw=1, ls="--", label="the paper's 6 % (SVHN)")
    ax.set_yticks(y, [cell.replace("/", ", ") + " px" for cell in order], size=9)
    ax.set(xlim=(min(0.0, float(time.min())), None), ylim=(-0.7, len(order) - 0.3))
    ax.set_xlabel("share of the transformer, %")
    ax.grid(axis="x", color=style.ink(), alpha=0.15)
    fig.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return Drawing(
        fig,
        f"For {len(order)} nets the share of the transformer in a training step: {time[:, 0].min():.0f} to "
        f"{time[:, 0].max():.0f} % of the time, {count.min():.0f} to {count.max():.0f} % of the multiplications; the "
        "paper's 6 % is a dashed line on the left.",
        f"{np.sum(time[:, 0] <= PAPER_SHARE)} of {len(order)} shares come down to the paper's 6 %; with their smaller "
        f"view, {np.sum(slower < 0)} nets are faster than those without. Medians and 10 to 90 % of rounds. "
        f"{_source(found)}",
        {"time": time, "multiplications": count},
    )


def _source(found: list[dict]) -> str:
    """Return a sentence that names the data or the machine, the scale and the number of seeds."""
    first, seeds = found[0], len({result["seed"] for result in found})
    trained = first["configuration"].get("n_train")
    what = f"{trained:,} {first['data']} digits" if trained else first["machine"].split(",")[0]
    return f"{what}, scale {first['scale']}, {seeds} seed{'s' if seeds > 1 else ''}."


# Table 1.

COLUMNS = {
    "R": "R: rotated",
    "RTS": "RTS: and scaled, moved",
    "P": "P: projective",
    "E": "E: elastic",
    "TC": "TC: moved, cluttered",
}
ROWS = sorted(TABLE_1, key=lambda net: "cnn" in net)  # FCNs, then CNNs; plain nets first
GAP = 0.7  # of a line, between the two groups
TICKS, FEW_TICKS = (0.5, 1, 2, 5, 10), (0.5, 2, 10, 50)  # %
CROWDED = 20  # %: if the highest error is larger, FEW_TICKS are used; at 31 % the labels of TICKS touch
ERRORS = 2  # binomial standard errors, half the length of a bar


def results(folder: Path | None = None) -> Drawing:
    """Draw the test error of every net of Table 1, ours and the paper's."""
    return draw_results(kept.shown("table1", folder))


def draw_results(found: Sequence[dict]) -> Drawing:
    """Return the figure of results of `table1`, with the mean over seeds."""
    errors, n_test = over_seeds(found), found[0]["result"]["n_test"]
    y = {net: k + GAP * ("cnn" in net) for k, net in enumerate(ROWS)}
    fig, numbers = style.figure(9.2, 3.7), {}
    axes = fig.subplots(1, len(COLUMNS), sharex=True, sharey=True)
    for ax, (kind, title) in zip(axes, COLUMNS.items(), strict=True):
        for net in (net for net in ROWS if kind in TABLE_1[net]):
            paper, here = TABLE_1[net][kind], errors.get(f"{net}/{kind}")
            (theirs,) = ax.plot(paper, y[net], "D", color=style.OKABE_ITO["vermillion"], mfc="none", ms=6, mew=1.4)
            numbers[f"{net}/{kind}"] = np.array([paper, *([here.mean] if here else [])])
            if here:
                ours, bar = here.mean, ERRORS * standard_error(here.mean, here.n * n_test)
                ax.plot([paper, ours], [y[net]] * 2, color=style.ink(), alpha=0.4, lw=1, zorder=1)
                ax.plot([ours - bar, ours + bar], [y[net]] * 2, color=style.OKABE_ITO["blue"], lw=2.4, zorder=2)
                ax.plot(ours, y[net], "o", color=style.OKABE_ITO["blue"], ms=5, zorder=3)
        ax.set_title(title, size=9.5)
        ax.grid(axis="x", color=style.ink(), alpha=0.15)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    highest = max(pair.max() for pair in numbers.values())
    axes[0].set(xscale="log", xlim=(0.3, max(22, 1.5 * highest)))
    axes[0].set_yticks(list(y.values()), ROWS, size=9)
    axes[0].invert_yaxis()
    ticks = TICKS if highest < CROWDED else FEW_TICKS
    axes[0].xaxis.set(major_locator=FixedLocator(ticks), minor_locator=NullLocator())
    axes[0].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    fig.supxlabel("test error, %", size=10)
    (mine,) = axes[0].plot([], [], "o-", color=style.OKABE_ITO["blue"], ms=5, lw=2.4)
    fig.legend([mine, theirs], ["ours, with two standard errors", "the paper's"], loc="outside upper center", ncols=2,
               frameon=False, fontsize=9)  # fmt: skip
    return Drawing(fig, _results_alt(numbers), _results_caption(found), numbers)


def _results_alt(numbers: dict[str, np.ndarray]) -> str:
    apart = np.array([pair[1] - pair[0] for pair in numbers.values() if len(pair) == 2])
    return (
        f"Five panels, a distortion each, with a line for each of {len(ROWS)} nets, and on it, on a logarithmic axis "
        f"of the test error, a diamond for the paper's and a dot for ours: {len(apart)} of {len(numbers)} are there, "
        f"from {apart.min():+.2f} to {apart.max():+.2f} points from the paper's, half of them within "
        f"{np.median(np.abs(apart)):.2f}."
    )


def _results_caption(found: Sequence[dict]) -> str:
    seen = span([n / 1e6 for n in samples_seen(found).values()], "{:.2g}")
    return (
        f"Table 1 of the paper, computed again on {found[0]['data']} data, scale {found[0]['scale']}: trainings on "
        f"{seen} million samples; the paper's saw 38 million."
    )


# CIFAR-10.

LOGGED = np.array(CIFAR10_CORRECT) / 100  # % of 10,000 test images, epoch by epoch
CURVES = {  # cell -> its name in the figure, colour, marker, dash
    "st-cnn": ("with its transformer", "blue", "s", "-"),
    "cnn": ("without", "vermillion", "o", "--"),
}
MARKS = 10  # approximate number of markers on a curve


def cifar10(folder: Path | None = None) -> Drawing:
    """Draw the README's accuracy over its 50 epochs, and ours."""
    try:
        return draw_cifar10(kept.shown("cifar10", folder))
    except FileNotFoundError:
        if folder is not None:
            raise
        return draw_cifar10([])


def draw_cifar10(found: Sequence[dict]) -> Drawing:
    """Return the figure of results of `cifar10`: the mean over seeds, and each of several seeds as a thin line."""
    fig = style.figure(7.4, 4.0)
    ax = fig.subplots()
    numbers, label = {"README": LOGGED}, "a README's log, test images"
    ax.plot(np.arange(1, len(LOGGED) + 1), LOGGED, color=style.ink(), alpha=0.55, lw=1.4, label=label)
    watched = found[0]["configuration"]["watched"] if found else "test"
    column = "test_accuracy" if watched == "test" else "val_accuracy"
    for cell, (name, colour, marker, dash) in CURVES.items():
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

    ours = [f"ours {CURVES[cell][0]} {course(cell)}" for cell in CURVES if cell in numbers]
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
