"""The CIFAR-10 experiment: its nets, its schedule, whose images are watched, its reports; on drawn images."""

import dataclasses
import re

import numpy as np
import pytest

from stn_ref.cli import main
from stn_ref.data import cifar
from stn_ref.lab.experiments import cifar10, run
from stn_ref.training import Trainer


def quiet(line):
    pass


@pytest.fixture
def big(tmp_path):
    """A directory of files as large as the published ones, and as empty."""
    folder = tmp_path / "big" / cifar.FOLDER
    folder.mkdir(parents=True)
    for k, name in enumerate((*cifar.TRAIN, cifar.TEST)):
        with open(folder / name, "wb") as file:
            file.write(bytes([k]))  # the label of the first image
            file.truncate(cifar.PER_BATCH * cifar.RECORD)
    return folder.parent


@pytest.fixture(autouse=True)
def forget():
    yield
    cifar10.images.cache_clear()


def made(name):
    return cifar10.net(name, np.random.default_rng(0))


@pytest.mark.parametrize(("name", "parameters"), [("st-cnn", 1_585_008), ("cnn", 844_522)])
def test_the_nets_have_the_published_size(name, parameters):
    assert sum(param.value.size for param in made(name).params()) == parameters


def test_the_baseline_is_the_net_without_its_transformer(rng):
    full, bare = made("st-cnn"), made("cnn")
    pairs = zip([p for layer in full.layers[1:] for p in layer.params()], bare.params(), strict=True)
    for mine, its in pairs:
        its.value[...] = mine.value
    U = rng.standard_normal((2, 3, 32, 32)).astype(np.float32)
    np.testing.assert_array_equal(full.eval().forward(U), bare.eval().forward(U))  # a new transformer is the identity


def test_the_schedule_is_the_readmes():
    known = {"optimiser": "sgd", "momentum": 0, "lr": 0.01, "batch_size": 64, "epochs": 50, "schedule": "constant"}
    off = {"warmup": 0, "clip": 0, "weight_decay": 0, "localisation_lr_scale": 1, "patience": 0}
    assert (known | off).items() <= dataclasses.asdict(cifar10.Schedule()).items()
    assert cifar10.SIZES["paper"] == {"n_train": 50_000, "n_val": 0, "n_test": 10_000}
    assert cifar10.EPOCHS["paper"] == 50


def test_the_logged_curve_is_the_readmes():
    assert len(cifar10.LOGGED) == 50
    assert (cifar10.LOGGED[0], max(cifar10.LOGGED), cifar10.LOGGED[-1]) == (34.39, 66.68, 65.68)
    assert cifar10.LOGGED.index(66.68) == 48  # epoch 49
    assert sum(cifar10.LOGGED) == pytest.approx(3028.7)  # added up from the log


def test_smoke_reports_last_and_best_of_the_test_images_that_it_watched(tmp_path):
    said, noted = [], []
    report = run.run("cifar10", out=tmp_path, note=noted.append, say=said.append)
    assert [result["cell"] for result in report["results"]] == ["st-cnn", "cnn"]
    for result in report["results"]:
        accuracies = [100 * row["test_accuracy"] for row in result["history"]]
        numbers = result["result"]
        assert numbers["last_percent"] == pytest.approx(accuracies[-1])
        assert numbers["last_ten_percent"] == pytest.approx(np.mean(accuracies))
        assert numbers["best_percent"] == pytest.approx(max(accuracies)) and not result["history"][0].get(
            "val_accuracy"
        )
        assert numbers["test_error_percent"] == pytest.approx(100 - accuracies[-1])
        assert result["configuration"]["watched"] == "test"
    assert any("epoch 2/2" in line and "test error" in line for line in noted)
    assert not any("validation" in line for line in noted)
    assert said[0].split("  ")[0] == "test accuracy of drawn images, %"
    assert said[3].split() == ["README's", "st-cnn", "65.68", "65.07", "66.68"]
    assert "* chosen by the test images" in said[4] and "st-cnn looks at 1.0" in said[6]


def test_the_test_images_are_watched_where_there_are_no_validation_images(big):
    fed = cifar10.images(str(big), 0, 128, 0, 64)
    assert fed.val is fed.test and fed.name == "cifar10"
    assert fed.size("train") == 128 and fed.train[1][0] == 0 and fed.test[1][0] == 5  # the first, in their order


def test_small_chooses_by_images_that_it_does_not_train_on(big):
    fed = cifar10.images(str(big), 3, **cifar10.SIZES["small"])
    assert [fed.size(part) for part in ("train", "val", "test")] == [45_000, 5_000, 10_000]
    marked = [labels for labels in (*fed.train[1], *fed.val[1]) if labels]  # one image a file has a label
    assert sorted(marked) == [1, 2, 3, 4]
    other = cifar10.images(str(big), 4, **cifar10.SIZES["small"])
    assert other.fingerprint != fed.fingerprint  # another seed, another choice


def results(watched, scale="paper", **accuracies):
    return [
        {
            "cell": name,
            "data": "cifar10",
            "configuration": {"watched": watched, "epochs": 30},
            "result": {"test_accuracy_percent": curve[-1], **cifar10._three(curve)},
            "history": [{"test_accuracy": value / 100, "val_accuracy": value / 100} for value in curve],
        }
        for name, curves in accuracies.items()
        for curve in curves
    ]


def test_the_table_of_several_seeds_by_hand():
    found = results("test", cnn=[[50.0, 62.0, 60.0], [50.0, 61.0, 64.0]])
    rows = [re.split(r"\s{2,}", line) for line in cifar10.table(found)[:4]]
    assert rows[0] == ["test accuracy, %", "last epoch", "last 10 epochs", "best epoch*"]
    assert rows[1] == ["st-cnn", "-", "-", "-"]
    assert rows[2] == ["cnn", "62.00 ± 2.83", "57.83 ± 0.71", "63.00 ± 1.41"]
    found = results("validation", cnn=[[60.0]])
    rows = [re.split(r"\s{2,}", line) for line in cifar10.table(found)[:4]]
    assert rows[0] == ["test accuracy, %", "epoch chosen by validation", "epoch 30"]
    assert rows[2:] == [["cnn", "60.00", "-"], ["README's st-cnn", "-", "65.35"]]
    assert not any("*" in line for line in cifar10.table(found))


def test_a_view_by_hand():
    """Half the side, turned by 30 degrees, its middle moved by (0.3, 0.4), for every image."""
    net = made("st-cnn")
    half = 0.5 * np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])
    *_, bias = net[0].localisation.params()
    bias.value[...] = np.hstack([half, [[0.3], [0.4]]]).ravel()
    seen = cifar10.view("st-cnn", net, cifar10.images(None, 0, 10, 0, 10))["view"]
    wanted = {"side": 0.5, "side_sd": 0.0, "angle_degrees": 30.0, "shift": 0.5}
    assert seen == {key: pytest.approx(value, abs=1e-5) for key, value in wanted.items()}  # float32
    assert cifar10.view("cnn", made("cnn"), None) == {}


def test_both_nets_can_learn_the_drawn_classes():
    """With a larger rate, so that a few seconds do: the README's would take thousands of steps."""
    fed = cifar10.images(None, 0, 640, 0, 16)
    for name in cifar10.NETS:
        schedule = cifar10.Schedule(model=name, epochs=2, lr=0.05, momentum=0.9)
        trainer = Trainer(schedule, fed, net=made(name))
        losses = [row.train_loss for row in trainer.epochs()]
        assert losses[-1] < np.log(10) - 0.2  # chance, and a fifth of a nat better


def test_a_killed_training_goes_on_bit_for_bit(tmp_path):
    """Dropout's generator is part of the checkpoint."""
    fed, path = cifar10.images(None, 0, 64, 0, 16), tmp_path / "half.npz"
    schedule = cifar10.Schedule(model="cnn", epochs=2, batch_size=16)

    def trainer(**more):
        return Trainer(schedule, fed, net=made("cnn"), **more)

    whole = trainer()
    rows = [row.train_loss for row in whole.epochs()]
    half = trainer(path=path, save_seconds=0)
    step, left = half._step, [6]

    def until_killed(*batch):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return step(*batch)

    half._step = until_killed
    with pytest.raises(KeyboardInterrupt):
        list(half.epochs())
    rest = trainer(path=path, resume=True)
    assert rest.position["batch"] == 2  # of the second epoch
    assert [row.train_loss for row in rest.epochs()] == rows[1:]
    assert rest.weights_crc() == whole.weights_crc()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "data_batch_3.bin").unlink(), "holds no data_batch_3.bin"),
        (lambda folder: (folder / "test_batch.bin").write_bytes(b"<html>"), "test_batch.bin is a web page"),
        (lambda folder: (folder / cifar.META).write_bytes(b"apple\nbear\n"), "must name CIFAR-10's classes"),
        (lambda folder: (folder / "data_batch_1.bin").write_bytes(bytes(3073)), "has 3073 bytes, expected 30730000"),
    ],
)
def test_bad_files_are_one_line_and_status_2(big, tmp_path, damage, message, capsys):
    damage(big / cifar.FOLDER)
    arguments = ["experiment", "cifar10", "--scale", "paper", "--data", str(big), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1 and str(big / cifar.FOLDER) in shown


def test_without_data_it_says_where_to_get_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["experiment", "cifar10", "--scale", "paper"]) == 2
    assert "`stn-ref data fetch cifar10`" in capsys.readouterr().err
