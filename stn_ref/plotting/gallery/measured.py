"""Figures of experiments, drawn from the results in figures/results.

Reads: ../../results/kept.py, ../style.py, drawing.py.
"""

from pathlib import Path

import numpy as np
from matplotlib.ticker import MultipleLocator

from stn_ref.lab.results import kept
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
        raise FileNotFoundError(f"the figure needs a result of each net; there is none of {', '.join(sorted(missing))}")
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
