"""The sampler on an NVIDIA GPU: forward, and backward with the gradient of U summed in a fixed or in any order.

The calls are compared with PyTorch on the same GPU, if PyTorch can use it, and with a copy within the memory of the GPU
of as many bytes as must move. All arrays are on the GPU beforehand. Events of the GPU measure the time: a turn is CALLS
calls, queued one after another on the default stream.

With NUMBA_ENABLE_CUDASIM=1 the calls run on the simulator without timing. The repository has no report of a GPU yet;
`stn-ref bench --only cuda --json figures/bench/cuda.json` writes one, and so does tests/gpu.sh.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterator

import numpy as np

from stn_ref import checks, kernels
from stn_ref.lab.bench import timing
from stn_ref.lab.bench.sampler import SHAPES, problem
from stn_ref.sampler import sample, sample_backward

LARGE = [(64, 64, 128, 128, 128, 128)]  # enough work for a GPU, unlike the small shapes
CALLS = 10
PASSES = {  # name -> pass, backend
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
    """Raise an error unless the sampler can run on a GPU.

    Raises:
        ImportError: numba-cuda is not installed.
        DeviceError: numba-cuda finds no GPU.
    """
    if not _device().cuda.is_available():
        raise checks.DeviceError("numba-cuda finds no NVIDIA GPU that it can use: check whether nvidia-smi lists one")


def take_turn(call: Callable[[], object], seconds: float) -> float:
    """Return the seconds of one call, measured by GPU events over CALLS calls; `seconds` is not used."""
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
    """Return a call that moves n_bytes within the memory of the GPU: it reads half of them and writes half."""
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
    """Yield the cases of every shape; one CPU thread queues the work."""
    for shape in SHAPES[:1] if quick else SHAPES + LARGE:
        for what in PASSES:
            name = "{:<19} {},{},{},{} -> {},{}".format(what, *shape)
            yield timing.Case(name, 1, functools.partial(_measure, shape=shape, what=what), 1.0)
