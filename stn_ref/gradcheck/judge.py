"""The verdict on one array: what backward claims against what finite differences know.

    smooth:         |a - n| <= tolerance * max(|a|, |n|), max over the array
    kink or jump:   low <= a <= high
    unclear:        not judged, but counted

Reads: slopes.py, report.py. Read next: check.py.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from stn_ref.gradcheck.report import GradEntry
from stn_ref.gradcheck.slopes import Slope


class Probe(NamedTuple):
    """One slope: `analytic` from backward, `slope` from finite differences; `index` is None along a direction."""

    index: tuple[int, ...] | None
    analytic: float
    slope: Slope


def judge(
    entry: GradEntry,
    values: list[Probe],
    largest: float,
    along: list[Probe],
    typical: float,
    tolerance: float,
    judge_kinks: bool,
) -> None:
    """Fill in the entry.

    Args:
        entry: has name, kind, shape and method.
        values: one probe for each value that was checked.
        largest: max|a| over the whole array.
        along: one probe for each random direction; judged off kinks only.
        typical: what |a . direction| is for a typical direction.
        tolerance: the largest relative error that passes.
        judge_kinks: whether values on kinks are judged by their interval, or only counted.
    """
    judged = [*_errors(values, largest, tolerance), *_errors(along, typical, tolerance)]
    if judged:
        worst, entry.max_rel_error = max(judged, key=lambda pair: pair[1])
        entry.worst_index, entry.analytic = worst.index, worst.analytic
        entry.numeric, entry.step = worst.slope.value, worst.slope.step
    entry.checked = sum(p.slope.kind == "smooth" for p in values)
    entry.directions = len(judged) - entry.checked
    entry.directions_on_kinks = len(along) - entry.directions

    kinks = [p for p in values if p.slope.kind in ("kink", "jump")]
    outside = [p for p in kinks if judge_kinks and not _inside(p, tolerance * largest)]
    entry.kinks, entry.kinks_judged, entry.kinks_outside = len(kinks), len(kinks) * judge_kinks, len(outside)
    entry.jumps = sum(p.slope.kind == "jump" for p in kinks)
    entry.unresolved = len(values) - entry.checked - entry.kinks

    something = entry.checked + entry.directions + entry.kinks_judged > 0
    entry.passed = something and entry.max_rel_error <= tolerance and not outside
    hidden = max((_hidden(p) for p, _ in judged), default=0.0)
    entry.note = "; ".join(_notes(entry, outside, something, hidden, hidden > tolerance * largest > 0))


def _errors(probes: list[Probe], norm: float, tolerance: float) -> list[tuple[Probe, float]]:
    """Relative errors of the smooth probes.

    The denominator never falls below what rounding hides, over the tolerance: where a gradient is 0, such as the one
    of a bias before a softmax, there is only rounding to compare.
    """
    smooth = [p for p in probes if p.slope.kind == "smooth"]
    for p in smooth:
        norm = max(norm, abs(p.slope.value), abs(p.analytic) if math.isfinite(p.analytic) else 0.0)
    errors = []
    for p in smooth:
        difference = abs(p.analytic - p.slope.value)
        error = difference / max(norm, _hidden(p) / tolerance) if difference else 0.0
        errors.append((p, error if math.isfinite(error) else math.inf))
    return errors


def _hidden(p: Probe) -> float:
    """The largest error that rounding of the outputs may hide."""
    return 10 * p.slope.roundoff


def _inside(p: Probe, slack: float) -> bool:
    slack += _hidden(p)
    return p.slope.low - slack <= p.analytic <= p.slope.high + slack


def _notes(e: GradEntry, outside: list[Probe], something: bool, hidden: float, hides: bool) -> Iterator[str]:
    """Say what the numbers alone do not."""
    if e.analytic is not None and not math.isfinite(e.analytic):
        yield f"backward gives {e.analytic} where finite differences are finite"
    for p in outside[:1]:
        low, high = f"{p.slope.low:.6g}", f"{p.slope.high:.6g}"
        yield f"at {p.index}, on a {p.slope.kind}: backward gives {p.analytic:.6g}, outside [{low}, {high}]"
        yield "if a net mixes several kinks afterwards this may be right: kinks='skip'"
    if e.jumps:
        yield f"jumps, where the function itself breaks: {e.jumps}"
    if e.unresolved:
        yield f"values not judged, because finite differences do not settle: {e.unresolved}"
    if e.directions_on_kinks:
        yield f"random directions left out, because they meet kinks: {e.directions_on_kinks}"
    if hides:
        yield f"rounding of the outputs hides errors below {hidden:.0e}"
    if not something:
        yield "nothing was judged, so nothing passes"
    elif not e.passed and e.directions and e.worst_index is None:
        yield "no sampled value is as wrong: a larger full_limit finds the place"
