"""Table 1 at the scale of a test: every cell trains and is written, and the table shows it beside the paper's error."""

import json

import pytest

from stn_ref import data, models
from stn_ref.cli import main
from stn_ref.lab.experiments import table1


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The folder in which `stn-ref experiment table1` has run, and its report."""
    out = tmp_path_factory.mktemp("table1")
    assert main(["experiment", "table1", "--out", str(out), "--json", str(out / "report")]) == 0
    return out, json.loads((out / "report").read_text())


def test_smoke_computes_every_cell(smoke):
    out, report = smoke
    assert len(list(out.glob("table1-smoke-procedural-*-seed0.json"))) == len(report["results"]) == 36
    for result in report["results"]:
        net, kind = result["cell"].split("/")
        assert (result["configuration"]["model"], result["configuration"]["distortion"]) == (net, kind)
        assert 0 <= result["result"]["test_error_percent"] <= 100 and len(result["history"]) == 1
        assert ("undone" in result["result"]) == ("views" in result["result"]) == net.startswith("st-")


def test_json_on_standard_output_is_json_and_nothing_else(smoke, capsys):
    out, report = smoke
    capsys.readouterr()
    assert main(["experiment", "table1", "--out", str(out), "--json", "-"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == report  # and nothing was computed again: every time is as it was
    assert "36 cells of procedural data, 36 of them in" in shown.err and "36 of 36 cells in" in shown.err


def test_the_cells_are_those_of_the_table():
    names = [cell.name for cell in table1.cells("smoke", 0, None)]
    assert len(set(names)) == 36 and {name.split("/")[0] for name in names} == set(table1.PAPER) <= set(models.MODELS)
    assert {tuple(name.split("/")) for name in names} == {
        (net, kind) for net, errors in table1.PAPER.items() for kind in errors
    }
    assert set(table1.COLUMNS) <= set(data.KINDS)


def test_a_seed_decides_the_data_and_the_training_of_a_cell():
    first, same, other = (table1.cells("smoke", seed, None)[0].configuration for seed in (0, 0, 1))
    assert first == same and first["seed"] == 0 and other["seed"] == 1 and first["data_crc32"] != other["data_crc32"]


def test_the_paper_scale_has_the_papers_steps():
    recipe, sizes = table1.RECIPES["paper"], table1.SIZES["paper"]
    steps = recipe["epochs"] * -(-sizes["n_train"] // recipe["batch_size"])
    assert steps == pytest.approx(150_000, rel=1e-3)


def result(cell, error, seed=0):
    return {"cell": cell, "seed": seed, "result": {"test_error_percent": error, "n_test": 10_000}}


def test_the_table_shows_means_and_the_papers_errors():
    lines = table1.table([result("cnn/R", 1.0), result("cnn/R", 1.5, seed=1), result("fcn/TC", 12.345)])
    assert len({len(line) for line in lines}) == 1 and len(lines) == 9
    rows = {line.split()[0]: line.split("  ") for line in lines}
    assert "1.25 ± 0.35 (1.2)" in rows["cnn"] and "12.35 (13.2)" in rows["fcn"] and "- (0.8)" in rows["st-fcn-tps"]


def test_a_training_that_diverges_is_said_and_is_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(
        table1.RECIPES, "smoke", {"epochs": 9, "batch_size": 50, "lr": 1e6, "optimiser": "sgd", "clip": 0.0}
    )
    assert main(["experiment", "table1", "--only", "fcn/R", "fcn/P", "--out", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert shown.out.count("FAILED: fcn/") == 2 and "the loss is nan in epoch" in shown.out
    assert "1/2 fcn/R, seed 0\n" in shown.err and "2/2 fcn/P, seed 0\n" in shown.err
    assert shown.out.endswith(f"0 of 2 cells in {tmp_path}\n") and not list(tmp_path.glob("*.json"))
