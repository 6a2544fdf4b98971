"""The sampler on an NVIDIA GPU: forward, and backward with the gradient of U in one order and in any order.

Against PyTorch on the same GPU, if its build can use one, and against a copy of the bytes that have to move within the
memory of the GPU. All arrays are there beforehand, and the GPU's own events take the time: a turn is CALLS calls
queued one behind the other on the default stream.

With NUMBA_ENABLE_CUDASIM=1 the calls run on the simulator, which measures no time. No report of a GPU is committed yet;
`stn-ref bench --only cuda --json figures/bench/gpu.json` writes one.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterator

import numpy as np

from stn_ref import checks, kernels
from stn_ref.lab.bench import timing
from stn_ref.lab.bench.sampler import SHAPES, problem
from stn_ref.sampler import sample, sample_backward

LARGE = [(64, 64, 128, 128, 128, 128)]  # more work than the small shapes have for a GPU
CALLS = 10
PASSES = {  # what -> pass, backend
    "forward": ("forward", "cuda"),
    "backward, one order": ("backward", "cuda"),
    "backward, atomic": ("backward", "cuda_atomic"),
}


def _device():
    return kernels.compiled("cuda.device", "the benchmark of the GPU")


def found() -> bool:
    """Return whether numba-cuda is installed and finds a GPU."""
    if importlib.util.find_spec("numba_cuda") is None:
        return False
    try:
        return bool(_device().cuda.is_available())
    except (ImportError, OSError):  # a broken installation must not stop the other parts
        return False


def require() -> None:
    """Raise unless the sampler can run on a GPU.

    Raises:
        ImportError: numba-cuda is not installed.
        DeviceError: it finds no GPU.
    """
    if not _device().cuda.is_available():
        raise checks.DeviceError("there is no NVIDIA GPU that numba-cuda can use: see whether nvidia-smi lists one")


def take_turn(call: Callable[[], object], seconds: float) -> float:
    """Return the seconds of one call by the events of the GPU; `seconds` is not used, a turn is CALLS calls."""
    cuda = _device().cuda
    began, ended = cuda.event(), cuda.event()
    call()
    began.record()
    for _ in range(CALLS):
        call()
    ended.record()
    ended.synchronize()
    return began.elapsed_time(ended) / 1e3 / CALLS


def _copy(n_bytes: int) -> Callable[[], None]:
    """Return a call that moves n_bytes within the memory of the GPU, half of them in and half of them out."""
    cuda = _device().cuda
    source, target = (cuda.device_array(max(1, n_bytes // 8), np.float32) for _ in range(2))
    return lambda: target.copy_to_device(source)


def _measure(seconds: float, shape: tuple, what: str) -> dict:
    direction, backend = PASSES[what]
    device = _device()
    U, grid, points, gV = problem(shape)
    on_gpu = {"U": device.cuda.to_device(U), "points": device.cuda.to_device(points), "gV": device.cuda.to_device(gV)}
    calls = {
        "forward": lambda: sample(on_gpu["U"], on_gpu["points"], backend=backend),
        "backward": lambda: sample_backward(*on_gpu.values(), backend=backend),
    }
    moved = U.nbytes + grid.nbytes + gV.nbytes + (direction == "backward") * (U.nbytes + grid.nbytes)
    call, copy = calls[direction], _copy(moved)
    facts = {"shape": list(shape), "pass": direction, "backend": backend}
    if device.SIMULATED:
        take_turn(call, seconds)
        copy()
        return facts | {"simulated": True}
    theirs = timing.in_pytorch("torch_sampler", U, grid, gV, device="cuda")  # None: PyTorch cannot use a GPU
    timed = {"ours": call, "torch": theirs and theirs[direction]}
    return facts | timing.compare(timed, seconds, limit=(copy, 1.0), take_turn=take_turn)


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield every shape, on the one thread that queues the work."""
    for shape in SHAPES[:1] if quick else SHAPES + LARGE:
        for what in PASSES:
            name = "{:<19} {},{},{},{} -> {},{}".format(what, *shape)
            yield timing.Case(name, 1, functools.partial(_measure, shape=shape, what=what), 1.0)
