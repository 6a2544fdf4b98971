"""The mini autodiff: a layer is a forward and a backward that stand next to each other.

    y  = layer.forward(x)      # keeps what backward needs
    gx = layer.backward(gy)    # adds to each Param.grad, returns the gradient of the input

There is no tape and no graph: a net is a list of layers, and the chain rule is that list read backwards
(`Sequential.backward`). Read next: linear.py, activation.py.
"""

import contextlib
import copy
from collections.abc import Iterator

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

    def astype(self, dtype) -> None:
        """Convert value and gradient. Twins made by `share()` hold the same Param, so they see the change."""
        dtype = checks.float_dtype("dtype", dtype)
        self.value = self.value.astype(dtype)
        self.grad = self.grad.astype(dtype)

    def __repr__(self) -> str:
        return f"Param(shape={self.value.shape}, dtype={self.value.dtype})"


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
    UsageError.
    """

    training = True
    _memory = None

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
            self._memory = ([(out.shape, out.dtype) for out in (y if isinstance(y, tuple) else (y,))], memory)
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
        """Return (gy, memory) and clear the memory; gy must match the output of forward, and None means zero."""
        if self._memory is None:
            raise checks.UsageError(
                f"{type(self).__name__}.backward needs a forward in training mode before it, once for each backward."
            )
        outputs, memory = self._memory
        gys = gy if isinstance(gy, tuple) else (gy,)
        if len(gys) != len(outputs):
            raise ValueError(
                f"{type(self).__name__}.backward takes one gradient for each output of forward: "
                f"expected {len(outputs)}, got {len(gys)}"
            )
        gys = tuple(cotangent(g, *out) for g, out in zip(gys, outputs, strict=True))
        self._memory = None
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
        """Yield the layers held as attributes, directly or in a list or tuple, in the order of assignment."""
        for _, child in self._held(Layer):
            yield child

    def named_params(self) -> Iterator[tuple[str, Param]]:
        """Yield (name, Param), each Param once; names like 'layers.0.W' are the keys of a checkpoint."""
        first = {}
        for name, param in self._named_params():
            first.setdefault(id(param), (name, param))
        yield from first.values()

    def params(self) -> Iterator[Param]:
        """Yield each Param once."""
        for _, param in self.named_params():
            yield param

    def rngs(self) -> Iterator[np.random.Generator]:
        """Yield each random generator once (dropout has one); a checkpoint must keep their states."""
        yield from {id(rng): rng for rng in self._rngs()}.values()

    def _held(self, kind: type) -> Iterator[tuple[str, object]]:
        for name, value in vars(self).items():
            if isinstance(value, kind):
                yield name, value
            elif isinstance(value, (list, tuple)) and name != "_memory":
                for k, item in enumerate(value):
                    if isinstance(item, kind):
                        yield f"{name}.{k}", item

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
            if isinstance(value, Layer):
                setattr(twin, name, value.share())
            elif isinstance(value, (list, tuple)) and any(isinstance(item, Layer) for item in value):
                setattr(twin, name, type(value)(v.share() if isinstance(v, Layer) else v for v in value))
        return twin


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
            for layer in self.layers:
                x = layer.forward(x)
        return x

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return the gradient of the input. Without `needs`, skip the layers before the first Param and return None."""
        with_params = (k for k, layer in enumerate(self.layers) if any(True for _ in layer.params()))
        first = 0 if needs else next(with_params, len(self.layers))
        for k in range(len(self.layers) - 1, first - 1, -1):
            gy = self.layers[k].backward(gy, needs=needs or k > first)
        for layer in self.layers[:first]:
            layer.forget()
        return gy if needs else None
