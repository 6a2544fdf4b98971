"""Describe the machine for a report of numbers: versions, threads, GPU, and the folders of data."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from stn_ref.kernels import CUDA_INSTALL
from stn_ref.kernels.cpu import threads

PACKAGES = ("stn_ref", "numpy", "scipy", "numba", "numba-cuda", "matplotlib", "torch")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _gpu() -> str:
    """Return the GPUs that nvidia-smi lists, without their serial numbers, and how to sample on them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none found"
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=True).stdout.split("\n")
    except (OSError, subprocess.SubprocessError):
        return "none found"
    there = _version("numba-cuda") != "not installed"
    how = "backend='cuda' samples there" if there else f"to sample there: {CUDA_INSTALL}"
    return "; ".join(re.sub(r" *\(UUID: [^)]*\)", "", line.strip()) for line in listed if line) + f" ({how})"


def _kept() -> str:
    """Return where machine code is kept, or why it is not."""
    try:
        from stn_ref.kernels.cpu import jit
    except ImportError:
        return "none: numba is not installed"
    return jit.kept()


def versions() -> dict[str, str]:
    """Return the version of each of PACKAGES, and of Python, without importing them."""
    return {package: _version(package) for package in PACKAGES} | {"python": platform.python_version()}


def shipped(folder: str) -> Path:
    """Return a folder that comes with the package: inside an installed package, or beside the package in a checkout.

    `folder` is "tutorials", "figures/results" or "figures/bench"; inside the package its name begins with "_".
    """
    package = Path(__file__).parents[1]
    installed = package / f"_{Path(folder).name}"
    return installed if installed.is_dir() else package.parent / folder


def environment() -> dict[str, str]:
    """Return versions, machine, threads, GPU, and the folders of compiled code and data."""
    mnist = Path("data/mnist").resolve()
    there = any(mnist.glob("*ubyte*"))
    return versions() | {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": str(threads.get_num_threads()),
        "gpu": _gpu(),
        "compiled code": _kept(),
        "data": "digits drawn on the spot, or MNIST where --data points",
        "fetched to": f"{mnist}, {'there' if there else 'not there: stn-ref data fetch mnist'}",
    }


def processor() -> str:
    """Return the name of the CPU that the operating system reports."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for text in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if text.startswith("model name"):
                return text.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
