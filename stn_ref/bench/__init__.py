"""Speed against PyTorch: timing.py measures, pytorch.py builds the same nets there."""

from stn_ref.bench.timing import environment, run

__all__ = ["environment", "run"]
