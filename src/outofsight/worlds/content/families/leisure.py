"""Roofs, playgrounds and galleries."""

from __future__ import annotations

from math import cos, pi, sin
from random import Random

import numpy as np

from ...engine.geometry import MeshBuilder
from ...engine.scene import PointLight, SceneLayout
from ..props.base import BRIGHT, IRON, STONE, YELLOW
from .common import Plan, family
from .ground import skyline, strip, wide_ground


def _rooftop_fill(plan: Plan) -> None:
    plan.add("stair hut", plan.sign() * 7.5, plan.sign() * plan.uniform(6, 8), (2.0, 1.6), 2.9, plan.quarter())
    plan.add("water tank", plan.uniform(-9, 9), plan.sign() * 4.0, (1.5, 1.5), 5.4)
    plan.scatter("air conditioner", 5, (1.1, 0.7), (1.2, 1.5), gap=2.3, square=True)
    plan.scatter(["chimney", "vent"], 5, (0.5, 0.5), (1.1, 1.8), gap=2.4, square=True)
    plan.scatter(["planter", "bench"], 4, (1.0, 0.5), (0.9, 0.9), gap=2.3, square=True)
    plan.scatter("solar panel", 3, (1.3, 0.8), (1.0, 1.0), gap=2.3)
    plan.scatter(["aerial"], 2, (0.3, 0.3), (4, 5), gap=2.0)


def _rooftop_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    x0, y0, x1, y1 = layout.stage
    roof = np.array((0.78, 0.74, 0.70)) * layout.params["tint"]
    strip(m, x0 - 0.6, y0 - 0.6, x1 + 0.6, y1 + 0.6, 0.0, roof, "flagstones", 4.0)
    strip(m, -x1 * 0.55, y0 * 0.5, x1 * 0.1, y1 * 0.35, 0.02, (0.72, 0.48, 0.32), "planks", 2.0)
    strip(m, x1 * 0.3, y0 * 0.8, x1 * 0.85, y1 * 0.1, 0.02, (0.42, 0.56, 0.30), "grass", 2.5)
    circle = rng.uniform(2.0, 2.6)
    for i in range(20):
        a = i * pi / 10
        with m.at(x1 * 0.5 + circle * cos(a), y1 * 0.62 + circle * sin(a), 0.035, a):
            m.box([0, 0, 0], [0.25, circle * 0.33, 0.01], YELLOW, contact=1.0)
    for a in m.turned(4):
        along, out = (x1, y1) if a % 2 == 0 else (y1, x1)
        m.box([0, out + 0.45, -26], [2 * along + 1.2, 0.35, 27.0], (0.74, 0.46, 0.36), "brick", 2.4, contact=1.0)
        m.box([0, out + 0.45, 1.0], [2 * along + 1.3, 0.5, 0.14], STONE, "concrete", 2.0)
        for i in range(9):
            m.box([-along + 0.2 + i * along / 4.1, out + 0.45, 1.14], [0.08, 0.08, 0.6], IRON)
        m.beam([-along, out + 0.45, 1.7], [along, out + 0.45, 1.7], 0.08, IRON)
    below = np.linspace(-160, 160, 9)
    m.ground(below, below, np.full((9, 9), -26.0), np.full((9, 9, 3), 0.4), "asphalt", 9.0)
    tones = [(0.74, 0.5, 0.42), (0.86, 0.8, 0.7), (0.7, 0.74, 0.78), (0.62, 0.66, 0.72), (0.8, 0.66, 0.5)]
    skyline(m, rng, (32, 48), (20, 36), 13, tones, "windows", 6.5, -26.0)
    skyline(m, rng, (58, 80), (26, 62), 18, tones, "curtain_wall", 11.0, -26.0)
    skyline(m, rng, (95, 130), (30, 85), 24, tones, "curtain_wall", 12.0, -26.0)


def _playground_fill(plan: Plan) -> None:
    uniform = plan.uniform
    plan.around("apartment block", (13, 18), 11, (10, 19), out=9, gap=7, skip=0.1)
    plan.add("slide", uniform(-9, -6), uniform(4, 7), (2.8, 1.0), 3.6, uniform(-0.4, 0.4))
    plan.add("swing", uniform(5, 8), uniform(5, 7), (2.3, 1.0), 2.6, uniform(-0.3, 0.3))
    plan.add("climbing frame", uniform(6, 9), uniform(-8, -5), (1.6, 1.6), 2.6, uniform(0, 1))
    plan.add("merry-go-round", uniform(-9, -6), uniform(-8, -5), (1.4, 1.4), 1.1)
    plan.add("seesaw", uniform(-2, 2), plan.sign() * uniform(9.5, 11), (1.9, 0.4), 0.9, uniform(0, 3))
    plan.scatter(["spring horse", "sandpit", "bench"], 6, (1.2, 1.2), (0.8, 1.0), gap=2.3)
    plan.scatter(["lamp post", "bin", "bush"], 4, (0.5, 0.5), (1, 4), gap=2.3)
    plan.scatter(["tree", "autumn tree", "bush"], 24, (0.9, 0.8), (4.5, 7), gap=2.4, beyond=8)


def _playground_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.50, 0.64, 0.30), "grass", 3.0)
    x0, y0, x1, y1 = layout.stage
    strip(m, x0, y0, x1, y1, 0.02, (0.78, 0.40, 0.30), "rubber", 3.0)
    tones = [(0.16, 0.48, 0.70), (0.92, 0.72, 0.22), (0.24, 0.60, 0.42), (0.86, 0.46, 0.24), (0.5, 0.36, 0.62)]
    rng.shuffle(tones)
    for i, (x, y, r) in enumerate(((-7.5, 5.5, 4.2), (6.5, 6, 4.0), (7.5, -6.5, 3.8), (-7.5, -6.5, 3.4), (0, 0, 2.4))):
        t = np.linspace(0, 2 * pi, 24, endpoint=False)
        for k, (grow, tone) in enumerate(((1.0, np.array(tones[i])), (0.6, np.array(tones[i]) * 0.6 + 0.38))):
            wob = grow * (1 + 0.1 * np.sin(3 * t + i))
            p = np.stack([x + r * wob * np.cos(t), y + r * wob * np.sin(t), np.full(24, 0.04 + 0.015 * k)], axis=1)
            m.polygon(p, [0, 0, 1.0], tone, "rubber", p[:, :2] / 3)
    for i in range(9):
        y = -5.5 + i * 0.95
        strip(m, -0.5, y - 4, 0.5, y - 3.15, 0.06, tones[i % 5] if i % 2 else (0.95, 0.94, 0.9), None)
    for a in m.turned(4):
        along, out = (x1, y1) if a % 2 == 0 else (y1, x1)
        n = int(along * 2 / 0.7)
        for i in range(n):
            x = -along + (i + 0.5) * 2 * along / n
            if abs(x) > 1.6:
                m.box([x, out + 0.5, 0.1], [0.12, 0.05, 0.9], BRIGHT[(i // 3) % 6], sides=(0, 2, 4))
        for s in (-1, 1):
            m.box([s * (along / 2 + 0.8), out + 0.5, 0.75], [along - 1.6, 0.07, 0.08], (0.9, 0.9, 0.9))
    skyline(m, rng, (80, 110), (14, 30), 16, [(0.8, 0.76, 0.7), (0.74, 0.7, 0.66)], "windows", 6.5)


def _gallery_fill(plan: Plan) -> None:
    _x0, _y0, x1, y1 = plan.stage
    for i in range(6):
        for s in (-1, 1):
            plan.add("column", s * (x1 - 1.3), -25 + 10 * i, (0.42, 0.42), 5.0)
    kinds = ["sculpture", "bench", "vase", "statue", "glass case"]
    for i in range(9):
        y = -26 + 6.4 * i + plan.uniform(-1, 1)
        if abs(y) < y1 - 2:
            kind = plan.rng.choice(kinds)
            half = {"bench": (1.0, 0.35), "glass case": (0.9, 0.5)}.get(kind, (0.5, 0.5))
            x = plan.sign() * plan.uniform(0.8, 2.4)
            plan.add(kind, x, y, half, 0.9 if kind == "bench" else plan.uniform(1.5, 2.4), pi / 2)
    walls = [(0.62, 0.20, 0.20), (0.22, 0.40, 0.34), (0.26, 0.34, 0.52), (0.86, 0.80, 0.68)]
    plan.params["wall"] = plan.rng.choice(walls)


def _gallery_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    x0, y0, x1, y1 = layout.stage
    wall = np.array(layout.params["wall"])
    high = 5.2
    strip(m, x0 - 0.3, y0 - 0.3, x1 + 0.3, y1 + 0.3, 0.0, (0.86, 0.68, 0.48), "parquet", 2.6)
    strip(m, -1.1, y0 + 2, 1.1, y1 - 2, 0.015, np.clip(1.0 - wall * 0.8, 0.15, 0.8), "rubber", 1.5)
    for y in np.linspace(y0 + 6, y1 - 6, 4):
        strip(m, x0, float(y) - 1.8, x1, float(y) + 1.8, 0.01, (0.9, 0.86, 0.8), "checker", 3.6)
    skins = ["art", "portrait"]
    for s in (-1, 1):
        with m.at(s * (x1 + 0.2), 0, 0, -s * pi / 2):
            bays = 15
            wide = (y1 - y0) / bays
            for i in range(bays):
                x = y0 + (i + 0.5) * wide
                tone = wall if (i // 3) % 2 == 0 else wall * 0.35 + np.array([0.55, 0.53, 0.48])
                m.box([x, 0.15, 0], [wide, 0.3, high], tone, "plaster", 3.0, sides=(0,), contact=0.75)
                if i % 5 == 4:
                    m.box([x, -0.02, 0], [1.7, 0.1, 2.7], (0.42, 0.28, 0.18), "planks", 1.2)
                    m.box([x, -0.02, 2.7], [2.1, 0.16, 0.2], (0.93, 0.9, 0.84))
                else:
                    w, h = rng.uniform(1.2, 2.4), rng.uniform(1.0, 1.9)
                    m.box([x, -0.02, 1.75 - h * 0.25], [w + 0.1, 0.1, h + 0.1], (0.3, 0.2, 0.1), sides=range(6))
                    z = 1.8 - h * 0.25
                    tint = np.clip([rng.uniform(0.45, 1.1) for _ in "rgb"], 0, 1)
                    m.front(x - w / 2, x + w / 2, -0.08, z, z + h, tint, rng.choice(skins), glow=0.1)
            m.box([0, 0.0, 0], [y1 - y0, 0.1, 0.25], (0.93, 0.9, 0.84))
            m.box([0, 0.0, high - 0.4], [y1 - y0, 0.3, 0.4], (0.93, 0.9, 0.84), sides=range(6))
    for s in (-1, 1):
        with m.at(0, s * (y1 + 0.2), 0, 0.0 if s > 0 else pi):
            m.box([0, 0.15, 0], [2 * x1 + 0.6, 0.3, high + 1], wall * 0.8, "plaster", 3.0, sides=(0,))
            w = 3.6
            skin = "portrait" if s > 0 else "art"
            m.box([0, -0.05, 1.0], [w + 0.4, 0.12, 3.2], (0.75, 0.58, 0.25), sides=range(6))
            m.front(-w / 2, w / 2, -0.12, 1.2, 4.0, (1, 1, 1), skin, glow=0.12)
    # a ceiling with skylights: panels on both sides of a band of glass, crossed by beams
    for s in (-1, 1):
        m.box([s * (x1 * 0.72), 0, high], [x1 * 0.6, y1 - y0, 0.2], (0.94, 0.92, 0.88), "plaster", 3.0, sides=(1, 3, 5))
    for y in np.linspace(y0, y1, 25):
        m.box([0, float(y), high], [x1, 0.22, 0.3], (0.9, 0.88, 0.84), sides=range(6))


def _gallery_lamps(layout: SceneLayout) -> tuple[PointLight, ...]:
    light = np.array([0.55, 0.50, 0.42])
    return tuple(PointLight(np.array([0.0, y, 4.8]), light, 14.0) for y in (-22.0, -7.5, 7.5, 22.0))


LEISURE = (
    family("rooftop", _rooftop_fill, _rooftop_ground),
    family("playground", _playground_fill, _playground_ground),
    family("gallery", _gallery_fill, _gallery_ground, lamps=_gallery_lamps),
)
