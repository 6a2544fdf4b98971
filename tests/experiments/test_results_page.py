"""What is shown of kept results: the README's table is theirs, means and differences are right."""

import itertools
import json
import math
import re
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from kept_results import keep, made

from stn_ref.cli import main
from stn_ref.lab.experiments import EXPERIMENTS, parts, table1
from stn_ref.lab.experiments import page as pages
from stn_ref.lab.results import kept, store
from stn_ref.lab.results.summary import over_seeds, standard_error
from stn_ref.plotting import style
from stn_ref.plotting.gallery import measured
from stn_ref.training import Config

ROOT = Path(__file__).parent.parent.parent
COMMAND = ["experiment", "--results"]


@pytest.fixture
def page(tmp_path):
    return lambda *found: pages.markdown(kept.groups(keep(tmp_path, *found), known=EXPERIMENTS))


# What is committed.


@pytest.fixture
def committed():
    return kept.groups(ROOT / "figures" / "results").get(("table1", "small", "mnist"), [])


def test_the_readme_shows_what_the_kept_results_give():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    written = readme.partition(pages.BEGIN)[2].partition(pages.END)[0].strip("\n")
    assert written == "\n".join(pages.markdown(kept.groups(ROOT / "figures" / "results", known=EXPERIMENTS))), (
        "stn-ref experiment --results --markdown README.md"
    )


SEEN = 10_000  # test digits
LEFT = "look at its history; if the training is as it should be, it is the bound that is wrong, and the README's words"


def test_the_kept_affine_nets_are_within_half_a_point_of_the_paper(committed):
    found = over_seeds(committed)
    for name in (name for kind in ("R", "RTS", "P", "E") if (name := f"st-cnn-affine/{kind}") in found):
        ours, paper = found[name].mean, table1.PAPER["st-cnn-affine"][name.split("/")[1]]
        assert abs(ours - paper) <= 0.5, f"{name} of table1, small: {ours:.2f} %, in the paper {paper} %; {LEFT}"


def test_no_kept_net_with_a_transformer_is_clearly_worse_than_the_same_without(committed):
    """By more than two standard errors of the difference; on the seeds that both have."""
    errors = {(result["cell"], result["seed"]): result["result"]["test_error_percent"] for result in committed}
    for name in {cell for cell, _ in errors if cell.startswith("st-")}:
        plain = name.split("-")[1] + name[name.index("/") :]
        pairs = [(error, errors[plain, seed]) for (cell, seed), error in errors.items() if cell == name
                 and (plain, seed) in errors]  # fmt: skip
        if pairs:
            ours, without = (fmean(column) for column in zip(*pairs, strict=True))
            apart = math.hypot(*(standard_error(error, len(pairs) * SEEN) for error in (ours, without)))
            assert ours - without <= 2 * apart, (
                f"{name} of table1, small: {ours:.2f} %, {plain}: {without:.2f} %, seeds: {len(pairs)}; {LEFT}"
            )


def test_the_kept_nets_were_trained_as_table1_says(committed):
    assert committed
    for result in committed:
        net, kind = result["cell"].split("/")
        recipe = table1.RECIPES["small"] | table1.SMALL[kind]
        wanted = asdict(Config(model=net, distortion=kind, seed=result["seed"], **recipe))
        found = {name: value for name, value in result["configuration"].items() if name in wanted}
        assert not store.difference(found, wanted), result["cell"]


@pytest.mark.parametrize("plain", ("fcn", "cnn", "st-fcn-affine"))
def test_two_kept_transformers_add_clearly_better(plain):
    found = over_seeds(kept.groups(ROOT / "figures" / "results")["addition", "small", "mnist"])
    assert found["2xst-fcn-affine"].mean < found[plain].mean - 5, LEFT


def test_the_kept_windows_have_found_their_parts():
    """Nearer than 15 % of the side, than any window that stands still; and what they see helps."""
    results = kept.groups(ROOT / "figures" / "results")["parts", "small", "creatures"]
    error = {net: found.mean for net, found in over_seeds(results).items()}
    assert error["2xst"] + 5 < error["1xst"] < min(error["cnn-shrunk"], error["fcn"]) - 5
    for part in parts.PARTS:
        far, still = (over_seeds(results, f"{part}_distance_{key}percent") for key in ("", "unmoved_"))
        for net in ("2xst", "4xst"):
            assert far[net].mean < min(15, still[net].mean - 3), (net, part)


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
    # sqrt((1.1 * 98.9 + 1 * 99) / 10000) = 0.144
    assert line == (
        "With a transformer the error is lower than without in 1 of 2 pairs; "
        "not so: `st-cnn-tps/R` (+0.10, binomial standard error of the difference 0.14)."
    )


@pytest.mark.parametrize(("other", "said"), (({}, True), ({"data": "procedural"}, False), ({"scale": "paper"}, False)))
def test_how_the_schedule_was_chosen_is_said_where_it_was(other, said):
    lines = table1.markdown([made("fcn/R", 2.0, **other)])
    assert any(table1.CHOSEN in line for line in lines) is said


def test_the_schedule_and_how_sure_the_numbers_are_is_said(page):
    last = page(made("fcn/R", 2.0), made("fcn/E", 0.5, epochs=8), made("fcn/E", 0.5, seed=1, epochs=8))[-1]
    assert last == (
        "Trained for 8 to 12 epochs of 55,000 examples (0.44 to 0.66 million samples seen) in batches of 64, Adam at "
        "0.004, cosine, after up to 300 steps of warm-up; of the epochs the one that does best on 5,000 others is "
        "tested. Tested on 10,000: the binomial standard error is 0.07 points at 0.50 %, 0.14 points at 2.00 %. "
        "Seeds 0, 1; 3 cells, 90 min in all on a CPU, 2 cores; stn_ref 0.1.0, NumPy 2.4.0; 2026-01-02."
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


def test_nothing_kept_is_said(page):
    assert page() == ["No results are kept yet."]


# The command.


def test_the_command_shows_a_folder_or_writes_it_between_the_marks(capsys, tmp_path):
    folder, target = keep(tmp_path, made("fcn/R", 2.5)), tmp_path / "page.md"
    assert main([*COMMAND, "--out", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "**2.50** (2.1, +0.40)" in shown
    assert main([*COMMAND, "--out", str(folder), "--markdown", str(target)]) == 0  # which is not there yet
    assert target.read_text() == f"{pages.BEGIN}\n\n{shown}\n{pages.END}\n"
    target.write_text(f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n")
    for _ in range(2):  # the second time changes nothing
        assert main([*COMMAND, "--out", str(folder), "--markdown", str(target)]) == 0
        assert target.read_text() == f"before\n{pages.BEGIN}\n\n{shown}\n{pages.END}\nafter\n"
    assert capsys.readouterr().out == ""
    assert main([*COMMAND, "--out", str(folder), "--json", "-"]) == 0
    assert [row["cell"] for row in json.loads(capsys.readouterr().out)["results"]] == ["fcn/R"]


@pytest.mark.parametrize(
    ("watched", "said"),
    [("validation", "the one that does best on 64 others is tested"), ("test", "the last is tested")],
)
def test_test_images_that_are_watched_choose_no_epoch(page, watched, said):
    result = {"test_accuracy_percent": 60.0, "last_percent": 60.0, "last_ten_percent": 60.0, "best_percent": 61.0}
    found = made("cnn", 40.0, experiment="cifar10", result=result, watched=watched, epochs=2, n_val=64)
    assert f"of the epochs {said}" in page(found)[-1]


def test_one_experiment_may_be_chosen(tmp_path, capsys):
    folder = keep(tmp_path, made("fcn/R", 2.5), made("cnn/plain", 3.0, experiment="regularisers"))
    assert main(["experiment", "table1", "--results", "--out", str(folder)]) == 0
    assert re.findall(r"\(`(\w+)`, small", capsys.readouterr().out) == ["table1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results", "--out", "missing"], "missing is not a directory; it is where the results should be"),
        (["nonsense", "--results"], "experiment must be one of 'table1'"),
        (["--results", "--markdown", "page.md"], "page.md must hold the lines '<!-- Written by"),
        (["--results", "--markdown", "missing/page.md"], "missing/page.md"),
        (
            ["--scale", "small", "--only", "fcn/R"],
            "leave --only, --scale out of `experiment`, or write `",
        ),
        (["--markdown", "page.md"], "leave --markdown out of `experiment`, or write `experiment --results`"),
        (["--results", "--scale", "smoke"], "leave --scale out of `experiment --results`, or write `experiment NAME"),
        (
            ["--results", "--again", "--only", "fcn/R", "--list"],
            "leave --again, --list, --only out of `experiment --results`\n",
        ),
        (
            ["--results", "--seed", "1", "--seeds", "2", "--data", "x"],
            "leave --data, --seed, --seeds out of `exp",
        ),
    ],
)
def test_wrong_arguments_are_one_clear_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(f"{pages.END}\n{pages.BEGIN}\n")
    assert main(["experiment", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert (tmp_path / "page.md").read_text() == f"{pages.END}\n{pages.BEGIN}\n"


# The figure.


def test_the_figure_draws_means_and_leaves_out_what_is_not_there():
    with style.styled():
        drawing = measured.draw_results([made("cnn/R", 1.0), made("cnn/R", 1.5, 1), made("fcn/TC", 12.25)])
    assert drawing.numbers["cnn/R"].tolist() == [1.2, 1.25] and drawing.numbers["fcn/E"].tolist() == [3.2]
    assert len(drawing.numbers) == 36
    assert "2 of 36 are there, from -0.95 to +0.05 points from the paper's, half of them within 0.50" in drawing.alt
    assert "trainings on 0.66 million samples" in drawing.caption and np.isfinite(drawing.numbers["fcn/TC"]).all()


def test_the_bars_of_the_figure_are_two_standard_errors_of_all_seeds_together():
    with style.styled():
        drawing = measured.draw_results([made("cnn/R", 2.0), made("cnn/R", 2.0, 1)])
    bars = [line.get_xdata() for line in drawing.figure.axes[0].lines if line.get_linewidth() == 2.4]
    half = 2 * np.sqrt(2 * 98 / 20_000)
    assert any(len(bar) == 2 and np.allclose(bar, [2 - half, 2 + half]) for bar in bars)


@pytest.mark.parametrize("error", (3.0, 19.0, 31.0, 90.0))  # the paper's highest is 13.2
def test_the_labels_of_the_axis_do_not_touch(error):
    with style.styled():
        fig = measured.draw_results([made("fcn/TC", error)]).figure
        fig.canvas.draw()
    for ax in fig.axes:
        boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
        boxes = [box for box in boxes if ax.bbox.x0 <= (box.x0 + box.x1) / 2 <= ax.bbox.x1]
        assert len(boxes) >= 3 and all(one.x1 < two.x0 for one, two in itertools.pairwise(boxes))


def test_the_page_says_how_far_distortions_are_undone(page):
    def undone(r, after):
        return {"undone": {"angle": {"correlation": r, "before": 52.0, "after": after}, "scale": None, "place": None}}

    lines = page(
        made("st-cnn-affine/R", 1.0, result=undone(0.9, 10.0)),
        made("st-cnn-affine/R", 2.0, seed=1, result=undone(0.98, 6.0)),
        made("cnn/R", 3.0),
    )
    (row,) = [line for line in lines if line.startswith("| `st-cnn-affine` | 0.94")]
    assert row.startswith("| `st-cnn-affine` | 0.94 (52 to 8°) |  |")
    assert not any("undo" in line for line in page(made("cnn/R", 3.0)) if "cnn/R" in line)
