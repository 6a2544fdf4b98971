"""Figures: the numbers behind them, and that equal figures are equal files."""

import subprocess
import sys

import numpy as np
import pytest

from stn_ref import checks
from stn_ref.plotting import curves, grids, style


@pytest.mark.parametrize("suffix", ("png", "svg"))
def test_the_same_numbers_give_the_same_file(rng, tmp_path, suffix):
    U, V = rng.random((2, 1, 9, 11)), rng.random((2, 1, 4, 4))
    points = rng.uniform(0, 8, (2, 8, 8, 2))
    runs = {"CNN": [{"epoch": 1, "val_accuracy": 0.5}], "ST-CNN": [{"epoch": 1, "val_accuracy": 0.6}]}
    content = []
    for k in range(2):
        figures = grids.transformer_figure(U, points, V, ["a", "b"]), curves.error_figure(runs, "title")
        paths = [style.save(fig, tmp_path / f"{k}-{j}.{suffix}") for j, fig in enumerate(figures)]
        content.append([path.read_bytes() for path in paths])
    assert content[0] == content[1]


def test_labels_are_moved_apart():
    assert curves.apart([1.0, 1.0, 1.1], 0.5) == [1.0, 1.5, 2.0]


def rows(*accuracies):
    return [{"epoch": k + 1, "val_accuracy": accuracy} for k, accuracy in enumerate(accuracies)]


def test_as_many_runs_as_there_are_looks_are_all_drawn():
    ax = curves.error_figure({name: rows(0.5, 0.75) for name in "abcd"}).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == 4 * [[50, 25]]
    assert [text.get_text() for text in ax.texts] == [f"{name} 25.0 %" for name in "abcd"]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({}, "runs must hold 1 to 4 trainings, one line style each; got 0"),
        (dict.fromkeys("abcde", rows(0.5)), "runs must hold 1 to 4 trainings, one line style each; got 5"),
        ({"CNN": []}, r"runs\['CNN'\] must have at least one row"),
        ({"CNN": rows(0.5, None)}, r"runs\['CNN'\] must have a val_accuracy in each row; got None in epoch 2"),
    ],
)
def test_runs_that_cannot_be_drawn_are_named(runs, message):
    with pytest.raises(ValueError, match=message):
        curves.error_figure(runs)


def test_trainings_without_an_error_are_drawn():
    assert curves.error_figure({"a": rows(1.0), "b": rows(1.0)}).axes[0].get_ylim() == (0, 1.05)


def test_a_wrong_number_of_titles_or_images_is_named():
    U, points, V = np.zeros((2, 1, 5, 4)), np.zeros((2, 3, 6, 2)), np.zeros((2, 1, 3, 6))
    with pytest.raises(ValueError, match="titles must be one for each of the N=2 images of U; got 1"):
        grids.transformer_figure(U, points, V, ["a"])
    with pytest.raises(checks.ShapeError, match=r"points must be \(N, Ho, Wo, 2\): axis 0 is 1, expected N=2 from U"):
        grids.transformer_figure(U, points[:1], V)
    with pytest.raises(checks.ShapeError, match="N >= 1"):
        grids.transformer_figure(U[:0], points[:0], V[:0])


LAZY = """
import sys, stn_ref, stn_ref.plotting
assert "matplotlib" not in sys.modules
assert set(stn_ref.plotting.__all__) <= set(dir(stn_ref.plotting))
stn_ref.plotting.grids.transformer_figure, stn_ref.plotting.style.save
assert "matplotlib" in sys.modules
try:
    stn_ref.plotting.nonsense
except AttributeError as error:
    assert str(error) == "module 'stn_ref.plotting' has no attribute 'nonsense'"
else:
    raise AssertionError
"""


def test_the_modules_are_loaded_when_they_are_first_used():
    subprocess.run([sys.executable, "-c", LAZY], check=True)
