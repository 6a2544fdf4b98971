"""The figure of Table 1: our errors, from the results in figures/results, beside the paper's.

Reads: ../../lab/results/, ../../lab/published_numbers.py, drawing.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from stn_ref.lab.published_numbers import TABLE_1
from stn_ref.lab.results import kept
from stn_ref.lab.results.summary import over_seeds, samples_seen, span, standard_error
from stn_ref.plotting import style
from stn_ref.plotting.gallery.drawing import Drawing

COLUMNS = {
    "R": "R: rotated",
    "RTS": "RTS: and scaled, moved",
    "P": "P: projective",
    "E": "E: elastic",
    "TC": "TC: moved, cluttered",
}
NETS = sorted(TABLE_1, key=lambda net: "cnn" in net)  # FCNs, then CNNs; plain nets first
GAP = 0.7  # of a line, between the two groups
TICKS, FEW_TICKS = (0.5, 1, 2, 5, 10), (0.5, 2, 10, 50)  # %
CROWDED = 20  # %: if the highest error is larger, FEW_TICKS are used; at 31 % the labels of TICKS touch
ERRORS = 2  # binomial standard errors, half the length of a bar


def results(folder: Path | None = None) -> Drawing:
    """Draw the test error of every net of Table 1, ours and the paper's."""
    return draw(kept.shown("table1", folder))


def draw(found: Sequence[dict]) -> Drawing:
    """Return the figure of results of `table1`, with the mean over seeds."""
    errors, n_test = over_seeds(found), found[0]["result"]["n_test"]
    y = {net: k + GAP * ("cnn" in net) for k, net in enumerate(NETS)}
    fig, numbers = style.figure(9.2, 3.7), {}
    axes = fig.subplots(1, len(COLUMNS), sharex=True, sharey=True)
    for ax, (kind, title) in zip(axes, COLUMNS.items(), strict=True):
        for net in (net for net in NETS if kind in TABLE_1[net]):
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
    axes[0].set_yticks(list(y.values()), NETS, size=9)
    axes[0].invert_yaxis()
    ticks = TICKS if highest < CROWDED else FEW_TICKS
    axes[0].xaxis.set(major_locator=FixedLocator(ticks), minor_locator=NullLocator())
    axes[0].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    fig.supxlabel("test error, %", size=10)
    (mine,) = axes[0].plot([], [], "o-", color=style.OKABE_ITO["blue"], ms=5, lw=2.4)
    fig.legend([mine, theirs], ["ours, with two standard errors", "the paper's"], loc="outside upper center", ncols=2,
               frameon=False, fontsize=9)  # fmt: skip
    return Drawing(fig, _alt(numbers), _caption(found), numbers)


def _alt(numbers: dict[str, np.ndarray]) -> str:
    apart = np.array([pair[1] - pair[0] for pair in numbers.values() if len(pair) == 2])
    return (
        f"Five panels, a distortion each, with a line for each of {len(NETS)} nets, and on it, on a logarithmic axis "
        f"of the test error, a diamond for the paper's and a dot for ours: {len(apart)} of {len(numbers)} are there, "
        f"from {apart.min():+.2f} to {apart.max():+.2f} points from the paper's, half of them within "
        f"{np.median(np.abs(apart)):.2f}."
    )


def _caption(found: Sequence[dict]) -> str:
    seen = span([n / 1e6 for n in samples_seen(found).values()], "{:.2g}")
    return (
        f"Table 1 of the paper, computed again on {found[0]['data']} data, scale {found[0]['scale']}: trainings on "
        f"{seen} million samples; the paper's saw 38 million."
    )
