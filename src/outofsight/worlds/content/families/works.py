"""Quays, platforms and building sites."""

from __future__ import annotations

from math import pi
from random import Random

import numpy as np

from ...engine.geometry import MeshBuilder
from ...engine.scene import SceneLayout
from ..props.base import IRON, STEEL, YELLOW
from .common import Plan, family
from .ground import hills, skyline, strip, wide_ground


def _harbour_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.row(["container"], (x1, y0 - 3.0), (x0, y0 - 3.0), (6.0, 6.1), 2.5, (2.6, 7.8), gap=0.7)
    plan.row(["warehouse"], (x1 + 14, y0 - 12), (x0 - 14, y0 - 12), (14, 18), 12, (8, 11), gap=2)
    plan.add("harbour crane", plan.uniform(4, 9) * plan.sign(), y1 - 2.4, (2.6, 2.0), 15.0, pi)
    plan.scatter("container", 2, (3.0, 1.25), (2.6, 5.2), gap=3.4, square=True)
    plan.scatter(["crate", "barrel", "crate"], 8, (0.6, 0.6), (0.8, 1.6), gap=1.8)
    plan.scatter(["net pile", "bollard", "lamp post"], 6, (0.8, 0.8), (0.9, 4), gap=2.2)
    for i in range(4):
        x, y = x0 + 5 + i * 2 * (x1 - 5) / 3, y1 + plan.uniform(4.0, 5.5)
        plan.add("boat", x, y, (3.6, 1.3), 5.5, plan.uniform(-0.12, 0.12) + pi * plan.rng.randrange(2))
    plan.add("ship", plan.uniform(-20, 20), y1 + 34, (20, 4.5), 13)
    plan.add("lighthouse", plan.sign() * plan.uniform(26, 36), y1 + 22, (2.6, 2.6), 17)
    plan.add("house", x1 + 9, plan.uniform(-6, 3), (4, 4), 9, -pi / 2)
    plan.add("house", x1 + 9, -12, (3.6, 4), 8, -pi / 2)
    plan.add("warehouse", x0 - 12, -2, (9, 6), 9, pi / 2)


def _harbour_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    x0, y0, x1, y1 = layout.stage
    edge = y1 + 1.0
    xs = np.concatenate([[-140, -90], np.linspace(x0 - 20, x1 + 20, 16), [90, 140]])
    ys = np.concatenate([[-130, -70], np.linspace(y0 - 20, edge, 13)])
    tone = np.array((0.80, 0.77, 0.72)) * (1 + 0.07 * np.sin(xs[None, :] * 0.4) * np.cos(ys[:, None] * 0.3))[..., None]
    m.ground(xs, ys, np.zeros((len(ys), len(xs))), tone, "concrete", 3.5)
    strip(m, x0 - 20, edge - 3.2, x1 + 20, edge, 0.03, (0.62, 0.46, 0.33), "planks", 2.2)
    m.box([0, edge, -2.5], [280, 0.5, 2.6], (0.6, 0.58, 0.54), "ashlar", 2.2, contact=0.6)
    for y in (y0 * 0.5, y0 * 0.5 + 1.5):
        strip(m, -90, y, 90, y + 0.09, 0.04, (0.42, 0.4, 0.38), None)
    for i in range(8):
        strip(m, x0 + 3 * i, y0 * 0.2, x0 + 3 * i + 1.5, y0 * 0.2 + 0.15, 0.04, YELLOW, None)
    sea_x, sea_y = np.linspace(-190, 190, 22), np.linspace(edge - 2, edge + 170, 16)
    deep = np.linspace(1.0, 0.72, 16)[:, None, None] * np.array((0.34, 0.62, 0.70))
    m.ground(sea_x, sea_y, np.full((16, 22), -1.2), np.broadcast_to(deep, (16, 22, 3)), "water", 7.0)
    m.box([0, edge + 22, -2], [90, 3.0, 3.0], (0.58, 0.55, 0.5), "ashlar", 2.5)
    hills(m, layout.seed, 150, 18, (0.42, 0.50, 0.50), "leaves", 0.5)
    for i in range(7):
        x = x0 + 2 + i * 2 * (x1 - 2) / 6
        m.lathe([x, edge - 0.5, 0], [(0.2, 0), (0.15, 0.35), (0.28, 0.4), (0.2, 0.55), (0.01, 0.57)], IRON, segments=9)


def _station_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.add("train", plan.uniform(-6, 6), y1 + 2.4, (24, 1.4), 3.8)
    plan.add("goods train", plan.uniform(-16, 16), y1 + 7.4, (18, 1.4), 3.4)
    plan.add("station house", plan.uniform(-4, 4), y0 - 5.0, (11, 4.5), 9.5, pi)
    plan.row("brick house", (x1 + 24, y0 - 4), (14, y0 - 4), (7, 10), 8, (7, 11), gap=1)
    plan.row("brick house", (-16, y0 - 4), (x0 - 24, y0 - 4), (7, 10), 8, (7, 11), gap=1)
    for i in range(4):
        plan.add("canopy pillar", -10.5 + 7 * i, y1 - 4.5, (0.25, 0.25), 4.2)
    sheds = ["warehouse", "brick house", "warehouse"]
    plan.row(sheds, (x0 - 16, y1 + 22), (x1 + 16, y1 + 22), (10, 16), 9, (7, 11), gap=3)
    plan.add("signal", x1 - 1.5, y1 - 1.0, (0.3, 0.3), 5.0)
    plan.add("station clock", plan.uniform(-5, 5), plan.uniform(-3, 1), (0.3, 0.3), 3.6)
    plan.scatter("bench", 5, (0.9, 0.35), (0.9, 0.9), gap=2.3, square=True)
    plan.scatter(["luggage trolley", "bin", "planter"], 7, (0.9, 0.55), (0.9, 1.3), gap=2.3, square=True)
    plan.scatter(["lamp post", "kiosk"], 4, (0.9, 0.9), (3.2, 3.9), gap=2.4)
    plan.add("water tower", x0 - 6, y1 + 17, (2.2, 2.2), 10)
    for s in (-1, 1):
        plan.add("signal box", s * (x1 + plan.uniform(5, 8)), plan.uniform(-4, 4), (2.0, 2.0), 5.5, s * -pi / 2)
        plan.add("tree", s * (x1 + 12), plan.uniform(-9, 9), (0.45, 0.45), 7.5)


def _station_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    x0, y0, x1, y1 = layout.stage
    wide_ground(m, layout, (0.56, 0.52, 0.48), "gravel", 2.6, z=-1.0)
    hills(m, layout.seed, 120, 17, (0.36, 0.46, 0.30), "leaves", 0.6)
    reach = 110
    size = [2 * reach, y1 - y0 + 12.0, 0.98]
    m.box([0, (y0 + y1) / 2 - 6, -1.0], size, (0.72, 0.7, 0.66), "flagstones", 2.4, sides=range(4))
    for i in range(-7, 8):
        tone = (0.80, 0.72, 0.66) if abs(i) > 0 else (0.84, 0.76, 0.68)
        strip(m, i * 15 - 7.5, y0 - 12, i * 15 + 7.5, y1, 0.0, tone, "flagstones", 2.4)
    strip(m, -reach, y1 - 0.9, reach, y1 - 0.6, 0.03, (0.97, 0.85, 0.25), None)
    strip(m, -reach, y1 - 0.45, reach, y1, 0.03, (0.88, 0.87, 0.84), "concrete", 1.0)
    strip(m, x0, -0.9, x1, 0.9, 0.02, (0.70, 0.38, 0.30), "brick", 1.6)
    for track in (y1 + 2.4, y1 + 7.4, y1 + 12.4):
        for s in (-0.72, 0.72):
            m.box([0, track + s, -0.86], [2 * reach, 0.1, 0.16], (0.55, 0.45, 0.38), contact=0.6)
        for i in range(46):
            m.box([-46 + 2 * i, track, -0.98], [0.35, 2.5, 0.1], (0.4, 0.3, 0.22), "planks", 1.0)
    for i in range(8):
        m.beam([-52 + 15 * i, y1 + 4.9, -1], [-52 + 15 * i, y1 + 4.9, 6.5], 0.2, STEEL)
        m.beam([-52 + 15 * i, y1 + 2.0, 6.2], [-52 + 15 * i, y1 + 7.8, 6.2], 0.12, STEEL)
    for track in (y1 + 2.4, y1 + 7.4):
        m.beam([-60, track, 5.7], [60, track, 5.7], 0.04, IRON)
    m.box([0, y1 - 4.0, 4.2], [25, 5.6, 0.22], (0.32, 0.42, 0.40), "corrugated", 3.0, sides=range(6))
    for i in range(13):
        m.box([-12 + 2 * i, y1 - 1.2, 3.8], [1.1, 0.06, 0.42], (0.92, 0.88, 0.78), sides=range(6))
    for x in (-5, 6):
        m.box([x, y1 - 4.5, 3.2], [2.4, 0.1, 0.6], (0.12, 0.25, 0.5), sides=range(6))
        m.box([x, y1 - 4.56, 3.38], [2.0, 0.04, 0.22], (0.95, 0.95, 0.95), sides=range(6))


def _construction_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.add("unfinished building", plan.uniform(-4, 4), y1 + 7, (11, 5.5), 13)
    plan.add("unfinished building", x0 - 9, plan.uniform(-5, 5), (8, 5), 9.8, pi / 2)
    plan.add("tower crane", x1 + 5, y1 + 3, (1.5, 1.5), 26)
    plan.row(["container"], (x1 + 3, y0 + 14), (x1 + 3, y0 - 4), (6.0, 6.05), 2.5, (2.6, 5.2), gap=0.5)
    plan.row("apartment block", (x1 + 20, y0 - 18), (x0 - 20, y0 - 18), (14, 20), 12, (12, 21), gap=5)
    plan.row("apartment block", (x1 + 26, y1 + 14), (x1 + 26, y0 - 4), (14, 18), 12, (12, 21), gap=4)
    x, y = plan.uniform(-7, 7), plan.sign() * plan.uniform(4, 7)
    plan.add("digger", x, y, (2.1, 1.4), 3.2, plan.uniform(0, 6))
    plan.scatter(["pipe stack", "brick pallet", "plank stack"], 6, (1.4, 0.9), (1.0, 1.3), gap=2.5)
    plan.scatter(["sand heap"], 2, (1.9, 1.7), (1.2, 1.6), gap=2.4)
    plan.scatter(["barrier", "barrel", "cement mixer", "traffic cone"], 9, (0.8, 0.5), (0.8, 1.5), gap=2.0)
    plan.add("portable toilet", x1 - 1.5, plan.uniform(-4, 4), (0.6, 0.6), 2.4)


def _construction_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    x0, y0, x1, y1 = layout.stage
    wide_ground(m, layout, (0.72, 0.55, 0.40), "dirt", 3.2, step=2.5, mottle=0.15, patches=(0.60, 0.56, 0.50))
    strip(m, x0, -2.2, x1 + 30, 2.2, 0.03, (0.62, 0.56, 0.48), "gravel", 2.4)
    strip(m, -5, y1 - 5, 5, y1 + 1, 0.04, (0.76, 0.75, 0.72), "concrete", 3.0)
    for i in range(12):
        x = x0 + (i + 0.5) * (x1 - x0) / 12
        tone, skin = ((0.16, 0.4, 0.66), "planks") if i % 3 else ((0.92, 0.9, 0.86), "portrait")
        m.box([x, y0 - 0.8, 0], [(x1 - x0) / 12 - 0.1, 0.08, 2.0], tone, skin, 1.6)
        m.box([x + 1.2, y0 - 0.9, 0], [0.1, 0.1, 2.1], STEEL)
    skyline(m, rng, (75, 110), (14, 34), 20, [(0.8, 0.76, 0.7), (0.7, 0.6, 0.54), (0.66, 0.7, 0.74)], "windows", 6.5)


WORKS = (
    family("harbour", _harbour_fill, _harbour_ground),
    family("station", _station_fill, _station_ground),
    family("construction_site", _construction_fill, _construction_ground),
)
