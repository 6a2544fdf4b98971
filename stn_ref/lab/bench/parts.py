"""`stn-ref bench`: measure the parts row by row, and write the report.

If a row fails, its entry holds the error and the other rows continue. An interrupted run reports the rows that it has.
Each row states how many cores were busy with other programs during its measurement.
"""

import datetime
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterable

from stn_ref import checks
from stn_ref.kernels.cpu import threads
from stn_ref.lab.bench import cuda, report, timing
from stn_ref.lab.machine_report import environment, processor
from stn_ref.lab.turns import Others

PARTS = {  # name -> module, function that yields its cases, meaning of its numbers
    "machine": ("machine", "cases", "limits of the machine: bytes copied, float operations of matrix products"),
    "sampler": ("sampler", "cases", "grid_sample and its backward, as users call them, beside the kernel alone on "
                "ready pixel points; limit: a copy of the bytes that must move"),
    "grid": ("grid", "cases", "affine_grid and its backward, and grid + sampler forward and backward, as users call "
             "them: by functions, and beside that by layers; PyTorch by autograd; limit: also a copy"),
    "modes": ("sampler", "mode_cases", "grid_sample's other modes, paddings and dtypes; limit: also a copy"),
    "layers": ("layers", "cases", "layers; limit: a matrix product of as many operations, or a copy of x and y"),
    "steps": ("steps", "cases", "training steps; limit: the step's convolutions and Linear as matrix products"),
    "growth": ("sampler", "growth_cases", "grid_sample from small to large; limit: a copy; memory by tracemalloc"),
    "memory": ("memory", "cases", "memory of training steps: growth of the resident set, in separate processes"),
    "startup": ("startup", "cases", "a new process, after `import numpy`: with an empty folder for machine code, then "
                "with the code that the first process stored there"),
    "cuda": ("cuda", "cases", "the sampler on a GPU, timed by its events; limit: a copy from its memory to its memory"),
}  # fmt: skip
QUICK_SECONDS = 0.1  # of each row
VERSIONS = ("stn_ref", "numpy", "scipy", "numba", "numba-cuda", "torch", "python", "machine", "gpu")


def _is_default(name: str, quick: bool) -> bool:
    """Return whether a part is measured if the user names none."""
    if name == "memory":
        return sys.platform == "linux" and not quick
    return name != "cuda" or (cuda.found() and not quick)


def _rounded(value):
    """Return the numbers of a row rounded to four digits."""
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) and math.isfinite(value) else value


def run(
    *,
    quick: bool = False,
    only: Iterable[str] = (),
    n_threads: int | None = None,
    note: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> dict:
    """Run the benchmark.

    Args:
        quick: measure only a few small rows of each part, a fraction of a second each.
        only: names of PARTS. Default: all, but memory only on Linux, and cuda only with a GPU and numba-cuda.
        n_threads: the number of threads. None: one and all for machine, sampler and grid, all for the rest.
        note: called with lines of progress.
        say: called with the lines of the table.

    Returns:
        The report for JSON: command, date, environment, threads, failed, interrupted, and the rows of each part.

    Raises:
        ValueError: a part has an unknown name.
        ImportError, DeviceError: `only` names cuda, and it cannot be measured.
    """
    only = list(only)
    for name in only:
        checks.one_of("part", name, PARTS)
    if "cuda" in only:
        cuda.require()
    counts = [n_threads] if n_threads else sorted({1, threads.get_num_threads()})
    known = environment()
    wanted = only or [name for name in PARTS if _is_default(name, quick)]
    parts = {name: [] for name in PARTS if name in wanted}
    words = ["stn-ref bench", *["--quick"] * quick, *(["--only", *only] if only else [])]
    result = {
        "command": " ".join([*words, *(["--threads", str(n_threads)] if n_threads else [])]),
        "date": datetime.date.today().isoformat(),
        "environment": {name: known[name] for name in VERSIONS} | {"processor": processor()},
        "threads": counts,
        "failed": 0,
        "interrupted": False,
        "parts": parts,
    }
    if not timing.has_torch():
        say("PyTorch is not installed: times without ratios (pip install torch)")
    say(
        f"{result['environment']['processor']}, {os.cpu_count()} cores; float32 unless said; medians of rounds in turns"
    )
    say("ratio: PyTorch's time over ours, above 1 ours is faster; of limit: 1 is the limit of the machine")
    try:
        for name, rows in parts.items():
            _run_part(name, rows, counts, quick, say)
    except KeyboardInterrupt:
        result["interrupted"] = True
        note("interrupted: the rows so far are in the report")
    all_rows = [row for rows in parts.values() for row in rows]
    result["failed"] = sum("error" in row for row in all_rows)
    for text in (*(report.total(name, rows) for name, rows in parts.items()), report.disturbance(all_rows)):
        if text:
            say(text)
    return result


def _run_part(name: str, rows: list[dict], counts: list[int], quick: bool, say: Callable) -> None:
    """Append the rows of a part to `rows`, one by one."""
    module, function, meaning = PARTS[name]
    cases = getattr(importlib.import_module(f"stn_ref.lab.bench.{module}"), function)
    say(f"\n{name}: {meaning}")
    say(report.HEAD)
    for case in cases(counts, quick):
        row, others = {"name": case.name, "threads": case.threads}, Others()
        try:
            with timing.on_threads(case.threads):
                row |= case.measure(QUICK_SECONDS if quick else case.seconds)
        except Exception as error:  # one failed row must not stop the others
            row["error"] = " ".join(f"{type(error).__name__}: {error}".split())
        if (cores := others.cores()) is not None:
            row["others_cores"] = cores
        rows.append({key: _rounded(value) for key, value in row.items()})
        say(report.line(rows[-1]))
