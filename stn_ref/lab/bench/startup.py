"""What a new process costs: import, --help, the first sample, the first training step; each in processes of its own.

Almost all of it is compiling. Each is measured without kept machine code, and with it (kernels/cpu/cache.py).
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable

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
STARTS = {  # name -> what a process does once it has NumPy; None: the whole process `stn-ref --help`
    "import stn_ref": "import stn_ref\n[getattr(stn_ref, name) for name in stn_ref.__all__ if name != 'plotting']",
    "stn-ref --help": None,
    "first grid_sample": _SAMPLE,
    "first training step": _STEP,
}
_TIMED = "import time, numpy as np\nbegan = time.perf_counter()\n{}\nprint(time.perf_counter() - began)"
_HELP = """
import subprocess, sys, time
began = time.perf_counter()
subprocess.run([sys.executable, "-m", "stn_ref", "--help"], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - began)
"""


def seconds(name: str, kept: str | None = None) -> float:
    """Start one process for one of STARTS and return its seconds, on top of `import numpy` but for --help.

    Args:
        name: one of STARTS.
        kept: the folder of kept machine code, an absolute path; None: everything is compiled.

    Raises:
        subprocess.CalledProcessError: the process failed.
    """
    script = _HELP if STARTS[name] is None else _TIMED.format(STARTS[name])
    environment = os.environ | {"STN_REF_CACHE": kept or "0"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure(rounds: int = 3, names: Iterable[str] | None = None) -> dict[str, dict[str, float]]:
    """Return name -> {"cold": seconds, "kept": seconds}, medians over processes: without and with kept machine code.

    Args:
        rounds: how many processes for each number. A cold training step compiles for 5 to 15 seconds.
        names: some of STARTS; None: all.
    """
    report = {}
    with tempfile.TemporaryDirectory() as kept:
        for name in STARTS if names is None else names:
            seconds(name, kept)  # fills the folder, and the system's memory of files
            both = [(seconds(name), seconds(name, kept)) for _ in range(rounds)]  # in turns: a machine may slow down
            report[name] = dict(zip(("cold", "kept"), map(statistics.median, zip(*both, strict=True)), strict=True))
    return report
