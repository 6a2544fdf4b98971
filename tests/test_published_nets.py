"""The nets that others published: their sizes, their dropout, and the same nets in PyTorch."""

import numpy as np
import pytest

from stn_ref import models
from stn_ref.training import Config, Trainer

NETS = {  # name: (channels, size, parameters)
    "tutorial": (1, 28, 27_360),
    "cifar10": (3, 32, 1_585_008),
}
each_net = pytest.mark.parametrize("name", NETS)


@each_net
def test_it_has_the_published_number_of_parameters(rng, name):
    _, size, parameters = NETS[name]
    net = models.build(name, size, rng, localisation_lr_scale=0.1)
    assert sum(param.value.size for param in net.params()) == parameters
    transformer = models.transformer_of(net)
    mine = {id(param) for param in transformer.params()}
    assert {(param.lr_scale, id(param) in mine) for param in net.params()} == {(0.1, True), (1.0, False)}


@each_net
def test_before_training_the_transformer_passes_the_image_on(rng, name):
    channels, size, _ = NETS[name]
    U = rng.random((2, channels, size, size), np.float32)
    np.testing.assert_array_equal(models.transformer_of(models.build(name, size, rng)).forward(U), U)


@each_net
def test_dropout_is_on_in_training_and_its_generator_is_found(rng, name):
    channels, size, _ = NETS[name]
    net = models.build(name, size, rng)
    assert list(net.rngs()) == [rng]
    U = rng.random((2, channels, size, size), np.float32)
    once = net.forward(U)
    net.forget()
    assert (once != net.forward(U)).any()
    net.eval()
    np.testing.assert_array_equal(net.forward(U), net.forward(U))


@pytest.mark.parity
@each_net
def test_it_and_its_gradients_agree_with_pytorch(rng, name):
    torch = pytest.importorskip("torch")
    from stn_ref.lab.bench.pytorch import twin

    channels, size, _ = NETS[name]
    net = getattr(models, name)(rng, dropout=0.0, dtype=np.float64)
    for param in models.transformer_of(net).params():  # off the identity, whose points are kinks
        param.value += 0.01 * rng.standard_normal(param.value.shape)
    U, gy = rng.random((3, channels, size, size)), rng.standard_normal((3, 10))
    module, tU = twin(net), torch.tensor(U, requires_grad=True)
    expected = module(tU)
    expected.backward(torch.tensor(gy))
    scores, gU = net.forward(U), net.backward(gy)
    pairs = [(scores, expected.detach()), (gU, tU.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(net.params(), module.parameters(), strict=True)]
    for got, wanted in pairs:
        wanted = wanted.numpy()
        assert np.abs(got - wanted).max() <= 1e-9 * np.abs(wanted).max()  # a few thousand terms, some cancel


@pytest.mark.parity
def test_the_twin_drops_as_much_as_ours(rng):
    torch = pytest.importorskip("torch")
    from stn_ref.lab.bench.pytorch import twin

    names = {torch.nn.Dropout: "Dropout", torch.nn.Dropout2d: "Dropout2d"}
    module = twin(models.tutorial(rng, dropout=0.25))
    assert [(names[type(m)], m.p) for m in module.modules() if type(m) in names] == [
        ("Dropout2d", 0.25),
        ("Dropout", 0.25),
    ]


def test_the_tutorials_net_can_be_trained_on_digits(digits):
    trainer = Trainer(Config(model="tutorial", epochs=1, batch_size=32), digits)
    assert [np.isfinite(epoch.train_loss) for epoch in trainer.epochs()] == [True]
    with pytest.raises(ValueError, match="size of 'cifar10' must be one of 32; got 28"):
        Trainer(Config(model="cifar10"), digits)
