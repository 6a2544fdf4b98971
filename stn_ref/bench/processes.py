"""What is measured in processes of its own: how long a new one takes to start (startup.py)."""

import contextlib
import functools
import os
from collections.abc import Iterator

from stn_ref.bench import startup, timing

ROUNDS = 3  # processes for each number
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


def _start(seconds: float, name: str, n: int, rounds: int) -> dict:
    """Return the medians over some processes; how many seconds that takes is not up to the caller."""
    with _children_on(n):
        row = startup.measure(rounds, (name,))[name]
    return {"rounds": rounds, "ours_ms": 1e3 * row["cold"], "kept_seconds": row["kept"]}


def startup_cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield what a process may be started for."""
    n, rounds = n_threads[-1], 1 if quick else ROUNDS
    for name in QUICK if quick else startup.STARTS:
        yield timing.Case(name, n, functools.partial(_start, name=name, n=n, rounds=rounds))
