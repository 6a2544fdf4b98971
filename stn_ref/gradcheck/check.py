"""Compare a backward, ours or the reader's own, with finite differences.

Backward computes the gradient of f = sum(gy * y) for any cotangent gy. Here gy is random: if it were all ones, a
transposed output would pass. Reads: subject.py, slopes.py, judge.py. Read next: report.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stn_ref import checks
from stn_ref.gradcheck.float32 import input_in_float32, outputs_in_float32
from stn_ref.gradcheck.judge import Probe, judge
from stn_ref.gradcheck.report import GradEntry, GradReport
from stn_ref.gradcheck.slopes import Slope, measure
from stn_ref.gradcheck.subject import LayerUse, Pair, subject_of
from stn_ref.nn.layer import Layer


def gradcheck(
    layer_or_pair: Layer | tuple[Callable, Callable],
    *inputs: np.ndarray,
    rng: np.random.Generator,
    step: float = 2.0**-7,
    tolerance: float = 1e-7,
    kinks: str | Mapping[str, str] = "judge",
    names: Sequence[str] | None = None,
    full_limit: int = 500,
    directions: int = 4,
    sample: int = 24,
) -> GradReport:
    """Compare every gradient that backward returns, and every Param.grad, with finite differences; return a report.

    Smooth values are judged by their relative error, with both maxima taken over the array:

        max|a - n| / max(|a|, |n|) <= tolerance,   a from backward, n numeric

    On a kink the slope l to the left differs from the slope r to the right, and any gradient between them is correct.
    The bounds are sums over the outputs i:

        sum_i min(gy_i l_i, gy_i r_i) <= a <= sum_i max(gy_i l_i, gy_i r_i)

    If later layers of a net mix several kinks, a correct gradient may lie outside these bounds: skip such kinks.

    A difference that rounding of y can explain does not count as an error. A value is not judged if its differences do
    not converge, or if rounding may hide errors larger than `tolerance` and than a tenth of the gradient, as in
    x + 1e15: subtract large constants from the outputs. An array fails if none of its values was judged.

    A gradient that is not finite fails if the differences to either side are finite: at x = 0 inf is allowed for log x,
    but not for sqrt x, where backward must choose a number.

    Args:
        layer_or_pair: a Layer; it is checked in training mode with its random numbers replayed, and its state is
            restored afterwards. Or (forward, backward) with forward(*inputs) -> y or a tuple and
            backward(*inputs, *gys) -> one gradient for each input, None for those it does not differentiate.
        inputs: float64 arrays of any shape; they are not modified.
        rng: draws the cotangents, directions and samples; the same state gives the same report.
        step: the largest step, relative to max(1, |x|). Inside a smooth piece large steps are the most exact; smaller
            steps are tried where the differences do not converge.
        tolerance: the largest relative error that passes.
        kinks: "judge" or "skip" (only count them), or a dictionary from names to these: {"theta": "skip"}.
        names: names of the inputs; default: the names of forward's arguments.
        full_limit: the largest size of an array of which every value is checked.
        directions: for a larger array, the number of random directions, which are judged only off kinks.
        sample: for a larger array, the number of random values that are checked as well.

    Returns:
        report: true if every array passed; print it, or call report.raise_for_failure().

    Raises:
        TypeError, ValueError, ShapeError: an input is not float64; inputs and parameters are both missing; backward
            returns too many or too few gradients, or one with a wrong shape or dtype.

    >>> rng = np.random.default_rng(0)
    >>> bool(gradcheck((np.tanh, lambda x, gy: gy * (1 - np.tanh(x) ** 2)), rng.normal(size=(2, 3)), rng=rng))
    True

    For a loss, bind the labels and make a new loss in each call::

        def forward(scores):
            return SoftmaxCrossEntropy().forward(scores, labels)

        def backward(scores, gloss):
            loss = SoftmaxCrossEntropy()
            loss.forward(scores, labels)
            return gloss * loss.backward()
    """
    checks.generator("rng", rng)
    dice = np.random.default_rng(rng.integers(2**32, size=4))  # a layer that shares rng resets it in each forward
    subject = subject_of(layer_or_pair, inputs, names)
    if not subject.arrays:
        raise ValueError("gradcheck needs at least one input or parameter: gradcheck(layer_or_pair, x, rng=rng)")
    plan = _Plan(
        dice,
        checks.between("step", step, 1e-10, 1.0),
        checks.between("tolerance", tolerance, 1e-14, 1.0),
        _kinks_by_name(kinks, subject.names),
        checks.integer("full_limit", full_limit),
        checks.integer("directions", directions),
        checks.integer("sample", sample, least=1),
    )
    with subject.untouched():
        y, again = subject.outputs(subject.arrays), subject.outputs(subject.arrays)
        if wrong := _unusable(y, again):
            return GradReport([], plan.tolerance, [*subject.problems, f"{wrong}; nothing was checked"])
        gys = [dice.normal(size=out.shape) for out in y]
        gradients = subject.gradients(subject.arrays, gys)
        point = _Point(subject, _flat(y), _flat(gys), plan)
        entries = [_check(point, k, g) for k, g in enumerate(gradients)]
        judged = [k for k, g in enumerate(gradients) if g is not None]
        rounded = [k for k in judged if input_in_float32(point.at(k), subject.arrays[k])]
    problems = subject.problems + [f"forward rounds {subject.names[k]} to float32: work in float64" for k in rounded]
    if not all(entry.passed for entry in entries) and outputs_in_float32(point.y):
        problems.append("all outputs are float32 numbers: forward computes in float32 somewhere")
    if not judged:
        problems.append("backward gives None for every input: nothing was differentiated")
    return GradReport(entries, plan.tolerance, problems)


class _Plan(NamedTuple):
    dice: np.random.Generator
    step: float
    tolerance: float
    kinks: dict[str, str]
    full_limit: int
    directions: int
    sample: int


@dataclass
class _Point:
    """The point where gradients are checked: its outputs and cotangents, flat; and how to check."""

    subject: Pair | LayerUse
    y: np.ndarray
    gy: np.ndarray
    plan: _Plan

    def at(self, k: int) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function x -> outputs when array k is x."""
        arrays = self.subject.arrays
        return lambda x: _flat(self.subject.outputs([*arrays[:k], x, *arrays[k + 1 :]]))

    def slope(self, line: Callable[[float], np.ndarray], scale: float, x: float) -> Slope:
        """Return the slope along t -> outputs, for a gradient of size `scale`; x is the number that t changes."""
        return measure(line, self.y, self.gy, step=self.plan.step, tolerance=self.plan.tolerance, scale=scale, x=x)


def _check(point: _Point, k: int, g: np.ndarray | None) -> GradEntry:
    """Check one array; return its entry of the report."""
    x, name, plan = point.subject.arrays[k], point.subject.names[k], point.plan
    entry = GradEntry(name, point.subject.kinds[k], x.shape)
    if g is None:
        entry.note = "not differentiated: backward gives None"
    elif x.size == 0:
        entry.note = "empty: nothing to check"
    else:
        entry.method = "full" if x.size <= plan.full_limit else "directional"
        largest = float(np.max(np.abs(g), where=np.isfinite(g), initial=0))
        values = list(_values(point, k, g, largest))
        along, typical = [], 0.0
        if entry.method == "directional" and np.isfinite(g).all():
            size = np.maximum(1, np.abs(x))
            typical = largest * float(np.linalg.norm(g / largest * size)) if largest else 0.0
            along = list(_directions(point, k, g, size, typical))
        judge(entry, values, largest, along, typical, plan.tolerance, plan.kinks[name] == "judge")
    return entry


def _values(point: _Point, k: int, g: np.ndarray, scale: float) -> Iterator[Probe]:
    """Yield a probe of every value, or of a sample and of as many values whose gradient is not finite."""
    x, plan = point.subject.arrays[k], point.plan
    chosen = np.arange(x.size)
    if x.size > plan.full_limit:
        chosen = plan.dice.choice(x.size, min(plan.sample, x.size), replace=False)
        chosen = np.union1d(chosen, np.flatnonzero(~np.isfinite(g))[: plan.sample])
    for c in chosen:
        index = tuple(int(i) for i in np.unravel_index(c, x.shape))

        def line(t, index=index):
            moved = x.copy("K")
            moved[index] += t
            return point.at(k)(moved)

        yield Probe(index, float(g[index]), point.slope(line, scale, float(x[index])))


def _directions(point: _Point, k: int, g: np.ndarray, size: np.ndarray, scale: float) -> Iterator[Probe]:
    """Yield probes along random directions; replace one that meets a kink, up to twice as many in all."""
    x, plan, smooth = point.subject.arrays[k], point.plan, 0
    for _ in range(2 * plan.directions):
        if smooth == plan.directions:
            break
        direction = plan.dice.normal(size=g.shape) * size
        slope = point.slope(lambda t, direction=direction: point.at(k)(x + t * direction), scale, 1.0)
        smooth += slope.kind == "smooth"
        yield Probe(None, float(np.sum(g * direction)), slope)


def _kinks_by_name(kinks, names: list[str]) -> dict[str, str]:
    """Return name -> "judge" or "skip" for each array."""
    given = kinks if isinstance(kinks, Mapping) else dict.fromkeys(names, kinks)
    for name, choice in given.items():
        checks.one_of("a name in kinks", name, names)
        checks.one_of(f"kinks of {name}", choice, ("judge", "skip"))
    return {name: given.get(name, "judge") for name in names}


def _unusable(y: list, again: list) -> str:
    """Return why finite differences of these outputs are meaningless, or an empty string if they are not."""
    if any(np.isnan(out).any() for out in y):
        return "forward gives nan"
    same = len(y) == len(again) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-12 * np.abs(a).max(initial=0, where=np.isfinite(a)))
        for a, b in zip(y, again, strict=True)
    )  # sums in a varying order, as on a GPU, differ by less
    return "" if same else "forward is not deterministic: two calls with the same inputs differ"


def _flat(arrays: list) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in arrays])
