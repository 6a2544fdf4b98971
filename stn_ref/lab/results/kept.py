"""Read the results in a folder, for pages and figures: check them, and never mix scales or data sets.

Reads: store.py, ../machine_report.py. Read next: summary.py.
"""

from collections.abc import Sequence
from pathlib import Path

from stn_ref import checks
from stn_ref.lab.machine_report import shipped
from stn_ref.lab.results import SCALES, store

SEEDED = ("seed", "data_crc32")  # the settings that may differ between two seeds of a cell

Group = tuple[str, str, str]  # experiment, scale, data


def groups(
    folder: Path | None = None, name: str | None = None, known: Sequence[str] | None = None
) -> dict[Group, list[dict]]:
    """Return (experiment, scale, data) -> results, in the order of cells and seeds.

    Args:
        folder: the folder of the results; default: figures/results, or its copy in an installed package.
        name: the name of one experiment; default: all.
        known: the known experiments, in their order; default: any, in alphabetical order.

    Raises:
        NotADirectoryError: the folder does not exist.
        ResultError: a file is damaged; two files have the same cell and seed; two seeds of a cell differ in other
            settings than SEEDED.
        ValueError: an experiment or a scale is unknown.
    """
    if name is not None and known is not None:
        checks.one_of("experiment", name, known)
    folder = shipped("figures/results") if folder is None else folder
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

    The group with the most cells is chosen, so that the first cell of a larger scale does not hide a complete group. If
    two groups have equally many cells, the larger scale is chosen. `smoke` and drawn images are shown only if there are
    no other results. The folder is as for `groups`.

    Raises:
        FileNotFoundError: the experiment has no result.
        NotADirectoryError, ResultError, ValueError: as for `groups`.
    """
    folder = shipped("figures/results") if folder is None else folder
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
