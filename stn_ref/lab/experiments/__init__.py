"""The published experiments, each at a declared scale: smoke (seconds), small (hours) or paper (days).

Reading order: cell.py (one number and its file, see ../results/); the experiments, in the order of EXPERIMENTS; run.py
(all cells of one experiment); page.py (a page of stored results).

An experiment is a module whose name is in EXPERIMENTS, with

    TITLE    one line
    DATA     the data set of data/download.py that --data holds; None if the experiment draws its own images
    NO_PAPER the reason why there is no scale `paper`; only if it is missing
    cells    (scale, seed, data_dir) -> [Cell, ...]
    table    (results) -> lines of text, one table of all seeds
    markdown (results) -> lines of Markdown; only if a page shows something else than the table
"""

from stn_ref.lab.results import SCALES

__all__ = ["EXPERIMENTS", "SCALES"]

EXPERIMENTS = ("table1", "addition", "parts", "pooling", "overhead", "cifar10", "regularisers", "clutter")
