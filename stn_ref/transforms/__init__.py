"""Transform families: theta -> a map of the plane, from target to source, in normalised coordinates.

Properties that a family preserves, measured in pixels. It also preserves what the families below it preserve:

>>> for name, K, *kept in hierarchy():
...     print(f"{name:12}{K:2}  ", ", ".join(p for p, yes in zip(PROPERTIES, kept, strict=True) if yes) or "-")
translation  2   lengths, angles, parallelism, straight lines
rigid        3   lengths, angles, parallelism, straight lines
attention    3   angles, parallelism, straight lines
similarity   4   angles, parallelism, straight lines
affine       6   parallelism, straight lines
projective   8   straight lines
tps         32   -

Reads: base.py. Read next: affine.py and attention.py, Eqs. (1) and (2); similarity.py, rigid.py, projective.py, tps.py;
composition.py, two maps in sequence; then grid.py.
"""

from stn_ref import checks
from stn_ref.transforms.affine import Affine
from stn_ref.transforms.attention import Attention
from stn_ref.transforms.base import PROPERTIES, Transform
from stn_ref.transforms.composition import Composition
from stn_ref.transforms.projective import Projective
from stn_ref.transforms.rigid import Rigid
from stn_ref.transforms.similarity import Similarity
from stn_ref.transforms.tps import ThinPlateSpline
from stn_ref.transforms.translation import Translation

FAMILIES = {
    family.name: family for family in (Translation, Rigid, Attention, Similarity, Affine, Projective, ThinPlateSpline)
}  # from few to many degrees of freedom

__all__ = [
    "FAMILIES",
    "PROPERTIES",
    "Affine",
    "Attention",
    "Composition",
    "Projective",
    "Rigid",
    "Similarity",
    "ThinPlateSpline",
    "Transform",
    "Translation",
    "get",
    "hierarchy",
]


def get(name: str, **options) -> Transform:
    """Return the transform family `name`, made with the options of its class; ValueError if the name is unknown.

    >>> get("attention", scale=0.5)
    Attention(scale=0.5)
    """
    checks.one_of("transform", name, FAMILIES)
    return FAMILIES[name](**options)


def hierarchy() -> list[tuple]:
    """Return one row per family: its name, its K, and whether it preserves each of PROPERTIES.

    >>> hierarchy()[-2]
    ('projective', 8, False, False, False, True)
    """
    return [(name, get(name).K, *(p in family.preserves for p in PROPERTIES)) for name, family in FAMILIES.items()]
