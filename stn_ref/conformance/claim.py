"""What a claim is: one sentence about a right sampler, and a check that says with numbers where a sampler breaks it.

Read next: subject.py (what is checked), claims/ (the claims), run.py (who runs them).
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SUBJECTS = ("sampler", "backward", "tps")
TOLERANCE = 1e-5  # of the largest expected value: a sampler that works in float32 fails one claim, not all


class Violated(AssertionError):
    """A claim does not hold; the message has the numbers expected and got."""


class NotOffered(Exception):
    """The function under test does not have the option that a claim is about."""


@dataclass(frozen=True)
class Claim:
    """One property of a right sampler.

    Args:
        name: in kebab case, as `stn-ref check` prints it.
        says: one sentence, what a right sampler does.
        failure: one sentence, what it means for you if yours does not.
        known: well-known code that broke the claim, with the place where it was discussed; or "".
        subject: "sampler", "backward" or "tps": which function is judged.
        check: takes a Subject; returns if the claim holds, raises Violated or NotOffered if not.
    """

    name: str
    says: str
    failure: str
    known: str
    subject: str
    check: Callable

    def to_dict(self) -> dict:
        """Return all but the check, for a report."""
        return {key: getattr(self, key) for key in ("name", "says", "failure", "known", "subject")}


def claim(failure: str, *, known: str = "", subject: str = "sampler") -> Callable[[Callable], Claim]:
    """Return a decorator that makes a Claim of a check: its name is the function's, its sentence the docstring."""

    def decorate(check: Callable) -> Claim:
        name = check.__name__.strip("_").replace("_", "-")
        says = " ".join(inspect.getdoc(check).split())
        return Claim(name, says, failure, known, subject, check)

    return decorate


def _round(number) -> str:
    return f"{number:.6g}" if isinstance(number, (float, np.floating)) else str(number)


def expect(what: str, got, expected, tolerance: float = TOLERANCE, points=None) -> None:
    """Raise Violated unless `got` is `expected`, NaN where that is NaN, to `tolerance` of the largest expected value.

    Args:
        what: names the number, for the message.
        got: array.
        expected: array that broadcasts to the shape of `got`.
        tolerance: relative to max(1, max|expected|).
        points: (P, 2) in pixels, if the first axis of `got` counts points: the message then says which.
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
