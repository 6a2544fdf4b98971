import math

import numpy as np
import pytest
from differences import relative, slopes
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, nn


def test_linear_by_hand(rng):
    layer = nn.Linear(2, 3, rng, dtype=np.float64)
    layer.W.value[...] = [[1, 2], [3, 4], [5, 6]]
    layer.b.value[...] = [0.5, 0, -1]
    assert_array_equal(layer.forward(np.array([[1.0, 10]])), [[21.5, 43, 64]])
    assert_array_equal(layer.backward(np.array([[1.0, 0, 2]])), [[11, 14]])
    assert_array_equal(layer.W.grad, [[1, 10], [0, 0], [2, 20]])
    assert_array_equal(layer.b.grad, [1, 0, 2])


def test_a_constant_layer_gives_its_bias_and_learns():
    bias = np.array([1.0, 0, 0, 0, 1, 0])
    layer = nn.Linear.constant(4, bias)
    x = np.random.default_rng(0).standard_normal((3, 4))
    assert_array_equal(layer.forward(x), np.tile(bias, (3, 1)))
    layer.backward(np.ones((3, 6)))
    layer.b.value += 1
    assert bias[1] == 0  # a copy
    assert layer.W.grad.any()


def test_linear_names_wrong_shapes(rng):
    with pytest.raises(checks.ShapeError, match=r"x must be \(N, n_in\): axis 1 is 4, expected n_in=3 from W"):
        nn.Linear(3, 2, rng).forward(np.zeros((5, 4), np.float32))
    with pytest.raises(checks.ShapeError, match=r"bias must be \(n_out,\)"):
        nn.Linear.constant(3, np.zeros((2, 2)))


# Losses.


def test_cross_entropy_by_hand():
    loss = nn.SoftmaxCrossEntropy()
    scores = np.log([[1.0, 3.0], [2.0, 2.0]])
    assert_allclose(loss.forward(scores, [1, 0]), (math.log(4 / 3) + math.log(2)) / 2, rtol=1e-15)
    assert_allclose(loss.backward(), [[1 / 8, -1 / 8], [-1 / 4, 1 / 4]], rtol=1e-15)


def test_cross_entropy_of_huge_scores_is_finite():
    loss = nn.SoftmaxCrossEntropy()
    scores = np.array([[1000.0, -1000.0], [-1e300, 1e300]])
    assert loss.forward(scores, np.array([1, 1])) == 1000.0
    assert_array_equal(loss.backward(), [[0.5, -0.5], [0, 0]])


LOSSES = {
    "entropy": (nn.SoftmaxCrossEntropy, lambda rng: rng.integers(0, 3, 4)),
    "squares": (nn.MeanSquaredError, lambda rng: rng.standard_normal((4, 3))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_gradients_agree_with_finite_differences(name, rng):
    loss, targets = LOSSES[name][0](), LOSSES[name][1](rng)
    scores = rng.standard_normal((4, 3))
    loss.forward(scores, targets)
    g = loss.backward()
    loss.eval()
    n = slopes(lambda: loss.forward(scores, targets), scores)
    assert relative(g, n) < 1e-9
    assert relative(g * 1.001, n) > 1e-4  # what a wrong factor would show


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_floats_keep_float32_and_do_not_change_their_inputs(name, rng):
    loss, targets = LOSSES[name][0](), LOSSES[name][1](rng)
    targets = targets if name == "entropy" else targets.astype(np.float32)
    scores = rng.standard_normal((4, 3), np.float32)
    before = scores.copy(), targets.copy()
    assert type(loss.forward(scores, targets)) is float
    assert loss.backward().dtype == np.float32
    assert_array_equal(scores, before[0])
    assert_array_equal(targets, before[1])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_called_out_of_order_are_errors(name, rng):
    loss, targets = LOSSES[name][0](), LOSSES[name][1](rng)
    scores = rng.standard_normal((4, 3))
    with pytest.raises(checks.UsageError, match="needs a forward in training mode before it"):
        loss.backward()
    loss.forward(scores, targets)
    with pytest.raises(checks.UsageError, match="called twice without backward"):
        loss.forward(scores, targets)
    loss.backward()
    with pytest.raises(checks.UsageError):
        loss.backward()
    loss.eval()
    assert loss.forward(scores, targets) == loss.forward(scores, targets)


@pytest.mark.parametrize(
    ("scores", "labels", "error", "message"),
    [
        ((4, 3), [0, 1, 2], checks.ShapeError, r"labels must be \(N,\): axis 0 is 3, expected N=4 from scores"),
        ((4,), [0, 1, 2, 0], checks.ShapeError, r"scores must be \(N, K\)"),
        ((0, 3), [], checks.ShapeError, "N >= 1"),
        ((2, 3), [0.0, 1.0], TypeError, "labels must be integers; got float64"),
        ((2, 3), [0, 3], ValueError, r"labels must lie in 0 \.\. K-1=2; got 0 \.\. 3"),
        ((2, 3), [-1, 0], ValueError, r"labels must lie in 0 \.\. K-1=2; got -1 \.\. 0"),
    ],
)
def test_wrong_labels_are_named(scores, labels, error, message):
    with pytest.raises(error, match=message):
        nn.SoftmaxCrossEntropy().forward(np.zeros(scores), np.array(labels))


def test_targets_of_another_shape_or_dtype_are_named():
    with pytest.raises(checks.ShapeError, match=r"targets must have the shape of scores, \(2, 3\); got shape \(3, 2\)"):
        nn.MeanSquaredError().forward(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(TypeError, match="targets must have the dtype of scores"):
        nn.MeanSquaredError().forward(np.zeros((2, 3)), np.zeros((2, 3), np.float32))
