"""One look for all figures: Okabe-Ito for categories, cividis for images, white paper, the same seed the same file.

Read next: grids.py.
"""

import os
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

OKABE_ITO = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "purple": "#CC79A7",
    "yellow": "#F0E442",
    "black": "#000000",
}
IMAGES = "cividis"

RC = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "stn_ref",
    "svg.fonttype": "path",
}


def figure(width: float, height: float) -> Figure:
    """Return a figure of width x height inches, of our own canvas: no window, no state shared with the caller's."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def styled():
    """Context in which our style holds."""
    return matplotlib.rc_context(RC)


def save(fig: Figure, path: str | os.PathLike) -> Path:
    """Write the figure; the format follows the name. No date is stored, so that equal figures are equal files.

    Args:
        fig: the figure.
        path: ends in .svg, .png or .pdf; missing folders are made.

    Returns:
        path: as a Path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    no_date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {"Software": None}}
    with matplotlib.rc_context(RC):
        fig.savefig(path, metadata=no_date.get(path.suffix))
    return path
