"""Judge one array: compare the gradient from backward with finite differences.

    smooth:         |a - n| <= tolerance * max(|a|, |n|), max over the array
    kink or jump:   low <= a <= high
    unclear:        not judged, but counted; so are values that rounding hides

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

    Rounding of the outputs hides errors up to a known size. A value is not judged if this size exceeds the tolerance
    and a tenth of the array's max(|a|, |n|), unless backward is wrong by even more. A gradient that is not finite fails
    wherever any difference is finite.

    Args:
        entry: its name, kind, shape and method are set.
        values: one probe for each value that was checked.
        largest: max|a| over the whole array.
        along: one probe for each random direction; it is judged only if it meets no kink.
        typical: typical size of |a . direction|.
        tolerance: the largest relative error that passes.
        judge_kinks: whether values on kinks are judged by their interval, or only counted.
    """
    smooth, smooth_along = _errors(values, largest, tolerance), _errors(along, typical, tolerance)
    judged = [*smooth, *smooth_along]
    if judged:
        worst, entry.max_rel_error = max(judged, key=lambda pair: pair[1])
        entry.worst_index, entry.analytic = worst.index, worst.analytic
        entry.numeric, entry.step = worst.slope.value, worst.slope.step
    entry.checked, entry.directions = len(smooth), len(smooth_along)
    entry.directions_on_kinks = len(along) - entry.directions

    kinks = [p for p in values if p.slope.kind in ("kink", "jump") and not _interval_drowns(p, largest, tolerance)]
    outside = [p for p in kinks if judge_kinks and not _inside(p, tolerance * largest)]
    entry.kinks, entry.kinks_judged, entry.kinks_outside = len(kinks), len(kinks) * judge_kinks, len(outside)
    entry.jumps = sum(p.slope.kind == "jump" for p in kinks)
    entry.unresolved = len(values) - entry.checked - entry.kinks

    something = entry.checked + entry.directions + entry.kinks_judged > 0
    not_finite = [p for p in values if p.slope.finite and not math.isfinite(p.analytic)]
    entry.passed = something and entry.max_rel_error <= tolerance and not outside and not not_finite
    hidden = max((_hidden(p) for p, _ in judged), default=0.0)
    notes = [*_wrong(not_finite, outside), *_left_out(entry, [*values, *along])]
    if hidden > tolerance * largest > 0:
        notes.append(f"rounding of the outputs hides errors below {hidden:.0e}")
    if not something:
        notes.append("nothing was judged, so nothing passes")
    elif entry.max_rel_error > tolerance and entry.directions and entry.worst_index is None:
        notes.append("no sampled value is as wrong: a larger full_limit finds the place")
    entry.note = "; ".join(notes)


def _errors(probes: list[Probe], norm: float, tolerance: float) -> list[tuple[Probe, float]]:
    """Return (probe, relative error) for the smooth probes, without those that rounding hides.

    The denominator is at least (error that rounding hides) / tolerance: where the gradient is 0, as for a bias before
    a softmax, the difference consists of rounding alone.
    """
    smooth = [p for p in probes if p.slope.kind == "smooth"]
    for p in smooth:
        norm = max(norm, abs(p.slope.value), abs(p.analytic) if math.isfinite(p.analytic) else 0.0)
    errors = []
    for p in smooth:
        difference = abs(p.analytic - p.slope.value)
        error = difference / max(norm, _hidden(p) / tolerance) if difference else 0.0
        errors.append((p, error if math.isfinite(error) else math.inf))
    return [(p, error) for p, error in errors if error > tolerance or not _drowns(p, norm, tolerance)]


def _hidden(p: Probe) -> float:
    """Return the largest error that rounding of the outputs may hide."""
    return 10 * p.slope.roundoff


def _drowns(p: Probe, norm: float, tolerance: float) -> bool:
    return _hidden(p) > max(tolerance, norm / 10)


def _interval_drowns(p: Probe, norm: float, tolerance: float) -> bool:
    """Return whether rounding hides the ends of the interval, and the gradient may lie between them."""
    return _drowns(p, max(norm, abs(p.slope.low), abs(p.slope.high)), tolerance) and _inside(p, tolerance * norm)


def _inside(p: Probe, slack: float) -> bool:
    slack += _hidden(p)
    return p.slope.low - slack <= p.analytic <= p.slope.high + slack


def _wrong(not_finite: list[Probe], outside: list[Probe]) -> Iterator[str]:
    """Yield notes on gradients that are not finite or lie outside the interval of a kink."""
    for p in not_finite[:1]:
        side = ", to one side at least" if p.slope.kind == "unclear" else ""
        yield f"at {p.index}, backward gives {p.analytic} where finite differences are finite{side}"
    for p in outside[:1]:
        low, high = f"{p.slope.low:.6g}", f"{p.slope.high:.6g}"
        yield f"at {p.index}, on a {p.slope.kind}: backward gives {p.analytic:.6g}, outside [{low}, {high}]"
        yield "this may be correct if later layers mix several kinks: then use kinks='skip'"


def _left_out(e: GradEntry, probes: list[Probe]) -> Iterator[str]:
    """Yield notes on jumps and on what was not judged."""
    if e.jumps:
        yield f"jumps, where the function itself breaks: {e.jumps}"
    unclear = sum(p.slope.kind == "unclear" for p in probes if p.index is not None)
    if unclear:
        yield f"values not judged, because finite differences do not converge: {unclear}"
    if e.unresolved > unclear:
        hidden = max(map(_hidden, probes))
        yield (
            f"values not judged, because rounding of the outputs may hide errors of {hidden:.0e}, more than a tenth of "
            f"the gradient: {e.unresolved - unclear} (does an output hold a large constant?)"
        )
    if e.directions_on_kinks:
        yield f"random directions left out, because they meet kinks or rounding hides them: {e.directions_on_kinks}"
