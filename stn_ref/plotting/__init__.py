"""Figures: the only package that imports matplotlib.

Importing the package does not load matplotlib; the first use of a module does. Reading order: style.py, grids.py,
pooling.py, curves.py. gallery/ draws the figures of figures/, and explore.py opens a window.
"""

import importlib

__all__ = ["curves", "explore", "gallery", "grids", "pooling", "style"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return __all__
