"""Memory of a training step: how far the resident set grows while it runs. Linux.

Ours and PyTorch's are measured in a process each, so that neither finds memory that the other has let go of. The
warm-up is a step with two images: it compiles, loads libraries and makes the optimiser's arrays. What is then counted
is the work of a whole batch: the peak of the resident set over a few steps, less what was resident before.
"""

import contextlib
import ctypes
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from stn_ref import models
from stn_ref.kernels.cpu import threads
from stn_ref.lab.bench.steps import example, our_step

STEPS = 4  # the second may reach further than the first: what is kept from one to the next is there by then


def _kilobytes(key: str) -> int:
    return int(re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def peak_growth(call, times: int) -> int:
    """Return by how many bytes the peak of the resident set exceeds what is resident now, over some calls."""
    with contextlib.suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)  # memory that was freed, as by compiling, is not there to be used again
    Path("/proc/self/clear_refs").write_text("5")  # the peak, VmHWM, starts again from here
    before = _kilobytes("VmRSS")
    for _ in range(times):
        call()
    return 1024 * (_kilobytes("VmHWM") - before)


def step_memory(name: str, size: int, batch: int, side: str, n_threads: int) -> int:
    """Return the growth in bytes for a model of models.py, measured in a process of its own.

    Args:
        name: of the model, as for models.build.
        size: pixels of a side.
        batch: images in a step.
        side: "ours" or "torch".
        n_threads: for our loops, or PyTorch's.

    Raises:
        RuntimeError: the process failed; the message is the end of what it said.
    """
    command = [sys.executable, "-m", __name__, name, str(size), str(batch), side, str(n_threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout)


def _measure(name: str, size: int, batch: int, side: str, n_threads: int) -> int:
    U, y = example(name, size, batch)
    net = models.build(name, size, np.random.default_rng(0))
    if side == "ours":
        threads.set_num_threads(n_threads)
        make_step = our_step
    else:
        import torch

        from stn_ref.lab.bench.pytorch import torch_step as make_step

        torch.set_num_threads(n_threads)
    make_step(net, U[:2], y[:2])()
    step = make_step(net, U, y)
    return peak_growth(step, STEPS)


if __name__ == "__main__":
    name, size, batch, side, n_threads = sys.argv[1:]
    print(json.dumps(_measure(name, int(size), int(batch), side, int(n_threads))))
