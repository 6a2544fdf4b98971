"""What an exhibit is: a sampler with one fault, where it was seen, and the claims that must catch it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from stn_ref.conformance.museum.catalogue import CAUGHT_BY
from stn_ref.conformance.museum.reference import Reference
from stn_ref.conformance.subject import Subject


@dataclass(frozen=True)
class Exhibit:
    """One wrong sampler.

    Args:
        name: in kebab case.
        fault: what is wrong.
        seen: where.
        telltale: the claim that says most directly what is wrong.
        caught_by: the names of all claims that it breaks, and of no others (catalogue.py).
        make: makes the Subject with the fault.
    """

    name: str
    fault: str
    seen: str
    telltale: str
    caught_by: frozenset
    make: Callable[[], Subject]


def exhibit(telltale: str, *, seen: str) -> Callable:
    """Return a decorator that makes an Exhibit of a class of samplers, or of a function that is a spline.

    Args:
        telltale: the name of the claim that says most directly what is wrong.
        seen: where the fault was seen.
    """

    def decorate(wrong) -> Exhibit:
        def make() -> Subject:
            if isinstance(wrong, type) and issubclass(wrong, Reference):
                sampler = wrong()
                return Subject(sampler.forward, sampler.backward)
            return Subject(tps=wrong)

        name = re.sub(r"(?<!^)(?=[A-Z])", "-", wrong.__name__).lower().replace("_", "-")
        caught_by = frozenset(CAUGHT_BY.get(name, "").split())
        return Exhibit(name, " ".join(wrong.__doc__.split()), seen, telltale, caught_by, make)

    return decorate
