"""A claim: one sentence about a correct sampler, and a check that reports with numbers where a sampler violates it.

Read next: subject.py (what is checked), claims/ (the claims), run.py (runs them).
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

SUBJECTS = ("sampler", "backward", "tps")
TOLERANCE = 1e-5  # relative to the largest expected value: a sampler that computes in float32 fails one claim, not all


class Violated(AssertionError):
    """A claim does not hold; the message has the numbers expected and got."""


class NotOffered(Exception):
    """The function under test does not have the option that a claim is about."""


@dataclass(frozen=True)
class Claim:
    """One property of a correct sampler.

    Args:
        name: the name in kebab case, as `stn-ref check` prints it.
        says: one sentence: what a correct sampler does.
        failure: one sentence: what a violation means for the user of the sampler.
        known: well-known code that violated the claim, with a reference to the discussion; or "".
        subject: "sampler", "backward" or "tps": which function is judged.
        check: takes a Subject; returns if the claim holds, else raises Violated or NotOffered.
    """

    name: str
    says: str
    failure: str
    known: str
    subject: str
    check: Callable

    def to_dict(self) -> dict:
        """Return all fields except the check, for a report."""
        return {key: getattr(self, key) for key in ("name", "says", "failure", "known", "subject")}


def claim(failure: str, *, known: str = "", subject: str = "sampler", **choices: tuple) -> Callable[[Callable], Claim]:
    """Return a decorator that turns a function into a Claim: the name is the function's, the sentence its docstring.

    A claim about a spline is a function of the Subject. Any other is a function of the Subject and the options of a
    call, and is judged with every combination of options that the sampler offers.

    Args:
        choices: the values to try for each option; by default both values of align_corners.
    """
    choices = {"align_corners": (False, True), **choices}

    def decorate(judge: Callable) -> Claim:
        def check(given) -> None:
            for options in given.offered("backward" if subject == "backward" else "forward", **choices):
                judge(given, options)

        name = judge.__name__.strip("_").replace("_", "-")
        says = " ".join((inspect.getdoc(judge) or name).split())  # python -OO has no docstrings
        return Claim(name, says, failure, known, subject, judge if subject == "tps" else check)

    return decorate


gradient_claim = partial(claim, subject="backward")


def _round(number) -> str:
    return f"{number:.6g}" if isinstance(number, (float, np.floating)) else str(number)


def expect(what: str, got, expected, tolerance: float = TOLERANCE, points=None) -> None:
    """Raise Violated unless `got` equals `expected` up to the tolerance; NaN equals NaN.

    Args:
        what: name of the quantity, for the message.
        got: array.
        expected: array that broadcasts to the shape of `got`.
        tolerance: relative to max(1, max|expected|).
        points: (P, 2) in pixels, if the first axis of `got` runs over points: the message then names the point.
    """
    got = np.asarray(got, np.float64)
    expected = np.broadcast_to(np.asarray(expected, np.float64), got.shape)
    finite = np.abs(expected[np.isfinite(expected)])
    bound = tolerance * max(1.0, finite.max(initial=0.0))
    with np.errstate(invalid="ignore"):
        same = (got == expected) | (np.isnan(got) & np.isnan(expected)) | (np.abs(got - expected) <= bound)
    if same.all():
        return
    with np.errstate(invalid="ignore"):
        error = np.where(same, -1.0, np.nan_to_num(np.abs(got - expected), nan=np.inf, posinf=np.inf))
    worst = np.unravel_index(int(error.argmax()), error.shape)
    where = f" at {tuple(int(k) for k in worst)}" if got.ndim and got.size > 1 else ""
    if points is not None:
        x, y = points[worst[0]]
        axis = f" along {'xy'[worst[1]]}" if got.ndim > 1 else ""
        where = f"{axis} at ({x:.6g}, {y:.6g}) pixels"
    count = f"; {int((~same).sum())} of {same.size} are wrong" if got.size > 1 else ""
    raise Violated(f"{what}{where}: expected {_round(expected[worst])}, got {_round(got[worst])}{count}")
