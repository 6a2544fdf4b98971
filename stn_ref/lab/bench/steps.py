"""A whole training step, forward, backward and update, compared with a step of the same net in PyTorch.

The limit is the time that the convolutions and Linear layers of the step would take at the rate of a matrix product.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np

from stn_ref import data, models
from stn_ref.lab.bench import machine, timing
from stn_ref.nn import SGD, Layer, SoftmaxCrossEntropy
from stn_ref.nn.operations import step_operations

STEPS = [  # model, pixels of a side, batch
    ("fcn", 28, 256),
    ("cnn", 28, 256),
    ("cnn", 60, 256),
    ("st-fcn-affine", 28, 256),
    ("st-fcn-attention", 28, 256),
    ("st-cnn-affine", 28, 32),
    ("st-cnn-affine", 28, 256),
    ("st-cnn-attention", 42, 256),
    ("st-cnn-affine", 60, 256),
    ("tutorial", 28, 64),
    ("tutorial", 28, 256),
    ("cifar10", 32, 64),
]


def example(name: str, size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels for a model: distorted digits (batch, 1, size, size); for cifar10 noise in colour."""
    rng = np.random.default_rng(0)
    if name == "cifar10":
        return rng.random((batch, 3, size, size), np.float32), rng.integers(0, 10, batch)
    images, labels, _ = data.draw_digits(batch, rng)
    return data.distort(images, {28: "R", 42: "RTS", 60: "TC"}[size], rng).images, labels


def our_step(net: Layer, U: np.ndarray, y: np.ndarray, *, lr: float = 1e-3) -> Callable[[], float]:
    """Return a call that does one training step of our net and returns the loss."""
    loss, optimizer = SoftmaxCrossEntropy(), SGD(net.params(), lr, momentum=0.9, nesterov=True)

    def step() -> float:
        value = loss.forward(net.forward(U), y)
        optimizer.zero_grad()
        net.backward(loss.backward(), needs=False)
        optimizer.step()
        return value

    return step


def _measure(seconds: float, name: str, size: int, batch: int) -> dict:
    rng = np.random.default_rng(0)
    U, labels = example(name, size, batch)
    net = models.build(name, size, rng)
    flops = sum(step_operations(net, U))
    product, of_product = machine.products()
    timed = {"torch": timing.in_pytorch("torch_step", net, U, labels), "ours": our_step(net, U, labels)}
    row = timing.compare(timed, seconds, limit=(product, flops / of_product))
    row["images_per_second"] = 1e3 * batch / row["ours_ms"]
    return row | {"shape": list(U.shape), "parameters": sum(param.value.size for param in net.params())}


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of every net."""
    for name, size, batch in STEPS[:1] if quick else STEPS:
        measure = functools.partial(_measure, name=name, size=size, batch=batch)
        yield timing.Case(f"{name} {size}x{size} batch {batch}", n_threads[-1], measure, 4.0)
