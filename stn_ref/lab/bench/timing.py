"""Our calls and PyTorch's that do the same work, on as many threads, and the rows of the report.

Reads: ../turns.py. Read next: machine.py, sampler.py.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from stn_ref.kernels.cpu import threads
from stn_ref.lab.turns import TURN, interleaved

REST = 0.015  # seconds between turns on several threads: PyTorch's idle threads keep their cores busy for some 10 ms


@dataclass
class Case:
    """One row of the report, measured when its turn comes.

    Attributes:
        name: what is measured, such as "forward 64,16,32,32 -> 32,32".
        threads: on how many.
        measure: called with the seconds that it may take; returns the numbers of the row.
        seconds: the share of time that it wants, for one row among many.
    """

    name: str
    threads: int
    measure: Callable[[float], dict]
    seconds: float = 1.5


def has_torch() -> bool:
    """Return whether PyTorch can be imported."""
    try:
        importlib.import_module("torch")
    except (ImportError, OSError):
        return False
    return True


@contextlib.contextmanager
def on_threads(n: int) -> Iterator[None]:
    """Context in which we, and PyTorch if it is there, use n threads."""
    before = threads.get_num_threads()
    threads.set_num_threads(n)
    torch = importlib.import_module("torch") if has_torch() else None
    torch_before = torch.get_num_threads() if torch else 0
    try:
        if torch:
            torch.set_num_threads(n)
        yield
    finally:
        threads.set_num_threads(before)
        if torch:
            torch.set_num_threads(torch_before)


def compare(
    ours: Callable[[], object],
    torch: Callable[[], object] | None,
    seconds: float,
    *,
    limit: tuple[Callable[[], object], float] | None = None,
    take_turn: Callable[[Callable, float], float] | None = None,
) -> dict:
    """Time ours, PyTorch's and the machine's own in turns, on the threads in use.

    Args:
        ours: our call.
        torch: PyTorch's; None where it is not installed.
        seconds: for all of them.
        limit: what the machine can do, copies of the bytes that have to move or a matrix product, and the share of it
            that is the work of one call.
        take_turn: as for `interleaved`.

    Returns:
        ours_ms, torch_ms: the medians.
        ratio, ratio_10_90: PyTorch's time over ours, the median over the rounds and its 10 to 90 % range; above 1 ours
            is the faster one.
        of_limit, of_limit_10_90: the limit's time over ours: 1 is as fast as the machine can.
        rounds: how many there were.
    """
    reference, share = limit or (None, 1.0)
    calls = {"ours": ours, "torch": torch, "limit": reference}
    calls = {name: call for name, call in calls.items() if call is not None}
    rest = REST if threads.get_num_threads() > 1 else 0.0
    times = interleaved(calls, seconds, turn=min(TURN, seconds / 25), rest=rest, take_turn=take_turn)
    return summary({name: np.array(values) * (share if name == "limit" else 1) for name, values in times.items()})


def summary(times: dict[str, np.ndarray]) -> dict:
    """Return the medians of `compare`, and the ratios round by round; seconds in, milliseconds out."""
    row = {"rounds": len(times["ours"]), "ours_ms": 1e3 * float(np.median(times["ours"]))}
    if "torch" in times:
        row["torch_ms"] = 1e3 * float(np.median(times["torch"]))
    for other, name in (("torch", "ratio"), ("limit", "of_limit")):
        if other in times:
            row[name], *spread = (float(q) for q in np.quantile(times[other] / times["ours"], (0.5, 0.1, 0.9)))
            row[f"{name}_10_90"] = spread
    return row
