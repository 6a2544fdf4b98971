"""Results that are kept in a folder, for pages and figures: checked, and never mixed.

Reads: store.py, ../lab/machine_report.py. Read next: summary.py.
"""

from collections.abc import Sequence
from pathlib import Path

from stn_ref import checks
from stn_ref.lab.machine_report import shipped
from stn_ref.lab.results import SCALES, store

SEEDED = ("seed", "data_crc32")  # what may differ between two seeds of a cell

Group = tuple[str, str, str]  # experiment, scale, data


def groups(
    folder: Path | None = None, name: str | None = None, known: Sequence[str] | None = None
) -> dict[Group, list[dict]]:
    """Return (experiment, scale, data) -> results, in the order of cells and seeds.

    Args:
        folder: where they are; default: figures/results, or where an installed package keeps them.
        name: of one experiment; default: all.
        known: the experiments that there are, in their order; default: any, by name.

    Raises:
        NotADirectoryError: there is no such folder.
        ResultError: a file is damaged; two are of one cell and seed; two seeds of a cell differ in more than that.
        ValueError: an experiment or a scale that is unknown.
    """
    if name is not None and known is not None:
        checks.one_of("experiment", name, known)
    folder = shipped("results") if folder is None else folder
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a directory; it is where the results should be")
    found: dict[Group, list[dict]] = {}
    first: dict[tuple, tuple[Path, dict]] = {}  # of each cell
    for path in sorted(folder.glob("*.json")):
        result = store.read(path)
        if known is not None:
            checks.one_of(f"experiment of {path}", result["experiment"], known)
        checks.one_of(f"scale of {path}", result["scale"], SCALES)
        if name not in (None, result["experiment"]):
            continue
        group = result["experiment"], result["scale"], result["data"]
        other, before = first.setdefault((*group, result["cell"]), (path, result))
        if other != path:
            _expect_another_seed(path, result, other, before)
        found.setdefault(group, []).append(result)

    def place(group: Group) -> tuple:
        return known.index(group[0]) if known else group[0], SCALES.index(group[1])

    return {group: found[group] for group in sorted(found, key=place)}


def shown(experiment: str, folder: Path | None = None) -> list[dict]:
    """Return the results of an experiment that a figure shows: of one scale and one data set.

    They are those with the most cells, so that the first cell of a larger scale does not hide what is complete; of
    equally many, those of the larger scale. `smoke` and drawn images are shown only where there is nothing else.

    Args:
        experiment: its name.
        folder: as of `groups`.

    Raises:
        FileNotFoundError: there is none.
        NotADirectoryError, ResultError, ValueError: as of `groups`.
    """
    folder = shipped("results") if folder is None else folder
    found = groups(folder, experiment)
    if not found:
        raise FileNotFoundError(
            f"{folder} has no result of {experiment}: "
            f"`stn-ref experiment {experiment} --scale small --out {folder}` makes them"
        )

    def rank(group: Group) -> tuple:
        _, scale, data = group
        cells = {result["cell"] for result in found[group]}
        return scale != "smoke", data != "procedural", len(cells), SCALES.index(scale)

    return found[max(found, key=rank)]


def _expect_another_seed(path: Path, result: dict, other: Path, before: dict) -> None:
    if result["seed"] == before["seed"]:
        raise store.ResultError(f"{path} and {other} are of one cell and seed; move one away")
    one, two = ({k: v for k, v in r["configuration"].items() if k not in SEEDED} for r in (result, before))
    if why := store.difference(one, two):
        raise store.ResultError(f"{path} and {other} are seeds of one cell, but the {why}; move one away")
