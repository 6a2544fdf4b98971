"""Dropout in the nets of Table 1, and the transformation-consistency loss."""

import numpy as np
import pytest

from stn_ref import data, models, nn, transforms
from stn_ref.gradcheck import gradcheck
from stn_ref.localisation import fc_localisation
from stn_ref.sampler import sample
from stn_ref.training import Config, Trainer, loop
from stn_ref.training.consistency import Consistent, PointsApart, draw_similarities, moved, seen_through
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


def movements(n, size=(4, 5)):
    return draw_similarities(n, size, np.random.default_rng(5)).astype(float)


@pytest.mark.parametrize(("family", "p"), [("affine", 0.0), ("affine", 0.3), ("tps", 0.0), ("projective", 0.0)])
def test_the_gradients_of_the_loss_agree_with_finite_differences(rng, family, p):
    U_1, U_2 = rng.standard_normal((2, 3, 2, 4, 5))
    report = gradcheck(Consistent(small_net(rng, family, p)), U_1, U_2, movements(3), rng=rng, **FEW)
    assert report and len(report.entries) == 3 + 8, report


class Fault(Consistent):
    """The movement is transposed in backward."""

    def backward(self, gscores, gL, needs=True):
        a = self._memory.kept[0]
        a[..., :2] = a[..., :2].swapaxes(1, 2).copy()
        self._memory.glimpses.clear()  # this change is on purpose
        return super().backward(gscores, gL, needs)


def test_a_movement_that_is_transposed_is_found(rng):
    U_1, U_2 = rng.standard_normal((2, 3, 2, 4, 5))
    assert not gradcheck(Fault(small_net(rng)), U_1, U_2, movements(3), rng=rng, **FEW)


def test_points_apart_as_computed_by_hand():
    P_1, P_2 = np.array([[[[0.0, 0], [2, 0]]]]), np.array([[[[0.0, 0], [0, 4]]]])
    # c_1 = (1, 0), c_2 = (0, 2); W = 0 + 4 + 16; T = 1 + 1 + 4 + 4
    apart = PointsApart()
    assert apart.forward(P_1, P_2) == 20 / 10
    gP_1, gP_2 = apart.backward(np.array(3.0))
    # 2 * 3 / 10 times ((0, 0), (2, -4)) - 2 ((-1, 0), (1, 0)), and ((0, 0), (-2, 4)) - 2 ((0, -2), (0, 2))
    np.testing.assert_allclose(gP_1[0, 0], 0.6 * np.array([[2, 0], [0, -4]]), rtol=1e-15)
    np.testing.assert_allclose(gP_2[0, 0], 0.6 * np.array([[0, 4], [-2, 0]]), rtol=1e-15)
    both = PointsApart().forward(np.concatenate([P_1, P_1]), np.concatenate([P_2, P_1]))
    assert both == (20 / 10 + 0) / 2  # a mean over examples


def test_points_that_are_turned_are_apart_by_the_angle_whatever_their_size(rng):
    P, angle = rng.standard_normal((1, 3, 4, 2)), 0.7
    P -= P.mean(axis=(1, 2))
    turned = P @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for size in (0.01, 1, 100):
        assert PointsApart().forward(size * P + 3, size * turned + 3) == pytest.approx(1 - np.cos(angle), rel=1e-9)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_who_looks_at_a_single_point_gains_nothing(dtype):
    P, apart = np.full((2, 3, 4, 2), 5, dtype), PointsApart()
    L = apart.forward(P, P)
    gP_1, gP_2 = apart.backward(np.ones((), dtype))
    assert L == 1 and not gP_1.any() and not gP_2.any() and {L.dtype, gP_1.dtype, gP_2.dtype} == {np.dtype(dtype)}


def on_the_horizon(rng):
    """A net whose every view has points at infinity, and others."""
    net = small_net(rng, "projective")
    net[0].localisation.layers[-1].b.value[6:] = 1.1, 0.3  # w = 1 + 1.1 x + 0.3 y: behind the camera in a corner
    return net


def test_points_at_infinity_count_nothing_and_get_no_gradient(rng):
    P_1, P_2 = rng.standard_normal((2, 3, 2, 4, 2))
    P_1[0, 0, 1], P_2[0, 1, 2], P_1[1] = np.inf, np.inf, np.inf
    left = np.ones((2, 4), bool)
    left[0, 1] = left[1, 2] = False
    apart, few, whole = PointsApart(), PointsApart(), PointsApart()
    L = apart.forward(P_1, P_2)
    L_few, L_whole = few.forward(P_1[:1, left][:, None], P_2[:1, left][:, None]), whole.forward(P_1[2:], P_2[2:])
    assert L == pytest.approx((L_few + 1 + L_whole) / 3, rel=1e-14)  # with nothing left: 1, as of a single point
    for found, of_few, of_whole in zip(*(layer.backward(np.array(1.0)) for layer in (apart, few, whole)), strict=True):
        assert not found[0, ~left].any() and not found[1].any()
        np.testing.assert_allclose(found[0, left], of_few[0, 0] / 3, rtol=1e-12)
        np.testing.assert_allclose(found[2], of_whole[0] / 3, rtol=1e-12)


def test_a_point_that_is_no_number_is_not_left_out(rng):
    P_1, P_2 = rng.standard_normal((2, 3, 2, 4, 2))
    P_1[0, 0, 1] = np.nan
    assert np.isnan(PointsApart().forward(P_1, P_2))


def test_with_points_at_infinity_the_gradients_agree_with_finite_differences(rng):
    net, (U_1, U_2) = on_the_horizon(rng), rng.standard_normal((2, 3, 2, 4, 5))
    consistent = Consistent(net)
    thetas = [net[0].localisation.share().eval().forward(U) for U in (U_1, U_2)]
    infinite = [np.isinf(net[0].grid.share().forward(theta, (4, 5))).any(axis=-1) for theta in thetas]
    assert all(there.any(axis=(1, 2)).all() and not there.all(axis=(1, 2)).any() for there in infinite)
    report = gradcheck(consistent, U_1, U_2, movements(3), rng=rng, **FEW)
    assert report and len(report.entries) == 3 + 8, report


@pytest.mark.parametrize(
    ("P_1", "P_2", "error"),
    [
        (np.zeros((2, 3, 4, 2)), np.zeros((3, 3, 4, 2)), ValueError),
        (np.zeros((0, 3, 4, 2)), np.zeros((0, 3, 4, 2)), ValueError),
        (np.zeros((2, 3, 4, 2)), np.zeros((2, 3, 4, 2), np.float32), TypeError),
    ],
)
def test_points_that_do_not_fit_are_refused(P_1, P_2, error):
    with pytest.raises(error, match=r"P_[12] must"):
        PointsApart().forward(P_1, P_2)


def test_an_image_is_moved_as_said_and_looks_the_same_to_points_that_are_moved_along(rng):
    U = rng.random((2, 1, 4, 6))
    a = np.array([[[0.0, -1, 4], [1, 0, -1]], [[1.0, 0, 2], [0, 1, 0]]])  # a turn by 90 degrees; 2 pixels
    U_2 = seen_through(U, a)
    np.testing.assert_array_equal(U_2[0, 0, :, 1:5], U[0, 0, :, 4:0:-1].T)
    np.testing.assert_array_equal(U_2[1, 0], np.pad(U[1, 0, :, 2:], ((0, 0), (0, 2))))
    P = np.stack(np.meshgrid(np.arange(1, 5), np.arange(4)), axis=-1)[None].repeat(2, 0).astype(float)
    np.testing.assert_array_equal(sample(U_2, P), sample(U, moved(P, a)))


def test_movements_are_similarities_within_what_is_declared(rng):
    H, W = 20, 40
    a = draw_similarities(4000, (H, W), rng)
    assert a.dtype == np.float32 and a.shape == (4000, 2, 3)
    s = np.sqrt(np.linalg.det(a[..., :2]))
    np.testing.assert_allclose(a[..., :2] @ a[..., :2].swapaxes(1, 2), s[:, None, None] ** 2 * np.eye(2), atol=1e-5)
    angle = np.rad2deg(np.arctan2(a[:, 1, 0], a[:, 0, 0]))
    middle = np.array([(W - 1) / 2, (H - 1) / 2], np.float32)
    shift = moved(np.tile(middle, (4000, 1, 1, 1)), a)[:, 0, 0] - middle
    for found, least, most in ((angle, -45, 45), (s, 0.8, 1.25), (shift[:, 0], -4, 4), (shift[:, 1], -2, 2)):
        spread = most - least
        assert least - 1e-4 < found.min() < least + 0.01 * spread and most - 0.01 * spread < found.max() < most + 1e-4


def test_a_transformer_that_follows_the_image_has_no_loss(rng):
    U, a, last = rng.random((3, 2, 4, 5)), movements(3), [[[0.0, 0, 1]]] * 3
    consistent = Consistent(small_net(rng)).eval()
    theta_1 = consistent.localisation.forward(U)
    pixels = np.array([[2.5, 0, 2], [0, 2, 1.5], [0, 0, 1]])  # of 4 x 5 images, from normalised coordinates
    move, look = (np.concatenate([rows, last], axis=1) for rows in (a, theta_1.reshape(3, 2, 3)))
    theta_2 = np.linalg.inv(pixels) @ np.linalg.inv(move) @ pixels @ look
    consistent.localisation.forward = lambda U_2: theta_2[:, :2].reshape(3, 6)
    assert consistent.forward(U, U, a)[1] < 1e-25
    consistent.localisation.forward = lambda U_2: theta_1  # one that does not follow
    assert consistent.forward(U, U, a)[1] > 0.01


def test_it_classifies_what_the_net_does_and_adds_to_its_gradients(rng):
    net = small_net(rng)
    (U_1, U_2), a = rng.standard_normal((2, 3, 2, 4, 5)), movements(3)
    scores, gscores = net.forward(U_1), rng.standard_normal((3, 5))
    gU = net.backward(gscores)
    alone = {id(param): param.grad.copy() for param in net.params()}
    net.zero_grad()
    consistent = Consistent(net)
    assert {id(param) for param in consistent.params()} == alone.keys()
    np.testing.assert_array_equal(consistent.forward(U_1, U_2, a)[0], scores)
    gU_1, gU_2, _ = consistent.backward(gscores, np.array(0.0))
    np.testing.assert_array_equal(gU_1, gU)
    assert not gU_2.any()
    for param in net.params():
        np.testing.assert_allclose(param.grad, alone[id(param)], rtol=1e-14, atol=0)
    consistent.forward(U_1, U_2, a)
    assert consistent.backward(gscores, np.array(1.0), needs=False) == (None, None, None)


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
    before = {id(param): param.value.astype(float) for param in trainer.net.params()}
    U, y = next(trainer.source.batches(40, 0, 0))
    loss, _ = trainer._step(U, y)
    return U, loss, [before[id(param)] - param.value for param in trainer.net.params()]


@pytest.mark.parametrize("factor", (1.0, 50.0))
def test_a_step_adds_the_factor_times_the_gradient_of_the_loss(digits, factor):
    _, loss, plain = step(digits, 0.0)
    U, loss_too, both = step(digits, factor)
    assert loss == loss_too
    net = off_the_identity(digits).net.astype(np.float64)
    consistent, a = Consistent(net), draw_similarities(40, (28, 28), data.stream(0, "consistency", 0))
    scores, _ = consistent.forward(U.astype(float), seen_through(U, a).astype(float), a)
    consistent.backward(np.zeros_like(scores), np.array(factor), needs=False)
    for one, other, param in zip(both, plain, net.params(), strict=True):
        assert np.abs(one - other - param.grad).max() <= 1e-6 + 1e-5 * np.abs(one).max()  # updates of float32 weights


def test_every_step_moves_its_digits_otherwise(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "seen_through", lambda U, a: (seen.append(a), U)[1])
    trained(Trainer(config(consistency=1.0), digits))
    assert [len(a) for a in seen] == [40, 40, 16] * 2
    assert len({row.tobytes() for a in seen for row in a}) == 2 * 96


def test_training_with_it_makes_the_transformer_follow(digits):
    U = data.fixed_distortion(digits.test_images, "R", 0).images
    a = draw_similarities(32, (28, 28), np.random.default_rng(9))

    def inconsistency(factor):
        trainer = trained(Trainer(config(consistency=factor, epochs=10, lr=0.003), digits))
        return Consistent(trainer.net).forward(U, seen_through(U, a), a)[1]

    assert inconsistency(30.0) < 0.9 * inconsistency(0.0)


def test_a_training_whose_transformer_looks_beyond_the_horizon_goes_on(digits):
    trainer = Trainer(config(model="st-cnn-projective", consistency=1.0), digits)
    f_loc = models.transformer_of(trainer.net).localisation
    f_loc.layers[-1].b.value[6] = 1.2  # w = 1 + 1.2 x
    rows = trained(trainer).history.epochs
    theta = f_loc.share().eval().forward(data.to_float(digits.test_images))
    assert len(rows) == 2 and (theta[:, 6] > 1.1).all()  # the left edge has been behind the camera all along


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
    made.consistent.apart.forward = lambda P_1, P_2: np.array(np.inf, P_1.dtype)
    with pytest.raises(FloatingPointError, match="the loss is inf in epoch 1, batch 1"):
        trained(made)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: Trainer(config(model="cnn", consistency=1.0), d), "consistency=1 needs a net that begins .*'cnn'"),
        (lambda d: Trainer(config(consistency=1.0), d, net=nn.Flatten()), "a net that begins with a transformer"),
        (lambda d: config(consistency=-1.0), r"consistency must lie in \[0, 1e\+06\]; got -1.0"),
        (lambda d: config(dropout=1.5), r"dropout must lie in \[0, 1\]; got 1.5"),
        (lambda d: config(model="tutorial", dropout=0.5), "dropout must be left out for 'tutorial', which has its own"),
    ],
)
def test_what_cannot_be_regularised_is_said_before_anything_is_done(digits, make, message):
    with pytest.raises(ValueError, match=message):
        make(digits)


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
