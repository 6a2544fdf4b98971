"""An exhibit: a sampler with one fault, where the fault was seen, and the claims that must catch it."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

from stn_ref.conformance.museum.catalogue import CAUGHT_BY
from stn_ref.conformance.subject import Subject


@dataclass(frozen=True)
class Exhibit:
    """One wrong sampler.

    Args:
        name: the name in kebab case.
        fault: what is wrong.
        seen: where the fault was seen.
        telltale: the name of the claim that describes the fault most directly.
        caught_by: the names of exactly those claims that it violates (catalogue.py).
        wrong: the class of samplers, or the spline, that has the fault.
    """

    name: str
    fault: str
    seen: str
    telltale: str
    caught_by: frozenset
    wrong: Callable

    def functions(self) -> dict[str, Callable]:
        """Return the wrong functions by name: forward and backward, or tps."""
        if isinstance(self.wrong, type):
            sampler = self.wrong()
            return {"forward": sampler.forward, "backward": sampler.backward}
        return {"tps": self.wrong}

    def make(self) -> Subject:
        """Return the exhibit as a Subject for the claims."""
        return Subject(**self.functions())

    def source(self) -> str:
        """Return its code without the decorator, which names a claim that catches it."""
        lines = inspect.getsource(self.wrong).splitlines()
        start = next(k for k, line in enumerate(lines) if line.startswith(("class ", "def ")))
        return "\n".join(lines[start:])


def exhibit(telltale: str, *, seen: str) -> Callable:
    """Return a decorator that turns a class of samplers, or a function that is a spline, into an Exhibit."""

    def decorate(wrong) -> Exhibit:
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", wrong.__name__).lower().replace("_", "-")
        caught_by = frozenset(CAUGHT_BY.get(name, "").split())
        return Exhibit(name, " ".join((wrong.__doc__ or name).split()), seen, telltale, caught_by, wrong)

    return decorate
