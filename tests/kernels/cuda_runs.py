"""How the tests of the backends are run with the CUDA backends: by the simulator, or on a GPU.

They run in a process of their own: whether numba-cuda simulates is decided before it is imported.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CONTRACT = ("test_sampler.py", "test_sampler_modes.py", "test_sampler_errors.py", "test_sampler_edges.py")
WHICH = "(cuda or hostile_numbers or gpu_arrays) and not bicubic"  # of bicubic there is no CUDA kernel
ONCE = " and not (cuda_atomic and float32)"  # simulated, both backends run the same Python, whose numbers have no types
UNORDERED = " and not (cuda_atomic and (needs_computes or strided_and_read_only))"  # on a GPU sums differ in last bits


def run(*files: str, simulated: bool) -> str:
    """Run tests/FILE for the CUDA backends, and return what pytest says; AssertionError if one fails or none runs."""
    env = os.environ | {"STN_REF_BACKENDS": "cuda,cuda_atomic", "NUMBA_ENABLE_CUDASIM": str(int(simulated))}
    quiet = ("-W", "ignore::RuntimeWarning") if simulated else ()  # simulated, an infinite pixel times 0 warns
    which = WHICH + (ONCE if simulated else UNORDERED)
    command = [sys.executable, "-m", "pytest", "-q", "--maxfail=3", "-p", "no:cacheprovider", *quiet, "-k", which]
    paths = [str(ROOT / "tests" / file) for file in files]
    done = subprocess.run([*command, *paths], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout
