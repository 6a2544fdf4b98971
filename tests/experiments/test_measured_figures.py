"""The figures of experiments draw what the results say, from the files where these are, and say where they are not."""

import json

import pytest
from kept_results import keep, made

from stn_ref.cli import main
from stn_ref.lab.experiments import cifar10, pooling
from stn_ref.lab.results import kept
from stn_ref.plotting import gallery, style
from stn_ref.plotting.gallery import measured

PASSES = ("forward", "backward", "step")


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
    found = {
        "share_percent": {key: [time, time - 1, time + 2] for key in PASSES},
        "slower_percent": {key: [time - 30, time - 31, time - 28] for key in PASSES},
        "multiplications_share_percent": dict.fromkeys(PASSES, count),
    }
    whole = made(cell, seed=seed, experiment="overhead", data="noise", result=found, n_train=None)
    del whole["history"]
    return whole


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
    assert "0 of 2 shares come down to the paper's 6 %; with their smaller view, 1 nets are faster" in drawing.caption
    assert measured.PAPER_SHARE == pytest.approx(5.66, abs=0.005)  # 6/106
    assert len(drawing.alt) > 60 and 40 < len(drawing.caption) < 220


def test_a_figure_draws_the_results_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "shipped", lambda name: tmp_path)
    keep(tmp_path, shares("tutorial/28", 57.0, 40.0))
    with style.styled():
        assert measured.overhead().numbers["multiplications"].tolist() == [40]


def test_of_nets_that_are_not_all_there_nothing_is_drawn(tmp_path):
    keep(tmp_path, made("counts/2x2", experiment="pooling"), net("cnn/RTS"))
    with pytest.raises(FileNotFoundError, match=r"missing: cnn/upright, st-cnn-affine/RTS, st-cnn-affine/up"):
        measured.invariance(tmp_path)


@pytest.mark.parametrize("name", gallery.OF_RESULTS)
def test_a_readers_folder_must_have_what_is_drawn_from_it(tmp_path, name):
    wanted = f"has no result of {gallery.OF_RESULTS[name]}: `stn-ref experiment {gallery.OF_RESULTS[name]} --scale"
    with style.styled(), pytest.raises(FileNotFoundError, match=wanted):
        gallery.draw(name, tmp_path)


# CIFAR-10.


def trained(cell, *accuracies, seed=0, watched="test", **more):
    """A result of `cifar10` with these accuracies, in %, after its epochs."""
    column = "test_accuracy" if watched == "test" else "val_accuracy"
    more = {"scale": "paper", "data": "cifar10", "watched": watched, "epochs": len(accuracies)} | more
    whole = made(cell, 100 - accuracies[-1], seed, experiment="cifar10", **more)
    return whole | {"history": [{"epoch": k, column: value / 100} for k, value in enumerate(accuracies, 1)]}


def test_ours_is_drawn_over_the_readmes_log():
    found = trained("cnn", 30, 45), trained("st-cnn", 40, 50), trained("st-cnn", 44, 52, seed=1)
    with style.styled():
        drawing = measured.draw_cifar10(found)
    ax = drawing.figure.axes[0]
    lines = [[round(y, 9) for y in line.get_ydata()] for line in ax.lines]
    assert lines == [list(cifar10.LOGGED), [40, 50], [44, 52], [42, 51], [30, 45]]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == [
        "a README's log, test images",
        "ours, with its transformer, test images",
        "ours, without, test images",
    ]
    assert "ours with its transformer from 42.0 to 51.0 % in 2 epochs, ours without from 30.0 to 45.0 %" in drawing.alt
    assert "of test images of cifar10, scale paper, 2 seeds." in drawing.caption and len(drawing.caption) < 220
    assert set(measured.CURVES) == set(cifar10.NETS)


def test_images_that_chose_the_epoch_are_called_so():
    with style.styled():
        drawing = measured.draw_cifar10([trained("cnn", 30, 45, watched="validation", scale="small")])
    assert drawing.numbers["cnn"].tolist() == [30, 45] and "of validation images of cifar10" in drawing.caption
    assert "validation" in drawing.figure.axes[0].get_legend().get_texts()[1].get_text()


def test_without_results_the_log_is_drawn_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "shipped", lambda name: tmp_path)
    with style.styled():
        drawing = measured.cifar10()
    assert list(drawing.numbers) == ["README"] and len(drawing.figure.axes[0].lines) == 1
    assert "from 34.4 to 65.7 % in 50 epochs" in drawing.alt and "has not been computed yet" in drawing.alt


def test_the_command_draws_from_a_folder_of_the_readers(tmp_path, capsys):
    folder = keep(tmp_path, trained("st-cnn", 40, 50), trained("cnn", 30, 45))
    assert main(["figures", "cifar10", "--results", str(folder), "--out", str(tmp_path / "mine")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine' / 'cifar10.svg'}\n"
    numbers = json.loads((tmp_path / "mine" / "numbers" / "cifar10.json").read_text())["numbers"]
    assert numbers["cnn"] == [30, 45] and numbers["st-cnn"] == [40, 50]
    assert main(["figures", "cifar10", "--results", "missing", "--out", str(tmp_path / "mine")]) == 2
    assert "error: missing is not a directory; it is where the results should be" in capsys.readouterr().err
