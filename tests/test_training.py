"""Training: what each field of Config does, bit-identical by seed, best weights, and what is said meanwhile."""

import io
import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stn_ref import data, models
from stn_ref.kernels.cpu import threads
from stn_ref.nn import SoftmaxCrossEntropy
from stn_ref.training import Config, DivergedError, History, Trainer, evaluate, loop
from stn_ref.training.config import SCHEDULES
from stn_ref.training.history import Epoch


def config(**changes):
    return Config(**{"model": "st-fcn-affine", "epochs": 3, "batch_size": 32, "lr": 0.02} | changes)


def train(trainer):
    for _ in trainer.epochs():
        pass
    return trainer


def test_the_loss_falls(digits):
    rows = train(Trainer(config(model="cnn", distortion="none", epochs=8, lr=0.05), digits)).history.epochs
    assert rows[-1].train_loss < 0.5 * rows[0].train_loss
    assert [row.epoch for row in rows] == list(range(1, 9))


@pytest.mark.parametrize("model", ("st-cnn-affine", "fcn"))
def test_the_same_seed_gives_the_same_bits_whatever_the_threads(digits, model):
    before, crcs = threads.get_num_threads(), []
    try:
        for n in (1, 2, 3):
            threads.set_num_threads(n)
            crcs.append(train(Trainer(config(model=model, distortion="TC", epochs=1), digits)).weights_crc())
    finally:
        threads.set_num_threads(before)
    assert len(set(crcs)) == 1
    assert train(Trainer(config(model=model, distortion="TC", epochs=1, seed=1), digits)).weights_crc() != crcs[0]


def test_trainings_in_two_python_threads_at_once_give_the_bits_of_one_after_the_other(digits, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)  # ns: small nets, too, ask for the same threads
    monkeypatch.setattr(threads, "_threads", 2)

    def crc(seed):
        return train(Trainer(config(model="st-cnn-affine", distortion="TC", epochs=1, seed=seed), digits)).weights_crc()

    alone = [crc(seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(crc, (0, 1))) == alone


# What each field of Config does.


def rate_by_hand(config, step, steps):
    if config.schedule == "cosine":
        rate = config.lr * (1 + math.cos(math.pi * step / steps)) / 2
    elif config.schedule == "step":
        rate = config.lr * 0.1 ** (3 * step // steps)
    else:
        rate = config.lr
    warmup = min(config.warmup, steps // 10)
    return rate * (step + 1) / warmup if step < warmup else rate


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", (0, 7, 300))
def test_the_learning_rate_warms_up_and_follows_the_schedule(digits, schedule, warmup):
    wanted = config(lr=0.3, schedule=schedule, warmup=warmup, epochs=6, batch_size=5)
    trainer = Trainer(wanted, digits)
    assert trainer.steps_per_epoch == 20  # 19 of 5 digits, one of 1
    rates = []
    for step in range(120):
        trainer.optimiser.steps = step
        rates.append(trainer.optimiser.rate())
    assert rates == pytest.approx([rate_by_hand(wanted, step, 120) for step in range(120)], rel=1e-12)
    assert max(rates) == pytest.approx(0.3, rel=0.03)  # a cosine has begun to fall when a warm-up of 12 steps is over
    assert rates[0] == pytest.approx(0.3 / {0: 1, 7: 7, 300: 12}[warmup])


def test_the_row_of_an_epoch_holds_the_rate_of_its_last_step(digits):
    wanted = config(model="fcn", epochs=4)
    rows = train(Trainer(wanted, digits)).history.epochs
    assert [row.lr for row in rows] == pytest.approx([rate_by_hand(wanted, step, 12) for step in (2, 5, 8, 11)])


def test_the_row_of_an_epoch_counts_every_example_once(digits):
    trainer = Trainer(config(model="fcn", epochs=2, batch_size=36, lr=0.0), digits)  # 36 + 36 + 24 examples
    for epoch, row in enumerate(trainer.epochs()):
        pairs = list(data.epoch_batches(digits.train_images, digits.train_labels, "R", 96, 0, epoch))
        loss, accuracy = evaluate(trainer.net, *pairs[0])
        assert row.train_loss == pytest.approx(loss, rel=1e-6) and row.train_accuracy == pytest.approx(accuracy)
        val_images = data.fixed_distortion(digits.val_images, "R", 0, part="val").images
        assert (row.val_loss, row.val_accuracy) == evaluate(trainer.net, val_images, digits.val_labels)
    assert row.epoch == 2 and 0 < accuracy < 1


def weights_by_hand(config, dataset):
    """The same training in one loop, with the formulas of the optimisers spelt out."""
    size = data.KINDS[config.distortion].canvas
    net = models.build(config.model, size, data.stream(config.seed, "weights"), dropout=config.dropout)
    params, loss = dict(net.named_params()), SoftmaxCrossEntropy()
    scale = {
        name: config.localisation_lr_scale if name.startswith("layers.0.localisation.") else 1.0 for name in params
    }
    m, v = ({name: np.zeros(param.value.shape) for name, param in params.items()} for _ in "mv")
    steps, t = config.epochs * math.ceil(len(dataset.train_labels) / config.batch_size), 0
    for epoch in range(config.epochs):
        stream = data.epoch_batches(
            dataset.train_images, dataset.train_labels, config.distortion, config.batch_size, config.seed, epoch
        )
        for U, y in stream:
            net.zero_grad()
            loss.forward(net.forward(U), y)
            net.backward(loss.backward(), needs=False)
            norm = math.sqrt(sum((param.grad.astype(float) ** 2).sum() for param in params.values()))
            shorter = min(1, config.clip / norm) if config.clip else 1
            lr, t = rate_by_hand(config, t, steps), t + 1
            for name, param in params.items():
                g = param.grad.astype(float) * shorter
                if param.value.ndim > 1:  # a weight, not a bias
                    g += config.weight_decay * param.value
                if config.optimiser == "sgd":
                    m[name] = 0.9 * m[name] + g
                    update = g + 0.9 * m[name]
                else:
                    m[name] = 0.9 * m[name] + 0.1 * g
                    v[name] = 0.999 * v[name] + 0.001 * g**2
                    update = m[name] / (1 - 0.9**t) / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-8)
                param.value -= (lr * scale[name] * update).astype(np.float32)
    return {name: param.value for name, param in params.items()}


CHANGES = [
    {},
    {"model": "fcn"},
    {"distortion": "RTS"},
    {"epochs": 1},
    {"batch_size": 25},
    {"lr": 0.03},
    {"schedule": "step"},
    {"schedule": "constant"},
    {"warmup": 2},
    {"weight_decay": 0.5},
    {"dropout": 0.4},
    {"clip": 0.1},
    {"clip": 0.0},
    {"localisation_lr_scale": 0.3},
    {"seed": 7},
    {"optimiser": "adam", "lr": 1e-3},
    {"optimiser": "adam", "lr": 1e-3, "weight_decay": 0.5},
    {"optimiser": "adam", "lr": 1e-3, "localisation_lr_scale": 0.3},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_field_of_config_does_what_it_says(digits, change):
    plain = {"optimiser": "sgd", "epochs": 2, "batch_size": 8, "warmup": 0, "clip": 0.5}
    wanted = config(**plain | change)
    trainer = Trainer(wanted, digits)
    start = {name: param.value.copy() for name, param in trainer.params.items()}
    train(trainer)
    expected = weights_by_hand(wanted, digits)
    assert trainer.params.keys() == expected.keys()
    for name, param in trainer.params.items():
        moved = np.abs(expected[name] - start[name]).max()
        # 24 roundings of float32 weights of about 0.1, and what a gradient makes of them
        assert np.abs(param.value - expected[name]).max() <= 1e-7 + 1e-3 * moved, name
    if change:
        assert trainer.weights_crc() != train(Trainer(config(**plain), digits)).weights_crc()


@pytest.mark.parametrize("model", [name for name in models.MODELS if name.startswith("st-")])
@pytest.mark.parametrize("scale", (0.3, 0.07))
def test_the_scale_of_the_localisation_nets_rate_reaches_its_parameters_and_no_others(digits, model, scale):
    trainer = Trainer(config(model=model, localisation_lr_scale=scale), digits)
    mine = {id(param) for param in models.transformer_of(trainer.net).params()}
    assert mine and {param.lr_scale for param in trainer.net.params() if id(param) in mine} == {scale}
    assert {param.lr_scale for param in trainer.net.params() if id(param) not in mine} == {1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "x"}, "model must be one of"),
        ({"optimiser": "rmsprop"}, "optimiser must be one of"),
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"lr": float("nan")}, "lr must lie in"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_a_bad_configuration_is_refused_before_anything_is_done(change, message):
    with pytest.raises(ValueError, match=message):
        config(**change)


# The best weights.


def test_patience_stops_early(digits):
    trainer = train(Trainer(config(epochs=50, lr=0.0, schedule="constant", patience=2), digits))
    assert len(trainer.history.epochs) == 3  # nothing improves after the first


def test_the_best_weights_are_tested(digits, monkeypatch):
    scores = iter([(0.5, 0.1), (0.5, 0.9), (0.5, 0.2)])  # (loss, accuracy) of the validation: the second epoch is best
    monkeypatch.setattr(loop, "evaluate", lambda *args: next(scores))
    trainer = Trainer(config(), digits)
    crcs = [trainer.weights_crc() for _ in trainer.epochs()]
    monkeypatch.undo()
    assert len(set(crcs)) == 3
    loss, accuracy = trainer.test()
    assert trainer.weights_crc() == crcs[1] and trainer.history.best.epoch == 2
    images = data.fixed_distortion(digits.test_images, "R", 0, part="test").images
    assert (loss, accuracy) == evaluate(trainer.net, images, digits.test_labels)

    trainer.best = {name: np.full_like(value, 0.01 * k) for k, (name, value) in enumerate(trainer.best.items())}
    trainer.test()
    for k, param in enumerate(trainer.params.values()):
        assert (param.value == np.float32(0.01 * k)).all()


def test_best_is_the_highest_accuracy_then_the_lowest_loss():
    rows = [(0.5, 0.2), (0.9, 0.4), (0.9, 0.3), (0.8, 0.1)]
    history = History()
    better = [history.append(Epoch(k + 1, 1, 1, 1, loss, acc, 1)) for k, (acc, loss) in enumerate(rows)]
    assert better == [True, True, True, False]
    assert history.best.epoch == 3 and history.stale() == 1
    assert History.from_list(json.loads(json.dumps(history.to_list()))) == history


def test_without_validation_the_last_weights_are_the_best():
    trainer = train(Trainer(config(epochs=2), data.load(n_train=64, n_val=0, n_test=16)))
    assert trainer.history.best.epoch == 2 and trainer.history.best.val_loss is None
    crc = trainer.weights_crc()
    trainer.test()
    assert trainer.weights_crc() == crc


def test_evaluate_weighs_a_short_batch_as_what_it_is(digits):
    net = Trainer(config(model="fcn", distortion="none"), digits).net
    images = digits.test_images.astype(np.float32) / 255
    whole, parts = evaluate(net, images, digits.test_labels), evaluate(net, images, digits.test_labels, batch_size=5)
    assert whole == pytest.approx(parts, rel=1e-6)
    assert net.training


def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_checkpoint(digits, tmp_path):
    path = tmp_path / "checkpoint.npz"
    trainer = Trainer(config(), digits, path=path)
    epochs = trainer.epochs()
    next(epochs)
    trainer.params["layers.2.W"].value[...] = np.nan
    with (
        pytest.raises(DivergedError, match="has diverged: the loss is nan in epoch 2, batch 1;"),
        np.errstate(invalid="ignore"),
    ):
        next(epochs)
    assert len(Trainer(config(), digits, path=path, resume=True).history.epochs) == 1


def test_a_validation_loss_that_is_no_number_stops_the_training_too(digits, monkeypatch):
    monkeypatch.setattr(loop, "evaluate", lambda *args: (math.inf, 0.1))
    with pytest.raises(DivergedError, match="the loss is inf in epoch 1, on the validation images"):
        train(Trainer(config(), digits))


# The bar.


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "progress", "shown"), [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)]
)
def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(digits, monkeypatch, stream, progress, shown):
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    train(Trainer(config(model="fcn", epochs=1), digits, progress=progress))
    assert ("fcn epoch 1/1" in stderr.getvalue() and "\r" in stderr.getvalue()) if shown else not stderr.getvalue()
