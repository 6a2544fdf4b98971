"""The figures of figures/. Each is a function that draws and returns a Drawing with the numbers in it.

Reading order: drawing.py, sampling.py, maps.py, learning.py, speed.py, measured.py.
"""

import importlib
from pathlib import Path

from stn_ref import checks

FIGURES = {  # name -> the module that draws it; in teaching order
    "pooling_shifts": "learning",
    "pooling_counts": "learning",
    "transform_hierarchy": "maps",
    "grids": "maps",
    "align_corners": "sampling",
    "hat_kernel": "sampling",
    "bilinear_pixel": "sampling",
    "padding_modes": "sampling",
    "kinks": "sampling",
    "architecture": "maps",
    "loss_basin": "learning",
    "learned_warps": "learning",
    "grid_over_training": "learning",
    "aliasing": "maps",
    "explorer": "maps",
    "invariance": "measured",
    "overhead": "measured",
    "speed": "speed",
    "results": "measured",
    "cifar10": "measured",
}
OF_RESULTS = {  # figure -> the experiment whose results it shows
    "invariance": "pooling",
    "overhead": "overhead",
    "results": "table1",
    "cifar10": "cifar10",
}


def draw(name: str, results: Path | None = None):
    """Return the Drawing with this name; call the function inside style.styled().

    Args:
        name: one of FIGURES.
        results: the folder of the results, for figures in OF_RESULTS; default: figures/results.

    Raises:
        ValueError: the figure is unknown, or a result is damaged.
        FileNotFoundError: the folder of results lacks the results that the figure shows.
    """
    checks.one_of("figure", name, FIGURES)
    function = getattr(importlib.import_module(f"{__name__}.{FIGURES[name]}"), name)
    return function() if results is None else function(results)
