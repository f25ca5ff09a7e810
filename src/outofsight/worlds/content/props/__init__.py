"""Things that stand in scenes. Every public function of these modules draws one kind of obstacle, by its name.

Each draws about the origin of the mesh's current frame, inside the obstacle's half extents and height.
"""

from __future__ import annotations

from types import FunctionType, ModuleType

from . import buildings, country, leisure, plants, street, works
from .base import Prop


def _props(module: ModuleType) -> dict[str, Prop]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value.__module__ == module.__name__ and not name.startswith("_")
    }


_MODULES = (street, plants, buildings, country, leisure, works)
_PROPS = {name: prop for module in _MODULES for name, prop in _props(module).items()}


def prop_named(kind: str) -> Prop:
    """What draws obstacles of this kind: a "café table" is drawn by ``cafe_table``."""
    return _PROPS[kind.translate(str.maketrans(" -é", "__e"))]
