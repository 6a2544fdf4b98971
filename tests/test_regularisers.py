"""Dropout in the nets of Table 1, and the transformation-consistency loss."""

import numpy as np
import pytest

from stn_ref import data, models, nn, transforms
from stn_ref.gradcheck import gradcheck
from stn_ref.localisation import fc_localisation
from stn_ref.training import Config, Trainer
from stn_ref.training.consistency import SameView, ViewsApart
from stn_ref.transformer import SpatialTransformer

FEW = {"full_limit": 30, "directions": 2, "sample": 6}  # of gradcheck: a forward through all of it takes a millisecond
ALL = {"dropout": 0.4, "weight_decay": 1e-3, "consistency": 2.0}


def config(**changes):
    return Config(**{"model": "st-fcn-affine", "epochs": 2, "batch_size": 40, "warmup": 0, "clip": 0.0} | changes)


def trained(trainer):
    for _ in trainer.epochs():
        pass
    return trainer


def small_net(rng, family="affine", p=0.0, shift=0.1):
    """A net of 4 x 5 images with 2 channels, in float64, whose transformer is off the identity and off the kinks."""
    transform = transforms.get(family)
    localisation = fc_localisation((2, 4, 5), transform, rng, hidden=(4,), dtype=np.float64)
    last = localisation[len(localisation) - 1]
    last.W.value[...] = 0.05 * rng.standard_normal(last.W.value.shape)
    last.b.value += shift * rng.standard_normal(last.b.value.shape)
    return nn.Sequential(
        SpatialTransformer(localisation, transform, out_size=(3, 6)),
        nn.Flatten(),
        nn.Linear(36, 7, rng, dtype=np.float64),
        nn.Tanh(),
        *([nn.Dropout(p, rng)] if p else []),
        nn.Linear(7, 5, rng, dtype=np.float64),
    )


# The consistency loss.


@pytest.mark.parametrize(("family", "p"), [("affine", 0.0), ("affine", 0.3), ("tps", 0.0), ("attention", 0.0)])
def test_the_gradients_of_the_loss_agree_with_finite_differences(rng, family, p):
    U_1, U_2 = rng.standard_normal((2, 3, 2, 4, 5))
    report = gradcheck(SameView(small_net(rng, family, p)), U_1, U_2, rng=rng, **FEW)
    assert report and len(report.entries) == 2 + 8, report


class Fault(SameView):
    """gV_2 with the sign of gV_1."""

    def backward(self, gscores, gL, needs=True):
        backward = self.twin.backward
        self.twin.backward = lambda gV, needs: backward(-gV, needs=needs)
        return super().backward(gscores, gL, needs)


def test_a_wrong_sign_in_one_of_the_two_views_is_found(rng):
    U_1, U_2 = rng.standard_normal((2, 3, 2, 4, 5))
    assert not gradcheck(Fault(small_net(rng)), U_1, U_2, rng=rng, **FEW)


def test_views_apart_as_computed_by_hand():
    V_1, V_2 = np.array([[1.0, 5.0], [3.0, 9.0]]), np.array([[3.0, 5.0], [1.0, 1.0]])  # 2 examples of 2 pixels
    # M = (2, 5); V_1 - M = (-1, 0), (1, 4); V_2 - M = (1, 0), (-1, -4); W = (4 + 0 + 4 + 64)/4, T = (18 + 18)/4
    apart = ViewsApart()
    assert apart.forward(V_1, V_2) == 72 / 36 == 2
    gV_1, gV_2 = apart.backward(np.array(3.0))
    # 2 * 3 / 36 ((-2, 0), (2, 8)) - 2 ((-1, 0), (1, 4))) = 0: views that are opposite are as far apart as can be
    assert not gV_1.any() and not gV_2.any()
    V_2 = np.array([[1.0, 5.0], [3.0, 5.0]])  # M = (2, 6), W = 16/4, T = (1 + 1 + 1 + 9 + 1 + 1 + 1 + 1)/4
    assert apart.forward(V_1, V_2) == 16 / 16
    gV_1, gV_2 = apart.backward(np.array(3.0))
    np.testing.assert_array_equal(gV_1, 6 / 16 * np.array([[1, 1], [-1, 4 - 3]]))
    np.testing.assert_array_equal(gV_2, 6 / 16 * np.array([[1, 1], [-1, -4 + 1]]))


def test_views_that_agree_are_not_apart_and_unrelated_ones_are_about_1_apart(rng):
    V_1, V_2 = rng.standard_normal((2, 400, 3, 4))
    assert ViewsApart().forward(V_1, V_1) == 0
    assert ViewsApart().forward(V_1, V_2) == pytest.approx(1, abs=0.1)
    for other in (7 * V_1, V_1 + 3):  # neither brightness nor contrast counts
        assert ViewsApart().forward(other, other - V_1 + V_2) == pytest.approx(
            np.square(V_1 - V_2).mean() / 2 / np.concatenate([other, other - V_1 + V_2]).var(axis=0).mean()
        )


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_who_looks_at_nothing_gains_nothing(dtype):
    black = np.zeros((4, 1, 3, 5), dtype)
    for V in (black, black + dtype(0.3)):
        apart = ViewsApart()
        L = apart.forward(V, V)
        gV_1, gV_2 = apart.backward(np.ones((), dtype))
        assert L == 1 and not gV_1.any() and not gV_2.any() and {L.dtype, gV_1.dtype, gV_2.dtype} == {np.dtype(dtype)}


def test_its_gradients_agree_with_finite_differences(rng):
    report = gradcheck(ViewsApart(), *rng.standard_normal((2, 4, 2, 3)), rng=rng)
    assert report, report


def test_of_one_example_there_is_nothing_to_learn(rng):
    apart = ViewsApart()
    assert apart.forward(*rng.standard_normal((2, 1, 2, 3))) == pytest.approx(2, rel=1e-14)  # nobody to differ from
    for gV in apart.backward(np.array(1.0)):
        assert np.abs(gV).max() < 1e-14


@pytest.mark.parametrize(
    ("V_1", "V_2", "error"),
    [
        (np.zeros((2, 3)), np.zeros((3, 3)), ValueError),
        (np.zeros((0, 3)), np.zeros((0, 3)), ValueError),
        (np.zeros((2, 3)), np.zeros((2, 3), np.float32), TypeError),
        (np.zeros((2, 3), int), np.zeros((2, 3), int), TypeError),
    ],
)
def test_views_that_do_not_fit_are_refused(V_1, V_2, error):
    with pytest.raises(error, match=r"V_[12] .*must have|V_1 must be a float"):
        ViewsApart().forward(V_1, V_2)


def test_it_classifies_what_the_net_does_and_adds_to_its_gradients(rng):
    net = small_net(rng)
    U_1, U_2 = rng.standard_normal((2, 3, 2, 4, 5))
    scores, gscores = net.forward(U_1), rng.standard_normal((3, 5))
    gU = net.backward(gscores)
    alone = [param.grad.copy() for param in net.params()]
    net.zero_grad()
    view = SameView(net)
    assert {id(param) for param in view.params()} == {id(param) for param in net.params()}
    np.testing.assert_array_equal(view.forward(U_1, U_2)[0], scores)
    gU_1, gU_2 = view.backward(gscores, np.array(0.0))
    np.testing.assert_array_equal(gU_1, gU)
    assert not gU_2.any()
    for param, grad in zip(net.params(), alone, strict=True):
        np.testing.assert_allclose(param.grad, grad, rtol=1e-14, atol=0)
    view.forward(U_1, U_2)
    assert view.backward(gscores, np.array(1.0), needs=False) == (None, None)


# In training.


def off_the_identity(digits, **changes):
    """A trainer whose transformer has moved a little: at the identity a view's gradient is one at kinks."""
    trainer, rng = Trainer(config(**changes), digits), np.random.default_rng(1)
    for param in models.transformer_of(trainer.net).params():
        param.value += (0.01 * rng.standard_normal(param.value.shape)).astype(np.float32)
    return trainer


def step(digits, consistency):
    """The first batch, its loss, and by how much it changes each parameter: the gradient, with SGD at rate 1."""
    plain = {"optimiser": "sgd", "momentum": 0.0, "lr": 1.0, "schedule": "constant"}
    trainer = off_the_identity(digits, consistency=consistency, **plain)
    before = [param.value.astype(float) for param in trainer.params.values()]
    batch = next(trainer._batches())
    loss, _ = trainer._step(*batch)
    return batch, loss, [a - param.value for a, param in zip(before, trainer.params.values(), strict=True)]


@pytest.mark.parametrize("factor", (1.0, 50.0))
def test_a_step_adds_the_factor_times_the_gradient_of_the_loss(digits, factor):
    (U, _, nothing), loss, plain = step(digits, 0.0)
    (U_1, _, U_2), loss_too, both = step(digits, factor)
    assert nothing is None and loss == loss_too and np.array_equal(U, U_1) and not np.array_equal(U_1, U_2)
    view = SameView(off_the_identity(digits).net.astype(np.float64))
    scores, _ = view.forward(U_1.astype(float), U_2.astype(float))
    view.backward(np.zeros_like(scores), np.array(factor), needs=False)
    for a, b, param in zip(both, plain, view.params(), strict=True):
        assert np.abs(a - b - param.grad).max() <= 1e-6 + 1e-5 * np.abs(a).max()  # updates of float32 weights


def test_training_with_it_brings_the_views_together(digits):
    def apart(consistency):
        trainer = trained(Trainer(config(consistency=consistency, epochs=8, lr=0.003), digits))
        U, twin = (data.fixed_distortion(digits.test_images, "R", seed).images for seed in (0, 1))
        return SameView(trainer.net).forward(U, twin)[1]

    assert apart(30.0) < 0.9 * apart(0.0)


def test_a_twin_is_the_same_digit_under_another_distortion(digits):
    def by_digit(kind, method, epoch=0):
        order = np.argsort(np.concatenate(list(data.batches(96, 40, seed=3, epoch=epoch))))
        found = getattr(data.DistortedDigits(digits, kind), method)(40, 3, epoch)
        return np.concatenate([one[0] if isinstance(one, tuple) else one for one in found])[order]

    np.testing.assert_array_equal(by_digit("none", "twins"), by_digit("none", "batches"))
    U, twins, later = by_digit("R", "batches"), by_digit("R", "twins"), by_digit("R", "twins", 1)
    for one, other in ((U, twins), (twins, later)):
        assert (one != other).any(axis=(1, 2, 3)).all()
    ink = lambda V: V.sum(axis=(1, 2, 3))  # noqa: E731
    np.testing.assert_allclose(ink(U), ink(twins), rtol=0.05)  # turned, so with as much ink, but for the corners
    rest = list(data.DistortedDigits(digits, "R").twins(40, 3, 0, start=1))
    whole = list(data.DistortedDigits(digits, "R").twins(40, 3, 0))
    assert [np.array_equal(a, b) for a, b in zip(whole[1:], rest, strict=True)] == [True, True]


@pytest.mark.parametrize("changes", [{"consistency": 2.0}, {"dropout": 0.4}, ALL], ids=str)
def test_a_training_stopped_within_an_epoch_and_resumed_ends_in_the_same_bits(digits, tmp_path, changes):
    wanted, path = config(**changes), tmp_path / "checkpoint.npz"
    stopped = Trainer(wanted, digits, path=path, save_seconds=0)
    take, calls = stopped._step, iter(range(4))
    stopped._step = lambda *batch: take(*batch) if next(calls, None) is not None else (_ for _ in ()).throw(OSError())
    with pytest.raises(OSError):
        trained(stopped)
    resumed = Trainer(wanted, digits, path=path, resume=True)
    assert (resumed.position["epoch"], resumed.position["batch"]) == (1, 1)
    assert trained(resumed).weights_crc() == trained(Trainer(wanted, digits)).weights_crc()
    assert resumed.weights_crc() != trained(Trainer(config(), digits)).weights_crc()


def test_a_factor_that_makes_the_loss_no_number_stops_the_training(digits):
    made = Trainer(config(consistency=1e6), digits)
    made.same_view.apart.forward = lambda V_1, V_2: np.array(np.inf, V_1.dtype)
    with pytest.raises(FloatingPointError, match="the loss is inf in epoch 1, batch 1"):
        trained(made)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: Trainer(config(model="cnn", consistency=1.0), d), "consistency=1 needs a net that begins .*'cnn'"),
        (lambda d: Trainer(config(consistency=1.0), d, net=nn.Flatten()), "a net that begins with a transformer"),
        (
            lambda d: Trainer(config(consistency=1.0), WithoutTwins(d, "R")),
            "a source with twins.*'procedural' has none",
        ),
        (lambda d: config(consistency=-1.0), r"consistency must lie in \[0, 1e\+06\]; got -1.0"),
        (lambda d: config(dropout=1.5), r"dropout must lie in \[0, 1\]; got 1.5"),
        (lambda d: config(model="tutorial", dropout=0.5), "dropout must be left out for 'tutorial', which has its own"),
    ],
)
def test_what_cannot_be_regularised_is_said_before_anything_is_done(digits, make, message):
    with pytest.raises(ValueError, match=message):
        make(digits)


class WithoutTwins(data.DistortedDigits):
    @property
    def twins(self):
        raise AttributeError


# Dropout.


@pytest.mark.parametrize("name", models.MODELS)
def test_without_dropout_a_net_is_as_it_was_and_with_it_it_starts_from_the_same_weights(name):
    plain, none, with_it = (
        models.build(name, 28, np.random.default_rng(0), **options)
        for options in ({}, {"dropout": 0.0}, {"dropout": 0.3})
    )
    assert list(none.rngs()) == [] and [type(f) for f in none.layers] == [type(f) for f in plain.layers]
    added = [(k, f.p) for k, f in enumerate(with_it.layers) if isinstance(f, nn.Dropout)]
    hidden = [k for k, f in enumerate(with_it.layers) if isinstance(f, nn.Linear)][1 if "fcn" in name else 0 :]
    assert added == [(k - 1, 0.3) for k in hidden]  # right before each fully-connected layer that sees features
    assert len(list(with_it.rngs())) == 1
    for a, b, c in zip(plain.params(), none.params(), with_it.params(), strict=True):
        assert a.value.tobytes() == b.value.tobytes() == c.value.tobytes()


@pytest.mark.parametrize("name", ("fcn", "st-cnn-affine"))
def test_dropout_drops_in_training_only(rng, name):
    net, U = models.build(name, 28, np.random.default_rng(0), dropout=0.5), rng.random((2, 1, 28, 28), np.float32)
    plain = models.build(name, 28, np.random.default_rng(0)).eval().forward(U)
    assert not np.allclose(net.forward(U), plain)
    np.testing.assert_array_equal(net.eval().forward(U), plain)
