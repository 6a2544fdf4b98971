"""Checks that several modules share: shapes, dtypes and values of arguments; and the errors that the package defines.

This module imports nothing of the package, and every other module may import it. A check that only one module needs
belongs in that module. A message names the argument, the contract, what was expected and what was got, so that the
reader can correct the call without reading our source.
"""

import contextlib
import operator

import numpy as np


class ShapeError(ValueError):
    """The axes of an array disagree with the contract or with another array."""


class DamagedFileError(ValueError):
    """A file does not hold what its name or its first bytes announce; the message names the file and the fault."""


class UsageError(RuntimeError):
    """A layer was called out of order, for example backward before forward."""


class DeviceError(RuntimeError):
    """The GPU, its driver or its compiler is missing or has failed; the message says what to install or change."""


FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def floating(name: str, array, like: tuple | None = None, gpu: bool = False) -> np.ndarray:
    """Return `array` if it is a float32 or float64 NumPy array, else raise TypeError.

    Args:
        name: name of the argument, for the message.
        array: the argument.
        like: (other_name, other_array): `array` must have the dtype of other_array.
        gpu: also accept an array of numba-cuda.

    >>> floating("U", np.zeros(3, np.int64))
    Traceback (most recent call last):
    TypeError: U must be a float32 or float64 NumPy array; got a NumPy array of int64
    """
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a NumPy array without a mask; got a masked array: .filled(value) gives one")
    on_gpu = gpu and hasattr(array, "copy_to_host")
    if not (isinstance(array, np.ndarray) or on_gpu) or array.dtype not in FLOATS:
        got = f"a NumPy array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        if on_gpu:
            got = f"an array of {array.dtype} on a GPU"
        elif hasattr(array, "__cuda_array_interface__"):
            got += " on a GPU, which backend='cuda' accepts"
        raise TypeError(f"{name} must be a float32 or float64 {'' if on_gpu else 'NumPy '}array; got {got}")
    if like is not None and array.dtype != like[1].dtype:
        wanted = like[1].dtype
        raise TypeError(f"{name} must have the dtype of {like[0]}, {wanted}; got {array.dtype} (.astype(np.{wanted}))")
    return array


def float_dtype(name: str, dtype) -> np.dtype:
    """Return `dtype`, in any form that NumPy accepts, as a np.dtype; raise TypeError unless it is float32 or float64.

    >>> float_dtype("dtype", "int32")
    Traceback (most recent call last):
    TypeError: dtype must be float32 or float64; got int32
    """
    got = dtype
    with contextlib.suppress(TypeError):
        got = None if dtype is None else np.dtype(dtype)  # np.dtype(None) is float64
    if not isinstance(got, np.dtype) or got not in FLOATS:
        raise TypeError(f"{name} must be float32 or float64; got {got}")
    return got


def shape(name: str, array: np.ndarray, axes: tuple, **known: tuple) -> tuple:
    """Return array.shape if it fits `axes`, else raise ShapeError.

    Args:
        name: name of the argument, for the message.
        array: anything with a shape.
        axes: one entry per axis: a symbol, for example "N", or a number, for example 2.
        known: for a symbol, (its size, the name of the array that gives this size).

    >>> shape("points", np.zeros((4, 4, 6, 2)), ("N", "Ho", "Wo", 2), N=(2, "U"))
    Traceback (most recent call last):
    stn_ref.checks.ShapeError: points must be (N, Ho, Wo, 2): axis 0 is 4, expected N=2 from U; got shape (4, 4, 6, 2)
    """
    got = np.shape(array)
    if len(got) != len(axes):
        raise ShapeError(f"{_contract(name, axes)}: expected {len(axes)} axes, got {len(got)}; got shape {got}")
    for k, (axis, size) in enumerate(zip(axes, got, strict=True)):
        expected, origin = known.get(axis, (size, "")) if isinstance(axis, str) else (axis, "")
        if size != expected:
            wanted = f"{axis}={expected} from {origin}" if origin else str(axis)
            raise ShapeError(f"{_contract(name, axes)}: axis {k} is {size}, expected {wanted}; got shape {got}")
    return got


def _contract(name: str, axes: tuple) -> str:
    return f"{name} must be ({', '.join(map(str, axes))}{',' if len(axes) == 1 else ''})"


def tangent(name: str, array, of: str, primal: np.ndarray) -> np.ndarray:
    """Return `array`, or zeros if it is None; raise unless it has the dtype and the shape of the array named `of`.

    >>> tangent("dU", np.zeros((2, 3)), "U", np.zeros((2, 4)))
    Traceback (most recent call last):
    stn_ref.checks.ShapeError: dU must have the shape of U, (2, 4); got shape (2, 3)
    """
    if array is None:
        return np.zeros(primal.shape, primal.dtype)
    floating(name, array, like=(of, primal))
    if array.shape != primal.shape:
        raise ShapeError(f"{name} must have the shape of {of}, {primal.shape}; got shape {array.shape}")
    return array


def not_empty(name: str, array: np.ndarray, axes: tuple, *symbols: str) -> None:
    """Raise ShapeError if one of the named axes has size 0."""
    for symbol in symbols:
        if array.shape[axes.index(symbol)] == 0:
            raise ShapeError(f"{name} must be ({', '.join(axes)}) with {symbol} >= 1; got shape {array.shape}")


def one_of(name: str, value, choices) -> None:
    """Raise ValueError unless `value` is one of `choices`; the message lists what is supported.

    >>> one_of("mode", "cubic", ("bilinear",))
    Traceback (most recent call last):
    ValueError: mode must be one of 'bilinear'; got 'cubic'
    """
    if not isinstance(value, str) or value not in tuple(choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def integer(name: str, value, least: int = 0) -> int:
    """Return `value` as an int; raise TypeError if it is not an integer, ValueError if it is less than `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer; got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}; got {number}")
    return number


def pair(name: str, value, least: int = 0) -> tuple[int, int]:
    """Return `value`, an integer or a pair (vertical, horizontal) of at least `least`, as a pair of ints.

    >>> pair("kernel", 3), pair("kernel", (3, 5))
    ((3, 3), (3, 5))
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be an integer or a pair (vertical, horizontal); got {value!r}")
    return integer(name, values[0], least), integer(name, values[1], least)


def between(name: str, value, low: float, high: float) -> float:
    """Return `value` as a float; raise TypeError if it is not a number, ValueError unless it lies in [low, high]."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number; got {value!r}") from None
    if not low <= number <= high:
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}]; got {value!r}")
    return number


def generator(name: str, rng) -> np.random.Generator:
    """Return `rng` if it is a numpy.random.Generator, else raise TypeError."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name} must be a numpy.random.Generator, for example np.random.default_rng(0); got {type(rng).__name__}"
        )
    return rng


def flag(name: str, value) -> bool:
    """Return `value` if it is True or False, else raise TypeError: the string "False" is true in Python."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {value!r}")
    return bool(value)


def flags(name: str, value, of: tuple[str, ...]) -> tuple[bool, ...]:
    """Return a tuple with one flag for each name in `of`; `value` is one flag for all of them, or one for each.

    >>> flags("needs", True, ("U", "points")), flags("needs", (True, False), ("U", "points"))
    ((True, True), (True, False))
    """
    if isinstance(value, (bool, np.bool_)):
        return (bool(value),) * len(of)
    values = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(values) != len(of):
        raise ValueError(f"{name} must be a flag, or one each for {', '.join(of)}; got {value!r}")
    return tuple(flag(name, one) for one in values)
