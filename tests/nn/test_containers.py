"""Layers that hold layers: found wherever a student puts them, named in errors, called as functions."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

from stn_ref import checks, nn, transforms
from stn_ref.kernel_sampler import AntialiasedSampler, KernelSampler
from stn_ref.localisation import conv_localisation, fc_localisation
from stn_ref.sampler import Sampler
from stn_ref.several import Parallel, ParallelTransformers, PerView
from stn_ref.transformer import SpatialTransformer

Two = namedtuple("Two", "left right")


class Holding(nn.Layer):
    """A net of a student: whatever container it was given."""

    def __init__(self, held):
        self.held = held


def containers(rng):
    """Yield (container, names of its Params); each holds a Linear and a dropout."""

    def two():
        return nn.Linear(3, 2, rng), nn.Dropout(0.5, np.random.default_rng(1))

    yield list(two()), "held.0."
    yield tuple(two()), "held.0."
    yield Two(*two()), "held.0."
    yield dict(zip(("a", "b"), two(), strict=True)), "held.a."
    yield OrderedDict(zip(("a", "b"), two(), strict=True)), "held.a."
    yield [[], [*two()]], "held.1.0."
    yield {"a": {"b": [two()]}, "size": 3}, "held.a.b.0.0."
    yield [{"a": nn.Sequential(*two())}], "held.0.a.layers.0."


def test_layers_in_any_container_are_found_trained_shared_and_set_to_eval(rng):
    for held, name in containers(rng):
        net = Holding(held)
        assert [n for n, _ in net.named_params()] == [name + "W", name + "b"]
        assert len(list(net.rngs())) == 1
        net.eval()
        inner = [layer for child in net.children() for layer in (child, *child.children())]
        assert inner and not any(layer.training for layer in inner)
        twin = net.share()
        assert type(twin.held) is type(held) and twin.held is not held
        assert list(twin.params()) == list(net.params())  # the same objects
        mine, other = ({id(child) for child in layer.children()} for layer in (net, twin))
        assert len(mine) == len(other) and not mine & other
        net.train()
        assert not twin.training and not any(child.training for child in twin.children())


def test_params_in_containers_are_found_too(rng):
    param = nn.Param(np.zeros(2))
    net = Holding({"a": [param], "b": (param,)})
    assert list(net.named_params()) == [("held.a.0", param)]
    nn.SGD(net.params(), 0.1)


@pytest.mark.parametrize("kind", [set, frozenset])
def test_a_set_of_layers_has_no_order_and_is_refused(rng, kind):
    for held in (kind([nn.Linear(3, 2, rng)]), [{"a": kind([nn.Param(np.zeros(2))])}]):
        with pytest.raises(TypeError, match=r"^held[0a.]* must be a list, tuple or dict of layers: a set has no order"):
            list(Holding(held).params())
    assert list(Holding(kind([1, 2])).params()) == []


def test_two_params_with_one_name_are_an_error(rng):
    """A checkpoint would keep one of them."""
    with pytest.raises(ValueError, match=r"names of Params must differ; got \['held.1', 'held.1'\]"):
        list(Holding({1: nn.Param(np.zeros(2)), "1": nn.Param(np.zeros(2))}).named_params())


def test_an_optimiser_or_clipping_without_params_is_an_error(rng):
    net = nn.Linear(3, 2, rng)
    params = net.params()
    optimiser = nn.SGD(params, 0.1)
    uses = (lambda p: nn.SGD(p, 0.1), lambda p: nn.Adam(p, 0.1), lambda p: nn.clip_grad_norm(p, 1.0))
    for use in uses:
        for nothing in (params, [], nn.ReLU().params(), (p for p in ())):  # params: used up by the first optimiser
            with pytest.raises(ValueError, match="params must hold at least one Param; got none: does the net"):
                use(nothing)
        with pytest.raises(TypeError, match=r"params must be Params, as net.params\(\) yields them; got ndarray"):
            use([param.value for param in net.params()])
    assert len(optimiser.params) == 2


def test_calling_a_layer_is_its_forward(rng):
    x = rng.random((4, 3), np.float32)
    net = nn.Sequential(nn.Linear(3, 2, rng), nn.ReLU()).eval()
    assert np.array_equal(net(x), net.forward(x))
    scores = net(x)
    loss = nn.SoftmaxCrossEntropy()
    assert loss(scores, np.zeros(4, int)) == pytest.approx(nn.SoftmaxCrossEntropy().forward(scores, np.zeros(4, int)))
    with pytest.raises(checks.UsageError, match="called twice"):
        loss(scores, np.zeros(4, int))


def wrong_shapes(rng):
    """Yield (net, input, the start of the message, its end): the layer, its input and what it wants instead."""
    affine, U = transforms.get("affine"), rng.random((2, 1, 30, 30), np.float32)
    wants = "x must be (N, n_in): axis 1 is {}, expected n_in={} from W; got shape (2, {})"
    flat = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, rng))
    yield flat, U, "layers.1 (Linear), got float32 (2, 900): ", wants.format(900, 784, 900)
    yield nn.Sequential(nn.ReLU(), flat), U, "layers.1.layers.1 (Linear), got float32 (2, 900): ", wants[:17]
    f_loc = conv_localisation((1, 40, 40), affine, rng)
    st = SpatialTransformer(f_loc, affine)
    message = "localisation.layers.7 (Linear), got float32 (2, 20): "
    yield st, U, message, wants.format(20, 320, 20)
    yield nn.Sequential(st, flat), U, "layers.0." + message, wants.format(20, 320, 20)
    yield Parallel(nn.Flatten(), flat), U, "layers.1.layers.1 (Linear), got float32 (2, 900): ", wants[:17]
    both = ParallelTransformers(fc_localisation((1, 28, 28), affine, rng), [affine])
    yield both, U, "localisation.layers.1 (Linear), got float32 (2, 900): ", wants.format(900, 784, 900)
    yield PerView(flat, 1), U, "net.layers.1 (Linear), got float32 (2, 900): ", wants[:17]
    yield nn.Sequential(nn.Conv2d(3, 4, 5, rng)), U, "layers.0 (Conv2d), got float32 (2, 1, 30, 30): ", "(N, C, H, W)"
    doubles = U.reshape(2, 900).astype(float)
    yield nn.Sequential(nn.Linear(900, 2, rng)), doubles, "layers.0 (Linear), got float64 (2, 900): ", "dtype of W"


def test_an_error_in_a_net_names_the_layer_and_its_input(rng):
    for net, U, start, end in wrong_shapes(rng):
        with pytest.raises((checks.ShapeError, TypeError)) as caught:
            net.forward(U)
        message = str(caught.value)
        assert message.startswith(start + "x must ") and end in message, message
        net.forget()


def test_an_error_of_a_layer_from_elsewhere_is_named_and_keeps_its_type(rng):
    class Odd(nn.Layer):
        def forward(self, x):
            return self.keep(x @ np.zeros((7, 2), np.float32))

        def backward(self, gy, needs=True):
            self.take(gy)
            return np.zeros((1, 1), np.float32)  # not the shape of x

    with pytest.raises(ValueError, match=r"^layers.1 \(Odd\), got float32 \(4, 2\): matmul") as caught:
        nn.Sequential(nn.Linear(3, 2, rng), Odd()).forward(np.zeros((4, 3), np.float32))
    assert type(caught.value) is ValueError
    net = nn.Sequential(nn.Linear(3, 7, rng), Odd())
    y = net.forward(np.zeros((4, 3), np.float32))
    with pytest.raises(checks.ShapeError, match=r"^layers.0 \(Linear\), got float32 \(1, 1\): gy must have the shape"):
        net.backward(y)


def test_any_number_of_channels_without_weights_and_at_least_one_with_them(rng):
    x, points = np.zeros((2, 0, 6, 5)), np.zeros((2, 3, 4, 2))
    without = [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Flatten()]
    without += [nn.Dropout(0.5, rng), nn.Dropout2d(0.5, rng), Parallel(nn.ReLU(), nn.ReLU()), PerView(nn.Flatten(), 2)]
    for layer in without:
        y = layer.forward(x)
        assert y.size == 0 and layer.backward(y).shape == x.shape
    samplers = (Sampler, lambda **k: KernelSampler(dtype=float, **k), AntialiasedSampler)
    for backend in ("vectorised", "literal"):
        for layer in (make(backend=backend) for make in samplers):
            V = layer.forward(x, points)
            gU, gpoints = layer.backward(V)
            assert V.shape == (2, 0, 3, 4) and gU.shape == x.shape and not gpoints.any()
    for make in (
        lambda: nn.Conv2d(0, 3, 3, rng),
        lambda: nn.Conv2d(3, 0, 3, rng),
        lambda: nn.Linear(0, 3, rng),
        lambda: nn.Linear(3, 0, rng),
        lambda: nn.Linear.constant(0, np.zeros(3)),
        lambda: nn.Linear.constant(3, np.zeros(0)),
        lambda: fc_localisation((0, 6, 5), transforms.get("affine"), rng),
    ):
        with pytest.raises(ValueError, match=r"must be at least 1; got 0|n_out >= 1; got shape \(0,\)"):
            make()
