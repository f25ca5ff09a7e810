"""Things that stand in scenes. Every public function of these modules draws one kind of obstacle, by its name.

Each draws about the origin of the mesh's current frame, inside the obstacle's half extents and height.
"""

from __future__ import annotations

from ..drawn import public_functions
from . import buildings, country, leisure, plants, street, works
from .base import Prop

_MODULES = (street, plants, buildings, country, leisure, works)
_PROPS: dict[str, Prop] = {}
for _module in _MODULES:
    _PROPS |= public_functions(_module.__name__, vars(_module))


def prop_named(kind: str) -> Prop:
    """What draws obstacles of this kind: a "café table" is drawn by ``cafe_table``."""
    return _PROPS[kind.translate(str.maketrans(" -é", "__e"))]
