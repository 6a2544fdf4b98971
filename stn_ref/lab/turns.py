"""Time calls in turns, so that a slow phase of the machine affects all of them; measure the load of other programs."""

import functools
import gc
import os
import time
from collections.abc import Callable

import numpy as np

TURN = 0.02  # seconds of calls in one turn
LEAST_ROUNDS = 5


def interleaved(
    calls: dict[str, Callable[[], object]],
    seconds: float,
    *,
    turn: float = TURN,
    rest: float = 0.0,
    take_turn: Callable[[Callable, float], float] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, list[float]]:
    """Time several calls in turns; return name -> seconds of one call, for each round.

    In a turn a call runs once untimed, which fills the caches and wakes the threads of its library. Then it runs
    repeatedly for `turn` seconds, at least once, and the median is the result. A round is one turn of each call. Each
    round starts with the next call in the list. Before the first round each call runs once untimed, because it may
    compile.

    Args:
        calls: name -> the call to time.
        seconds: new rounds begin for this long; there are at least LEAST_ROUNDS.
        turn: duration of a turn in seconds.
        rest: seconds of sleep before each turn.
        take_turn: (call, seconds) -> seconds of one call; None: the method above, by `clock`.
        clock: a function that returns seconds.
        sleep: called with `rest`.
    """
    take_turn = take_turn or functools.partial(_turn, clock=clock)
    for call in calls.values():
        call()
    names, times = list(calls), {name: [] for name in calls}
    rounds, end, collects = 0, clock() + seconds, gc.isenabled()
    gc.collect()
    gc.disable()  # a collection would be part of the call that it interrupts
    try:
        while rounds < LEAST_ROUNDS or clock() < end:
            first = rounds % len(names)
            for name in names[first:] + names[:first]:
                if rest:
                    sleep(rest)
                times[name].append(take_turn(calls[name], turn))
            rounds += 1
    finally:
        if collects:
            gc.enable()
    return times


def _turn(call: Callable[[], object], seconds: float, clock: Callable[[], float]) -> float:
    """Return the median time of a call repeated for some seconds; the first call is not counted."""
    call()
    samples, began = [], clock()
    end = began + seconds
    while not samples or began < end:
        call()
        now = clock()
        samples.append(now - began)
        began = now
    return float(np.median(samples))


class Others:
    """Measure how many cores were busy with other programs since this object was created.

    Times measured under this load are not reliable. The numbers come from counters of the Linux kernel; other systems
    do not report them.
    """

    def __init__(self):
        self.began, self.busy = time.perf_counter(), _busy_seconds()

    def cores(self) -> float | None:
        """Return the mean number of cores, None if the system does not report it."""
        if self.busy is None:
            return None
        return max(0.0, (_busy_seconds() - self.busy) / (time.perf_counter() - self.began))


def _busy_seconds() -> float | None:
    """Return the busy seconds of all cores together, minus those of this process and its children."""
    try:
        with open("/proc/stat", encoding="ascii") as counters:
            user, nice, system, _, _, irq, softirq, steal = map(int, counters.readline().split()[1:9])
    except (OSError, ValueError):
        return None
    ours = sum(os.times()[:4])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - ours
