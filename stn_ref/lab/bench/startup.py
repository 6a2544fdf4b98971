"""The start-up time of a new process: import, --help, the first sample, the first training step.

Almost all of this time is compilation. Each row starts two processes with a new folder for machine code
(kernels/cpu/cache.py): the first compiles and stores the code, the second loads it.
"""

import functools
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from stn_ref.lab.bench import timing

_SAMPLE = """
import stn_ref
U, theta = np.ones((2, 1, 28, 28), np.float32), np.tile(np.array([[1, 0.1, 0], [0, 0.9, 0]], np.float32), (2, 1, 1))
stn_ref.grid_sample(U, stn_ref.affine_grid(theta, U.shape))
"""
_STEP = """
from stn_ref import models
from stn_ref.lab.bench import steps
steps.our_step(models.build("st-cnn-affine", 28, np.random.default_rng(0)), *steps.example("st-cnn-affine", 28, 32))()
"""
_HELP = """
import subprocess, sys
subprocess.run([sys.executable, "-m", "stn_ref", "--help"], stdout=subprocess.DEVNULL, check=True)
"""
STARTS = {  # name -> what a process runs after importing NumPy
    "import stn_ref": "import stn_ref\n[getattr(stn_ref, name) for name in stn_ref.__all__ if name != 'plotting']",
    "stn-ref --help": _HELP,
    "first grid_sample": _SAMPLE,
    "first training step": _STEP,
}
QUICK = ("import stn_ref", "stn-ref --help")
ROUNDS = 3  # new folders for each row
_TIMED = "import time, numpy as np\nbegan = time.perf_counter()\n{}\nprint(time.perf_counter() - began)"


def seconds(name: str, kept: str, n_threads: int = 1) -> float:
    """Return the seconds that a new process takes for one of STARTS, without `import numpy`.

    `kept` is the folder for its machine code. Raises CalledProcessError if the process fails.
    """
    environment = os.environ | timing.variables(n_threads) | {"STN_REF_CACHE": kept}
    command = [sys.executable, "-c", _TIMED.format(STARTS[name])]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def _row(_, name: str, n: int, rounds: int) -> dict:
    """Return the medians over some folders, without and with stored machine code. The time allowed is not used."""
    pairs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as kept:
            pairs.append([seconds(name, kept, n) for _ in range(2)])
    compiled, found = map(statistics.median, zip(*pairs, strict=True))
    return {"rounds": rounds, "ours_ms": 1e3 * compiled, "kept_seconds": found}


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of STARTS."""
    n, rounds = n_threads[-1], 1 if quick else ROUNDS
    for name in QUICK if quick else STARTS:
        yield timing.Case(name, n, functools.partial(_row, name=name, n=n, rounds=rounds))
