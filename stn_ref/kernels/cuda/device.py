"""The GPU, as the CUDA backends see it: how functions are compiled and launched, and every failure in one line.

numba-cuda compiles; with NUMBA_ENABLE_CUDASIM=1 in the environment, before numba is imported, its simulator runs the
same kernels as Python threads, which checks the maths without a GPU (not types, races or precision).

Read next: maths.py, kernels.py, lists.py (kernels), arrays.py (whose arrays, on which stream).
"""

import contextlib
from collections.abc import Callable

import numba_cuda  # noqa: F401 (`from numba import cuda` is this package, or an older one that nobody looks after)
from numba import config, cuda

from stn_ref import checks
from stn_ref.kernels import CUDA_INSTALL

SIMULATED = bool(config.ENABLE_CUDASIM)

THREADS = 3 if SIMULATED else 256  # of a block; a simulated one is a Python thread
LEAST_BLOCKS = 1 if SIMULATED else 128  # in a grid: small problems are spread over the GPU
MOST_BLOCKS = 2 if SIMULATED else 65535  # along either axis; the loops of a kernel stride over what is left


def device(function: Callable) -> Callable:
    """Return a scalar function compiled for use inside kernels; simulated, it is Python as it stands."""
    return function if SIMULATED else cuda.jit(device=True, inline="always")(function)


def launch(kernel: Callable, across: int, down: int, stream, *args) -> None:
    """Run `kernel` with a thread for each of `across` x `down` places; an empty axis launches nothing.

    Kernels loop over the places from cuda.grid(2) in steps of cuda.gridsize(2), so any grid does the work of any size.
    """
    if across == 0 or down == 0:
        return
    threads = min(THREADS, -(-across // 32) * 32)
    blocks = max(-(-across // threads), -(-LEAST_BLOCKS // down))
    kernel[(min(blocks, MOST_BLOCKS), min(down, MOST_BLOCKS)), (threads, 1), stream](*args)


@contextlib.contextmanager
def one_line_errors(wanted: Callable[[], int]):
    """Turn what CUDA and numba-cuda raise inside the `with` into one line that says what to install or change.

    Args:
        wanted: returns the bytes that were asked for so far, for the message about memory.

    Raises:
        MemoryError: the GPU has no room.
        checks.DeviceError: no driver, no GPU, no compiler, a driver too old, or anything else that CUDA reports.
    """
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("numba.cuda", "numba_cuda", "cuda.")):
            raise
        text = " ".join(str(error).split())
        if "OUT_OF_MEMORY" in text:
            raise MemoryError(
                f"the GPU has no room for the {wanted() / 2**20:.0f} MiB that this call has asked for so far: take "
                "fewer images at a time, free what other programs hold on it, or use backend='cpu'"
            ) from None
        raise checks.DeviceError(f"{_remedy(text, type(error).__name__)} (CUDA says: {text})") from None


def _remedy(text: str, kind: str) -> str:
    """Return what to do about an error of CUDA, given its words."""
    if kind == "CudaSupportError" or "NO_DEVICE" in text:
        return (
            "the CUDA backends found no NVIDIA GPU that they can use: see whether nvidia-smi lists one, install "
            "NVIDIA's driver, or use backend='cpu'"
        )
    if "UNSUPPORTED_PTX_VERSION" in text or "INSUFFICIENT_DRIVER" in text:
        return f"NVIDIA's driver is older than the CUDA toolkit that is installed: update it, or {CUDA_INSTALL}"
    if kind in ("DynamicLibNotFoundError", "NvvmSupportError", "NvrtcSupportError") or "libdevice" in text:
        return f"numba-cuda has no compiler, install it, too: {CUDA_INSTALL}"
    return "CUDA failed; backend='cpu' computes the same"
