"""The result of a gradient check: one entry for each array, and the table that shows them.

Imports nothing of the package.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class GradcheckError(AssertionError):
    """A gradient disagrees with finite differences; the message is the whole report."""


@dataclass
class GradEntry:
    """The result for one array.

    Attributes:
        name, kind, shape: describe the array; kind is "input" or "param".
        method: "full" (every value), "directional" (random directions and a sample of values) or "none".
        max_rel_error: max|a - n| / max(|a|, |n|) over the smooth values and directions, a from backward, n numeric.
        worst_index, analytic, numeric, step: index, a, n and step of the largest error; the index is None for a
            direction.
        checked: number of values judged as smooth.
        kinks, jumps: number of values on a kink or jump, and how many of them are on a jump.
        kinks_judged, kinks_outside: number of values judged by their interval of slopes, and how many lie outside it.
        unresolved: number of values not judged: their finite differences do not converge, or rounding hides them.
        directions, directions_on_kinks: number of random directions judged, and of those left out because they meet a
            kink, do not converge, or are hidden by rounding.
        passed, note: the verdict, and remarks on it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    method: str = "none"
    max_rel_error: float = 0.0
    worst_index: tuple[int, ...] | None = None
    analytic: float | None = None
    numeric: float | None = None
    step: float | None = None
    checked: int = 0
    kinks: int = 0
    jumps: int = 0
    kinks_judged: int = 0
    kinks_outside: int = 0
    unresolved: int = 0
    directions: int = 0
    directions_on_kinks: int = 0
    passed: bool = True
    note: str = ""


@dataclass
class GradReport:
    """The verdict on every array; true if all arrays passed, so that `assert report` and `if not report` work.

    Attributes:
        entries: one for each input, then one for each parameter.
        tolerance: the largest relative error that passes.
        problems: faults of forward and backward themselves, for example that they modify an input; any of them fails.
    """

    entries: list[GradEntry]
    tolerance: float
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every entry passed and no problem was found."""
        return not self.problems and all(entry.passed for entry in self.entries)

    @property
    def max_rel_error(self) -> float:
        """The largest max_rel_error of the entries; 0 without entries."""
        return max((entry.max_rel_error for entry in self.entries), default=0.0)

    def __bool__(self) -> bool:
        return self.passed

    def raise_for_failure(self) -> "GradReport":
        """Return the report if it passed, else raise GradcheckError with it as the message."""
        if not self.passed:
            raise GradcheckError(str(self))
        return self

    def to_dict(self) -> dict:
        """Return plain lists, numbers and strings for JSON; inf and nan become strings."""
        return {
            "passed": self.passed,
            "max_rel_error": _plain(self.max_rel_error),
            "tolerance": self.tolerance,
            "problems": list(self.problems),
            "entries": [{k: _plain(v) for k, v in dataclasses.asdict(entry).items()} for entry in self.entries],
        }

    def __str__(self) -> str:
        rows = [("array", "shape", "error", "smooth", "kinks", "")]
        rows += [(e.name, str(e.shape), _error(e), _how(e), _kinks(e), _outcome(e)) for e in self.entries]
        lines = _aligned(rows)
        for k, entry in reversed(list(enumerate(self.entries, start=1))):
            lines[k + 1 : k + 1] = [f"    {line}" for line in _details(entry, self.tolerance)]
        head = f"gradcheck: {_verdict(self.passed)}, backward against finite differences, tolerance {self.tolerance:g}"
        return "\n".join([head, *lines, *(f"problem: {text}" for text in self.problems)])


def table(reports: Mapping[str, GradReport]) -> str:
    """Return a text with one line for each array of each report, by its name, and one for each problem."""
    rows = [("layer", "array", "error", "kinks", "")]
    for name, report in reports.items():
        rows += [(name, e.name, _error(e), _kinks(e), _outcome(e)) for e in report.entries]
        rows += [(name, text, "", "", _verdict(False)) for text in report.problems]
    return "\n".join(_aligned(rows))


def _error(entry: GradEntry) -> str:
    return "-" if entry.method == "none" else f"{entry.max_rel_error:.1e}"


def _outcome(entry: GradEntry) -> str:
    return "unchecked" if entry.method == "none" and entry.passed else _verdict(entry.passed)


def _verdict(passed: bool) -> str:
    return "pass" if passed else "FAIL"


def _how(e: GradEntry) -> str:
    values = f"{e.checked} values"
    return {"full": values, "directional": f"{e.directions} directions, {values}"}.get(e.method, "-")


def _kinks(e: GradEntry) -> str:
    if not e.kinks:
        return "0"
    parts = [f"{e.kinks_judged} judged"] if e.kinks_judged else []
    parts += [f"{e.kinks_outside} outside"] if e.kinks_outside else []
    return f"{e.kinks} ({', '.join(parts) or 'not judged'})"


def _details(e: GradEntry, tolerance: float) -> Iterable[str]:
    if e.max_rel_error > tolerance:
        where = "along a random direction" if e.worst_index is None else f"at {e.worst_index}"
        yield f"{where}: backward gives {e.analytic:.9g}, finite differences {e.numeric:.9g} (h = {e.step:.1e})"
    yield from filter(None, e.note.split("; "))


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _plain(value):
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
