"""The mini autodiff: a layer is a forward and a backward that stand next to each other.

    y  = layer.forward(x)      # keeps what backward needs
    gx = layer.backward(gy)    # adds to each Param.grad, returns the gradient of the input

There is no tape and no graph: a net is a list of layers, and the chain rule is that list read backwards
(`Sequential.backward`). Reads: memory.py, param.py. Read next: linear.py, activation.py.
"""

import contextlib
import copy
from collections.abc import Iterator

import numpy as np

from stn_ref import checks
from stn_ref.nn.errors import inside
from stn_ref.nn.memory import Memory
from stn_ref.nn.param import Param


class Layer:
    """One use of some parameters: `forward` keeps what `backward` consumes.

    A subclass writes the two methods side by side::

        class Square(Layer):
            def forward(self, x):
                return self.keep(x**2, x)

            def backward(self, gy, needs=True):
                gy, (x,) = self.take(gy)
                return 2 * x * gy if needs else None

    `needs` says for which inputs backward computes a gradient: True, or one flag per input for layers with several. A
    gradient that is not needed is None and costs nothing. In `eval()` mode forward keeps nothing, and backward raises
    UsageError. `layer(x)` is `layer.forward(x)`.

    Kept by reference: a layer does not copy what it keeps, so do not change it in place before backward. ReLU, Tanh and
    Sigmoid keep their output, Linear and Conv2d their input and W, a sampler both inputs, a GridGenerator theta. In
    backward, `take` raises UsageError if it finds a change. It compares up to `compared` elements of
    each array, from all its parts; in a small net this takes 1 to 2 % of a training step. A change of a tenth of an
    array or more is found; a change of a few elements of a large array may be missed. To find that as well, set
    `Layer.compared = sys.maxsize`: backward then compares copies of all that was kept, which takes time and memory.

    Floating-point errors: the layers, losses and optimisers of this package ignore np.seterr, as compiled code does. An
    underflow gives 0, an overflow inf, an invalid operation NaN, without an exception or a warning. A training loop
    should stop when the loss is not finite, as stn_ref.training does.

    Zero channels: a layer without weights takes arrays with any number of channels, 0 included. The axes of a weight
    have at least one element each.

    Attributes:
        compared: the largest number of elements of each kept array that backward compares; a class attribute.
    """

    training = True
    compared = 128
    _memory: Memory | None = None

    def __call__(self, *inputs):
        """Return forward(*inputs)."""
        return self.forward(*inputs)

    def forward(self, *inputs):
        """Return the output; in training, keep what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, *gys, needs=True):
        """Add dL/dvalue to every Param.grad and return dL/dinput."""
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    # What forward hands to backward.

    def keep(self, y, *memory):
        """Remember `memory` for backward and return y, an array or a tuple of them. In eval mode nothing is kept."""
        self._idle()
        if self.training:
            self._memory = Memory(y, memory, self.compared)
        return y

    def ready(self) -> None:
        """Raise UsageError if a training forward, of this layer or of one inside it, has had no backward yet."""
        self._idle()
        for child in self.children():
            child.ready()

    def _idle(self) -> None:
        if self.training and self._memory is not None:
            raise checks.UsageError(
                f"{type(self).__name__}.forward was called twice without backward. To use the same parameters twice, "
                "use share(); to look at outputs only, call eval() first; to drop the first call, forget()."
            )

    def take(self, gy) -> tuple:
        """Return (gy, memory) and clear the memory; gy must match the output of forward, and None means zero.

        Raises:
            UsageError: there was no forward in training mode, or what it kept has been changed in place.
            ShapeError, TypeError, ValueError: gy does not match the output.
        """
        name = type(self).__name__
        if self._memory is None:
            raise checks.UsageError(
                f"{name}.backward needs a forward in training mode before it, once for each backward."
            )
        gys = self._memory.cotangents(gy if isinstance(gy, tuple) else (gy,), name)
        self._memory.check(name)
        memory, self._memory = self._memory.kept, None
        return (gys if isinstance(gy, tuple) else gys[0]), memory

    @contextlib.contextmanager
    def undivided(self) -> Iterator[None]:
        """Return a context for a forward through inner layers.

        It raises UsageError if one of them still needs a backward. If the forward fails, it drops all that was kept.
        """
        self.ready()
        try:
            yield
        except BaseException:
            self.forget()
            raise

    def forget(self) -> None:
        """Drop what forward kept, in this layer and in every layer inside it."""
        self._memory = None
        for child in self.children():
            child.forget()

    # Walking a net.

    def children(self) -> Iterator["Layer"]:
        """Yield the layers held as attributes, directly or in lists, tuples and dicts, in the order of assignment."""
        for _, child in self._held(Layer):
            yield child

    def named_params(self) -> Iterator[tuple[str, Param]]:
        """Yield (name, Param), each Param once; names like 'layers.0.W' are the keys of a checkpoint."""
        first = {}
        for name, param in self._named_params():
            first.setdefault(id(param), (name, param))
        if len({name for name, _ in first.values()}) != len(first):
            raise ValueError(f"names of Params must differ; got {sorted(name for name, _ in first.values())}")
        yield from first.values()

    def params(self) -> Iterator[Param]:
        """Yield each Param once."""
        for _, param in self.named_params():
            yield param

    def rngs(self) -> Iterator[np.random.Generator]:
        """Yield each random generator once (dropout has one); a checkpoint must keep their states."""
        yield from {id(rng): rng for rng in self._rngs()}.values()

    def _held(self, kind: type) -> Iterator[tuple[str, object]]:
        for attribute, value in vars(self).items():
            for name, item in _items(attribute, value):
                if isinstance(item, kind):
                    yield name, item

    def _named_params(self) -> Iterator[tuple[str, Param]]:
        yield from self._held(Param)
        for name, child in self._held(Layer):
            for inner, param in child._named_params():
                yield f"{name}.{inner}", param

    def _rngs(self) -> Iterator[np.random.Generator]:
        for _, rng in self._held(np.random.Generator):
            yield rng
        for child in self.children():
            yield from child._rngs()

    # Modes and copies; each returns the layer, so that calls can be chained.

    def train(self) -> "Layer":
        """Switch to training mode: forward keeps what backward needs, and dropout drops."""
        return self._set_training(True)

    def eval(self) -> "Layer":
        """Switch to evaluation mode: forward keeps nothing, and dropout returns its input."""
        return self._set_training(False)

    def _set_training(self, training: bool) -> "Layer":
        self.training = training
        self._memory = None
        for child in self.children():
            child._set_training(training)
        return self

    def zero_grad(self) -> "Layer":
        """Clear the gradient of every Param."""
        for param in self.params():
            param.zero_grad()
        return self

    def astype(self, dtype) -> "Layer":
        """Convert every Param to float32 or float64."""
        dtype = checks.float_dtype("dtype", dtype)
        for param in self.params():
            param.astype(dtype)
        return self

    def share(self) -> "Layer":
        """Return a twin with the same Param objects and a memory of its own, for a second use in one step."""
        twin = copy.copy(self)
        twin._memory = None
        for name, value in vars(self).items():
            if any(isinstance(item, Layer) for _, item in _items(name, value)):
                setattr(twin, name, _shared(value))
        return twin


def _items(name: str, value) -> Iterator[tuple[str, object]]:
    """Yield (name, value) or, for a list, a tuple or a dict, ('name.key', item) of its items, at any depth."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)
    else:
        if isinstance(value, (set, frozenset)) and any(isinstance(item, (Layer, Param)) for item in value):
            raise TypeError(f"{name} must be a list, tuple or dict of layers: a set has no order; got {value!r}")
        yield name, value
        return
    for key, item in pairs:
        yield from _items(f"{name}.{key}", item)


def _shared(value):
    """Return the twin of a layer, or a copy of a list, tuple or dict with twins of the layers inside it."""
    if isinstance(value, Layer):
        return value.share()
    if isinstance(value, dict):
        twin = copy.copy(value)
        twin.update((key, _shared(item)) for key, item in value.items())
        return twin
    if isinstance(value, (list, tuple)):
        items = map(_shared, value)
        return value._make(items) if hasattr(value, "_make") else type(value)(items)
    return value


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
