"""The counts say where "3 of 8" and "5 of 8" hold, exactly and drawn; the smoke run of nets says all it should."""

import json

import numpy as np
import pytest

from stn_ref.lab.experiments import pooling, run


@pytest.mark.parametrize("k", (2, 3))
def test_what_is_drawn_agrees_with_what_is_exact(k):
    found = pooling.counted(k, 30_000, seed=1)
    exact = {2: ("3", "40/21", "4607504/62633025"), 3: ("40/9", "22/7", "4402960/12090897")}[k]
    assert tuple(case["exact"] for case in found.values()) == exact
    for name, case in found.items():
        assert abs(case["simulated"] - case["value"]) <= 4 * case["standard_error"], name
        assert case["standard_error"] < 0.02, name  # 30,000 images: s < 3.5


def test_a_window_with_ink_is_counted_and_one_without_is_not():
    images = np.zeros((2, 1, 28, 28), np.float32)
    images[0, 0, 12, 12] = images[1, 0, 10, 6] = 1  # at a corner of its 3x3 window, and in the middle of its left edge
    found = pooling.counted_on_digits(3, images)
    assert found["digits, one window with ink"] == {"simulated": 3 / 2 + 5 / 2, "standard_error": 1.0}
    assert found["digits, the whole map"]["simulated"] == 4
    assert pooling.counted_on_digits(2, images)["digits, one window with ink"]["simulated"] == 3


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    out, lines = tmp_path_factory.mktemp("pooling"), []
    report = run.run("pooling", "smoke", out=out, progress=False, note=lambda line: None, say=lines.append)
    return out, report, "\n".join(lines)


def test_smoke_says_what_holds_and_tests_every_net_in_every_pose(smoke):
    out, report, said = smoke
    results = {result["cell"]: result["result"] for result in report["results"]}
    assert not report["missing"] and not report["failed"]
    assert results["counts/2x2"]["share_of_places_as_quoted"] == 1
    assert results["counts/3x3"]["share_of_places_as_quoted"] == pytest.approx(4 / 9)
    assert results["counts/3x3"]["of_8"]["one maximum, anywhere in its window"]["exact"] == "40/9"
    for net in pooling.NETS:
        for seen in pooling.EPOCHS:
            found = results[f"{net}/{seen}"]
            accuracy = found["accuracy_percent"]
            assert accuracy["shift"][0] == accuracy["rotation"][1] == accuracy["scale"][1]  # all three at rest
            assert 0 <= found["one_pixel"]["outputs_stay_of_8"] <= 8
    assert results["cnn/upright"]["one_pixel"]["outputs_stay_of_8"] > 0.3  # learnt features, exact shifts of them
    for words in ("quoted", "4.444", "cnn/upright", "shift 11", "class stays"):
        assert words in said
    assert len(list(out.glob("*.json"))) == 6


def test_the_same_seed_gives_the_same_net_and_the_same_counts(smoke, tmp_path):
    _, report, _ = smoke
    again = run.run(
        "pooling",
        "smoke",
        out=tmp_path,
        only=["st-cnn-affine/upright", "counts/3x3"],
        progress=False,
        note=str,
        say=str,
    )
    before = {result["cell"]: result["result"] for result in report["results"]}
    for result in again["results"]:
        mine = {key: value for key, value in result["result"].items() if key != "training_seconds"}
        assert mine == {key: before[result["cell"]][key] for key in mine}


def test_the_table_takes_several_seeds_and_any_part_of_the_cells(smoke):
    _, report, _ = smoke
    other = json.loads(json.dumps(report["results"]))
    for result in other:
        result["seed"] = 1
    assert any("± 0.00" in line for line in pooling.table(report["results"] + other))
    assert pooling.table([]) == []
    assert len(pooling.table(other[:1])) == 2 + 3 * 2 + 2 + 1  # heads, exact and drawn, digits, an empty line
