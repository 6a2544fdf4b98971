"""The experiment with clutter: one thing changes in each row, and smoke trains all of them."""

import numpy as np

from stn_ref import data
from stn_ref.lab.experiments import clutter
from stn_ref.lab.experiments.regularisers import OnceDistorted
from stn_ref.lab.experiments.run import run


def test_a_row_changes_one_thing():
    cells = {cell.name: cell.configuration for cell in clutter.cells("smoke", 3, None)}
    base = cells.pop("base")
    changed = {name: {key for key in base if row[key] != base[key]} for name, row in cells.items()}
    assert changed == {
        "batch-256": {"batch_size"},
        "sgd": {"optimiser", "lr"},
        "once-distorted": {"data"},
        "sixteen-patches": {"distortion"},
    }


def test_smoke_trains_every_row_and_the_table_shows_them(tmp_path):
    lines = []
    report = run("clutter", "smoke", out=tmp_path, progress=False, note=lambda line: None, say=lines.append)
    assert [result["cell"] for result in report["results"]] == list(clutter.ROWS)
    shown = {line.split()[0]: line.split()[1] for line in lines[1:6]}
    assert shown == {r["cell"]: f"{r['result']['test_error_percent']:.2f}" for r in report["results"]}
    assert lines[6].split() == ["the", "paper", "3.5"]


def test_digits_that_are_distorted_once_are_the_same_in_every_epoch():
    dataset = data.load(n_train=12, n_val=0, n_test=5, seed=0)
    source = OnceDistorted(dataset, "TC")
    images, labels = dataset.part("train")
    expected = data.distort(data.to_float(images), "TC", data.stream(4, "distortion")).images
    for epoch in (0, 3):
        order = np.concatenate(list(data.batches(12, 5, seed=4, epoch=epoch)))
        U, y = (np.concatenate(parts) for parts in zip(*source.batches(5, 4, epoch), strict=True))
        np.testing.assert_array_equal(U, expected[order])
        np.testing.assert_array_equal(y, labels[order])
        resumed = np.concatenate([U for U, _ in source.batches(5, 4, epoch, start=1)])
        np.testing.assert_array_equal(resumed, expected[order][5:])
