"""`stn-ref experiment`: every cell that is not there yet, one after the other, and the table of those that are.

Reads: cell.py, store.py, and the experiment by its name.
"""

import fnmatch
import importlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

from stn_ref import checks
from stn_ref.experiments import EXPERIMENTS, SCALES
from stn_ref.experiments.cell import Cell
from stn_ref.experiments.store import claimed
from stn_ref.training import DivergedError

OUT = Path("runs/experiments")


def module(name: str) -> ModuleType:
    """Return the module of an experiment."""
    checks.one_of("experiment", name, EXPERIMENTS)
    return importlib.import_module(f"stn_ref.experiments.{name}")


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
    progress: bool = True,
    note: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> dict:
    """Compute the cells that are missing in `out`, each into a file of its own as soon as it is done.

    Whenever it is stopped, the same call goes on from there: within the cell that was running, from its last
    checkpoint. Several processes may work on one folder at a time: each takes cells that no other is at.

    Args:
        name: one of EXPERIMENTS.
        scale: "smoke", "small" or "paper".
        data_dir: the directory of the data; "procedural": digits drawn on the spot (or colour images); default: for
            smoke "procedural", else data/NAME, where `stn-ref data fetch` puts it.
        out: the folder of the results.
        seed: the first seed.
        seeds: how many seeds, one after the other.
        only: names of cells, or patterns such as "st-cnn-*/R"; default: all.
        again: compute also what is already there, and replace it.
        progress: show a bar on standard error.
        note: called with lines of progress.
        say: called with the table.

    Returns:
        The report for JSON: experiment, scale, the results in the order of the cells, missing, failed.

    Raises:
        ValueError: an unknown experiment, scale or cell.
        FileNotFoundError, DamagedFileError: the data cannot be read.
        ResultError: a result that is already there is damaged, or of another configuration.
        OSError: a result cannot be written; those before it are kept.
    """
    experiment = module(name)
    checks.one_of("scale", scale, SCALES)
    seed, seeds = checks.integer("seed", seed), checks.integer("seeds", seeds, 1)
    data_dir = _data_dir(experiment.DATA, scale, data_dir)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is not a directory; it is where the results should go")
    cells = [cell for s in range(seed, seed + seeds) for cell in _chosen(experiment.cells(scale, s, data_dir), only)]
    files = {cell.path(out, name, scale): cell for cell in cells}
    results = {path: None if again else cell.known(path) for path, cell in files.items()}
    there = sum(result is not None for result in results.values())
    note(f"{name}, {scale}: {len(cells)} cells of {cells[0].data} data, {there} of them in {out}")
    out.mkdir(parents=True, exist_ok=True)
    failed, elsewhere = {}, 0
    for k, (path, cell) in enumerate(files.items()):
        if results[path] is not None:
            continue
        with claimed(path) as mine:
            if not mine:
                elsewhere += 1
                continue
            if not again and (found := cell.known(path)):  # another process has finished it meanwhile
                results[path] = found
                continue
            if again:
                path.with_suffix(".checkpoint.npz").unlink(missing_ok=True)
            note(f"{k + 1}/{len(cells)} {cell.name}, seed {cell.seed}")
            try:
                results[path] = cell.run(path, name, scale, progress=progress, note=note)
            except DivergedError as error:
                note(f"  failed: {error}")
                failed[cell.name] = str(error)
    done = [result for result in results.values() if result is not None]
    for line in experiment.table(done):
        say(line)
    if elsewhere:
        say(f"{elsewhere} cells are with another process that works in {out}")
    say(f"{len(done)} of {len(cells)} cells in {out}")
    return {
        "experiment": name,
        "scale": scale,
        "out": str(out),
        "results": done,
        "missing": [f"{cell.name}, seed {cell.seed}" for path, cell in files.items() if results[path] is None],
        "failed": failed,
    }


def _data_dir(wanted: str | None, scale: str, data_dir: str | os.PathLike | None) -> str | None:
    """Return the directory of the data; None: procedural."""
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


def _chosen(cells: list[Cell], only: Iterable[str]) -> list[Cell]:
    """Return the cells that a name or a pattern asks for."""
    only = list(only)
    names = [cell.name for cell in cells]
    for pattern in only:
        if not fnmatch.filter(names, pattern):
            raise ValueError(f"cell must be one of {', '.join(names)}, or a pattern; got {pattern!r}")
    return [cell for cell in cells if not only or any(fnmatch.fnmatchcase(cell.name, pattern) for pattern in only)]
