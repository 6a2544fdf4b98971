"""Growth with size: time and memory of the bilinear sampler for each pixel, from 2^8 to 2^24 of them.

One image of one channel, float32, sampled at as many points on a grid that is turned a little. Where both figures stay
level the cost is linear. Memory is the peak of what NumPy allocates during one call, results included, as tracemalloc
sees it: V is 4 bytes a pixel; gU and gpoints are 12.
"""

import gc
import tracemalloc
from collections.abc import Callable, Iterator

from stn_ref.lab.bench import machine, timing
from stn_ref.lab.bench.sampler import PASSES, problem
from stn_ref.sampler import sample, sample_backward

POWERS = range(8, 25, 2)
QUICK = (8, 12)


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the most bytes that Python and NumPy held at once during a call, beyond those before it."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


def measure(seconds: float, power: int, what: str) -> dict:
    """Return the times and memory of one pass over 2^power pixels, also for each pixel."""
    H, W = 2 ** (power // 2), 2 ** (power - power // 2)
    U, grid, points, gV = problem((1, 1, H, W, H, W))
    calls = {"forward": lambda: sample(U, points), "backward": lambda: sample_backward(U, points, gV)}
    torch_calls = {}
    if timing.has_torch():
        from stn_ref.lab.bench.pytorch import torch_sampler

        torch_calls = torch_sampler(U, grid, gV)
    moved = (16 if what == "forward" else 28) * H * W
    row = timing.compare(calls[what], torch_calls.get(what), seconds, limit=machine.copy(moved))
    row |= {"pixels": 2**power, "pass": what, "nanoseconds_per_pixel": 1e6 * row["ours_ms"] / 2**power}
    if "torch_ms" in row:
        row["torch_nanoseconds_per_pixel"] = 1e6 * row["torch_ms"] / 2**power
    return row | {"peak_bytes_per_pixel": peak_bytes(calls[what]) / 2**power}


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield both passes over every number of pixels."""
    for what in PASSES:
        for power in QUICK if quick else POWERS:
            name = f"{what:<8} 2^{power} pixels"
            yield timing.Case(name, n_threads[-1], lambda s, p=power, w=what: measure(s, p, w), 1.0)
