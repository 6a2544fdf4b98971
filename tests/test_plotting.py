"""Figures: the numbers behind them, and that equal figures are equal files."""

import pytest

from stn_ref.plotting import curves, grids, pooling, style


def test_isolated_maxima_by_hand():
    assert pooling.isolated_counts(2).tolist() == [[3, 3], [3, 3]]
    assert pooling.isolated_counts(3).tolist() == [[3, 5, 3], [5, 8, 5], [3, 5, 3]]


@pytest.mark.parametrize(("k", "mean"), [(2, 1.90), (3, 3.14)])
def test_random_pixels_allow_fewer_shifts(rng, k, mean):
    assert pooling.random_mean(k, rng, 40_000) == pytest.approx(mean, abs=0.04)  # 4 standard errors


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
