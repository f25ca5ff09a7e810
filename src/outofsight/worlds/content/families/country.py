"""Open country: park, forest, desert, snow, fields."""

from __future__ import annotations

from math import cos, pi, sin
from random import Random

import numpy as np

from ...engine.geometry import Colour, MeshBuilder, Pair
from ...engine.scene import SceneLayout
from ...engine.terrain import terrain_height
from ..props.base import WOOD
from ..props.country import brown_cabin
from .common import Plan, family
from .ground import gentle, hills, path, wide_ground


def _fence(
    m: MeshBuilder, layout: SceneLayout, start: Pair, end: Pair, height: float = 1.1, tone: Colour = WOOD
) -> None:
    """Posts and two rails that follow the ground."""
    a, b = np.array(start), np.array(end)
    n = max(2, round(float(np.linalg.norm(b - a)) / 2.6))
    spots = a + (b - a) * np.linspace(0, 1, n + 1)[:, None]
    z = terrain_height(layout.params.get("terrain"), spots)
    for i in range(n + 1):
        m.box([*spots[i], z[i] - 0.3], [0.13, 0.13, height + 0.3], tone, "planks", 1.0)
        if i < n:
            for share in (0.45, 0.85):
                m.beam([*spots[i], z[i] + share * height], [*spots[i + 1], z[i + 1] + share * height], 0.1, tone)


def _winding(seed: int, half: float, turn: float, sway: float) -> np.ndarray:
    rng = Random(f"path/{seed}")
    s = np.linspace(-half, half, 36)
    w = sway * np.sin(s * rng.uniform(0.09, 0.14) + rng.uniform(0, 6)) + rng.uniform(-2, 2)
    return np.stack([s * cos(turn) - w * sin(turn), s * sin(turn) + w * cos(turn)], axis=1)


def _park_fill(plan: Plan) -> None:
    plan.params["terrain"] = gentle(plan.rng, 0.18, 26, 3.0, 30)
    plan.params["turn"] = plan.uniform(0, pi)
    plan.add("gazebo", plan.sign() * plan.uniform(8, 10), plan.uniform(-8, 8), (2.4, 2.4), 4.6)
    plan.add("pond", plan.uniform(-3, 3), plan.sign() * (plan.stage[3] + 7.5), (8.0, 5.5), 0.2)
    plan.scatter(["flower bed"], 3, (1.3, 1.3), (0.6, 0.6), gap=2.5)
    plan.scatter(["tree", "tree", "autumn tree"], 7, (0.5, 0.5), (5, 8), gap=3.6)
    plan.scatter("bench", 4, (0.8, 0.35), (0.9, 0.9), gap=2.4)
    plan.scatter(["lamp post", "bush", "statue"], 5, (0.6, 0.5), (1.2, 3.4), gap=2.5)
    plan.scatter(["tree", "autumn tree", "tree", "bush"], 40, (0.9, 0.9), (6, 11), gap=2.0, beyond=34)


def _park_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.46, 0.60, 0.27), "grass", 3.0, step=2.0, patches=(0.58, 0.64, 0.30))
    turn = layout.params["turn"]
    path(m, layout, _winding(layout.seed, 60, turn, 3.0), 2.6, (0.86, 0.76, 0.60), "gravel", 2.0)
    path(m, layout, _winding(layout.seed + 1, 60, turn + pi / 2, 3.0), 2.0, (0.86, 0.76, 0.60), "gravel", 2.0)
    hills(m, layout.seed, 115, 13, (0.30, 0.42, 0.24), "leaves", 0.7)


def _forest_fill(plan: Plan) -> None:
    plan.params["terrain"] = gentle(plan.rng, 0.22, 24, 7.0, 30)
    plan.params["turn"] = plan.uniform(0, pi)
    plan.scatter("pine", 13, (0.5, 0.5), (8, 14), gap=4.2)
    plan.scatter(["log"], 3, (1.7, 0.35), (0.6, 0.8), gap=2.0)
    plan.scatter(["rock", "bush", "stump"], 9, (0.9, 0.7), (0.6, 1.3), gap=2.2)
    x, y = plan.sign() * (plan.stage[2] + 5), plan.uniform(-6, 6)
    plan.add("cabin", x, y, (3.6, 3.0), 5.0, plan.uniform(-0.4, 0.4) + pi / 2)
    plan.scatter("pine", 72, (0.9, 0.9), (9, 17), gap=1.4, beyond=32)


def _forest_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.47, 0.36, 0.24), "dirt", 3.0, step=2.0, mottle=0.16, patches=(0.32, 0.42, 0.18))
    path(m, layout, _winding(layout.seed, 60, layout.params["turn"], 4.0), 2.2, (0.74, 0.60, 0.42), "dirt", 2.4)
    spots = np.random.default_rng([layout.seed, 3]).uniform(-24, 24, (46, 2))
    for (x, y), z in zip(spots, terrain_height(layout.params["terrain"], spots), strict=True):
        with m.at(float(x), float(y), float(z), rng.uniform(0, 6)):
            for k in range(4):
                d = np.array([cos(k * 1.6), sin(k * 1.6), 0]) * rng.uniform(0.35, 0.6)
                s = np.array([-d[1], d[0], 0]) * 0.35
                tri = np.array([-s, d + np.array([0, 0, 0.35]), s])
                for points in (tri, tri[::-1]):
                    m.polygon(points, [0, 0, 1.0], (0.35, 0.5, 0.2))
    hills(m, layout.seed, 110, 26, (0.22, 0.32, 0.22), "needles", 0.8)


def _desert_fill(plan: Plan) -> None:
    plan.params["terrain"] = gentle(plan.rng, 0.3, 30, 6.0, 28)
    plan.scatter("cactus", 6, (0.8, 0.4), (2.4, 4.0), gap=3.4)
    plan.scatter(["red rock"], 6, (1.1, 0.9), (0.9, 2.0), gap=2.6)
    plan.scatter(["dead tree", "barrel", "cart"], 3, (0.9, 0.6), (1.0, 3.4), gap=2.6)
    x, y = plan.sign() * plan.uniform(7, 10), plan.sign() * plan.uniform(6, 9)
    plan.add("ruin", x, y, (2.6, 2.0), 2.6, plan.uniform(0, 6))
    for i in range(5):
        a, r = 2 * pi * i / 5 + plan.uniform(-0.4, 0.4), plan.uniform(34, 60)
        plan.add("mesa", r * cos(a), r * sin(a), (plan.uniform(6, 9),) * 2, plan.uniform(9, 18))
    plan.scatter(["cactus", "red rock", "palm", "red rock"], 26, (1.4, 1.2), (2.4, 4.5), gap=2.0, beyond=26)


def _desert_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.90, 0.70, 0.46), "sand", 4.0, step=2.0, mottle=0.13, patches=(0.80, 0.52, 0.34))
    path(m, layout, _winding(layout.seed, 80, rng.uniform(0, pi), 4.0), 2.8, (0.76, 0.54, 0.36), "dirt", 2.6)
    hills(m, layout.seed, 125, 22, (0.74, 0.47, 0.34), "dirt", 0.75)


def _snow_fill(plan: Plan) -> None:
    plan.params["terrain"] = gentle(plan.rng, 0.16, 24, 5.0, 34)
    plan.around("cabin", (6.5, 8.5), 6.5, (5.0, 6.8), out=2.0, gap=4.5, skip=0.12)
    plan.scatter("snowy pine", 6, (0.6, 0.6), (4.5, 8), gap=3.8)
    plan.scatter(["snowman", "snowman", "sledge", "wood pile"], 6, (0.8, 0.6), (1.0, 1.9), gap=2.6)
    plan.scatter(["lamp post", "bench", "barrel"], 5, (0.5, 0.4), (0.9, 3.8), gap=2.6)
    plan.scatter("snowy pine", 40, (0.9, 0.9), (7, 13), gap=1.8, beyond=40)


def _snow_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.93, 0.95, 0.99), "snow", 4.0, step=2.0, mottle=0.045, patches=(0.80, 0.86, 0.95))
    turn = rng.uniform(0, pi)
    path(m, layout, _winding(layout.seed, 60, turn, 3.0), 2.4, (0.72, 0.68, 0.66), "dirt", 2.4)
    path(m, layout, _winding(layout.seed + 1, 60, turn + 1.4, 2.0), 1.4, (0.80, 0.80, 0.84), "dirt", 2.0)
    x0, y0, x1, _ = layout.stage
    _fence(m, layout, (x0 + 1, y0 + 1.0), (-2.5, y0 + 1.0))
    _fence(m, layout, (2.5, y0 + 1.0), (x1 - 1, y0 + 1.0))
    hills(m, layout.seed, 115, 42, (0.82, 0.87, 0.96), "snow", 0.9)


def _farm_fill(plan: Plan) -> None:
    plan.params["terrain"] = gentle(plan.rng, 0.14, 28, 4.5, 40)
    x0, y0, x1, y1 = plan.stage
    plan.add("barn", plan.uniform(-5, 5), y1 + 8, (7.5, 5.5), 9.5)
    plan.add("silo", plan.rng.choice([-12.0, 12.0]), y1 + 8, (2.2, 2.2), 12)
    plan.add("windmill", x1 + 14, plan.uniform(-8, 8), (2.8, 2.8), 13, -pi / 2)
    plan.add("house", x0 - 8, plan.uniform(-6, 6), (4.5, 4.0), 7.0, pi / 2)
    plan.add("barn", plan.uniform(-14, 14), y0 - 26, (6.0, 5.0), 8.0, pi)
    plan.scatter("hay bale", 6, (0.9, 0.8), (1.5, 1.5), gap=3)
    x, y = plan.uniform(-8, 8), plan.sign() * plan.uniform(5, 8)
    plan.add("tractor", x, y, (1.7, 0.95), 2.4, plan.uniform(0, 6))
    plan.scatter(["crate", "barrel", "trough", "scarecrow"], 6, (0.8, 0.6), (0.8, 2.1), gap=2.6)
    plan.scatter(["tree"], 4, (0.5, 0.5), (5, 7), gap=5)
    plan.scatter(["tree", "bush", "autumn tree", "hay bale"], 26, (1.0, 0.9), (2.0, 8), gap=3.0, beyond=40)


def _farm_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.62, 0.64, 0.30), "meadow", 3.2, step=2.0, patches=(0.72, 0.62, 0.36))
    fields = [((0.90, 0.74, 0.32), "furrows"), ((0.56, 0.40, 0.27), "furrows")]
    fields += [((0.46, 0.60, 0.24), "furrows"), ((0.80, 0.76, 0.22), "meadow")]
    rng.shuffle(fields)
    x0, y0, x1, y1 = layout.stage
    white = (0.85, 0.82, 0.76)
    corners = ((x1 + 22, y1 + 22), (x0 - 24, y1 + 20), (x0 - 22, y0 - 22), (x1 + 24, y0 - 20))
    for (cx, cy), (tone, skin) in zip(corners, fields, strict=True):
        xs, ys = np.linspace(cx - 18, cx + 18, 16), np.linspace(cy - 18, cy + 18, 16)
        places = np.stack(np.meshgrid(xs, ys), axis=-1)
        z = terrain_height(layout.params["terrain"], places) + 0.12
        m.ground(xs, ys, z, np.broadcast_to(np.array(tone), (*z.shape, 3)), skin, 4.0)
    lane = np.stack([np.full(20, 0.5), np.linspace(0, y1 + 3, 20)], axis=1)
    for line, width in ((_winding(layout.seed, 70, 0.1, 2.0), 3.0), (lane, 2.4)):
        path(m, layout, line, width, (0.74, 0.60, 0.44), "dirt", 2.4)
    _fence(m, layout, (x0, y0), (x1, y0), 1.2, white)
    for x, gate in ((x0, 4), (x1, 5)):
        _fence(m, layout, (x, y0), (x, -gate), 1.2, white)
        _fence(m, layout, (x, gate), (x, y1), 1.2, white)
    hills(m, layout.seed, 120, 16, (0.46, 0.55, 0.32), "grass", 0.4)


COUNTRY = (
    family("park", _park_fill, _park_ground),
    family("pine_forest", _forest_fill, _forest_ground, props={"cabin": brown_cabin}),
    family("desert", _desert_fill, _desert_ground),
    family("snow_village", _snow_fill, _snow_ground),
    family("farm", _farm_fill, _farm_ground),
)
