"""The subject of a check behind one interface: a Layer, or the reader's own pair of functions.

    outputs(arrays)        -> the outputs of forward
    gradients(arrays, gys) -> one gradient for each array, None if backward does not differentiate it

`arrays` are the inputs and then, for a Layer, the values of its parameters. Forward and backward work on copies, and
their results are copied: they may reuse a buffer in the next call. Read next: check.py.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from stn_ref import checks
from stn_ref.nn.layer import Layer


def subject_of(layer_or_pair, inputs: tuple, names: tuple | None) -> "Pair | LayerUse":
    """Return the subject for gradcheck's first argument; raise TypeError if it is neither a Layer nor a pair."""
    if isinstance(layer_or_pair, Layer):
        return LayerUse(layer_or_pair, inputs, names)
    if isinstance(layer_or_pair, tuple) and len(layer_or_pair) == 2 and all(map(callable, layer_or_pair)):
        return Pair(*layer_or_pair, inputs, names)
    raise TypeError(f"gradcheck needs a Layer or a pair (forward, backward); got {type(layer_or_pair).__name__}")


class Pair:
    """forward(*inputs) -> y or a tuple; backward(*inputs, *gys) -> one gradient, or None, for each input.

    Attributes:
        names, kinds: name and kind of each array; a kind is "input" or "param".
        arrays: float64 copies.
        problems: faults of forward and backward themselves, as sentences.
    """

    def __init__(self, forward: Callable, backward: Callable, inputs: tuple, names: tuple | None):
        self.forward, self.backward = forward, backward
        self.names = _names(forward, len(inputs), names)
        self.kinds = ["input"] * len(inputs)
        self.arrays = [_checked(f"input {k} ({self.names[k]})", x) for k, x in enumerate(inputs)]
        self.problems: list[str] = []

    def outputs(self, arrays: list) -> list[np.ndarray]:
        """Return copies of the outputs of forward."""
        self.given = _copies(arrays)  # a layer may keep these very arrays until backward
        y = _outputs(self.forward(*self.given))
        self._compare("forward modifies", self.names[: len(arrays)], self.given, arrays)
        return y

    def gradients(self, arrays: list, gys: list) -> list[np.ndarray | None]:
        """Return copies of what backward returns."""
        self.given = _copies(arrays)
        return self._run_backward(partial(self.backward, *self.given), arrays, gys)

    def _run_backward(self, backward, inputs, gys):
        """Return copies of the gradients that backward(*gys) returns, one for each input."""
        cotangents, names = _copies(gys), self.names[: len(inputs)]
        gradients = _gradients(backward(*cotangents), inputs, names)
        self._compare("backward modifies", names, self.given, inputs)
        self._compare("backward modifies", [f"gy {k}" for k in range(len(gys))], cotangents, gys)
        return gradients

    def untouched(self) -> contextlib.AbstractContextManager:
        """Return a context that does nothing: functions have no state to restore."""
        return contextlib.nullcontext()

    def _compare(self, what, names, now, before):
        for name, a, b in zip(names, now, before, strict=True):
            if not np.array_equal(a, b, equal_nan=True):
                self._problem(f"{what} {name} in place: work on a copy")

    def _problem(self, text):
        if text not in self.problems:
            self.problems.append(text)


class LayerUse(Pair):
    """A Layer: its parameters are checked as well, and its random numbers are replayed before every forward."""

    def __init__(self, layer: Layer, inputs: tuple, names: tuple | None):
        super().__init__(layer.forward, layer.backward, inputs, names)
        self.layer, self.n_inputs = layer, len(inputs)
        named = list(layer.named_params())
        self.params = [param for _, param in named]
        self.names += [name for name, _ in named]
        self.kinds += ["param"] * len(named)
        self.arrays += [_checked(f"parameter {name}", param.value) for name, param in named]
        self.dice = [(rng, rng.bit_generator.state) for rng in layer.rngs()]

    def outputs(self, arrays: list) -> list[np.ndarray]:
        """Return copies of the outputs of forward, run with the given parameters and the same random numbers."""
        self.layer.forget()
        for rng, state in self.dice:
            rng.bit_generator.state = state
        for param, value in zip(self.params, arrays[self.n_inputs :], strict=True):
            param.value[...] = value
        return super().outputs(arrays[: self.n_inputs])

    def gradients(self, arrays: list, gys: list) -> list[np.ndarray | None]:
        """Return the gradients of backward; run it twice: the second run must add to the gradients of parameters."""
        for param in self.params:
            param.zero_grad()
        once = self._backward(arrays, gys)
        twice = self._backward(arrays, gys)
        for name, kind, a, b in zip(self.names, self.kinds, once, twice, strict=True):
            if a is None or b is None or not np.isfinite(a).all():
                continue
            size = np.abs(a).max(initial=0)
            if np.abs(b - (2 * a if kind == "param" else a)).max(initial=0) > 1e-9 * size:  # rounding: about 1e-16
                self._problem(
                    f"backward overwrites the gradient of {name}: it must add to it"
                    if kind == "param" and np.array_equal(a, b)
                    else f"the gradient of {name} is not the same when forward and backward run again"
                )
        return once

    def _backward(self, arrays, gys):
        self.outputs(arrays)
        gradients = self._run_backward(self.layer.backward, arrays[: self.n_inputs], gys)
        values = [param.value for param in self.params]
        self._compare("backward modifies", self.names[self.n_inputs :], values, arrays[self.n_inputs :])
        for name, param in zip(self.names[self.n_inputs :], self.params, strict=True):
            gradients.append(_gradient(param.grad, param.value, f"the grad of parameter {name}", name))
        return gradients

    @contextlib.contextmanager
    def untouched(self) -> Iterator[None]:
        """Return a context that restores modes, memories, generators, values and gradients on exit, also on errors."""
        layers = list(_family(self.layer))
        attributes = [dict(vars(layer)) for layer in layers]
        arrays = [(param, param.value, param.value.copy(), param.grad, param.grad.copy()) for param in self.params]
        self.layer.train()  # backward needs what a training forward keeps
        try:
            yield
        finally:
            for layer, kept in zip(layers, attributes, strict=True):
                vars(layer).clear()
                vars(layer).update(kept)
            for param, value, value_before, grad, grad_before in arrays:
                value[...], grad[...] = value_before, grad_before
                param.value, param.grad = value, grad
            for rng, state in self.dice:
                rng.bit_generator.state = state


def _family(layer: Layer) -> Iterator[Layer]:
    yield layer
    for child in layer.children():
        yield from _family(child)


def _names(forward, n: int, names) -> list[str]:
    """Return the given names, or by default those of forward's arguments."""
    if names is not None:
        if len(names) != n:
            raise ValueError(f"names must have one name for each of the {n} inputs; got {names!r}")
        return list(names)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        found = [p.name for p in inspect.signature(forward).parameters.values() if p.kind in positional]
    except (TypeError, ValueError):  # a compiled function without a signature
        found = []
    return (found + [f"input {k}" for k in range(len(found), n)])[:n]


def _checked(label: str, x) -> np.ndarray:
    if not isinstance(x, np.ndarray) or x.dtype != np.float64:
        got = f"a NumPy array of {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(
            f"{label} must be a float64 NumPy array; got {got}. Finite differences need float64: x.astype(np.float64) "
            "for an array, net.astype(np.float64) for a layer; bind labels and options with a lambda or partial"
        )
    return x.copy("K")


def _copies(arrays) -> list[np.ndarray]:
    return [x.copy("K") for x in arrays]


def _outputs(y) -> list[np.ndarray]:
    outputs = [np.asarray(out) for out in (y if isinstance(y, (tuple, list)) else (y,))]
    for k, out in enumerate(outputs):
        if out.dtype != np.float64:
            raise TypeError(f"forward must return float64 for float64 inputs; output {k} is {out.dtype}")
    return _copies(outputs)


def _gradients(returned, inputs: list, names: list) -> list[np.ndarray | None]:
    if not isinstance(returned, (tuple, list)):
        returned = (returned,)
    if len(returned) != len(inputs):
        raise ValueError(
            f"backward must return one gradient (or None) for each of the {len(inputs)} inputs "
            f"({', '.join(names)}); got {len(returned)}"
        )
    return [
        g if g is None else _gradient(g, x, f"backward's gradient of input {k} ({name})", name)
        for k, (g, x, name) in enumerate(zip(returned, inputs, names, strict=True))
    ]


def _gradient(g, x: np.ndarray, label: str, name: str) -> np.ndarray:
    g = np.asarray(g)
    if g.shape != x.shape:
        raise checks.ShapeError(f"{label} must have the shape of {name}, {x.shape}; got shape {g.shape}")
    if g.dtype != np.float64:
        raise TypeError(f"{label} must be float64 like {name}; got {g.dtype}")
    return g.copy()
