"""Every layer, loss, optimiser and schedule against PyTorch, in float64."""

import numpy as np
import pytest
from differences import relative

from stn_ref import nn
from stn_ref.nn.layer import Param

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
EXACT = 1e-12  # relative: both sum the same terms, in another order


def torch_of(layer):
    """The same function of (x, *params), written with PyTorch."""
    F = torch.nn.functional
    match layer:
        case nn.Linear():
            return F.linear
        case nn.Conv2d():
            return lambda x, W, b: F.conv2d(x, W, b, layer.stride, layer.padding)
        case nn.MaxPool2d():
            return lambda x: F.max_pool2d(x, layer.kernel, layer.stride)
        case nn.AvgPool2d():
            return lambda x: F.avg_pool2d(x, layer.kernel, layer.stride)
        case nn.ReLU():
            return torch.relu
        case nn.Tanh():
            return torch.tanh
        case nn.Sigmoid():
            return torch.sigmoid
        case nn.Flatten():
            return lambda x: x.flatten(1)


def cases():
    rng, f64 = np.random.default_rng(11), np.float64
    yield nn.Linear(7, 5, rng, dtype=f64), (6, 7)
    for kernel, stride, padding in [(3, 1, 0), ((2, 4), (1, 2), (2, 1)), (5, 3, 2), ((9, 7), 1, 0), (1, (2, 3), 0)]:
        yield nn.Conv2d(3, 4, kernel, rng, stride=stride, padding=padding, dtype=f64), (19, 3, 9, 11)
    for c_in, c_out, kernel, stride in [(13, 70, (3, 5), 1), (20, 3, (2, 3), (2, 1)), (1, 40, 9, 1)]:
        yield nn.Conv2d(c_in, c_out, kernel, rng, stride=stride, padding=(1, 2), dtype=f64), (19, c_in, 9, 11)
    for kernel, stride in [(2, None), ((3, 2), (2, 1)), ((1, 2), (2, 3))]:  # each is compiled
        yield nn.MaxPool2d(kernel, stride), (3, 4, 7, 6)
        yield nn.AvgPool2d(kernel, stride), (3, 4, 7, 6)
    for layer in (nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Flatten()):
        yield layer, (3, 4, 5)


@pytest.mark.parametrize(("layer", "shape"), list(cases()))
@pytest.mark.parametrize("ties", [False, True])
def test_layer_is_that_of_pytorch(layer, shape, ties, rng):
    x = rng.integers(-1, 2, shape).astype(np.float64) if ties else rng.standard_normal(shape)
    layer.forget()
    layer.zero_grad()
    y = layer.forward(x)
    gy = rng.standard_normal(y.shape)
    gx = layer.backward(gy)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, *(param.value for param in layer.params()))]
    expected = torch_of(layer)(*tensors)
    expected.backward(torch.tensor(gy))
    assert y.shape == tuple(expected.shape)
    assert relative(y, expected.detach().numpy()) < EXACT
    for g, tensor in zip((gx, *(param.grad for param in layer.params())), tensors, strict=True):
        assert relative(g, tensor.grad.numpy()) < EXACT


def test_nan_in_a_max_pool_window_is_treated_as_by_pytorch(rng):
    x = rng.standard_normal((2, 3, 6, 7))
    x[rng.random(x.shape) < 0.2] = np.nan
    pool = nn.MaxPool2d((3, 2), (2, 1))
    y = pool.forward(x)
    gy = rng.standard_normal(y.shape)
    tensor = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.max_pool2d(tensor, pool.kernel, pool.stride)
    expected.backward(torch.tensor(gy))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    np.testing.assert_allclose(pool.backward(gy), tensor.grad.numpy(), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("name", ["entropy", "squares"])
def test_loss_is_that_of_pytorch(name, rng):
    scores = 5 * rng.standard_normal((7, 4))
    tensor = torch.tensor(scores, requires_grad=True)
    if name == "entropy":
        loss, targets, theirs = nn.SoftmaxCrossEntropy(), rng.integers(0, 4, 7), torch.nn.functional.cross_entropy
    else:
        loss, targets, theirs = nn.MeanSquaredError(), rng.standard_normal((7, 4)), torch.nn.functional.mse_loss
    value = loss.forward(scores, targets)
    expected = theirs(tensor, torch.tensor(targets))
    expected.backward()
    assert abs(value - expected.item()) <= EXACT * abs(value)
    assert relative(loss.backward(), tensor.grad.numpy()) < EXACT


PAIRS = [
    (lambda p: nn.SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.1)),
    (
        lambda p: nn.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
    ),
    (
        lambda p: nn.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    (lambda p: nn.Adam(p), lambda p: torch.optim.Adam(p)),
    (
        lambda p: nn.Adam(p, 0.02, betas=(0.7, 0.95), eps=1e-3, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, 0.02, betas=(0.7, 0.95), eps=1e-3, weight_decay=0.1),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_optimiser_takes_the_steps_of_pytorch(ours, theirs, rng):
    params = [Param(rng.standard_normal(shape)) for shape in ((3, 4), (5,))]
    tensors = [torch.tensor(param.value, requires_grad=True) for param in params]
    optimiser, expected = ours(params), theirs(tensors)
    for _ in range(20):
        for param, tensor in zip(params, tensors, strict=True):
            param.grad[...] = rng.standard_normal(param.grad.shape)
            tensor.grad = torch.tensor(param.grad)
        optimiser.step()
        expected.step()
        for param, tensor in zip(params, tensors, strict=True):
            assert relative(param.value, tensor.detach().numpy()) < EXACT


def test_schedules_are_those_of_pytorch():
    def rates(make, count):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.3)
        schedule = make(optimiser)
        for _ in range(count):
            yield optimiser.param_groups[0]["lr"]
            optimiser.step()
            schedule.step()

    schedulers = torch.optim.lr_scheduler
    pairs = [
        (nn.StepRate(0.3, 4, 0.2), lambda o: schedulers.StepLR(o, 4, 0.2)),
        (nn.CosineRate(0.3, 10, 0.01), lambda o: schedulers.CosineAnnealingLR(o, 10, 0.01)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose([ours(k) for k in range(11)], list(rates(theirs, 11)), rtol=EXACT)


def test_clipping_is_that_of_pytorch(rng):
    params = [Param(np.zeros(shape)) for shape in ((3, 4), (5,))]
    tensors = []
    for param in params:
        param.grad[...] = rng.standard_normal(param.grad.shape)
        tensors.append(torch.zeros(param.grad.shape, dtype=torch.float64, requires_grad=True))
        tensors[-1].grad = torch.tensor(param.grad.copy())
    norm = torch.nn.utils.clip_grad_norm_(tensors, 1.5)
    assert abs(nn.clip_grad_norm(params, 1.5) - norm.item()) < EXACT
    for param, tensor in zip(params, tensors, strict=True):
        assert relative(param.grad, tensor.grad.numpy()) < EXACT
