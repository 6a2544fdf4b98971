"""What the trained nets of Table 1 show their classifiers: digits before and after each transformer.

Reads: ../../lab/experiments/undone.py, ../../lab/results/kept.py, ../style.py, drawing.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stn_ref.lab.experiments import undone
from stn_ref.lab.results import kept
from stn_ref.plotting import style
from stn_ref.plotting.gallery.drawing import Drawing

COLUMNS = ("R", "RTS", "P", "E", "TC")
NETS = tuple(f"st-{backbone}-{family}" for backbone in ("fcn", "cnn") for family in ("affine", "projective", "tps"))
SHOWN = (2, 3, 4, 5, 7)  # labels: digits that look different when they are turned


def views(folder: Path | None = None) -> Drawing:
    """Draw digits of each distortion, and what each trained transformer shows of them."""
    return draw_views(kept.shown("table1", folder))


def draw_views(found: Sequence[dict]) -> Drawing:
    """Return the figure of results of `table1`: theta of the lowest seed of each net.

    Raises:
        FileNotFoundError: no result has kept theta.
    """
    theta = {
        r["cell"]: r["result"]["views"] for r in sorted(found, key=lambda r: -r["seed"]) if r["result"].get("views")
    }
    if not theta:
        raise FileNotFoundError("the figure needs a result of `table1` with the views of a transformer")
    fig = style.figure(9.2, 4.6)
    axes = fig.subplots(1 + len(NETS), len(COLUMNS))
    spread = {}
    for column, kind in zip(axes.T, COLUMNS, strict=True):
        U = undone.sample_digits(kind)
        column[0].set_title(kind, size=10)
        for ax, net in zip(column, ("input", *NETS), strict=True):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if net == "input":
                V = U
            elif f"{net}/{kind}" in theta:
                V = undone.views(U, net.rsplit("-", 1)[1], np.array(theta[f"{net}/{kind}"]))
                spread[f"{net}/{kind}"] = V[list(SHOWN), 0].mean(axis=(1, 2))
            else:
                continue
            ax.imshow(np.hstack(V[list(SHOWN), 0]), cmap=style.IMAGES, vmin=0, vmax=1)
    for ax, net in zip(axes[:, 0], ("input", *NETS), strict=True):
        ax.set_ylabel(net, rotation=0, ha="right", va="center", size=9)
    return Drawing(
        fig,
        f"For each distortion of Table 1 a strip of five digits, {', '.join(map(str, SHOWN))}, as they are distorted; "
        f"below it what {len(NETS)} trained transformers show their classifiers: the digits larger, in the middle, and "
        "turned in nearly the same direction.",
        "Digits that the package draws, distorted as in Table 1, and the views of the transformers of nets that were "
        f"trained on {found[0]['data']} digits (scale {found[0]['scale']}). TC has affine transformers only.",
        spread,
        suffix="png",
    )
