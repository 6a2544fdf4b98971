"""The functions under test: find them by name, call them with the options they accept, check the shapes of results.

Read next: claims/.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from stn_ref.conformance.claim import NotOffered, Violated

DEFAULTS = {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False}


@dataclass(frozen=True)
class Spec:
    """The names of the functions under test, each "module:function" or "path/to/file.py:function".

    Args:
        sampler: F(U, grid, *, mode, padding_mode, align_corners) -> V.
        backward: G(U, grid, gV, *, mode, padding_mode, align_corners) -> (gU, ggrid).
        tps: S(control_points, destinations, xy) -> the thin-plate spline at xy.
    """

    sampler: str | None = None
    backward: str | None = None
    tps: str | None = None

    def __post_init__(self):
        names = [name for name in (self.sampler, self.backward, self.tps) if name is not None]
        if not names:
            raise ValueError("nothing to check: give a sampler, a backward or a tps")
        for name in names:
            module, colon, function = name.rpartition(":")
            if not (module and colon and function.isidentifier()):
                raise ValueError(f"a function is named 'module:function' or 'path/to/file.py:function'; got {name!r}")


def find(name: str) -> Callable:
    """Return the function that "module:function" or "path/to/file.py:function" names.

    Raises:
        ImportError: the module cannot be imported; the message says why.
        ValueError: the module has no function of this name.
    """
    place, _, function = name.rpartition(":")
    try:
        if place.endswith(".py"):
            module = _import_file(Path(place))
        else:
            module = importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise ImportError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise ValueError(f"{place} has no function {function!r}")
    return found


def _import_file(path: Path):
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    name = path.stem
    if name in sys.modules and Path(getattr(sys.modules[name], "__file__", None) or "") == path.resolve():
        return sys.modules[name]  # sampler and backward in one file are one module
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # so that it can import its neighbours, as a script can
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Subject:
    """The functions under test.

    Args:
        forward: F(U, grid, *, mode, padding_mode, align_corners) -> V, or None.
        backward: G(U, grid, gV, *, mode, padding_mode, align_corners) -> (gU, ggrid), or None.
        tps: S(control_points (P, 2), destinations (P, 2), xy (Q, 2)) -> (Q, 2), or None.

    A call raises NotOffered if the function does not accept an option, or refuses its value with ValueError or
    NotImplementedError. Bilinear sampling with zeros must be offered for at least one value of align_corners: otherwise
    the function's own error is raised.
    """

    def __init__(self, forward: Callable | None = None, backward: Callable | None = None, tps: Callable | None = None):
        self._functions = {"forward": forward, "backward": backward, "tps": tps}
        self._accepted = {kind: _keywords(function) for kind, function in self._functions.items()}
        self._refusals: dict[tuple, str | None] = {}
        self.called: dict = {}  # the options of the last call, for the verdict

    @classmethod
    def from_spec(cls, spec: Spec) -> "Subject":
        """Return the subject with the functions named in `spec`; raise ImportError or ValueError if one is missing."""
        names = (spec.sampler, spec.backward, spec.tps)
        return cls(*(None if name is None else find(name) for name in names))

    def call(self, kind: str, *arrays: np.ndarray, **options):
        """Return the unchecked result of the function, called with the arrays themselves, not with copies."""
        function = self._functions[kind]
        if function is None:
            raise NotOffered(f"no {'sampler' if kind == 'forward' else kind} was given")
        accepted = self._accepted[kind]
        for name, value in options.items():
            if name not in accepted and value != DEFAULTS[name]:
                raise NotOffered(f"there is no keyword {name}")
        self.called = options
        try:
            return function(*arrays, **{name: value for name, value in options.items() if name in accepted})
        except NotImplementedError as error:
            raise NotOffered(f"{_told(options)}: {error}") from error

    def require(self, kind: str, **options) -> None:
        """Raise NotOffered if the function does not accept these options; each combination is tried only once."""
        options = {**DEFAULTS, **options}
        refusal = self._refusal(kind, options)
        if refusal is not None:
            raise NotOffered(refusal)

    def offered(self, kind: str = "forward", **choices) -> Iterator[dict]:
        """Yield every combination of options that the function accepts; raise NotOffered if none is accepted.

        Args:
            kind: "forward", or "backward": then both functions must accept the options.
            choices: the values to try for each option; an omitted option has its default.
        """
        choices = {**{name: (value,) for name, value in DEFAULTS.items()}, **choices}
        refusals = []
        for values in product(*choices.values()):
            options = dict(zip(choices, values, strict=True))
            try:
                if kind == "backward" and self._functions["backward"] is None:
                    self.call("backward")
                for needed in ("forward", kind):
                    self.require(needed, **options)
            except NotOffered as error:
                refusals.append(str(error))
            else:
                yield options
        if len(refusals) == np.prod([len(values) for values in choices.values()]):
            raise NotOffered(refusals[0])

    def _refusal(self, kind: str, options: dict) -> str | None:
        key = (kind, *options.values())
        if key not in self._refusals:
            self._refusals[key] = self._try(kind, options)
        return self._refusals[key]

    def _try(self, kind: str, options: dict) -> str | None:
        """Return None if the function accepts a simple call with these options, else the reason for its refusal."""
        arrays = (np.ones((1, 1, 4, 5)), np.full((1, 1, 1, 2), 0.1), np.ones((1, 1, 1, 1)))
        try:
            self.call(kind, *arrays[: 2 if kind == "forward" else 3], **options)
        except NotOffered as error:
            return str(error)
        except (ValueError, TypeError) as error:
            if isinstance(error, TypeError) and "unexpected keyword" not in str(error):
                raise
            if (options["mode"], options["padding_mode"]) == ("bilinear", "zeros") and not options["align_corners"]:
                other = {**options, "align_corners": True}
                if self._refusal(kind, other) is not None:
                    raise
            return f"{_told(options)}: {error}"
        return None

    def forward(self, U: np.ndarray, grid: np.ndarray, **options) -> np.ndarray:
        """Return V for copies of U and grid; raise Violated unless it is a float array of shape (N, C, Ho, Wo)."""
        self.require("forward", **options)
        V = self.call("forward", U.copy(), grid.copy(), **{**DEFAULTS, **options})
        return _array("V", V, (*U.shape[:2], *grid.shape[1:3]))

    def backward(self, U: np.ndarray, grid: np.ndarray, gV: np.ndarray, **options) -> tuple[np.ndarray, np.ndarray]:
        """Return (gU, ggrid) for copies of the arrays; raise Violated unless they have the shapes of U and grid."""
        if self._functions["backward"] is not None:
            self.require("backward", **options)
        answer = self.call("backward", U.copy(), grid.copy(), gV.copy(), **{**DEFAULTS, **options})
        if not (isinstance(answer, (tuple, list)) and len(answer) == 2):
            raise Violated(f"backward must return (gU, ggrid); got {type(answer).__name__}")
        return _array("gU", answer[0], U.shape), _array("ggrid", answer[1], grid.shape)

    def tps(self, control_points: np.ndarray, destinations: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Return the spline through destinations at control_points, evaluated at xy: (Q, 2)."""
        answer = self.call("tps", control_points.copy(), destinations.copy(), xy.copy())
        return _array("the spline", answer, xy.shape)


def _keywords(function: Callable | None) -> frozenset:
    """Return the options that a function accepts; all of them if its signature cannot be read."""
    if function is None:
        return frozenset()
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return frozenset(DEFAULTS)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return frozenset(DEFAULTS)
    return frozenset(DEFAULTS) & frozenset(parameters)


def _told(options: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "as called"


def _array(name: str, array, shape: tuple) -> np.ndarray:
    if not isinstance(array, np.ndarray):
        raise Violated(f"{name} must be a NumPy array; got {type(array).__name__}")
    if array.dtype.kind != "f":
        raise Violated(f"{name} must hold floating-point numbers; got {array.dtype}")
    if array.shape != tuple(shape):
        raise Violated(f"{name} must have shape {tuple(shape)}; got {array.shape}")
    return array
