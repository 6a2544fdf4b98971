"""Count the operations in the matrix products of a net, which take most of the time of a training step.

Reads: layer.py, linear.py, conv.py.
"""

from collections.abc import Iterator

import numpy as np

from stn_ref.nn.conv import Conv2d
from stn_ref.nn.layer import Layer
from stn_ref.nn.linear import Linear


def operations(layer: Layer, y: np.ndarray) -> float:
    """Return the number of multiplications and additions in the matrix product that gives y; 0 for other layers.

    Backward takes the same number for the gradient of the weights, and again for the gradient of the input.

    >>> operations(Linear(3, 5, np.random.default_rng(0)), np.zeros((2, 5)))
    60.0
    """
    if isinstance(layer, Linear):
        return 2.0 * y.size * layer.W.value.shape[1]
    if isinstance(layer, Conv2d):
        return 2.0 * y.size * layer.W.value[0].size
    return 0.0


def step_operations(net: Layer, U: np.ndarray) -> tuple[float, float]:
    """Return the operations of the matrix products of one training step, (forward, backward).

    Each convolution and Linear layer has three products: forward, the gradient of the weights, and the gradient of the
    input, which the first layer of the net does not need. The function runs one step to count them; afterwards the
    gradients of the net are 0.

    Args:
        net: a Layer with one input and one output, in training mode.
        U: its input.
    """
    done = {"forward": 0.0, "backward": 0.0}

    def watch(layer: Layer) -> None:
        forward, backward = layer.forward, layer.backward

        def watched_forward(x: np.ndarray) -> np.ndarray:
            y = forward(x)
            done["forward"] += operations(layer, y)
            return y

        def watched_backward(gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
            done["backward"] += (2 if needs else 1) * operations(layer, gy)
            return backward(gy, needs=needs)

        layer.forward, layer.backward = watched_forward, watched_backward  # on the instance; deleted below

    layers = [layer for layer in leaves(net) if isinstance(layer, (Linear, Conv2d))]
    for layer in layers:
        watch(layer)
    try:
        net.backward(net.forward(U), needs=False)
    finally:
        net.forget()
        net.zero_grad()
        for layer in layers:
            del layer.forward, layer.backward
    return done["forward"], done["backward"]


def leaves(layer: Layer) -> Iterator[Layer]:
    """Yield the layers of a net that contain no other layer; the net itself if it contains none."""
    children = list(layer.children())
    for child in children:
        yield from leaves(child)
    if not children:
        yield layer
