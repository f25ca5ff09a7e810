"""The 49 subjects of subjects.toml, made into what the engine knows of a subject."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...engine.catalogue import SubjectSpec
from .shapes import BirdShape, HumanShape, QuadrupedShape

_TABLES = tomllib.loads((Path(__file__).parents[1] / "subjects.toml").read_text(encoding="utf-8"))
_KINDS: dict[str, type[HumanShape] | type[QuadrupedShape] | type[BirdShape]] = {
    "human": HumanShape,
    "quadruped": QuadrupedShape,
    "bird": BirdShape,
}


def _shape(kind: str, species: str, rows: list[dict[str, Any]]) -> Any:
    """A shape from rows of its fields; colours by name or as numbers."""
    values = dict(_TABLES["proportions"].get(species, {}))
    for row in rows:
        values |= row
    for each in fields(_KINDS[kind]):
        value = values.get(each.name)
        if isinstance(value, str) and str(each.type).startswith("Colour"):
            value = _TABLES["colours"][value]
        if isinstance(value, list):
            values[each.name] = tuple(value)
    return _KINDS[kind](**values)


def _subject(kind: Any, name: str, entry: dict[str, Any]) -> SubjectSpec:
    body = entry["body"]
    shape = _shape(kind, body["species"], entry["shape"])
    if isinstance(shape, HumanShape):
        height = body["height"]
        wide = max(shape.shoulders, 1.1 if shape.skirt in ("dress", "robe") else 1.0)
        radius = round(0.22 * height**0.5 * wide, 3)
    else:
        height, radius = body["size"]
    words = dict(zip(("who", "wearing", "motion_walk", "motion_run"), entry["words"], strict=True))
    walk, run = body["speeds"]
    return SubjectSpec(name, kind, body["species"], words, height, radius, walk, run, shape)


SUBJECTS_BY_NAME = {name: _subject(kind, name, entry) for kind in _KINDS for name, entry in _TABLES[kind].items()}
SUBJECTS = tuple(SUBJECTS_BY_NAME.values())
