"""Where in a net an error was raised. Read next: layer.py."""

from stn_ref import checks


class inside:  # noqa: N801  used as `with inside(...)`
    """Return a context that adds the place of a layer, and its inputs, to the message of an error.

    The error is a TypeError, ValueError or UsageError; its type and traceback stay the same.

    Args:
        name: the name of the layer in the layer that holds it, for example "layers.0".
        layer: the layer.
        inputs: the arguments of the call.

    >>> import numpy as np
    >>> from stn_ref import nn
    >>> with inside("localisation", nn.ReLU(), np.zeros((2, 3))):
    ...     raise checks.ShapeError("x must be (N, C, H, W)")
    Traceback (most recent call last):
    stn_ref.checks.ShapeError: localisation (ReLU), got float64 (2, 3): x must be (N, C, H, W)
    """

    __slots__ = ("inputs", "layer", "name")

    def __init__(self, name: str, layer, *inputs):
        self.name, self.layer, self.inputs = name, layer, inputs

    def __enter__(self):
        pass

    def __exit__(self, kind, error, traceback):
        if isinstance(error, (TypeError, ValueError, checks.UsageError)) and len(error.args) == 1:
            if not hasattr(error, "in_layer"):
                got = ", ".join(
                    f"{x.dtype} {x.shape}" if hasattr(x, "dtype") else type(x).__name__ for x in self.inputs
                )
                error.args = (f" ({type(self.layer).__name__}), got {got}: {error}",)
            error.args = (f"{self.name}{'.' * hasattr(error, 'in_layer')}{error}",)
            error.in_layer = True
