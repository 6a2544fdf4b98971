"""Summarise results of several seeds by mean and spread, format tables, and estimate the duration of a cell.

Reads: only results, the dictionaries of store.py. Read next: ../experiments/cell.py.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Summary:
    """The summary of a number over several seeds.

    Attributes:
        mean: over the seeds.
        spread: the standard deviation over the seeds (n - 1); None with one seed.
        n: the number of seeds.
    """

    mean: float
    spread: float | None
    n: int

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" ± {self.spread:.2f}"
        return f"{self.mean:.2f}{spread}"


def over_seeds(
    results: Iterable[dict], number: str | Callable[[dict], float | None] = "test_error_percent"
) -> dict[str, Summary]:
    """Return cell name -> Summary of a number over the seeds; results without this number are left out.

    Args:
        results: of any cells and seeds.
        number: the key of the number in "result", or a function from a result to the number.
    """
    values: dict[str, list[float]] = {}
    for result in results:
        if (value := number(result) if callable(number) else result["result"].get(number)) is not None:
            values.setdefault(result["cell"], []).append(value)
    return {
        name: Summary(fmean(found), stdev(found) if len(found) > 1 else None, len(found))
        for name, found in values.items()
    }


def standard_error(percent: float, n: int) -> float:
    """Return the binomial standard error of an error of `percent` measured on n examples, in points.

    100 sqrt(p (1 - p) / n),   p = percent / 100
    """
    p = percent / 100
    return 100 * math.sqrt(p * (1 - p) / n)


def expected_seconds(name: str, took: Sequence[tuple[str, float]]) -> float:
    """Return an estimate of a cell's duration: the mean over the cells that share the most parts of its name.

    `took` holds (name, seconds) of at least one cell. The parts of a name are divided by "/".

    >>> expected_seconds("cnn/R", [("cnn/E", 10.0), ("fcn/E", 2.0), ("cnn/P", 20.0)])
    15.0
    """
    alike = [sum(a == b for a, b in zip(name.split("/"), other.split("/"), strict=False)) for other, _ in took]
    most = max(alike)
    return fmean(seconds for (_, seconds), n in zip(took, alike, strict=True) if n == most)


def duration(seconds: float) -> str:
    """Return a time with its unit, to about two digits.

    >>> duration(8.24), duration(754.0), duration(12_600.0)
    ('8 s', '13 min', '3.5 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines: the first column is left-aligned, the others are right-aligned.

    >>> aligned([("net", "R"), ("cnn", "1.20")])
    ['net     R', 'cnn  1.20']
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def piped(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown: the first column is left-aligned, the others are right-aligned.

    >>> piped([("net", "R"), ("cnn", "1.20")])
    ['| net | R |', '|---|---:|', '| cnn | 1.20 |']
    """
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], f"|---{'|---:' * (len(rows[0]) - 1)}|", *lines[1:]]


def samples_seen(results: Iterable[dict]) -> dict[str, int]:
    """Return cell name -> number of training examples seen over all epochs, for the cells that were trained."""
    return {
        result["cell"]: len(result["history"]) * result["configuration"]["n_train"]
        for result in results
        if "history" in result and "n_train" in result["configuration"]
    }


def span(values: Iterable[float], form: str = "{:g}") -> str:
    """Return the value as text if all are equal, else the range "least to largest"; a dash if there are none.

    >>> span([3, 3]), span([3, 8, 5]), span([])
    ('3', '3 to 8', '-')
    """
    values = sorted(values)
    return " to ".join(dict.fromkeys(form.format(value) for value in (values[0], values[-1]))) if values else "-"
