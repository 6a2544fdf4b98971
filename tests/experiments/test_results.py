"""What is shown of kept results: the README's table is theirs, means and differences are right, bad files are named."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from stn_ref.cli import main
from stn_ref.environment import shipped
from stn_ref.experiments import results, store, summary, table1
from stn_ref.plotting import style
from stn_ref.plotting.gallery import results as figure

ROOT = Path(__file__).parent.parent.parent
COMMAND = ["experiment", "--results"]


def made(cell, error, seed=0, *, experiment="table1", **configuration):
    """A result as a training would have written it."""
    known = {"epochs": 12, "batch_size": 64, "optimiser": "adam", "lr": 0.004, "schedule": "cosine", "warmup": 300}
    known |= {"n_train": 55_000, "n_val": 5_000, "seed": seed, "data_crc32": 100 + seed}
    return {
        "experiment": experiment, "scale": "small", "cell": cell, "seed": seed, "data": "mnist",
        "configuration": known | configuration,
        "result": {"test_error_percent": error, "n_test": 10_000, "training_seconds": 1_800.0},
        "history": [{"epoch": k + 1} for k in range((known | configuration)["epochs"])],
        "versions": {"stn_ref": "0.1.0", "numpy": "2.4.0"}, "machine": "a CPU", "date": "2026-01-02 03:04 UTC",
        "seconds": 900.0,
    }  # fmt: skip


@pytest.fixture
def keep(tmp_path):
    """Writes results into a folder, and returns it."""

    def write(*found):
        for result in found:
            parts = [result[key] for key in ("experiment", "scale", "data", "cell")]
            store.write(tmp_path / f"{store.file_name(*parts, 'seed')}{result['seed']}.json", result)
        return tmp_path

    return write


@pytest.fixture
def page(keep):
    return lambda *found: results.markdown(results.kept(keep(*found)))


# What is committed.


def test_the_readme_shows_what_the_kept_results_give():
    written = results.between((ROOT / "README.md").read_text(encoding="utf-8"))
    assert written == "\n".join(results.markdown(results.kept(ROOT / "figures" / "results"))), (
        "stn-ref experiment --results --markdown README.md"
    )


def test_every_kept_result_is_one_under_its_own_name():
    folder = ROOT / "figures" / "results"
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".md"}
    for path in folder.glob("*.json"):
        result = store.read(path)
        parts = [result[key] for key in ("experiment", "scale", "data", "cell")]
        assert path.stem == store.file_name(*parts, f"seed{result['seed']}")


def test_the_kept_results_of_table_1_are_near_the_papers_and_transformers_help():
    kept = results.kept(ROOT / "figures" / "results").get(("table1", "small", "mnist"), [])
    found = summary.over_seeds(kept)
    for kind in ("R", "RTS", "P", "E"):
        if ours := found.get(f"st-cnn-affine/{kind}"):
            assert abs(ours.mean - table1.PAPER["st-cnn-affine"][kind]) <= 0.5
    for name, ours in found.items():
        net, kind = name.split("/")
        if net.startswith("st-") and (without := found.get(f"{net.split('-')[1]}/{kind}")):
            assert ours.mean - without.mean <= 2 * summary.standard_error(without.mean, 10_000), name


# The page.


def test_a_cell_shows_ours_the_papers_and_the_difference(page):
    lines = page(made("fcn/R", 2.5), made("cnn/R", 1.0), made("cnn/R", 1.5, 1), made("st-cnn-tps/TC", 1.0))
    rows = {line.split(" | ")[0]: line.split(" | ")[1:] for line in lines if line.startswith("| ")}
    assert rows["| test error, %"] == ["R", "RTS", "P", "E", "TC |"]
    assert rows["| `fcn`"][:2] == ["**2.50** (2.1, +0.40)", "- (5.2)"]
    assert rows["| `cnn`"][0] == "**1.25 ± 0.35** (1.2, +0.05)"  # (1.0 + 1.5) / 2; 0.25 sqrt(2)
    assert rows["| `st-fcn-tps`"][4] == " |"  # the paper has none
    assert rows["| million samples seen"] == ["0.66", "-", "-", "-", "0.66 |"]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_it_says_where_a_transformer_did_not_help(page):
    found = made("cnn/R", 1.0), made("st-cnn-affine/R", 0.5), made("st-cnn-tps/R", 1.1), made("st-fcn-affine/R", 0.1)
    (line,) = (line for line in page(*found) if "With a transformer" in line)
    assert line == (
        "With a transformer the error is lower than without in 1 of 2 pairs; "
        "not so: `st-cnn-tps/R` (+0.10, standard error of the difference 0.14)."  # sqrt((1.1 * 98.9 + 1 * 99) / 10000)
    )


def test_the_schedule_and_how_sure_the_numbers_are_is_said(page):
    last = page(made("fcn/R", 2.0), made("fcn/E", 0.5, epochs=8), made("fcn/E", 0.5, seed=1, epochs=8))[-1]
    assert last == (
        "Trained for 8 to 12 epochs of 55,000 examples (0.44 to 0.66 million samples seen) in batches of 64, Adam at "
        "0.004, cosine, after up to 300 steps of warm-up; of the epochs the one that does best on 5,000 others is "
        "tested. Tested on 10,000: the binomial standard error is 0.07 points at 0.50 %, 0.14 points at 2.00 %. "
        "Seeds 0, 1; 3 cells, 90 min in all on a CPU; stn_ref 0.1.0, NumPy 2.4.0; 2026-01-02."
    )


def test_without_validation_the_last_epoch_is_said_to_be_tested(page):
    last = page(made("fcn/R", 2.0, n_val=0, epochs=1))[-1]
    assert last.startswith("Trained for 1 epoch of 55,000") and "of the epochs the last is tested" in last
    assert "of the epochs the last or the one that does best on 5,000 others is tested" in page(made("fcn/E", 2.0))[-1]


def test_an_experiment_without_words_of_its_own_shows_its_table(page):
    cells = [made(f"{net}/plain", 3.0, experiment="regularisers") for net in ("cnn", "st-cnn-affine")]
    lines = page(*cells, made("fcn/R", 2.0))
    assert lines[0].startswith("**Table 1") and lines.count("```") == 2
    table = lines[lines.index("```") + 1 :]
    assert any("3.00" in line for line in table) and table[-1].startswith("Trained for 12 epochs")


def test_nothing_kept_is_said(keep):
    assert results.markdown(results.kept(keep())) == ["No results are kept yet."]


# The command.


def test_the_command_shows_a_folder_or_writes_it_between_the_marks(keep, capsys, tmp_path):
    folder, target = keep(made("fcn/R", 2.5)), tmp_path / "page.md"
    assert main([*COMMAND, "--out", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "**2.50** (2.1, +0.40)" in shown
    target.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    for _ in range(2):  # the second time changes nothing
        assert main([*COMMAND, "--out", str(folder), "--markdown", str(target)]) == 0
        assert target.read_text() == f"before\n{results.BEGIN}\n\n{shown}\n{results.END}\nafter\n"
    assert capsys.readouterr().out == ""
    assert main([*COMMAND, "--out", str(folder), "--json", "-"]) == 0
    assert [row["cell"] for row in json.loads(capsys.readouterr().out)["results"]] == ["fcn/R"]


def test_one_experiment_may_be_chosen(keep, capsys):
    folder = keep(made("fcn/R", 2.5), made("cnn/plain", 3.0, experiment="regularisers"))
    assert main(["experiment", "table1", "--results", "--out", str(folder)]) == 0
    assert re.findall(r"\(`(\w+)`, small", capsys.readouterr().out) == ["table1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results", "--out", "missing"], "missing is not a directory; it is where the results should be"),
        (["nonsense", "--results"], "experiment must be one of 'table1'"),
        (["--results", "--markdown", "page.md"], "page.md must hold the lines '<!-- Written by"),
        (["--results", "--markdown", "missing.md"], "missing.md"),
        (["--markdown", "page.md"], "--markdown is for --results"),
    ],
)
def test_wrong_arguments_are_one_clear_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(f"{results.END}\n{results.BEGIN}\n")
    assert main(["experiment", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert (tmp_path / "page.md").read_text() == f"{results.END}\n{results.BEGIN}\n"


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
    ],
    ids=["damaged", "twice", "another recipe", "another experiment"],
)
def test_results_that_do_not_belong_together_are_named(keep, wrong, message):
    folder = keep(made("fcn/R", 2.5))
    wrong(folder)
    with pytest.raises(ValueError, match=message):
        results.kept(folder)


def test_the_kept_results_are_found_in_a_checkout():
    assert shipped("results") == ROOT / "figures" / "results"


# The figure.


def test_the_figure_draws_means_and_leaves_out_what_is_not_there():
    with style.styled():
        drawing = figure.draw([made("cnn/R", 1.0), made("cnn/R", 1.5, 1), made("fcn/TC", 12.25)])
    assert drawing.numbers["cnn/R"].tolist() == [1.2, 1.25] and drawing.numbers["fcn/E"].tolist() == [3.2]
    assert len(drawing.numbers) == 36
    assert "2 of 36 are there, from -0.95 to +0.05 points from the paper's, half of them within 0.50" in drawing.alt
    assert "trainings on 0.66 million samples" in drawing.caption and np.isfinite(drawing.numbers["fcn/TC"]).all()


def test_the_bars_of_the_figure_are_two_standard_errors_of_all_seeds_together():
    with style.styled():
        drawing = figure.draw([made("cnn/R", 2.0), made("cnn/R", 2.0, 1)])
    bars = [line.get_xdata() for line in drawing.figure.axes[0].lines if line.get_linewidth() == 2.4]
    half = 2 * np.sqrt(2 * 98 / 20_000)
    assert any(len(bar) == 2 and np.allclose(bar, [2 - half, 2 + half]) for bar in bars)


def test_with_nothing_kept_the_figure_shows_the_papers_errors():
    with style.styled():
        drawing = figure.draw([])
    assert {len(pair) for pair in drawing.numbers.values()} == {1} and "not been computed" in drawing.alt
