"""The experiment with regularisers: which cells there are, what they are fed with, and what is measured."""

import numpy as np
import pytest

from stn_ref import data, models
from stn_ref.experiments import regularisers
from stn_ref.experiments.regularisers import EACH, FRESH, ROWS, OnceDistorted, views_apart
from stn_ref.experiments.run import run


def test_smoke_trains_every_cell_and_its_table_shows_them(tmp_path):
    lines = []
    report = run("regularisers", "smoke", out=tmp_path, progress=False, note=lambda line: None, say=lines.append)
    assert len(report["results"]) == 13 and not report["missing"] and not report["failed"]
    rows = [line.split("  ") for line in lines[1:8]]
    assert [row[0].strip() for row in rows] == list(ROWS)
    numbers = {row[0].strip(): [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert [len(found) for found in numbers.values()] == [5] * 7
    assert numbers["consistency"][:2] == ["-", "-"]  # a CNN has no views
    results = {result["cell"]: result["result"] for result in report["results"]}
    last = results["st-cnn-affine/together"]
    shown = [f"{last[key]:.2f}" for key in ("train_error_percent", "test_error_percent", "views_apart_percent")]
    assert numbers["together"][2:] == shown
    assert 0 < last["views_apart_percent"] < 150 and "views_apart_percent" not in results["cnn/none"]


def test_a_row_is_the_recipe_and_its_switches_and_no_more():
    cells = {cell.name: cell.configuration for cell in regularisers.cells("smoke", 3, None)}
    plain = cells["st-cnn-affine/none"]
    off = {"dropout": 0.0, "weight_decay": 0.0, "consistency": 0.0, "patience": 0}
    assert off.items() <= plain.items() and plain["seed"] == 3 and plain["n_val"] == 0
    for row, switches in EACH.items():
        changed = {name for name, value in cells[f"st-cnn-affine/{row}"].items() if value != plain[name]}
        validated = {"n_val", "data_crc32"} if row == "early-stopping" else set()
        assert changed == set(switches) | validated
        assert (f"cnn/{row}" in cells) == (row != "consistency")
    together = cells["st-cnn-affine/together"]
    assert all(switches.items() <= together.items() for switches in EACH.values())
    assert cells["cnn/together"] == {**together, "model": "cnn", "consistency": 0.0}
    assert {k for k, v in cells[f"cnn/{FRESH}"].items() if v != cells["cnn/none"][k]} == {"data"}


def test_a_digit_is_distorted_once_and_its_twin_in_every_epoch(digits):
    source, n = OnceDistorted(digits, "R"), len(digits.train_labels)

    def by_digit(epoch, method):
        order = np.argsort(np.concatenate(list(data.batches(n, 40, seed=2, epoch=epoch))))
        found = getattr(source, method)(40, 2, epoch)
        return np.concatenate([one[0] if isinstance(one, tuple) else one for one in found])[order]

    first, twins = by_digit(0, "batches"), by_digit(0, "twins")
    np.testing.assert_array_equal(by_digit(5, "batches"), first)
    for other in (by_digit(5, "twins"), first):
        assert (twins != other).any(axis=(1, 2, 3)).all()
    assert (first != data.to_float(digits.train_images)).any(axis=(1, 2, 3)).all()
    whole, rest = list(source.batches(40, 2, 1)), list(source.batches(40, 2, 1, start=1))
    for (U, labels), (U_rest, labels_rest) in zip(whole[1:], rest, strict=True):
        assert np.array_equal(U, U_rest) and np.array_equal(labels, labels_rest)
    assert not np.array_equal(whole[0][1], next(source.batches(40, 2, 0))[1])  # shuffled anew


@pytest.mark.parametrize(("kind", "least", "most"), [("none", 0, 0), ("R", 0.2, 0.8)])
def test_views_are_as_far_apart_as_the_distortion_makes_them(digits, kind, least, most):
    net, source = models.build("st-cnn-affine", 28, np.random.default_rng(0)), OnceDistorted(digits, kind)
    got = views_apart(net, source, 0)
    assert least <= got <= most
    V_1, V_2 = (data.fixed_distortion(digits.test_images, kind, 0, part=part).images for part in ("test", "val"))
    both = np.concatenate([V_1, V_2]).astype(float)  # at the start a view is the image
    unrelated = np.mean([np.square(both - one).mean() for one in both])
    assert got == pytest.approx(np.square(V_1.astype(float) - V_2).mean() / unrelated, rel=1e-6)


def test_who_looks_at_nothing_has_views_that_say_nothing_of_the_digit(digits):
    net = models.build("st-cnn-affine", 28, np.random.default_rng(0))
    localisation = models.transformer_of(net).localisation
    localisation[len(localisation) - 1].b.value[2] = 9  # nine half images to the right
    assert views_apart(net, OnceDistorted(digits, "R"), 0) == 1
