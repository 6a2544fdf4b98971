"""Speed against PyTorch and against what the machine can do, for `stn-ref bench`.

Reading order: timing.py (our calls and PyTorch's, in turns), machine.py (the limits); sampler.py, grid.py, layers.py,
steps.py, memory.py, startup.py and cuda.py (what is measured); pytorch.py (the same in PyTorch), report.py, parts.py.
"""
