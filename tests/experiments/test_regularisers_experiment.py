"""The experiment with regularisers: which cells there are, what they are fed with, and what is measured."""

import numpy as np
import pytest

from stn_ref import data, models
from stn_ref.lab.experiments import regularisers
from stn_ref.lab.experiments.regularisers import EACH, FRESH, ROWS, OnceDistorted, inconsistency
from stn_ref.lab.experiments.run import run


def test_smoke_trains_every_cell_and_its_table_shows_them(tmp_path):
    lines = []
    report = run("regularisers", "smoke", out=tmp_path, progress=False, note=lambda line: None, say=lines.append)
    assert len(report["results"]) == 13 and not report["missing"] and not report["failed"]
    rows = [line.split("  ") for line in lines[1:8]]
    assert [row[0].strip() for row in rows] == list(ROWS)
    numbers = {row[0].strip(): [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert [len(found) for found in numbers.values()] == [5] * 7
    assert numbers["consistency"][:2] == ["-", "-"]  # a CNN has no transformer
    results = {result["cell"]: result["result"] for result in report["results"]}
    last = results["st-cnn-affine/together"]
    shown = [f"{last[key]:.2f}" for key in ("train_error_percent", "test_error_percent", "inconsistency_percent")]
    assert numbers["together"][2:] == shown
    assert 0 < last["inconsistency_percent"] < 100 and "inconsistency_percent" not in results["cnn/none"]


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


def test_a_digit_is_distorted_once(digits):
    source, n = OnceDistorted(digits, "R"), len(digits.train_labels)

    def by_digit(epoch):
        order = np.argsort(np.concatenate(list(data.batches(n, 40, seed=2, epoch=epoch))))
        return np.concatenate([U for U, _ in source.batches(40, 2, epoch)])[order]

    np.testing.assert_array_equal(by_digit(5), by_digit(0))
    assert (by_digit(0) != data.to_float(digits.train_images)).any(axis=(1, 2, 3)).all()
    whole, rest = list(source.batches(40, 2, 1)), list(source.batches(40, 2, 1, start=1))
    for (U, labels), (U_rest, labels_rest) in zip(whole[1:], rest, strict=True):
        assert np.array_equal(U, U_rest) and np.array_equal(labels, labels_rest)
    assert not np.array_equal(whole[0][1], next(source.batches(40, 2, 0))[1])  # shuffled anew


def test_a_transformer_that_has_learnt_nothing_does_not_follow(digits):
    net, source = models.build("st-cnn-affine", 28, np.random.default_rng(0)), OnceDistorted(digits, "R")
    # P_2 = m + s R (P - m) + d, and P, the pixels, have the variance p = 2 (28^2 - 1)/12: W/T is
    # (p (1 + s^2 - 2 s cos b) + d^2) / (p (1 + s^2)), b = U(-45, 45) degrees, log s uniform, d = U(-2.8, 2.8) twice
    s, p = 1.25 ** np.linspace(-1, 1, 1001), 2 * (28**2 - 1) / 12
    cos = np.sin(np.pi / 4) / (np.pi / 4)
    expected = ((p * (1 + s**2 - 2 * s * cos) + 2 * 2.8**2 / 3) / (p * (1 + s**2))).mean()
    got = np.mean([inconsistency(net, source, seed) for seed in range(40)])  # of 32 digits each
    assert round(expected, 2) == 0.13 and got == pytest.approx(expected, rel=0.08) and net.training
