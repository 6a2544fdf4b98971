"""Compile and launch functions on the GPU, and turn every CUDA error into a message of one line.

numba-cuda compiles. If NUMBA_ENABLE_CUDASIM=1 is set before numba is imported, its simulator runs the same kernels as
Python threads. This checks the maths without a GPU, but not types, races or precision.

Read next: maths.py, kernels.py, lists.py (kernels), arrays.py (arrays and streams).
"""

import contextlib
from collections.abc import Callable

import numba_cuda  # noqa: F401 (`from numba import cuda` gives this package if imported, else an unmaintained one)
from numba import config, cuda

from stn_ref import checks
from stn_ref.kernels import CUDA_INSTALL

SIMULATED = bool(config.ENABLE_CUDASIM)

THREADS = 3 if SIMULATED else 256  # of a block; a simulated thread is a Python thread
LEAST_BLOCKS = 1 if SIMULATED else 128  # of a grid, so that small problems use the whole GPU
MOST_BLOCKS = 2 if SIMULATED else 65535  # along either axis; kernels loop over the remaining places


def device(function: Callable) -> Callable:
    """Return a scalar function compiled for use in kernels; on the simulator, the Python function itself."""
    return function if SIMULATED else cuda.jit(device=True, inline="always")(function)


def launch(kernel: Callable, across: int, down: int, stream, *args) -> None:
    """Run `kernel` with a thread for each of `across` x `down` places; an empty axis launches nothing.

    Kernels loop over the places from cuda.grid(2) in steps of cuda.gridsize(2), so a grid of any size covers them all.
    """
    if across == 0 or down == 0:
        return
    threads = min(THREADS, -(-across // 32) * 32)
    blocks = max(-(-across // threads), -(-LEAST_BLOCKS // down))
    kernel[(min(blocks, MOST_BLOCKS), min(down, MOST_BLOCKS)), (threads, 1), stream](*args)


@contextlib.contextmanager
def one_line_errors(wanted: Callable[[], int]):
    """Turn errors of CUDA and numba-cuda inside the `with` into a line that says what to install or change.

    Args:
        wanted: returns the number of bytes requested so far, for the message about memory.

    Raises:
        MemoryError: the GPU has too little free memory.
        checks.DeviceError: no driver, no GPU, no compiler, a driver that is too old, or any other CUDA error.
    """
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("numba.cuda", "numba_cuda", "cuda.")):
            raise
        text = " ".join(str(error).split())
        if "OUT_OF_MEMORY" in text:
            raise MemoryError(
                f"the GPU has too little free memory for the {wanted() / 2**20:.0f} MiB that this call has requested: "
                "take fewer images at a time, close other programs that use the GPU, or use backend='cpu'"
            ) from None
        raise checks.DeviceError(f"{_remedy(text, type(error).__name__)} (CUDA says: {text})") from None


def _remedy(text: str, kind: str) -> str:
    """Return what the user can do about a CUDA error, given its text and the name of its class."""
    if kind == "CudaSupportError" or "NO_DEVICE" in text:
        return (
            "the CUDA backends found no NVIDIA GPU that they can use: check whether nvidia-smi lists one, "
            "install NVIDIA's driver, or use backend='cpu'"
        )
    if "UNSUPPORTED_PTX_VERSION" in text or "INSUFFICIENT_DRIVER" in text:
        return f"NVIDIA's driver is older than the installed CUDA toolkit: update it, or {CUDA_INSTALL}"
    if kind in ("DynamicLibNotFoundError", "NvvmSupportError", "NvrtcSupportError") or "libdevice" in text:
        return f"numba-cuda finds no compiler; install it: {CUDA_INSTALL}"
    return "CUDA failed; backend='cpu' computes the same"
