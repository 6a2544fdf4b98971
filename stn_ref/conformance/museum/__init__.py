"""A museum of wrong samplers: the correct one of reference.py with one fault each, and the claims that catch the fault.

The faults come from real code and are reduced to a few lines. "Find the fault with the claims" is a good exercise. A
test requires that every exhibit is caught, which proves that the claims can fail. On the command line:

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
    """Return the sampler or spline of the exhibit `name`, or its backward if `name` ends in "_backward"."""
    exhibit = EXHIBITS.get(name.removesuffix("_backward").replace("_", "-"))
    kind = "backward" if name.endswith("_backward") else "forward"
    functions = {} if exhibit is None else exhibit.functions()
    if kind in functions or "tps" in functions:
        return functions.get(kind) or functions["tps"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["EXHIBITS", "ROOMS", "Exhibit", "Reference"]
