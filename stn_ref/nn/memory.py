"""What forward keeps for backward, and how a change of it is noticed. Read next: layer.py.

A layer keeps references to its arrays, not copies: copies of all activations would double the memory of a step. An
array that is changed in place between forward and backward would therefore give a wrong gradient. So forward also
copies some elements of each array, and backward compares them.
"""

import math

import numpy as np

from stn_ref import checks


class Memory:
    """The arrays that one forward keeps, by reference, and the shapes and dtypes of its outputs.

    Args:
        y: the output of forward, an array or a tuple of them.
        kept: what backward needs, arrays or anything else; only arrays are compared.
        compared: the number of elements of each array to compare, about; see `glimpse`.
    """

    def __init__(self, y, kept: tuple, compared: int):
        outputs = y if isinstance(y, tuple) else (y,)
        self.outputs = [(out.shape, out.dtype) for out in outputs]
        self.kept, self.compared = kept, compared
        self.output = [any(array is out for out in outputs) for array in kept]
        self.seen = [glimpse(array, compared) for array in kept]

    def cotangents(self, gys: tuple, name: str) -> tuple:
        """Return one gradient for each output, zeros for None; raise unless they fit the outputs of layer `name`."""
        if len(gys) != len(self.outputs):
            raise ValueError(
                f"{name}.backward takes one gradient for each output of forward: "
                f"expected {len(self.outputs)}, got {len(gys)}"
            )
        return tuple(cotangent(gy, *out) for gy, out in zip(gys, self.outputs, strict=True))

    def check(self, name: str) -> None:
        """Raise UsageError if an array of layer `name` was changed after forward."""
        for array, output, seen in zip(self.kept, self.output, self.seen, strict=True):
            if glimpse(array, self.compared) != seen:
                what = "the output of forward" if output else "an input of forward or a parameter"
                raise checks.UsageError(
                    f"{name}.backward: {what}, {array.dtype} {array.shape}, was changed in place after forward, which "
                    "keeps a reference to it; the gradient would be wrong. Change it after backward, or change a copy."
                )


def glimpse(array, most: int) -> bytes:
    """Return the bytes of up to `most` elements of an array, evenly spaced, or b"" for anything else.

    All elements are compared if there are no more than `most`.

    The step has no factor in common with the size, and thus with no axis. So the elements are of all rows, columns and
    channels: with a step of H W they would all be the same corner pixel, which is black in every digit.
    """
    if not isinstance(array, np.ndarray):
        return b""
    step = max(1, array.size // most)
    while math.gcd(step, array.size) > 1:
        step += 1
    return (array.reshape(-1) if array.flags.c_contiguous else array.flat)[::step].tobytes()


def cotangent(gy: np.ndarray | None, shape: tuple, dtype: np.dtype) -> np.ndarray:
    """Return gy, or zeros if it is None; raise unless gy has the shape and dtype of the output of forward."""
    if gy is None:
        return np.zeros(shape, dtype)
    checks.floating("gy", gy)
    if gy.shape != shape:
        raise checks.ShapeError(f"gy must have the shape of the output of forward, {shape}; got shape {gy.shape}")
    if gy.dtype != dtype:
        raise TypeError(f"gy must have the dtype of the output of forward, {dtype}; got {gy.dtype}")
    return gy
