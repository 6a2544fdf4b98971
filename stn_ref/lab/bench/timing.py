"""Time our calls and PyTorch's calls, which do the same work on as many threads, and compute the numbers of a row.

Reads: ../turns.py. Read next: machine.py, sampler.py.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from stn_ref.kernels.cpu import threads
from stn_ref.lab.turns import TURN, interleaved

# Seconds of sleep before each turn on several threads. After PyTorch's turn its OpenMP threads spin for 4 to 8 ms of
# processor time (measured); our threads sleep at once. Separate processes would not help, because PyTorch's threads
# would keep the same cores busy. The sleep separates the two libraries.
REST = 0.02


@dataclass
class Case:
    """One row of the report before its measurement."""

    name: str
    threads: int  # in use
    measure: Callable[[float], dict]  # called with the seconds that it may take; returns the numbers of the row
    seconds: float = 1.5  # planned duration


def has_torch() -> bool:
    """Return whether PyTorch can be imported."""
    try:
        importlib.import_module("torch")
    except (ImportError, OSError):
        return False
    return True


def in_pytorch(make: str, *args, **options):
    """Return the result of the function `make` of pytorch.py, None if PyTorch is not installed."""
    if not has_torch():
        return None
    return getattr(importlib.import_module("stn_ref.lab.bench.pytorch"), make)(*args, **options)


@contextlib.contextmanager
def on_threads(n: int) -> Iterator[None]:
    """Return a context manager: inside, this package and PyTorch, if installed, use n threads."""
    libraries = [threads, *([importlib.import_module("torch")] if has_torch() else [])]
    before = [library.get_num_threads() for library in libraries]
    try:
        for library in libraries:
            library.set_num_threads(n)
        yield
    finally:
        for library, number in zip(libraries, before, strict=True):
            library.set_num_threads(number)


def variables(n: int) -> dict[str, str]:
    """Return environment variables that set n threads in a new process, for this package and for PyTorch."""
    return dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), str(n))


def compare(
    calls: dict[str, Callable[[], object] | None],
    seconds: float,
    *,
    limit: tuple[Callable[[], object], float] = (None, 1.0),
    take_turn: Callable[[Callable, float], float] | None = None,
) -> dict:
    """Time calls and the machine's limit in turns, on the threads in use; return the numbers of `summary`.

    Args:
        calls: "ours", "torch" and others, for example "kernel"; None for a missing call, as "torch" without PyTorch.
        seconds: the time for all calls together.
        limit: a call that runs at the limit of the machine (a copy of the bytes that must move, or a matrix product),
            and the share of its work that one of our calls does.
        take_turn: as for `interleaved`.
    """
    calls = {name: call for name, call in (calls | {"limit": limit[0]}).items() if call is not None}
    rest = REST if threads.get_num_threads() > 1 else 0.0
    times = interleaved(calls, seconds, turn=min(TURN, seconds / 25), rest=rest, take_turn=take_turn)
    return summary({name: np.array(values) * (limit[1] if name == "limit" else 1) for name, values in times.items()})


def summary(times: dict[str, np.ndarray]) -> dict:
    """Return the numbers of a row from the seconds of one call in each round.

    Args:
        times: those of "ours" and, if measured, of "torch", "limit" and others.

    Returns:
        rounds: the number of rounds.
        ours_ms, torch_ms, and likewise for the others: the medians.
        ratio, ratio_10_90: PyTorch's time over ours, the median over the rounds and the range from 10 to 90 %; above 1
            ours is faster. kernel_ratio, kernel_ratio_10_90: PyTorch's time over that of "kernel"; likewise for the
            others.
        of_limit, of_limit_10_90: the limit's time over ours: 1 is the limit of the machine.
    """
    row = {"rounds": len(times["ours"])}
    row |= {f"{name}_ms": 1e3 * float(np.median(times[name])) for name in times if name != "limit"}
    ratios = {"ratio": ("torch", "ours"), "of_limit": ("limit", "ours")}
    ratios |= {f"{name}_ratio": ("torch", name) for name in times if name not in ("ours", "torch", "limit")}
    for ratio, (above, below) in ratios.items():
        if above in times:
            row[ratio], *row[f"{ratio}_10_90"] = np.quantile(times[above] / times[below], (0.5, 0.1, 0.9)).tolist()
    return row
