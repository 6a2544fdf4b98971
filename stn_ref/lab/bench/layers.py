"""Layers one by one, compared with PyTorch's layers of the same weights and with the limits of the machine.

"forward" is forward in training mode. "training" is forward and backward, with the gradients of the parameters. "first"
marks the first layer of a net, which does not compute the gradient of its input. The limit of Conv2d and Linear is a
matrix product with as many operations. Pooling and ReLU compute very little; their limit is a copy of x and y in
forward, and also of gy and gx in training.
"""

import functools
from collections.abc import Iterator

import numpy as np

from stn_ref import nn
from stn_ref.lab.bench import machine, timing
from stn_ref.nn.operations import operations

LAYERS = [  # name, layer(rng), shape of x, whether the layer is the first of its net
    ("Conv2d 1->32 9x9", lambda rng: nn.Conv2d(1, 32, 9, rng), (256, 1, 28, 28), True),
    ("Conv2d 3->64 7x7", lambda rng: nn.Conv2d(3, 64, 7, rng), (64, 3, 32, 32), True),
    ("Conv2d 32->32 7x7", lambda rng: nn.Conv2d(32, 32, 7, rng), (256, 32, 10, 10), False),
    ("Conv2d 64->128 5x5", lambda rng: nn.Conv2d(64, 128, 5, rng), (64, 64, 13, 13), False),
    ("Conv2d 3->16 5x5", lambda rng: nn.Conv2d(3, 16, 5, rng), (64, 3, 32, 32), True),
    ("Conv2d 16->32 5x5", lambda rng: nn.Conv2d(16, 32, 5, rng), (64, 16, 14, 14), False),
    ("Linear 784->256", lambda rng: nn.Linear(784, 256, rng), (256, 784), True),
    ("Linear 256->200", lambda rng: nn.Linear(256, 200, rng), (256, 256), False),
    ("Linear 1024->10", lambda rng: nn.Linear(1024, 10, rng), (256, 1024), False),
    ("MaxPool2d 2x2", lambda rng: nn.MaxPool2d(2), (256, 32, 20, 20), False),
    ("AvgPool2d 2x2", lambda rng: nn.AvgPool2d(2), (256, 1, 56, 56), False),
    ("ReLU", lambda rng: nn.ReLU(), (256, 32, 10, 10), False),
]
QUICK = ("Linear 1024->10", "ReLU")  # no convolution, so nothing to compile


def _limit(layer: nn.Layer, x: np.ndarray, y: np.ndarray, times: int):
    """Return the limit for the work of `times` forwards: a call, and that work as a share of the call."""
    if flops := operations(layer, y):
        product, of_product = machine.products()
        return product, times * flops / of_product
    return machine.copy((x.nbytes + y.nbytes) * min(times, 2))


def _measure(seconds: float, make, shape: tuple, first: bool, training: bool) -> dict:
    rng = np.random.default_rng(0)
    layer, x = make(rng), rng.standard_normal(shape).astype(np.float32)
    y = layer.forward(x)
    layer.forget()
    gy = rng.standard_normal(y.shape).astype(np.float32)
    params = list(layer.params())

    def forward():
        layer.forget()
        return layer.forward(x)

    def both():
        for param in params:
            param.zero_grad()
        layer.forward(x)
        return layer.backward(gy, needs=not first)

    theirs = timing.in_pytorch("torch_layer", layer, x, gy, needs=not first)
    timed = {"ours": both if training else forward, "torch": theirs and theirs[training]}
    times = 1 if not training else 2 if first else 3
    row = timing.compare(timed, seconds, limit=_limit(layer, x, y, times))
    return row | {"shape": list(shape), "first": first, "limit": "product" if operations(layer, y) else "copy"}


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of every layer, forward and in training."""
    for what, make, shape, first in LAYERS:
        if quick and what not in QUICK:
            continue
        for training in (False, True):
            size = ",".join(map(str, shape))
            name = f"{what} on {size} {'training' if training else 'forward'}{', first' if training and first else ''}"
            measure = functools.partial(_measure, make=make, shape=shape, first=first, training=training)
            yield timing.Case(name, n_threads[-1], measure)
