"""A folder of results: read whole, kept apart by scale and data, and what does not belong together is named."""

from pathlib import Path

import pytest
from kept_results import keep, made, name_of

from stn_ref.lab.machine_report import shipped
from stn_ref.lab.results import kept, store

ROOT = Path(__file__).parent.parent.parent


def test_the_kept_results_are_found_in_a_checkout():
    assert shipped("figures/results") == ROOT / "figures" / "results"


def test_every_kept_result_is_one_under_its_own_name():
    folder = ROOT / "figures" / "results"
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".md"}
    for path in folder.glob("*.json"):
        assert path.name == name_of(store.read(path))


def test_results_come_by_experiment_scale_and_data_in_the_order_asked_for(tmp_path):
    found = [
        made("cnn/R", 1.0, 1), made("cnn/R", 1.0), made("cnn/R", 2.0, scale="paper"), made("cnn/R", 3.0, scale="smoke"),
        made("cnn/R", 3.0, data="procedural"), made("a", 4.0, experiment="pooling"),
    ]  # fmt: skip
    groups = kept.groups(keep(tmp_path, *found), known=("table1", "pooling"))
    assert [(*group, len(results)) for group, results in groups.items()] == [
        ("table1", "smoke", "mnist", 1),
        ("table1", "small", "mnist", 2),
        ("table1", "small", "procedural", 1),
        ("table1", "paper", "mnist", 1),
        ("pooling", "small", "mnist", 1),
    ]
    assert [result["seed"] for result in groups["table1", "small", "mnist"]] == [0, 1]
    assert next(iter(kept.groups(tmp_path)))[0] == "pooling"  # by name
    assert {group[0] for group in kept.groups(tmp_path, "table1")} == {"table1"}


SMALL = [made("cnn/R", 1.0), made("fcn/R", 2.0)]
PAPER = [made("cnn/R", 1.5, scale="paper"), made("fcn/R", 2.5, scale="paper")]
SMOKE = [made(cell, 50.0, scale="smoke", data="procedural") for cell in ("cnn/R", "fcn/R", "cnn/E", "fcn/E")]
DRAWN = [made(cell, 9.0, data="procedural") for cell in ("cnn/R", "fcn/R", "cnn/E")]


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (SMALL + PAPER[:1], SMALL),  # one cell of a larger scale hides nothing
        (SMALL + PAPER, PAPER),
        (SMOKE + DRAWN + SMALL, SMALL),
        (SMOKE + DRAWN, DRAWN),
        (SMOKE, SMOKE),
        ([made("a", 1.0, experiment="pooling"), *SMALL], SMALL),
    ],
    ids=["a first cell", "both scales", "real data", "no smoke", "nothing but smoke", "another experiment"],
)
def test_a_figure_shows_one_scale_and_one_data_set(tmp_path, there, wanted):
    found = kept.shown("table1", keep(tmp_path, *there))
    key = lambda result: (result["cell"], result["scale"], result["data"])  # noqa: E731
    assert sorted(map(key, found)) == sorted(map(key, wanted))


def test_where_there_are_no_results_the_command_that_makes_them_is_named(tmp_path):
    keep(tmp_path, *SMALL)
    with pytest.raises(FileNotFoundError, match="has no result of pooling: `stn-ref experiment pooling --scale small"):
        kept.shown("pooling", tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda folder: (folder / "x.json").write_text("{}"), r"x\.json is not a file of results"),
        (lambda folder: store.write(folder / "x.json", made("fcn/R", 2.0)), "are of one cell and seed; move one away"),
        (
            lambda folder: store.write(folder / "x.json", made("fcn/R", 2.0, 1, lr=0.1)),
            r"are seeds of one cell, but the lr is 0\.1, not 0\.004; move one away",
        ),
        (
            lambda folder: store.write(folder / "x.json", made("a", 2.0, experiment="mine")),
            r"experiment of .*x\.json must be one of 'table1'",
        ),
        (lambda folder: keep(folder, made("a", 2.0, scale="huge")), r"scale of .*json must be one of 'smoke'"),
    ],
    ids=["damaged", "twice", "another recipe", "another experiment", "another scale"],
)
def test_results_that_do_not_belong_together_are_named(tmp_path, wrong, message):
    wrong(keep(tmp_path, made("fcn/R", 2.5)))
    with pytest.raises(ValueError, match=message):
        kept.groups(tmp_path, known=("table1",))
