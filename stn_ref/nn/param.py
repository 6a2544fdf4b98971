"""Parameters and sums of gradients. Read next: layer.py."""

import numpy as np

from stn_ref import checks


class Param:
    """A trainable array.

    Attributes:
        value: the array, float32 or float64.
        grad: dL/dvalue, same shape and dtype; `backward` adds to it, `zero_grad` clears it.
        lr_scale: factor on the learning rate; localisation nets train with a smaller one.
        decay: whether weight decay applies (weights: yes; biases: no).
    """

    __slots__ = ("decay", "grad", "lr_scale", "value")

    def __init__(self, value: np.ndarray, *, lr_scale: float = 1.0, decay: bool = True):
        self.value = checks.floating("value", value)
        self.grad = np.zeros_like(value)
        self.lr_scale = lr_scale
        self.decay = decay

    def zero_grad(self) -> None:
        """Set the gradient to zero."""
        self.grad[...] = 0

    @np.errstate(all="ignore")
    def add(self, grad: np.ndarray) -> None:
        """Add to the gradient."""
        self.grad += grad

    def astype(self, dtype) -> None:
        """Convert value and gradient. Twins made by `share()` hold the same Param, so they see the change."""
        dtype = checks.float_dtype("dtype", dtype)
        self.value = self.value.astype(dtype)
        self.grad = self.grad.astype(dtype)

    def __repr__(self) -> str:
        return f"Param(shape={self.value.shape}, dtype={self.value.dtype})"


@np.errstate(all="ignore")
def added(*gradients: np.ndarray) -> np.ndarray:
    """Return the sum of the gradients that reach one array on several paths, from left to right."""
    return sum(gradients[1:], start=gradients[0])
