"""What forward keeps for backward, and how a change of it is noticed. Read next: layer.py.

A layer keeps references to its arrays, not copies: copies of all activations would double the memory of a step. An
array that is changed in place between forward and backward would therefore give a wrong gradient. So forward also
copies some elements of each array, and backward compares them.
"""

import functools

import numpy as np

from stn_ref import checks


class Memory:
    """The arrays that one forward keeps, by reference, and the shapes and dtypes of its outputs.

    Args:
        y: the output of forward, an array or a tuple of them.
        kept: what backward needs, arrays or anything else; only arrays are compared.
        compared: the largest number of elements of each array to compare.
    """

    def __init__(self, y, kept: tuple, compared: int):
        outputs = y if isinstance(y, tuple) else (y,)
        self.outputs = [(out.shape, out.dtype) for out in outputs]
        self.ids = [id(out) for out in outputs]
        self.kept = kept
        self.glimpses = [glimpse(array, compared) for array in kept if isinstance(array, np.ndarray)]

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
        for array, flat, where, seen in self.glimpses:
            if flat[where].tobytes() != seen:
                what = "the output of forward" if id(array) in self.ids else "an input of forward or a parameter"
                raise checks.UsageError(
                    f"{name}.backward: {what}, {array.dtype} {array.shape}, was changed in place after forward, which "
                    "keeps a reference to it; the gradient would be wrong. Change it after backward, or change a copy."
                )


def glimpse(array: np.ndarray, most: int) -> tuple:
    """Return (array, its elements in a row, the `places` to compare, their bytes)."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat  # both without a copy
    where = places(array.size, most)
    return array, flat, where, flat[where].tobytes()


@functools.lru_cache(maxsize=256)
def places(size: int, most: int) -> np.ndarray | slice:
    """Return the places to compare in an array of `size` elements, in row-major order: all, or `most` of them.

    One place is drawn from each of `most` equal stretches, so each part of a batch has its share. Places at equal
    distances would do worse: 256 digits of 28 x 28 would be compared in the same few rows, which are black in all.
    """
    if size <= most:
        return slice(None)
    borders = np.arange(most + 1) * size // most
    return np.random.default_rng(size).integers(borders[:-1], borders[1:])


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
