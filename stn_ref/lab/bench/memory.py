"""Memory of a training step: the growth of the resident set while it runs (Linux only).

Our step and PyTorch's run in separate processes, so that neither reuses memory that the other has freed. The warm-up is
a step with two images: it compiles, loads libraries and allocates the optimiser's arrays. The row then measures steps
with a whole batch: the peak of the resident set over a few steps, minus the resident set before them.
"""

import contextlib
import ctypes
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stn_ref import models
from stn_ref.lab.bench import timing
from stn_ref.lab.bench.steps import example, our_step

STEPS = [("fcn", 28, 256), ("cnn", 60, 256), ("st-cnn-affine", 60, 256), ("tutorial", 28, 256), ("cifar10", 32, 64)]
TIMES = 4  # steps; the second may use more than the first, because some arrays survive a step


def _kilobytes(key: str) -> int:
    return int(re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def peak_growth(call, times: int) -> int:
    """Return by how many bytes the peak of the resident set during some calls exceeds the present resident set."""
    with contextlib.suppress(AttributeError):  # the C library lacks malloc_trim
        ctypes.CDLL(None).malloc_trim(0)  # return freed memory, for example of the compiler, to the system
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak, VmHWM
    before = _kilobytes("VmRSS")
    for _ in range(times):
        call()
    return 1024 * (_kilobytes("VmHWM") - before)


def step_memory(name: str, size: int, batch: int, side: str, n_threads: int) -> int:
    """Return the growth in bytes for a model, size and batch of STEPS, measured in a separate process.

    `side` is "ours" or "torch". Raises RuntimeError if the process fails; the message is the end of its error output.
    """
    command = [sys.executable, "-m", __name__, name, str(size), str(batch), side]
    done = subprocess.run(command, env=os.environ | timing.variables(n_threads), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout)


def _measure(name: str, size: int, batch: int, side: str) -> int:
    U, y = example(name, size, batch)
    net = models.build(name, size, np.random.default_rng(0))
    make_step = our_step if side == "ours" else functools.partial(timing.in_pytorch, "torch_step")
    make_step(net, U[:2], y[:2])()
    return peak_growth(make_step(net, U, y), TIMES)


def _row(seconds: float, step: tuple, n: int) -> dict:
    """Return the growth in MiB, ours and PyTorch's; a ratio above 1 means that ours is less. `seconds` is not used."""
    row = {"mebibytes": step_memory(*step, "ours", n) / 2**20}
    if timing.has_torch():
        row["torch_mebibytes"] = step_memory(*step, "torch", n) / 2**20
        row["memory_ratio"] = row["torch_mebibytes"] / row["mebibytes"]
    return row


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of training steps."""
    for name, size, batch in STEPS[:1] if quick else STEPS:
        measure = functools.partial(_row, step=(name, size, batch), n=n_threads[-1])
        yield timing.Case(f"{name} {size}x{size} batch {batch}", n_threads[-1], measure)


if __name__ == "__main__":
    name, size, batch, side = sys.argv[1:]
    print(json.dumps(_measure(name, int(size), int(batch), side)))
