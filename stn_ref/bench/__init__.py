"""Speed against PyTorch: timing.py measures, pytorch.py builds the same nets there, environment.py says on what."""

from stn_ref.bench.environment import environment
from stn_ref.bench.timing import run

__all__ = ["environment", "run"]
