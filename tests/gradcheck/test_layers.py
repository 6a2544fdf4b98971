"""Layers, with parameters, memories and random numbers."""

import numpy as np
import pytest
from checking import Affine, Overwrites, normal

from stn_ref.gradcheck import gradcheck
from stn_ref.nn.layer import Layer, Sequential


class ForgetsTheBatch(Affine):
    def backward(self, gy, needs=True):
        gx = super().backward(gy, needs)
        self.b.grad /= len(gy)
        return gx


class Relu(Layer):
    def forward(self, x):
        return self.keep(np.maximum(x, 0), x > 0)

    def backward(self, gy, needs=True):
        gy, (on,) = self.take(gy)
        return gy * on if needs else None


class Dropout(Layer):
    def __init__(self, rng):
        self.rng = rng

    def forward(self, x):
        mask = (self.rng.random(x.shape) < 0.5) * 2.0 if self.training else np.ones(x.shape)
        return self.keep(x * mask, mask)

    def backward(self, gy, needs=True):
        gy, (mask,) = self.take(gy)
        return gy * mask if needs else None


class ForgetsTheMask(Dropout):
    def backward(self, gy, needs=True):
        gy, _ = self.take(gy)
        return gy


class Product(Layer):
    """Two inputs, two outputs: a * b and a + b."""

    def forward(self, a, b):
        return self.keep(a * b, a, b), a + b

    def backward(self, gproduct, gsum, needs=True):
        gproduct, (a, b) = self.take(gproduct)
        return gproduct * b + gsum, gproduct * a + gsum


def net(kind=Affine, rng=None):
    return Sequential(
        kind(normal(4, 5, seed=3), np.zeros(5)),
        Relu(),
        Dropout(rng or np.random.default_rng(4)),
        kind(normal(5, 2), normal(2)),
    )


def test_a_net_is_checked_with_its_parameters_by_name():
    report = gradcheck(net(), normal(3, 4), rng=np.random.default_rng(0))
    assert report
    assert [(e.name, e.kind, e.shape) for e in report.entries] == [
        ("x", "input", (3, 4)),
        ("layers.0.W", "param", (4, 5)),
        ("layers.0.b", "param", (5,)),
        ("layers.3.W", "param", (5, 2)),
        ("layers.3.b", "param", (2,)),
    ]
    assert report.max_rel_error < 1e-9


def test_a_missing_accumulation_is_reported():
    report = gradcheck(net(Overwrites), normal(3, 4), rng=np.random.default_rng(0))
    assert not report and "backward overwrites the gradient of layers.0.W: it must add to it" in str(report)
    assert all(e.passed for e in report.entries)


def test_a_wrong_parameter_gradient_fails_that_entry_only():
    report = gradcheck(ForgetsTheBatch(normal(4, 5), normal(5)), normal(3, 4), rng=np.random.default_rng(0))
    assert [e.passed for e in report.entries] == [True, True, False]


def test_kinks_that_later_layers_mix_must_be_skipped():
    x = np.zeros((3, 4))  # with zero biases: every ReLU at 0
    report = gradcheck(net(), x, rng=np.random.default_rng(0))
    assert not report and "kinks='skip'" in str(report)  # its gradient, 0, is right
    report = gradcheck(net(), x, rng=np.random.default_rng(0), kinks={"x": "skip"})
    assert [e.passed for e in report.entries] == [False, True, True, True, True]  # nothing of x was judged
    assert {e.name: e.kinks_judged for e in report.entries}["layers.0.b"] > 0
    x[0] = normal(4)
    assert gradcheck(net(), x, rng=np.random.default_rng(0), kinks={"x": "skip"})


def test_dropout_is_replayed_and_forgetting_the_mask_is_caught():
    assert gradcheck(Dropout(np.random.default_rng(5)), normal(3, 4), rng=np.random.default_rng(0))
    assert not gradcheck(ForgetsTheMask(np.random.default_rng(5)), normal(3, 4), rng=np.random.default_rng(0))
    shared = np.random.default_rng(5)
    assert gradcheck(Dropout(shared), normal(3, 4), rng=shared)


def test_a_layer_is_left_as_it_was():
    rng = np.random.default_rng(4)
    layer, x = net(rng=rng), normal(3, 4)
    layer[0].eval()
    for param in layer.params():
        param.grad += 7
    layer[3].forward(normal(3, 5))
    memory, state = layer[3]._memory, rng.bit_generator.state
    before = [(p.value, p.value.copy(), p.grad, p.grad.copy()) for p in layer.params()]
    x_before = x.copy()
    assert gradcheck(layer, x, rng=np.random.default_rng(0))
    assert layer[3]._memory is memory and rng.bit_generator.state == state
    assert not layer[0].training and layer[3].training
    for param, (value, value_copy, grad, grad_copy) in zip(layer.params(), before, strict=True):
        assert param.value is value and param.grad is grad
        assert np.array_equal(value, value_copy) and np.array_equal(grad, grad_copy)
    assert np.array_equal(x, x_before)


def test_a_layer_is_left_as_it_was_after_an_error():
    class Fails(Affine):
        def backward(self, gy, needs=True):
            super().backward(gy, needs)
            raise RuntimeError("on purpose")

    layer = Fails(normal(4, 5), normal(5)).eval()
    with pytest.raises(RuntimeError, match="on purpose"):
        gradcheck(layer, normal(3, 4), rng=np.random.default_rng(0))
    assert layer._memory is None and not layer.training and not layer.W.grad.any()


def test_tuples_of_inputs_and_outputs():
    report = gradcheck(Product(), normal(3, 4), normal(3, 4, seed=2), rng=np.random.default_rng(0))
    assert report and [e.name for e in report.entries] == ["a", "b"]
