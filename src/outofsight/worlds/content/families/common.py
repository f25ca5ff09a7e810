"""What all scene families share: placing things, light, ground, and turning a layout into a scene."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, pi, sin
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ...engine.geometry import MeshBuilder, Pair
from ...engine.scene import Obstacle, PointLight, Scene, SceneLayout
from ...engine.terrain import terrain_height
from ..props import prop_named
from ..props.base import Prop
from ..textures import texture

Stage = tuple[float, float, float, float]
Kinds = str | Sequence[str]


@dataclass(frozen=True)
class Light:
    """A time of day. elevation: degrees of the sun, from and to; sun and ambient in linear light."""

    elevation: Sequence[float]
    sun: Sequence[float]
    ambient: Sequence[float]
    top: Sequence[float]
    horizon: Sequence[float]
    clouds: float
    words: Sequence[str]


_TABLES = tomllib.loads((Path(__file__).parents[1] / "scenes.toml").read_text(encoding="utf-8"))
LIGHTS = {name: Light(**numbers) for name, numbers in _TABLES["lights"].items()}
# half extents and heights of what comes in one size, whatever size a family scatters
SIZES: dict[str, tuple[float, float, float, float]] = _TABLES["sizes"]


class Plan:
    """Obstacles placed one after another without getting into one another's way."""

    def __init__(self, rng: Random, stage: Stage) -> None:
        self.rng = rng
        self.stage = stage
        self.obstacles: list[Obstacle] = []
        self._reaches: list[tuple[Obstacle, float, float, float]] = []  # with place and half extents summed
        self.params: dict[str, object] = {}
        self.uniform = rng.uniform

    def sign(self) -> int:
        return self.rng.choice([-1, 1])

    def quarter(self) -> float:
        """A turn by whole right angles, radians."""
        return self.rng.randrange(4) * pi / 2

    def add(self, kind: str, x: float, y: float, half: Pair, height: float, angle: float = 0.0) -> None:
        self.obstacles.append(Obstacle(x, y, half[0], half[1], angle, height, kind))
        self._reaches.append((self.obstacles[-1], x, y, half[0] + half[1]))

    def clear(self, x: float, y: float, radius: float, gap: float) -> bool:
        room = radius + gap
        for o, ox, oy, reach in self._reaches:
            dx, dy = x - ox, y - oy
            far = reach + room
            if dx * dx + dy * dy > far * far:
                continue
            c, s = cos(o.angle), sin(o.angle)
            # distance to the turned box
            across = max(abs(dx * c + dy * s) - o.half_x, 0.0)
            along = max(abs(dy * c - dx * s) - o.half_y, 0.0)
            if across * across + along * along < room * room:
                return False
        return True

    def scatter(
        self,
        kind: Kinds,
        count: int,
        half: Pair,
        height: Pair,
        *,
        gap: float = 2.2,
        area: Stage | None = None,
        beyond: float = 0.0,
        square: bool = False,
    ) -> None:
        """Up to ``count`` things at random places in ``area`` (the stage), each ``gap`` metres from all others.

        beyond: instead, in a band of that width round the stage. square: turned by quarter turns only.
        """
        rng = self.rng
        x0, y0, x1, y1 = area or self.stage
        if beyond:
            x0, y0, x1, y1 = x0 - beyond, y0 - beyond, x1 + beyond, y1 + beyond
        sx0, sy0, sx1, sy1 = self.stage
        for _ in range(count):
            name = kind if isinstance(kind, str) else rng.choice(kind)
            half_x, half_y, *span = SIZES.get(name, (*half, *height))
            radius = max(half_x, half_y)
            margin = radius + 0.3
            for _ in range(8):
                x, y = rng.uniform(x0 + margin, x1 - margin), rng.uniform(y0 + margin, y1 - margin)
                if beyond and sx0 - radius < x < sx1 + radius and sy0 - radius < y < sy1 + radius:
                    continue
                if self.clear(x, y, radius, gap):
                    angle = self.quarter() if square else rng.uniform(0, 2 * pi)
                    self.add(name, x, y, (half_x, half_y), rng.uniform(*span), angle)
                    break

    def row(
        self,
        kind: Kinds,
        start: Pair,
        end: Pair,
        size: Pair,
        depth: float,
        height: Pair,
        *,
        gap: float = 0,
        skip: float = 0,
    ) -> None:
        """Buildings side by side from start to end, fronts (their -y) on that line, to the right of its direction.

        size: least and greatest width. gap: between them. skip: the chance that one is left out.
        """
        rng = self.rng
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = (dx * dx + dy * dy) ** 0.5
        dx, dy = dx / length, dy / length
        angle = float(np.arctan2(dy, dx))
        at = 0.0
        while at < length - 0.6 * size[0]:
            width = min(rng.uniform(*size), max(length - at, size[0]))
            middle = at + width / 2
            name = kind if isinstance(kind, str) else rng.choice(kind)
            if rng.random() >= skip:
                # the front looks to -y of the turned frame; the body lies on its +y side
                x, y = start[0] + dx * middle - dy * depth / 2, start[1] + dy * middle + dx * depth / 2
                self.add(name, x, y, (width / 2, depth / 2), rng.uniform(*height), angle)
            at += width + gap

    def around(
        self,
        kind: Kinds,
        size: Pair,
        depth: float,
        height: Pair,
        *,
        out: float = 0.5,
        gap: float = 0.0,
        skip: float = 0.0,
        sides: str = "nesw",
    ) -> None:
        """Rows on the given sides of the stage, fronts facing it."""
        x0, y0, x1, y1 = self.stage
        x0, y0, x1, y1 = x0 - out, y0 - out, x1 + out, y1 + out
        ends = {
            "n": ((x0, y1), (x1, y1)),
            "e": ((x1, y1), (x1, y0)),
            "s": ((x1, y0), (x0, y0)),
            "w": ((x0, y0), (x0, y1)),
        }
        for side in sides:
            self.row(kind, *ends[side], size, depth, height, gap=gap, skip=skip)


Fill = Callable[[Plan], None]
Ground = Callable[[MeshBuilder, SceneLayout, Random], None]


@dataclass(frozen=True)
class Family:
    """One kind of place. fill puts obstacles on the plan; ground draws everything that is no obstacle. half: least and
    greatest half extents of the stage in x and in y, metres. props: what this family draws in a way of its own."""

    name: str
    fill: Fill
    ground: Ground
    places: Sequence[str]
    lights: Sequence[str]
    half: Sequence[Sequence[float]]
    fog: float = 0.0024
    props: Mapping[str, Prop] = field(default_factory=dict)
    lamps: Callable[[SceneLayout], tuple[PointLight, ...]] | None = None

    def layout(self, seed: int) -> SceneLayout:
        rng = Random(f"{self.name}/{seed}")
        half_x, half_y = (round(rng.uniform(*span), 1) for span in self.half)
        plan = Plan(rng, (-half_x, -half_y, half_x, half_y))
        plan.params["azimuth"] = rng.uniform(0, 2 * pi)
        plan.params["tint"] = tuple(rng.uniform(0.88, 1.08) for _ in "rgb")
        light = rng.choice(self.lights)
        self.fill(plan)
        low, high = LIGHTS[light].elevation
        plan.params["elevation"] = rng.uniform(low, high) * pi / 180
        words = {"place": rng.choice(self.places), "light": rng.choice(LIGHTS[light].words)}
        return SceneLayout(self.name, seed, plan.stage, tuple(plan.obstacles), light, words, plan.params)

    def build(self, layout: SceneLayout) -> Scene:
        rng = Random(f"{self.name}/{layout.seed}/build")
        mesh = MeshBuilder()
        self.ground(mesh, layout, rng)
        terrain = layout.params.get("terrain")
        spots = np.array([[o.x, o.y] for o in layout.obstacles]).reshape(-1, 2)
        heights = terrain_height(terrain, spots)
        for obstacle, z in zip(layout.obstacles, heights, strict=True):
            prop = self.props.get(obstacle.kind) or prop_named(obstacle.kind)
            with mesh.at(obstacle.x, obstacle.y, float(z), obstacle.angle):
                prop(mesh, rng, obstacle)
        return _lit(mesh, layout, self.fog, self.lamps(layout) if self.lamps else ())


def family(name: str, fill: Fill, ground: Ground, **more: Any) -> Family:
    """The family of this name, with its words and numbers from scenes.toml; more: as Family has it."""
    return Family(name, fill, ground, **_TABLES["families"][name], **more)


def _lit(mesh: MeshBuilder, layout: SceneLayout, fog: float, lamps: tuple[PointLight, ...]) -> Scene:
    light = LIGHTS[layout.light]
    azimuth, elevation = layout.params["azimuth"], layout.params["elevation"]
    sun = np.array([cos(elevation) * cos(azimuth), cos(elevation) * sin(azimuth), sin(elevation)], dtype=np.float32)
    horizon = np.array(light.horizon, dtype=np.float32)
    return Scene(
        layout=layout,
        surface=mesh.finish(),
        textures=np.stack([texture(name) for name in mesh.textures]),
        sun=sun,
        sun_colour=np.array(light.sun, dtype=np.float32),
        sky_top=np.array(light.top, dtype=np.float32),
        sky_horizon=horizon,
        ambient=np.array(light.ambient, dtype=np.float32),
        fog_density=fog * (1.5 if layout.light == "overcast" else 1.0),
        fog_colour=horizon,
        clouds=light.clouds,
        lamps=lamps,
    )
