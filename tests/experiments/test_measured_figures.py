"""The figures of experiments draw what the results say, from the files where these are, and say where they are not."""

import pytest
from kept_results import keep, made

from stn_ref.experiments import pooling
from stn_ref.plotting import style
from stn_ref.plotting.gallery import measured


def net(cell, seed=0, add=0.0):
    """Accuracies that tell nets, sweeps and places apart."""
    testing = {"shift": [0, 7, 11], "rotation": [-90, 0, 90], "scale": [0.5, 1.0, 1.5]}
    first = 10.0 * list(measured.NETS).index(cell) + add
    accuracy = {what: [first + k + 3 * j for j in range(3)] for k, what in enumerate(testing)}
    spans = {"shift": [0, 7], "rotation": [-45, 45], "scale": [0.7, 1.2]}
    found = {"accuracy_percent": accuracy, "trained_range": spans}
    whole = made(cell, seed=seed, experiment="pooling", result=found)
    return whole | {"configuration": whole["configuration"] | testing}


def shares(cell, time, count, seed=0):
    found = {"share_percent": {"step": [time, time - 1, time + 2]}, "multiplications_share_percent": {"step": count}}
    return made(cell, seed=seed, experiment="overhead", data="noise", result=found, n_train=None)


def test_nets_are_drawn_as_they_were_tested_several_seeds_by_their_mean():
    found = [made("counts/2x2", experiment="pooling"), *map(net, measured.NETS), net("cnn/RTS", seed=1, add=-4.0)]
    with style.styled():
        drawing = measured.draw_invariance(found)
    assert drawing.numbers["cnn/upright, rotation"].tolist() == [1, 4, 7]
    assert drawing.numbers["cnn/RTS, scale"].tolist() == [22 - 2, 25 - 2, 28 - 2]
    assert set(measured.NETS) == {f"{net}/{seen}" for net in pooling.NETS for seen in pooling.EPOCHS}
    first = drawing.figure.axes[0]
    assert first.get_xlabel() == "shift (pixels)" and "55,000 mnist digits, scale small, 2 seeds" in drawing.caption
    labels = first.get_legend_handles_labels()[1]
    assert "chance" in labels and "range of RTS" in labels and len(labels) == 6
    assert "at 6 % (CNN) and 16 % (ST-CNN), those that saw RTS at 24 % and 36 %" in drawing.alt
    assert len(drawing.alt) > 60 and 40 < len(drawing.caption) < 220


def test_shares_are_drawn_as_they_were_measured_the_smallest_first():
    found = [shares("tutorial/28", 57.0, 40.0), shares("cifar10/32", 20.0, 10.0), shares("cifar10/32", 1, 2, seed=1)]
    with style.styled():
        drawing = measured.draw_overhead(found)
    assert drawing.numbers["multiplications"].tolist() == [10, 40]
    assert drawing.numbers["time"].tolist() == [[20, 19, 22], [57, 56, 59]]
    labels = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert labels == ["cifar10, 32 px", "tutorial, 28 px"] and "a CPU, scale small" in drawing.caption
    assert "classifier: 0 of 2 nets come down to the paper's 6 %" in drawing.caption
    assert measured.PAPER_SHARE == pytest.approx(5.66, abs=0.005)  # 6/106
    assert len(drawing.alt) > 60 and 40 < len(drawing.caption) < 220


def test_a_figure_without_results_says_so_and_with_them_draws_them(tmp_path):
    with style.styled():
        waiting = measured._drawn("overhead", measured.draw_overhead, tmp_path)
    assert "not measured yet" in waiting.figure.texts[0].get_text() and "which are not there yet" in waiting.caption
    keep(tmp_path, shares("tutorial/28", 57.0, 40.0))
    with style.styled():
        drawn = measured._drawn("overhead", measured.draw_overhead, tmp_path)
    assert drawn.numbers["multiplications"].tolist() == [40]


def test_of_nets_that_are_not_all_there_nothing_is_drawn_yet(tmp_path):
    for found in (made("counts/2x2", experiment="pooling"), net("cnn/RTS")):
        keep(tmp_path, found)
        with style.styled():
            waiting = measured._drawn("pooling", measured.draw_invariance, tmp_path)
        assert "not measured yet" in waiting.figure.texts[0].get_text()
