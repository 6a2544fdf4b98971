"""Optimisers: how to update parameters from their gradients. The last file of nn/.

An optimiser holds Params and, for each, arrays of its own (momentum). A learning rate is a number, or a function from
the number of steps made to a number (schedule.py).
"""

import math
from collections.abc import Callable, Iterable

import numpy as np

from stn_ref import checks
from stn_ref.kernels.cpu.threads import parallel, spans, worth_a_thread
from stn_ref.nn.layer import Param

PIECE = 1 << 15  # elements updated at once, so that intermediate results stay in the cache


def listed(params: Iterable[Param]) -> list[Param]:
    """Return the Params as a list; raise TypeError if one is something else, ValueError if there is none.

    >>> from stn_ref import nn
    >>> listed(nn.ReLU().params())
    Traceback (most recent call last):
    ValueError: params must hold at least one Param; got none: does the net have any, and was its params() used before?
    """
    found = list(params)
    for param in found:
        if not isinstance(param, Param):
            raise TypeError(f"params must be Params, as net.params() yields them; got {type(param).__name__}")
    if not found:
        raise ValueError(
            "params must hold at least one Param; got none: does the net have any, and was its params() used before?"
        )
    return found


class Optimiser:
    """Base class of the optimisers: parameters, a count of steps, and a state that can be saved.

    Attributes:
        params: the list of Params.
        lr: a number, or a function from the count of steps to a number.
        steps: the count of steps made.
    """

    slots: tuple = ()  # names of the arrays kept for each Param

    def __init__(self, params: Iterable[Param], lr: float | Callable[[int], float], weight_decay: float):
        self.params = listed(params)
        if len({id(param) for param in self.params}) != len(self.params):
            raise ValueError("params must hold each Param once; got one twice")
        self.lr = lr if callable(lr) else checks.between("lr", lr, 0, math.inf)
        self.weight_decay = checks.between("weight_decay", weight_decay, 0, math.inf)
        self.steps = 0
        self._arrays = {slot: [np.zeros_like(param.value) for param in self.params] for slot in self.slots}

    def zero_grad(self) -> None:
        """Clear the gradient of every Param."""
        for param in self.params:
            param.zero_grad()

    def rate(self) -> float:
        """Return the learning rate of the next step."""
        return self.lr(self.steps) if callable(self.lr) else self.lr

    @np.errstate(all="ignore")
    def step(self) -> None:
        """Update every Param from its gradient: rate lr * lr_scale, weight decay only where `decay` is set."""
        lr = self.rate()
        for param, *arrays in zip(self.params, *self._arrays.values(), strict=True):
            for array in arrays:
                if array.dtype != param.value.dtype:
                    raise TypeError(f"{param} was converted after the optimiser was made; make it after astype()")
            rate = float(lr * param.lr_scale)  # a NumPy float64 would upcast float32
            self._step(param, rate, param.value, param.grad, *arrays)
        self.steps += 1

    def _step(self, param: Param, lr: float, *arrays: np.ndarray) -> None:
        """Update one Param, piece by piece if it is large; arrays are value, g, and those of `slots`."""
        decay = self.weight_decay if param.decay else 0.0
        pieces = [...]  # value[...] is a view of the whole array
        if param.value.size > PIECE and all(array.flags.c_contiguous for array in arrays):
            arrays = [array.reshape(-1) for array in arrays]
            pieces = [slice(*span) for span in spans(param.value.size, -(-param.value.size // PIECE))]

        def update(p):
            value, g, *more = (array[pieces[p]] for array in arrays)
            self._update(value, g + decay * value if decay else g, lr, *more)

        parallel(update, len(pieces), worth_a_thread(PIECE))

    def _update(self, value: np.ndarray, g: np.ndarray, lr: float, *arrays: np.ndarray) -> None:
        """Change `value` and the arrays of `slots` in place, element by element.

        A large Param arrives in flat pieces, on several threads. So the update of one element must not depend on other
        elements (through a norm, for example) or on the shape.
        """
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of everything besides the Params that a step depends on: 'steps', 'momentum.0' and so on."""
        state = {"steps": np.array(self.steps, np.int64)}
        for slot, arrays in self._arrays.items():
            state.update({f"{slot}.{k}": array.copy() for k, array in enumerate(arrays)})
        return state

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Restore what `state` returned; the next steps are then the same to the last bit.

        An error leaves the optimiser unchanged.

        Raises:
            ValueError: names are missing or unknown.
            ShapeError, TypeError: an array does not fit its Param.
        """
        mine = self.state()
        if state.keys() != mine.keys():
            raise ValueError(
                f"state must be that of a {type(self).__name__} with {len(self.params)} Params: "
                f"missing {sorted(mine.keys() - state.keys())}, unknown {sorted(state.keys() - mine.keys())}"
            )
        for name, array in mine.items():
            got = np.asarray(state[name])
            if got.shape != array.shape:
                raise checks.ShapeError(f"state[{name!r}] must have shape {array.shape}; got shape {got.shape}")
            if got.dtype != array.dtype:
                raise TypeError(f"state[{name!r}] must be {array.dtype}; got {got.dtype}")
        self.steps = int(state["steps"])
        for slot, arrays in self._arrays.items():
            for k, array in enumerate(arrays):
                array[...] = state[f"{slot}.{k}"]


class SGD(Optimiser):
    """Stochastic gradient descent with momentum.

        g <- g + weight_decay * w;   v <- momentum * v + g;   w <- w - lr * v

    With Nesterov's momentum the last step is w <- w - lr (g + momentum * v).

    Args:
        params: the Params, as net.params() yields them.
        lr: a number, or a function from the count of steps to a number.
        momentum: 0 for none.
        nesterov: use Nesterov's momentum; needs a momentum above 0.
        weight_decay: factor of w in the gradient, for Params with `decay`.

    Raises:
        TypeError: an element of params is not a Param, or an argument is not a number.
        ValueError: there is no Param, one occurs twice, a number is out of range, or nesterov is used without momentum.

    Source: as torch.optim.SGD defines it (dampening 0); v does not contain lr, unlike in Sutskever et al. 2013.
    """

    slots = ("momentum",)

    def __init__(
        self,
        params: Iterable[Param],
        lr: float | Callable[[int], float],
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        self.momentum = checks.between("momentum", momentum, 0, 1)
        self.nesterov = nesterov
        if nesterov and not momentum:
            raise ValueError("nesterov needs a momentum above 0; got momentum=0")
        self.slots = SGD.slots if momentum else ()
        super().__init__(params, lr, weight_decay)

    def _update(self, value, g, lr, v=None):
        if v is None:
            value -= lr * g
            return
        v *= self.momentum
        v += g
        value -= lr * (g + self.momentum * v if self.nesterov else v)


class Adam(Optimiser):
    """Adam: steps of about lr, for gradients of any scale.

        g <- g + weight_decay * w;   m <- m + (1 - beta1) (g - m);   v <- beta2 v + (1 - beta2) g^2
        w <- w - lr m^ / (sqrt(v^) + eps),   m^ = m / (1 - beta1^t),   v^ = v / (1 - beta2^t),   t = 1, 2, ...

    Args:
        params: the Params, as net.params() yields them.
        lr: a number, or a function from the count of steps to a number.
        betas: decay rates of the two averages.
        eps: added to the denominator, which keeps the quotient finite.
        weight_decay: factor of w in the gradient, for Params with `decay`.

    Raises:
        TypeError: an element of params is not a Param, or an argument is not a number.
        ValueError: a Param occurs twice, or a number is out of range.

    Source: Kingma & Ba 2015, Algorithm 1; weight decay as in torch.optim.Adam (not AdamW).
    """

    slots = ("m", "v")

    def __init__(
        self,
        params: Iterable[Param],
        lr: float | Callable[[int], float] = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        self.betas = tuple(checks.between("betas", beta, 0, math.nextafter(1, 0)) for beta in betas)
        self.eps = checks.between("eps", eps, 0, math.inf)
        super().__init__(params, lr, weight_decay)

    def _update(self, value, g, lr, m, v):
        beta1, beta2 = self.betas
        t = self.steps + 1
        scratch = np.subtract(g, m, out=np.empty_like(m))  # an array even for a Param without axes
        scratch *= 1 - beta1
        m += scratch
        np.multiply(g, g, out=scratch)
        scratch *= 1 - beta2
        v *= beta2
        v += scratch
        np.sqrt(v, out=scratch)
        scratch /= math.sqrt(1 - beta2**t)
        scratch += self.eps
        np.divide(m, scratch, out=scratch)
        scratch *= lr / (1 - beta1**t)
        value -= scratch


@np.errstate(all="ignore")
def clip_grad_norm(params: Iterable[Param], max_norm: float) -> float:
    """Scale all gradients together so that their joint length is at most `max_norm`.

        g <- g * min(1, max_norm / (norm + 1e-6)),   norm = sqrt(sum over all gradients of g^2)

    Args:
        params: the Params; their gradients are changed in place.
        max_norm: the largest length allowed.

    Returns:
        norm: the joint length before scaling.

    Raises:
        TypeError: an element of params is not a Param.
        ValueError: there is no Param, or max_norm is negative or NaN.

    Source: Pascanu et al. 2013; the 1e-6 is from torch.nn.utils.clip_grad_norm_.
    """
    max_norm = checks.between("max_norm", max_norm, 0, math.inf)
    params = listed(params)
    norm = math.sqrt(sum(float(np.square(param.grad, dtype=np.float64).sum()) for param in params))
    factor = max_norm / (norm + 1e-6)
    if factor < 1:
        for param in params:
            param.grad *= factor
    return norm
