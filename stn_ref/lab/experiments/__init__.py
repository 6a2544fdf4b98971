"""The published experiments, each at a scale that is declared: smoke (seconds), small (hours) or paper (days).

Reading order: cell.py (one number, and its file of ../results/); the experiments, in the order of EXPERIMENTS; run.py
(all cells of one), page.py (results that were kept).

An experiment is a module with

    TITLE    one line
    DATA     what --data holds: a data set of data/download.py; None if the experiment draws its own
    NO_PAPER why there is no scale `paper`; only where there is none
    cells    (scale, seed, data_dir) -> [Cell, ...]
    table    (results) -> lines of text, one table of all seeds
    markdown (results) -> lines of Markdown; only where a page should show something else than the table

and its name in EXPERIMENTS.
"""

from stn_ref.lab.results import SCALES

__all__ = ["EXPERIMENTS", "SCALES"]

EXPERIMENTS = (
    "table1",
    "addition",
    "parts",
    "pooling",
    "overhead",
    "cifar10",
    "regularisers",
)
