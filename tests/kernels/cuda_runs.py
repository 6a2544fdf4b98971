"""How the tests of the backends are run with the CUDA backends: by the simulator, or on a GPU.

They run in a process of their own: whether numba-cuda simulates is decided before it is imported.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CONTRACT = ("test_sampler.py", "test_sampler_modes.py", "test_sampler_errors.py", "test_sampler_edges.py")
WHICH = "(cuda or hostile_numbers or gpu_arrays) and not bicubic"  # there is no CUDA kernel for bicubic
ONCE = " and not (cuda_atomic and float32)"  # simulated, both backends run the same Python, whose numbers have no types
UNORDERED = " and not (cuda_atomic and (needs_computes or strided_and_read_only))"  # on a GPU sums differ in last bits


class Child:
    """Python in a process of its own, which may start long before its result is wanted, on another core."""

    def __init__(self, *arguments: str, env: dict[str, str]):
        self.command, self.env = [sys.executable, *arguments], env
        self.process = None

    def start(self) -> None:
        """Start it, unless it runs already."""
        if self.process is None:
            self.said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.env, stdout=self.said, stderr=subprocess.STDOUT
            )

    def result(self) -> str:
        """Return what it said; AssertionError if it failed."""
        self.start()
        status = self.process.wait()
        self.said.seek(0)
        said = self.said.read()
        self.stop()
        assert status == 0, f"status {status}: {said[-6000:]}"
        return said

    def stop(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.said.close()
            self.process = None


def tests(*files: str, simulated: bool) -> Child:
    """Return tests/FILE for the CUDA backends, which fail if one fails or none runs."""
    env = os.environ | {"STN_REF_BACKENDS": "cuda,cuda_atomic", "NUMBA_ENABLE_CUDASIM": str(int(simulated))}
    quiet = ("-W", "ignore::RuntimeWarning") if simulated else ()  # simulated, an infinite pixel times 0 warns
    which = WHICH + (ONCE if simulated else UNORDERED)
    options = ("-q", "--maxfail=3", "-p", "no:cacheprovider", *quiet, "-k", which)
    return Child("-m", "pytest", *options, *(str(ROOT / "tests" / file) for file in files), env=env)


def collection() -> Child:
    """Return the collection of all tests without numba-cuda and PyTorch."""
    script = (
        "import sys, pytest; sys.modules.update(numba_cuda=None, torch=None); "
        "sys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider']))"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("STN_REF_REQUIRE")}
    return Child("-c", script, env=env)
