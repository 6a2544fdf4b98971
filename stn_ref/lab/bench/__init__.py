"""Speed against PyTorch and against what the machine can do, for `stn-ref bench`.

Reading order: timing.py (our calls and PyTorch's), machine.py (the limits); sampler.py, layers.py, steps.py,
growth.py, memory.py and startup.py with processes.py, cuda.py (what is measured); pytorch.py (the same in PyTorch),
report.py, parts.py (all in order).
"""

from stn_ref.lab.bench.parts import PARTS, run

__all__ = ["PARTS", "run"]
