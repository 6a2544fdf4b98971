"""`stn-ref experiment`: compute the missing cells one after another, and print the table of all results.

Reads: cell.py, ../results/store.py, and the experiment by its name.
"""

import fnmatch
import importlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

from stn_ref import checks, files
from stn_ref.lab.experiments import EXPERIMENTS, SCALES
from stn_ref.lab.experiments.cell import Cell
from stn_ref.lab.results import store
from stn_ref.lab.results.summary import duration, expected_seconds
from stn_ref.training import DivergedError

OUT = Path("runs/experiments")


def module(name: str) -> ModuleType:
    """Return the module of an experiment."""
    checks.one_of("experiment", name, EXPERIMENTS)
    return importlib.import_module(f"stn_ref.lab.experiments.{name}")


def run(
    name: str,
    scale: str = "smoke",
    *,
    data_dir: str | os.PathLike | None = None,
    out: str | os.PathLike = OUT,
    seed: int = 0,
    seeds: int = 1,
    only: Iterable[str] = (),
    again: bool = False,
    weights: str | os.PathLike | None = None,
    progress: bool = True,
    note: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> dict:
    """Compute the cells that are missing in `out`; each result is written to its own file when it is complete.

    After an interruption the same call continues, within a cell from its last checkpoint. Several processes may work in
    one folder at the same time: each takes cells that no other process is computing.

    Args:
        name: one of EXPERIMENTS.
        scale: "smoke", "small" or "paper".
        data_dir: the directory of the data; "procedural": drawn digits or colour images. Default: "procedural" for
            smoke, else data/mnist or data/cifar10, where `stn-ref data fetch` stores them.
        out: the folder of the results.
        seed: the first seed.
        seeds: the number of consecutive seeds.
        only: names of cells, or patterns, for example "st-cnn-*/R"; default: all.
        again: recompute existing cells and overwrite them. After an interruption it starts again with the first cell.
        weights: a folder for the best weights of each net that is trained; None: they are not kept.
        progress: show a bar on standard error.
        note: called with lines of progress.
        say: called with the table.

    Returns:
        The report for JSON: experiment, scale, the results in the order of the cells, missing, failed.

    Raises:
        ValueError: the experiment, scale or cell is unknown, or the experiment does not have this scale.
        FileNotFoundError, DamagedFileError: the data cannot be read.
        ResultError: an existing result is damaged, or of another cell or configuration.
        OSError: a result cannot be written; earlier results are kept.
    """
    cells = _planned(name, scale, data_dir=data_dir, out=out, seed=seed, seeds=seeds, only=only)
    stamps = {path: store.stamp(path) for path in cells}
    results = {path: None if again else cell.known(path, name, scale) for path, cell in cells.items()}
    there = sum(result is not None for result in results.values())
    if scale == "smoke":
        note("smoke shows that everything runs; for numbers that mean something: --scale small")
    note(f"{name}, {scale}: {len(cells)} cells of {next(iter(cells.values())).data} data, {there} of them in {out}")
    for folder in (out, weights):
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
    failed = {}
    for k, (path, cell) in enumerate(cells.items(), 1):
        if results[path] is not None:
            store.tidy(path)
            continue
        with files.claimed(path) as mine:
            if not mine or store.stamp(path) != stamps[path]:  # another process is computing it, or has finished it
                continue
            files.expect_writable(path)
            if again:
                store.half_done(path).unlink(missing_ok=True)
            note(f"{k}/{len(cells)} {_called(cell)}")
            try:
                results[path] = cell.run(
                    path, name, scale, weights=None if weights is None else Path(weights), progress=progress, note=note
                )
                note(f"  {_outcome(results[path])}{_left(results, cells, failed)}")
            except DivergedError as error:
                note(f"  failed: {error}")
                failed[_called(cell)] = str(error)
    for path, cell in cells.items():
        if results[path] is None and store.stamp(path) != stamps[path]:
            results[path] = cell.known(path, name, scale)
            if results[path] is not None:
                store.tidy(path)
    done = [result for result in results.values() if result is not None]
    for line in module(name).table(done):
        say(line)
    missing = [_called(cell) for path, cell in cells.items() if results[path] is None]
    for cell, why in failed.items():
        say(f"FAILED: {cell}: {why}")
    if elsewhere := len(missing) - len(failed):
        say(f"{elsewhere} left to another process that works in {out}")
    say(f"{len(done)} of {len(cells)} cells in {out}")
    return {"experiment": name, "scale": scale, "out": str(out), "results": done, "missing": missing, "failed": failed}


def listed(name: str, scale: str = "smoke", *, say: Callable[[str], None] = print, **options) -> list[dict]:
    """Print the cells and return them as {"cell", "seed", "file", "there"}; `options` as for `run`."""
    rows = [
        {"cell": cell.name, "seed": cell.seed, "file": str(path), "there": cell.known(path, name, scale) is not None}
        for path, cell in _planned(name, scale, **options).items()
    ]
    width = max(len(row["cell"]) for row in rows)
    for row in rows:
        say(f"{row['cell']:<{width}}  seed {row['seed']}  {'there' if row['there'] else '-'}")
    return rows


def _planned(name, scale, *, data_dir, out, seed, seeds, only) -> dict[Path, Cell]:
    """Return path of the result -> cell, in the order of the cells; arguments and errors as for `run`."""
    experiment, only = module(name), tuple(only)
    checks.one_of("scale", scale, SCALES)
    if scale == "paper" and hasattr(experiment, "NO_PAPER"):
        raise ValueError(f"{name} has no scale 'paper': {experiment.NO_PAPER}")
    seed, seeds = checks.integer("seed", seed), checks.integer("seeds", seeds, 1)
    data_dir, out = _data_dir(experiment.DATA, scale, data_dir), Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is not a directory; it is where the results should go")
    cells = [cell for s in range(seed, seed + seeds) for cell in _chosen(experiment.cells(scale, s, data_dir), only)]
    planned = {cell.path(out, name, scale): cell for cell in cells}
    assert len(planned) == len(cells), f"two cells of {name} have one name"
    return planned


def _called(cell: Cell) -> str:
    return f"{cell.name}, seed {cell.seed}"


def _outcome(result: dict) -> str:
    error = result["result"].get("test_error_percent")
    return f"{'done' if error is None else f'test error {error:.2f} %'} in {duration(result['seconds'])}"


def _left(results: dict[Path, dict | None], cells: dict[Path, Cell], failed: dict[str, str]) -> str:
    """Return a text with the number of remaining cells and their expected duration, estimated from finished cells."""
    took = [(result["cell"], result["seconds"]) for result in results.values() if result is not None]
    waiting = [cell for path, cell in cells.items() if results[path] is None and _called(cell) not in failed]
    if not waiting:
        return ""
    return f"; {len(waiting)} left, about {duration(sum(expected_seconds(cell.name, took) for cell in waiting))}"


def _data_dir(wanted: str | None, scale: str, data_dir: str | os.PathLike | None) -> str | None:
    """Return the directory of the data, None for procedural data."""
    if wanted is None:
        if data_dir is not None:
            raise ValueError("this experiment draws its own images: leave --data out")
        return None
    if data_dir is None:
        data_dir = "procedural" if scale == "smoke" else f"data/{wanted}"
        if data_dir != "procedural" and not Path(data_dir).exists():
            raise FileNotFoundError(
                f"{data_dir} does not exist: `stn-ref data fetch {wanted}` puts the data there, --data DIR says where "
                "it is, --data procedural does without"
            )
    return None if str(data_dir) == "procedural" else str(data_dir)


def _chosen(cells: list[Cell], only: tuple[str, ...]) -> list[Cell]:
    """Return the cells whose name matches one of the names or patterns in `only`."""
    for pattern in only:
        if not any(fnmatch.fnmatchcase(cell.name, pattern) for cell in cells):
            names = ", ".join(cell.name for cell in cells[:3])
            raise ValueError(f"no cell is named {pattern!r}; --list shows all {len(cells)}, such as {names}")
    return [cell for cell in cells if not only or any(fnmatch.fnmatchcase(cell.name, pattern) for pattern in only)]
