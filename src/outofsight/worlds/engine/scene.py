"""Scenes, independent of any renderer: a light layout for planning, and the full geometry made from it.

Frame of reference: right-handed, z up, metres; x east, y north. The ground lies near z = 0. Colours are sRGB
floats 0..1 everywhere; a renderer linearises them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .terrain import terrain_height


@dataclass(frozen=True)
class Obstacle:
    """An upright box (centre, half extents, rotation in radians about z, height) that tracks keep clear of.

    kind is a word for captions ("bench", "oak", "house").
    """

    x: float
    y: float
    half_x: float
    half_y: float
    angle: float
    height: float
    kind: str


@dataclass(frozen=True)
class SceneLayout:
    """All that planning needs to know of a scene.

    stage: (x0, y0, x1, y1), free ground for cameras and subjects, but for the obstacles inside it. light: one
    word. words: pieces for captions, at least "place" and "light". params: the family's own numbers.
    """

    family: str
    seed: int
    stage: tuple[float, float, float, float]
    obstacles: tuple[Obstacle, ...]
    light: str
    words: Mapping[str, str]
    params: Mapping[str, Any]


@dataclass(eq=False)
class Surface:
    """Static geometry, merged into one draw.

    positions, normals, colours: [V,3] float32; uvs: [V,2] float32; layers: [V] int32, index into the scene's
    textures, -1 for plain colour; faces: [T,3] int32, counter-clockwise from outside. A texel multiplies the
    vertex colour. glow: [V] float32, light that a surface gives off itself (lit windows).
    """

    positions: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    uvs: np.ndarray
    layers: np.ndarray
    faces: np.ndarray
    glow: np.ndarray


@dataclass(eq=False)
class PointLight:
    """A lamp: position [3] metres, colour (linear, scaled by strength) [3], reach in metres."""

    position: np.ndarray
    colour: np.ndarray
    reach: float


@dataclass(eq=False)
class Scene:
    """A world ready to be rendered.

    textures: [L,256,256,3] uint8 sRGB, tileable. sun: unit vector towards the sun. sun_colour and ambient are
    strengths in linear light (may exceed 1); sky_top, sky_horizon, fog_colour are sRGB 0..1; fog_density per metre.
    clouds: share of the sky they cover, 0..1. lamps: at most 8.
    """

    layout: SceneLayout
    surface: Surface
    textures: np.ndarray
    sun: np.ndarray
    sun_colour: np.ndarray
    sky_top: np.ndarray
    sky_horizon: np.ndarray
    ambient: np.ndarray
    fog_density: float
    fog_colour: np.ndarray
    clouds: float = 0.4
    lamps: tuple[PointLight, ...] = ()


def ground_height(layout: SceneLayout, xy: np.ndarray) -> np.ndarray:
    """Height of the ground in metres: xy [..., 2] -> [...]; 0 where the family is flat."""
    return terrain_height(layout.params.get("terrain"), np.asarray(xy, dtype=np.float64))
