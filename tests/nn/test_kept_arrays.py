"""What layers keep by reference: a change between forward and backward is an error, any other change is allowed."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_layer_contract import ALL, case

from stn_ref import checks, models, nn, transforms
from stn_ref.grid import GridGenerator
from stn_ref.kernel_sampler import AntialiasedSampler, KernelSampler
from stn_ref.nn.memory import Memory, glimpse, places
from stn_ref.sampler import Sampler

KEPT = {  # what a layer's gradient depends on, of "x" (the input), "y" (the output) and its Params
    "linear": ("x", "W"),
    "constant": ("x", "W"),
    "conv": ("x", "W"),
    "conv_stride": ("x", "W"),
    "conv_gaps": ("x", "W"),
    "conv_one": ("x", "W"),
    "relu": ("y",),
    "tanh": ("y",),
    "sigmoid": ("y",),
}


def sampled(rng, make):
    points = rng.uniform(0, 4, (2, 3, 4, 2))
    return make(), (rng.standard_normal((2, 3, 6, 5)), points)


SAMPLERS = {
    "sampler": (lambda: Sampler(backend="vectorised"), ("x", "points")),
    "kernel_sampler": (lambda: KernelSampler((1.5, 2.0), backend="vectorised", dtype=float), ("x", "points", "phi")),
    "antialiased": (lambda: AntialiasedSampler(backend="vectorised"), ("x", "points")),
    "grid": (lambda: GridGenerator(transforms.get("affine"), (6, 5), backend="vectorised"), ("x",)),
}


def every_use(rng):
    """Yield (name, layer, inputs, names of what its gradient depends on) for each layer."""
    for name in ALL:
        layer, x = case(name, rng)
        yield name, layer, (x,), KEPT.get(name, ())
    for name, (make, kept) in SAMPLERS.items():
        inputs = (rng.standard_normal((2, 6)),) if name == "grid" else sampled(rng, make)[1]
        yield name, make(), inputs, kept


def arrays_of(layer, inputs, y):
    return dict(zip(("x", "points"), inputs, strict=False)) | {"y": y} | {n: p.value for n, p in layer.named_params()}


def forward(layer, inputs):
    if isinstance(layer, nn.Dropout):
        layer.rng = np.random.default_rng(7)  # the same mask each time
    return layer.forward(*inputs)


def gradients(layer, gy):
    found = layer.backward(gy)
    return [*(found if isinstance(found, tuple) else (found,)), *(p.grad.copy() for p in layer.params())]


def test_a_change_of_what_a_layer_keeps_is_an_error_and_every_other_change_is_harmless(rng):
    tried = 0
    for name, layer, inputs, kept in every_use(rng):
        gy = rng.standard_normal(forward(layer, inputs).shape)
        layer.forget()
        for what in arrays_of(layer, inputs, gy):
            tried += 1
            layer.zero_grad()
            y = forward(layer, inputs)
            array = arrays_of(layer, inputs, y)[what]
            before = array.copy()
            array[...] = 1.5 * array + 1
            if what in kept:
                of = "the output of forward" if what == "y" else "an input of forward or a parameter"
                wanted = rf"{type(layer).__name__}.backward: {of}, float64 \(.*\), was changed in place after forward"
                with pytest.raises(checks.UsageError, match=wanted):
                    layer.backward(gy)
                array[...] = before  # the same numbers as before: the gradient is right again
                layer.backward(gy)
                continue
            got = gradients(layer, gy)
            array[...] = before
            layer.zero_grad()
            forward(layer, inputs)
            for a, b in zip(got, gradients(layer, gy), strict=True):
                assert_array_equal(a, b, err_msg=f"{name}: {what}")
    assert tried > 2 * len(ALL)


def test_a_buffer_that_is_filled_with_the_next_batch_too_early_is_found_through_a_view(rng):
    buffer = np.zeros((2, 8, 1, 28, 28), np.float32)  # digits are black at the border, and so is every 784th pixel
    buffer[..., 6:22, 6:22] = rng.random((2, 8, 1, 16, 16), np.float32)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, rng))
    scores = net.forward(buffer[0])
    buffer[0] = buffer[1]
    with pytest.raises(checks.UsageError, match=r"^layers\.1 \(Linear\), got float32 \(8, 10\): Linear\.backward"):
        net.backward(scores, needs=False)


def test_an_update_between_forward_and_backward_is_found(rng):
    net = nn.Sequential(nn.Linear(4, 3, rng), nn.Tanh())
    optimiser = nn.SGD(net.params(), 0.1)
    x = rng.random((5, 4), np.float32)
    gy = net.forward(x)
    net.backward(np.ones_like(gy))
    net.forward(x)
    optimiser.step()
    with pytest.raises(checks.UsageError, match="a parameter, float32"):
        net.backward(np.ones_like(gy))
    net.forget()
    net.forward(x)
    for param in net.params():
        param.value = param.value + 1  # another array: forward keeps the one that it used
    net.backward(np.ones_like(gy))


def test_changes_before_forward_and_after_backward_are_allowed_and_so_is_all_in_eval_mode(rng):
    net = models.build("st-cnn-affine", 28, rng)
    optimiser, loss = nn.SGD(net.params(), 0.01, momentum=0.9), nn.SoftmaxCrossEntropy()
    buffer = np.empty((4, 1, 28, 28), np.float32)
    for _ in range(3):
        buffer[...] = rng.random(buffer.shape, np.float32)
        scores = net.forward(buffer)
        loss.forward(scores, np.arange(4))
        gscores = loss.backward()
        scores *= 0  # the scores of a Linear layer are not kept
        optimiser.zero_grad()
        net.backward(gscores, needs=False)
        optimiser.step()
        gscores *= 0
        buffer *= 0
    net.eval()
    net.forward(buffer)
    buffer += 1
    net.forward(buffer)


def test_bits_are_compared_so_nan_and_minus_zero_give_no_false_alarm():
    layer, x = nn.Tanh(), np.array([np.nan, -0.0, np.inf])
    y = layer.forward(x)
    layer.backward(np.ones(3))
    layer.forward(x)
    y[0] = 0
    layer.backward(np.ones(3))  # y is of the first forward


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda x: x[::2, ::-1], lambda x: x[:0]])
def test_any_memory_layout_is_compared(layout):
    x = layout(np.arange(60_000.0).reshape(300, 200))
    memory = Memory(np.zeros(3), (x, "x", 3, None), compared=100)
    seen = memory.glimpses[0][-1]
    assert len(seen) // 8 == min(x.size, 100)
    assert glimpse(x.copy(), 100)[-1] == seen
    memory.check("Layer")
    if x.size:
        x += 1
        with pytest.raises(checks.UsageError, match=r"^Layer\.backward: an input"):
            memory.check("Layer")


def test_the_elements_compared_are_of_all_images_channels_rows_and_columns():
    for shape in ((256, 1, 28, 28), (64, 32, 10, 10), (1000, 784), (7, 3, 61, 61), (1 << 14, 4), (64, 3, 64, 64)):
        seen = np.unravel_index(places(np.prod(shape), 256), shape)
        for axis, size in enumerate(shape):
            found = len(set(seen[axis].tolist()))
            # 256 places drawn at random are on 0.63 of 256 rows, and on nearly all of 28 rows
            assert found >= 0.95 * size * (1 - np.exp(-256 / size)), (shape, axis, found)
        assert np.all(np.diff(seen[0]) >= 0)  # in order: memory is read from front to back


def test_all_elements_are_compared_on_request(rng, monkeypatch):
    def changed_by_one_element():
        layer, x = nn.Linear(300, 200, rng), rng.random((300, 300), np.float32)
        gy = layer.forward(x)
        x[17, 23] += 1
        layer.backward(gy)

    changed_by_one_element()  # one element of 90,000 goes unnoticed, as the docstring of Layer says
    monkeypatch.setattr(nn.Layer, "compared", sys.maxsize)
    with pytest.raises(checks.UsageError, match="was changed in place after forward"):
        changed_by_one_element()
