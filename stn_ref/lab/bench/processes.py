"""What is measured in processes of its own: what a training step takes of memory (memory.py), and a start (startup.py).

Memory is the growth of the resident set over training steps, ours and PyTorch's in a process each; the ratio is
PyTorch's over ours, above 1 ours takes less.
"""

import contextlib
import functools
import os
from collections.abc import Iterator

from stn_ref.lab.bench import memory, startup, timing

STEPS = [("fcn", 28, 256), ("cnn", 60, 256), ("st-cnn-affine", 60, 256), ("tutorial", 28, 256), ("cifar10", 32, 64)]
ROUNDS = 3  # processes for each number of a start
QUICK = ("import stn_ref", "stn-ref --help")


@contextlib.contextmanager
def _children_on(n: int) -> Iterator[None]:
    """Context in which new processes use n threads."""
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ |= dict.fromkeys(names, str(n))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ |= {} if value is None else {name: value}


def _memory(seconds: float, step: tuple, n: int) -> dict:
    """Return the growth in MiB, one process each; `seconds` has no say."""
    row = {"mebibytes": memory.step_memory(*step, "ours", n) / 2**20}
    if timing.has_torch():
        row["torch_mebibytes"] = memory.step_memory(*step, "torch", n) / 2**20
        row["memory_ratio"] = row["torch_mebibytes"] / row["mebibytes"]
    return row


def memory_cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield training steps."""
    n = n_threads[-1]
    for step in STEPS[:1] if quick else STEPS:
        name, size, batch = step
        measure = functools.partial(_memory, step=step, n=n)
        yield timing.Case(f"{name} {size}x{size} batch {batch}", n, measure)


def _start(seconds: float, name: str, n: int, rounds: int) -> dict:
    """Return the medians over some processes; `seconds` has no say."""
    with _children_on(n):
        row = startup.measure(rounds, (name,))[name]
    return {"rounds": rounds, "ours_ms": 1e3 * row["cold"], "kept_seconds": row["kept"]}


def startup_cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield what a process may be started for."""
    n, rounds = n_threads[-1], 1 if quick else ROUNDS
    for name in QUICK if quick else startup.STARTS:
        yield timing.Case(name, n, functools.partial(_start, name=name, n=n, rounds=rounds))
