"""A cell: what it writes, which file it takes for its own, and what a training adds to it."""

import numpy as np
import pytest

from stn_ref import data, models
from stn_ref.lab.experiments import addition, parts, pooling
from stn_ref.lab.experiments import cell as cell_module
from stn_ref.lab.experiments.cell import Cell, training_cell
from stn_ref.lab.results import store
from stn_ref.training import Config, Recipe, Trainer, evaluate

CONFIG = Config(model="st-fcn-affine", distortion="none", epochs=2, batch_size=32)


def quiet(line):
    pass


@pytest.fixture
def source(digits):
    return data.DistortedDigits(digits, "none")


def cell(source, config=CONFIG, **more):
    return training_cell("st-fcn-affine/none", config, source, **more)


def run(made, folder):
    path = made.path(folder, "toy", "smoke")
    return path, made.run(path, "toy", "smoke", note=quiet)


def test_a_cell_is_what_the_training_says_and_everything_that_decided_it(source, digits, tmp_path):
    path, result = run(cell(source), tmp_path)
    assert path.name == "toy-smoke-procedural-st-fcn-affine-none-seed0.json"
    assert store.read(path) == result and result["format"] == store.FORMAT
    trainer = Trainer(CONFIG, digits)
    assert [row.train_loss for row in trainer.epochs()] == [row["train_loss"] for row in result["history"]]
    _, accuracy = trainer.test()
    assert result["result"]["test_error_percent"] == pytest.approx(100 * (1 - accuracy), abs=1e-9)
    assert result["result"]["weights_crc32"] == trainer.weights_crc() and result["result"]["n_test"] == 32
    assert result["result"]["best_epoch"] == trainer.history.best.epoch
    assert result["result"]["parameters"] == sum(param.value.size for param in trainer.net.params())
    assert {"n_train": 96, "lr": CONFIG.lr, "data_crc32": digits.fingerprint}.items() <= result["configuration"].items()
    assert set(result["versions"]) == {"stn_ref", "python", "numpy", "scipy", "numba"} and result["seconds"] >= 0
    assert [file.name for file in tmp_path.iterdir()] == [path.name]  # and no checkpoint any more


def test_the_best_weights_are_kept_where_they_are_wanted(source, digits, tmp_path):
    made = cell(source)
    path = made.path(tmp_path, "toy", "smoke")
    (tmp_path / "weights").mkdir()
    result = made.run(path, "toy", "smoke", weights=tmp_path / "weights", note=quiet)
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, "weights"]
    net = models.build("st-fcn-affine", 28, np.random.default_rng(5))
    models.load_weights(net, tmp_path / "weights" / f"{path.stem}.npz")
    images, labels = source.fixed("test", 0)
    assert 100 * (1 - evaluate(net, images, labels)[1]) == pytest.approx(result["result"]["test_error_percent"])


def test_measure_sees_the_best_weights_and_adds_to_the_result(source, digits, tmp_path):
    def measure(net, fed):
        return {"weights": [param.value.sum().item() for param in net.params()], "same": fed is source}

    _, result = run(training_cell("x", CONFIG, source, measure=measure), tmp_path)
    trainer = Trainer(CONFIG, digits)
    for _ in trainer.epochs():
        pass
    trainer.test()
    assert result["result"]["weights"] == [param.value.sum().item() for param in trainer.net.params()]
    assert result["result"]["same"] and "test_error_percent" in result["result"]


def test_a_finished_cell_is_known_again_and_another_is_not(source, tmp_path):
    path, result = run(cell(source), tmp_path)
    assert cell(source).known(path, "toy", "smoke") == result
    assert cell(source).known(tmp_path / "nothing.json", "toy", "smoke") is None
    with pytest.raises(store.ResultError, match=r"is of another configuration: its lr is 0\.002, not 0\.003; --only"):
        cell(source, Config(**vars(CONFIG) | {"lr": 0.003})).known(path, "toy", "smoke")


def other(**changes):
    return Cell(**{"name": "a", "seed": 0, "data": "d", "configuration": {}, "compute": None} | changes)


@pytest.mark.parametrize(
    ("made", "experiment", "scale", "says"),
    [
        (other(name="b"), "toy", "smoke", "its cell is 'a', not 'b'"),
        (other(seed=1), "toy", "smoke", "its seed is 0, not 1"),
        (other(data="mnist"), "toy", "smoke", "its data is 'd', not 'mnist'"),
        (other(), "table1", "smoke", "its experiment is 'toy', not 'table1'"),
        (other(), "toy", "small", "its scale is 'smoke', not 'small'"),
    ],
)
def test_a_result_under_a_wrong_name_is_refused(tmp_path, made, experiment, scale, says):
    path, _ = run(other(compute=lambda path, progress, note: {"result": {}}), tmp_path)
    with pytest.raises(store.ResultError, match=f"is of another cell: {says}; move it away"):
        made.known(path, experiment, scale)


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        ({"lr": 0.1}, {"lr": 0.1}, None),
        ({"sizes": (3, 4), "deep": {"a": (1,)}}, {"sizes": (3, 4), "deep": {"a": (1,)}}, None),  # lists in the file
        ({"lr": 0.1}, {"lr": 0.1, "dropout": 0.0, "twin": None, "name": ""}, None),  # switches that came later, off
        ({"lr": 0.1, "old": 0}, {"lr": 0.1}, None),
        ({"lr": 0.1}, {"lr": 0.1, "dropout": 0.5}, "dropout is None, not 0.5"),
        ({"lr": 0.1, "old": 3}, {"lr": 0.1}, "old is 3, not None"),
        ({"clip": 0.0}, {"clip": None}, "clip is 0.0, not None"),
    ],
)
def test_two_configurations_are_one_if_all_they_name_is_equal(tmp_path, before, now, says):
    path, _ = run(other(configuration=before, compute=lambda path, progress, note: {"result": {}}), tmp_path)
    if says is None:
        assert other(configuration=now).known(path, "toy", "smoke")["result"] == {}
    else:
        with pytest.raises(store.ResultError, match=f"its {says}; "):
            other(configuration=now).known(path, "toy", "smoke")


def test_a_recipe_alone_does_not_say_what_to_train_or_to_feed(source, digits):
    net = Trainer(CONFIG, digits).net
    for fed, more in ((source, {}), (digits, {"net": net})):
        with pytest.raises(TypeError, match=r"config must be a Config, unless net .*; got Recipe"):
            Trainer(Recipe(), fed, **more)
    assert Trainer(Recipe(), source, net=net).net is net


@pytest.mark.parametrize("damage", ("bytes", "another run"))
def test_a_checkpoint_that_does_not_fit_is_one_line_that_says_what_to_do(source, tmp_path, damage):
    made, before = cell(source), cell(source, Config(**vars(CONFIG) | {"lr": 0.003}))
    half_done = store.half_done(made.path(tmp_path, "toy", "smoke"))
    if damage == "bytes":
        half_done.write_bytes(b"PK half")
    else:
        before.compute(half_done, False, quiet)
    with pytest.raises(store.ResultError, match=r"checkpoint\.npz is .*; move it away, and the cell starts over$"):
        run(made, tmp_path)
    assert half_done.exists()


def test_each_epoch_says_how_long_the_others_will_take(source, tmp_path):
    lines = []
    cell(source).run(tmp_path / "r.json", "toy", "smoke", note=lines.append)
    assert [line.split(":")[0] for line in lines] == ["  epoch 1/2", "  epoch 2/2"]
    assert lines[0].endswith(" s left") and not lines[1].endswith("left") and "validation error" in lines[1]


class Caught(Exception):
    """With the net that was to be trained."""


@pytest.mark.parametrize("experiment", (addition, parts, pooling))
def test_localisation_nets_learn_at_the_rate_of_the_recipe(experiment, monkeypatch, tmp_path):
    def trainer(recipe, source, net, **options):
        raise Caught(net)

    monkeypatch.setattr(cell_module, "Trainer", trainer)
    monkeypatch.setitem(experiment.RECIPES, "smoke", {"epochs": 1, "localisation_lr_scale": 0.25})
    for one in (cell for cell in experiment.cells("smoke", 0, None) if not cell.name.startswith("counts/")):
        with pytest.raises(Caught) as caught:
            one.compute(tmp_path / "x", False, quiet)
        rates = {param.lr_scale for param in caught.value.args[0].params()}
        assert rates == ({0.25, 1.0} if "st-" in one.name or "xst" in one.name else {1.0}), one.name
