"""The figures of figures/: each a function that draws, and returns the numbers it drew.

Reading order: drawing.py, sampling.py, maps.py, learning.py, speed.py, measured.py, results.py.
"""

import importlib

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
    "results": "results",
}


def draw(name: str):
    """Return the Drawing of that name; call it within style.styled()."""
    checks.one_of("figure", name, FIGURES)
    return getattr(importlib.import_module(f"{__name__}.{FIGURES[name]}"), name)()
