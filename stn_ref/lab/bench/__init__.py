"""Speed compared with PyTorch and with the limits of the machine, for `stn-ref bench`.

Reading order: timing.py (our calls and PyTorch's, in turns); machine.py (the limits); sampler.py, grid.py, layers.py,
steps.py, memory.py, startup.py and cuda.py (the measurements); pytorch.py (the same in PyTorch); report.py; parts.py.
"""
