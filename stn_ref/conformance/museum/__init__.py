"""A museum of wrong samplers: each is the right one of reference.py with one fault, and says which claims catch it.

Faults that were met in the wild, made small enough to be read. "Find the fault with the claims" is a good exercise;
that every exhibit is caught is how we know that the claims can fail. Each can be named on the command line:

    stn-ref check stn_ref.conformance.museum:left_kink --backward stn_ref.conformance.museum:left_kink_backward
"""

from collections.abc import Callable

from stn_ref.conformance.museum import backward, forward, manners, splines
from stn_ref.conformance.museum.exhibit import Exhibit
from stn_ref.conformance.museum.reference import Reference

ROOMS = (forward, backward, manners, splines)

EXHIBITS: dict[str, Exhibit] = {
    thing.name: thing for room in ROOMS for thing in vars(room).values() if isinstance(thing, Exhibit)
}


def __getattr__(name: str) -> Callable:
    """Return an exhibit's sampler or spline, or with "_backward" after its name its backward."""
    exhibit = EXHIBITS.get(name.removesuffix("_backward").replace("_", "-"))
    kind = "backward" if name.endswith("_backward") else "forward"
    functions = {} if exhibit is None else exhibit.functions()
    if kind in functions or "tps" in functions:
        return functions.get(kind) or functions["tps"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["EXHIBITS", "ROOMS", "Exhibit", "Reference"]
