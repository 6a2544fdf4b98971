"""Check gradients with finite differences that detect kinks.

    report = gradcheck(layer, x, rng=rng)                      a Layer, its inputs and parameters
    report = gradcheck((forward, backward), U, grid, rng=rng)  your own pair of functions

Read in this order: slopes.py (one slope, and what a kink is), judge.py (the verdict), subject.py (what is checked),
check.py (which slopes), float32.py (detects a common mistake), report.py.
"""

from stn_ref.gradcheck.check import gradcheck
from stn_ref.gradcheck.report import GradcheckError, GradEntry, GradReport, table

__all__ = ["GradEntry", "GradReport", "GradcheckError", "gradcheck", "table"]
