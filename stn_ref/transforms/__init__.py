"""Transform families: theta -> a map of the plane, from target to source, in normalised coordinates."""

from stn_ref import checks
from stn_ref.transforms.affine import Affine
from stn_ref.transforms.attention import Attention
from stn_ref.transforms.base import Transform

FAMILIES = {"affine": Affine, "attention": Attention}

__all__ = ["FAMILIES", "Affine", "Attention", "Transform", "get"]


def get(name: str, **options) -> Transform:
    """Return the transform family of that name; options are those of its class, such as scale=0.5 for attention."""
    checks.one_of("transform", name, FAMILIES)
    return FAMILIES[name](**options)
