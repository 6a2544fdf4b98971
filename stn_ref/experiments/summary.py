"""Results of several seeds as one number and its spread, and tables of them.

Reads: nothing but results, the dictionaries of store.py.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """What several seeds gave.

    Attributes:
        mean: over the seeds.
        spread: the standard deviation over the seeds (n - 1); None with one seed.
        n: how many seeds.
    """

    mean: float
    spread: float | None
    n: int

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" +-{self.spread:.2f}"
        return f"{self.mean:.2f}{spread}"


def over_seeds(results: Iterable[dict], key: str = "test_error_percent") -> dict[str, Summary]:
    """Return cell name -> Summary of result[key], leaving out results that have none."""
    values: dict[str, list[float]] = {}
    for result in results:
        if (value := result["result"].get(key)) is not None:
            values.setdefault(result["cell"], []).append(value)
    return {name: _summary(found) for name, found in values.items()}


def _summary(values: Sequence[float]) -> Summary:
    n = len(values)
    mean = math.fsum(values) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    return Summary(mean, spread, n)


def standard_error(percent: float, n: int) -> float:
    """Return the binomial standard error of an error of `percent` measured on n examples, in points.

        100 sqrt(p (1 - p) / n),   p = percent / 100
    """
    p = percent / 100
    return 100 * math.sqrt(p * (1 - p) / n)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines: the first column to the left, the others to the right.

    >>> aligned([("net", "R"), ("cnn", "1.20")])
    ['net     R', 'cnn  1.20']
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
