"""The style of all figures: Okabe-Ito for categories, cividis for images, a white background, reproducible files.

Read next: grids.py.
"""

import os
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
from matplotlib.figure import Figure

from stn_ref import files

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
    """Return a figure of width x height inches on its own canvas: no window, and no state shared with pyplot."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


DARK = {
    "figure.facecolor": "#14171a",
    "savefig.facecolor": "#14171a",
    "axes.facecolor": "#14171a",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), "#f2f2f2"),
}


def styled(dark: bool = False):
    """Return a context manager that applies this style; `dark`: light lines on a dark background, for slides."""
    return matplotlib.rc_context(RC | (DARK if dark else {}))


def bare(ax) -> None:
    """Remove ticks and frame from axes that show an image."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def ink() -> str:
    """Return the colour of lines and text on the current background."""
    return matplotlib.rcParams["text.color"]


def save(fig: Figure, path: str | os.PathLike, *, dark: bool = False) -> Path:
    """Write the figure to a file. The file stores no date, so equal figures give equal files.

    Args:
        fig: the figure.
        path: ends in .svg, .png or .pdf, which sets the format; missing folders are created.
        dark: whether the figure was drawn on a dark background.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    no_date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {"Software": None}}
    with styled(dark), files.replacing(path) as file:
        fig.savefig(file, format=path.suffix[1:], metadata=no_date.get(path.suffix))
    return path


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Return an image as float64 from 0 to 1, (H, W) or (H, W, 3); an alpha channel is dropped.

    Raises:
        OSError: the file is missing or not an image.
    """
    pixels = np.asarray(matplotlib.image.imread(path))
    scale = 255.0 if pixels.dtype == np.uint8 else 65535.0 if pixels.dtype == np.uint16 else 1.0
    pixels = pixels.astype(np.float64) / scale
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    return np.ascontiguousarray(pixels)
