"""A museum of wrong samplers: each is the right one of reference.py with one fault, and says which claims catch it.

Faults that were met in the wild, made small enough to be read. "Find the fault with the claims" is a good exercise;
that every exhibit is caught is how we know that the claims can fail.
"""

from stn_ref.conformance.museum import backward, forward, manners, splines
from stn_ref.conformance.museum.exhibit import Exhibit
from stn_ref.conformance.museum.reference import Reference

ROOMS = (forward, backward, manners, splines)

EXHIBITS: dict[str, Exhibit] = {
    thing.name: thing for room in ROOMS for thing in vars(room).values() if isinstance(thing, Exhibit)
}

__all__ = ["EXHIBITS", "ROOMS", "Exhibit", "Reference"]
