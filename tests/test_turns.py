"""Calls take turns, and what others worked is told from our own work."""

import math
import os
from types import SimpleNamespace

import pytest

from stn_ref.lab import turns


class Clock:
    """A clock that only calls and sleeps move."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def call(self, name, seconds):
        def run():
            self.log.append(name)
            self.now += seconds

        return run

    def sleep(self, seconds):
        self.log.append("rest")
        self.now += seconds


def fake_rounds(seconds, calls, **options):
    clock = Clock()
    calls = {name: clock.call(name, duration) for name, duration in calls.items()}
    return turns.interleaved(calls, seconds, clock=lambda: clock.now, sleep=clock.sleep, **options), clock.log


def test_calls_take_turns_and_each_round_begins_with_another():
    times, log = fake_rounds(0.0, {"a": 1.0, "b": 2.0}, turn=0.5)
    assert turns.LEAST_ROUNDS == 5
    assert "".join(log) == "ab" + "aabb" + "bbaa" + "aabb" + "bbaa" + "aabb"  # once before all, then untimed and timed
    assert times == {"a": [1.0] * 5, "b": [2.0] * 5}


def test_a_turn_repeats_quick_calls_and_rests_before():
    times, log = fake_rounds(0.0, {"a": 1.0, "b": 2.0}, turn=4.0, rest=0.25)
    assert "".join(log[2:]).startswith("rest" + "aaaaa" + "rest" + "bbb" + "rest" + "bbb")
    assert log.count("rest") == 10 and len(times["a"]) == len(times["b"]) == 5


def test_rounds_go_on_while_there_is_time():
    times, _ = fake_rounds(100.0, {"a": 1.0, "b": 2.0}, turn=0.5)
    assert len(times["a"]) == len(times["b"]) == math.ceil(100 / 6)


def test_a_turn_may_be_taken_by_another_clock():
    readings = iter(range(100))
    taken = turns.interleaved({"a": str, "b": str}, 0.0, take_turn=lambda call, seconds: next(readings))
    assert taken == {"a": [0, 3, 4, 7, 8], "b": [1, 2, 5, 6, 9]}


def test_a_turn_counts_its_median_and_not_its_first_call():
    clock = Clock()
    durations = iter([1000.0, 1.0, 5.0, 2.0, 100.0])  # together 108 seconds without the first

    def call():
        clock.now += next(durations)

    assert turns._turn(call, 50, lambda: clock.now) == 3.5


def test_garbage_is_collected_again_after_a_call_that_fails():
    import gc

    with pytest.raises(ZeroDivisionError):
        turns.interleaved({"a": lambda: 1 / 0}, 0.0)
    calls = iter([None] * 3)
    with pytest.raises(StopIteration):
        turns.interleaved({"a": lambda: next(calls)}, 0.0)
    assert gc.isenabled()


@pytest.mark.parametrize(("busy", "cores"), [((10.0, 13.0), 1.5), ((10.0, 9.9), 0.0), ((None, None), None)])
def test_what_others_worked_is_counted_in_cores(monkeypatch, busy, cores):
    clock, busy = iter((100.0, 102.0)), iter(busy)
    monkeypatch.setattr(turns, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(turns, "_busy_seconds", lambda: next(busy))
    assert turns.Others().cores() == cores


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="Linux counts it")
def test_our_own_work_is_not_that_of_others(monkeypatch):
    before = turns._busy_seconds()
    now = os.times()
    monkeypatch.setattr(turns.os, "times", lambda: (now[0] + 1e6, *now[1:]))
    assert turns._busy_seconds() < before - 9e5
