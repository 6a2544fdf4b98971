"""Containers: layers one after another. Reads: layer.py. Read next: activation.py."""

import numpy as np

from stn_ref.nn.layer import Layer, inside


class Layers(Layer):
    """A layer that holds others in the list `layers`."""

    layers: list[Layer]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(type(layer).__name__ for layer in self.layers)})"

    def __getitem__(self, k: int) -> Layer:
        return self.layers[k]

    def __len__(self) -> int:
        return len(self.layers)


class Sequential(Layers):
    """Layers one after another: y = f_k(...f_2(f_1(x))); backward is the same list, read from its end.

    Args:
        layers: each with one input and one output.

    Raises:
        TypeError: an argument is not a Layer.

    >>> Sequential([Sequential()])
    Traceback (most recent call last):
    TypeError: layers must be Layers; got list: write Sequential(*layers)
    """

    def __init__(self, *layers: Layer):
        for layer in layers:
            if not isinstance(layer, Layer):
                hint = ": write Sequential(*layers)" if isinstance(layer, (list, tuple)) else ""
                raise TypeError(f"layers must be Layers; got {type(layer).__name__}{hint}")
        self.layers = list(layers)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the output of the last layer."""
        with self.undivided():
            for k, layer in enumerate(self.layers):
                with inside(f"layers.{k}", layer, x):
                    x = layer.forward(x)
        return x

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return the gradient of the input. Without `needs`, skip the layers before the first Param and return None."""
        with_params = (k for k, layer in enumerate(self.layers) if any(True for _ in layer.params()))
        first = 0 if needs else next(with_params, len(self.layers))
        for k in range(len(self.layers) - 1, first - 1, -1):
            with inside(f"layers.{k}", self.layers[k], gy):
                gy = self.layers[k].backward(gy, needs=needs or k > first)
        for layer in self.layers[:first]:
            layer.forget()
        return gy if needs else None
