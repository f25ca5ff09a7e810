"""What worlds are made of, as the engine knows it: scene families and subjects, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ...errors import WorldsError
from .scene import Scene, SceneLayout

Colour = tuple[float, float, float]
"""sRGB, 0..1."""


class SceneFamily(Protocol):
    """One kind of place; the same seed gives the same layout, the same layout the same scene."""

    def layout(self, seed: int) -> SceneLayout:
        """Obstacles, light and words of one scene."""

    def build(self, layout: SceneLayout) -> Scene:
        """Its geometry, textures and light."""


@dataclass(frozen=True)
class SubjectSpec:
    """One of the subjects: what captions call it, its size in metres, its speeds in metres per second."""

    name: str
    kind: Literal["human", "quadruped", "bird"]
    species: str
    words: Mapping[str, str] = field(hash=False)
    height: float
    radius: float
    walk_speed: float
    run_speed: float
    shape: object  # what its body is built from; the builder of its kind knows it


@dataclass(frozen=True)
class Catalogue:
    """Scene families and subjects by name. Their order counts: splits and plans are drawn from it."""

    families: Mapping[str, SceneFamily]
    subjects: Mapping[str, SubjectSpec]

    def layout_scene(self, family: str, seed: int) -> SceneLayout:
        """The layout of one scene; the same family and seed give the same layout.

        Raises:
            WorldsError: no such family, or a seed that is no whole number of at least 0.
        """
        if seed != int(seed) or seed < 0:
            raise WorldsError(f"scene seed {seed!r}: expected a whole number of at least 0")
        return self._family(family).layout(int(seed))

    def build_scene(self, layout: SceneLayout) -> Scene:
        """The full scene of a layout: geometry, textures and light; the same layout gives the same bytes.

        Raises:
            WorldsError: the layout names no known family.
        """
        return self._family(layout.family).build(layout)

    def _family(self, name: str) -> SceneFamily:
        if name not in self.families:
            raise WorldsError(f"no scene family {name!r}: expected one of {', '.join(self.families)}")
        return self.families[name]
