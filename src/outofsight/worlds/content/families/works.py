"""Quays, platforms and building sites."""

from __future__ import annotations

import itertools
from math import cos, pi, sin
from random import Random

import numpy as np

from ...engine.geometry import MeshBuilder
from ...engine.scene import Obstacle, SceneLayout
from ..props import BRIGHT, IRON, STEEL, WOOD, shade
from .common import Family, Plan, hills, skyline, strip, wide_ground

YELLOW = (0.95, 0.72, 0.1)


def _harbour_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.row(["container"], (x1, y0 - 3.0), (x0, y0 - 3.0), (6.0, 6.1), 2.5, (2.6, 7.8), gap=0.7)
    plan.row(["warehouse"], (x1 + 14, y0 - 12), (x0 - 14, y0 - 12), (14, 18), 12, (8, 11), gap=2)
    plan.add("harbour crane", plan.rng.uniform(4, 9) * plan.rng.choice([-1, 1]), y1 - 2.4, (2.6, 2.0), 15.0, pi)
    plan.scatter("container", 2, (3.0, 1.25), (2.6, 5.2), gap=3.4, square=True)
    plan.scatter(["crate", "barrel", "crate"], 8, (0.6, 0.6), (0.8, 1.6), gap=1.8)
    plan.scatter(["net pile", "bollard", "lamp post"], 6, (0.8, 0.8), (0.9, 4), gap=2.2)
    for i in range(4):
        plan.add(
            "boat",
            x0 + 5 + i * 2 * (x1 - 5) / 3,
            y1 + plan.rng.uniform(4.0, 5.5),
            (3.6, 1.3),
            5.5,
            plan.rng.uniform(-0.12, 0.12) + pi * plan.rng.randrange(2),
        )
    plan.add("ship", plan.rng.uniform(-20, 20), y1 + 34, (20, 4.5), 13)
    plan.add("lighthouse", plan.rng.choice([-1, 1]) * plan.rng.uniform(26, 36), y1 + 22, (2.6, 2.6), 17)
    plan.add("house", x1 + 9, plan.rng.uniform(-6, 3), (4, 4), 9, -pi / 2)
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


def _boat(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    paint = shade(rng, rng.choice(BRIGHT))
    length, beam, z = o.half_x, o.half_y, -1.5
    stations = ((-1.0, 0.7, 1.3), (-0.4, 1.0, 1.1), (0.35, 0.9, 1.25), (1.0, 0.02, 1.8))
    for (s0, w0, h0), (s1, w1, h1) in itertools.pairwise(stations):
        for side in (-1, 1):
            p = [
                [s0 * length, side * w0 * beam * 0.55, z],
                [s1 * length * 0.92, side * w1 * beam * 0.55, z],
                [s1 * length, side * w1 * beam, z + h1],
                [s0 * length, side * w0 * beam, z + h0],
            ]
            m.quad(p if side < 0 else p[::-1], paint, "planks", (0.6, 2))
        deck = [
            [s0 * length, -w0 * beam, z + h0 - 0.15],
            [s1 * length, -w1 * beam, z + h1 - 0.15],
            [s1 * length, w1 * beam, z + h1 - 0.15],
            [s0 * length, w0 * beam, z + h0 - 0.15],
        ]
        m.quad(deck, (0.8, 0.64, 0.44), "planks", (1, 1))
    m.quad(
        [
            [-length, beam * 0.7, z + 1.3],
            [-length, -beam * 0.7, z + 1.3],
            [-length, -beam * 0.4, z],
            [-length, beam * 0.4, z],
        ][::-1],
        paint,
    )
    m.box([-0.3, 0, z + 0.9], [1.9, beam * 1.1, 1.6], (0.94, 0.93, 0.9), "planks", 1.2)
    m.box([-0.3, 0, z + 1.7], [1.95, beam * 1.15, 0.5], (0.25, 0.32, 0.38))
    m.beam([0.9, 0, z + 1.0], [0.9, 0, z + 6.5], 0.12, WOOD)
    m.beam([0.9, 0, z + 5.8], [-length * 0.9, 0, z + 2.6], 0.04, IRON)
    m.beam([0.9, 0, z + 6.2], [length * 0.95, 0, z + 1.8], 0.04, IRON)


def _ship(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    hull = shade(rng, rng.choice([(0.16, 0.24, 0.36), (0.6, 0.14, 0.12), (0.14, 0.36, 0.3)]))
    m.box([0, 0, -1.5], [2 * o.half_x, 2 * o.half_y, 1.6], (0.55, 0.16, 0.12), "corrugated", 6)
    m.box([0, 0, 0.1], [2 * o.half_x, 2 * o.half_y, 4.0], hull, "corrugated", 8)
    m.box([-o.half_x * 0.75, 0, 4.1], [6, 2 * o.half_y - 1, 8.0], (0.95, 0.95, 0.93), "windows", 4.0, whole=True)
    m.cylinder([-o.half_x * 0.75, 0, 12.0], 1.2, 2.6, hull, segments=10)
    for i in range(5):
        for j in range(rng.randint(1, 3)):
            m.box(
                [-o.half_x * 0.45 + i * 5.6, 0, 4.1 + 2.6 * j],
                [5.2, 2 * o.half_y - 1.5, 2.55],
                shade(rng, rng.choice(BRIGHT[:7])),
                "corrugated",
                3.0,
            )


def _warehouse(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w, d, rise = 2 * o.half_x, 2 * o.half_y, o.height * 0.25
    tone = shade(rng, rng.choice([(0.72, 0.42, 0.32), (0.66, 0.7, 0.72), (0.45, 0.58, 0.62)]))
    skin = "brick" if tone[0] > tone[2] + 0.15 else "corrugated"
    m.box([0, 0, 0], [w, d, o.height - rise], tone, skin, 3.0)
    m.gable([0, 0, o.height - rise], [w, d, rise], (0.52, 0.54, 0.56), "corrugated", 3.0, wall=tone, wall_texture=skin)
    for i in range(int(w // 5)):
        x = -w / 2 + 2.5 + 5 * i
        m.box([x, -d / 2 - 0.05, 0], [3.0, 0.1, 3.2], shade(rng, rng.choice(BRIGHT)) * 0.8, "corrugated", 3.0)
        m.box([x, -d / 2 - 0.05, 4.2], [2.4, 0.08, 0.9], (0.3, 0.38, 0.45), "curtain_wall", 4.0)


def _net_pile(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.blob(
        [0, 0, 0.15],
        [0.85, 0.7, 0.5],
        rng.choice([(0.2, 0.5, 0.45), (0.85, 0.45, 0.15), (0.3, 0.4, 0.6)]),
        "needles",
        0.5,
        rough=0.15,
        detail=2,
        seed=rng.randrange(99),
        floor=0.0,
    )
    for i in range(3):
        m.blob([0.5 * cos(i * 2), 0.5 * sin(i * 2), 0.55], [0.13] * 3, (0.95, 0.9, 0.3), detail=1)


def _station_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.add("train", plan.rng.uniform(-6, 6), y1 + 2.4, (24, 1.4), 3.8)
    plan.add("goods train", plan.rng.uniform(-16, 16), y1 + 7.4, (18, 1.4), 3.4)
    plan.add("station house", plan.rng.uniform(-4, 4), y0 - 5.0, (11, 4.5), 9.5, pi)
    plan.row("brick house", (x1 + 24, y0 - 4), (14, y0 - 4), (7, 10), 8, (7, 11), gap=1)
    plan.row("brick house", (-16, y0 - 4), (x0 - 24, y0 - 4), (7, 10), 8, (7, 11), gap=1)
    for i in range(4):
        plan.add("canopy pillar", -10.5 + 7 * i, y1 - 4.5, (0.25, 0.25), 4.2)
    plan.row(
        ["warehouse", "brick house", "warehouse"], (x0 - 16, y1 + 22), (x1 + 16, y1 + 22), (10, 16), 9, (7, 11), gap=3
    )
    plan.add("signal", x1 - 1.5, y1 - 1.0, (0.3, 0.3), 5.0)
    plan.add("station clock", plan.rng.uniform(-5, 5), plan.rng.uniform(-3, 1), (0.3, 0.3), 3.6)
    plan.scatter("bench", 5, (0.9, 0.35), (0.9, 0.9), gap=2.3, square=True)
    plan.scatter(["luggage trolley", "bin", "planter"], 7, (0.9, 0.55), (0.9, 1.3), gap=2.3, square=True)
    plan.scatter(["lamp post", "kiosk"], 4, (0.9, 0.9), (3.2, 3.9), gap=2.4)
    plan.add("water tower", x0 - 6, y1 + 17, (2.2, 2.2), 10)
    for s in (-1, 1):
        plan.add("signal box", s * (x1 + plan.rng.uniform(5, 8)), plan.rng.uniform(-4, 4), (2.0, 2.0), 5.5, s * -pi / 2)
        plan.add("tree", s * (x1 + 12), plan.rng.uniform(-9, 9), (0.45, 0.45), 7.5)


def _station_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    x0, y0, x1, y1 = layout.stage
    wide_ground(m, layout, (0.56, 0.52, 0.48), "gravel", 2.6, z=-1.0)
    hills(m, layout.seed, 120, 17, (0.36, 0.46, 0.30), "leaves", 0.6)
    reach = 110
    m.box(
        [0, (y0 + y1) / 2 - 6, -1.0],
        [2 * reach, y1 - y0 + 12.0, 0.98],
        (0.72, 0.7, 0.66),
        "flagstones",
        2.4,
        sides=(0, 1, 2, 3),
    )
    for i in range(-7, 8):
        strip(
            m,
            i * 15 - 7.5,
            y0 - 12,
            i * 15 + 7.5,
            y1,
            0.0,
            (0.80, 0.72, 0.66) if abs(i) > 0 else (0.84, 0.76, 0.68),
            "flagstones",
            2.4,
        )
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


def _train(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    paint = shade(rng, rng.choice([(0.70, 0.14, 0.14), (0.12, 0.36, 0.24), (0.14, 0.3, 0.6), (0.92, 0.62, 0.12)]))
    n = 3
    length = 2 * o.half_x / n
    for i in range(n):
        x = -o.half_x + (i + 0.5) * length
        m.box([x, 0, -0.4], [length - 0.6, 2.4, 0.6], IRON, contact=0.6)
        m.box([x, 0, 0.15], [length - 0.5, 2.7, 1.1], paint, contact=0.8)
        m.box([x, 0, 1.25], [length - 0.5, 2.68, 0.95], (0.24, 0.28, 0.33), "curtain_wall", 3.2, whole=True)
        m.box([x, 0, 2.2], [length - 0.5, 2.7, 0.35], (0.93, 0.9, 0.82))
        m.box([x, 0, 2.55], [length - 0.8, 2.1, 0.3], (0.55, 0.56, 0.58))
        for d in (-0.3, 0.3):
            for s in (-1, 1):
                m.box([x + d * length, s * 1.36, 0.15], [1.1, 0.06, 2.05], (0.93, 0.9, 0.82))
        for d in (-0.38, -0.26, 0.26, 0.38):
            m.beam([x + d * length, -1.0, -0.5], [x + d * length, 1.0, -0.5], 0.8, (0.2, 0.2, 0.2), None, 8)


def _goods_train(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for i in range(4):
        x = -o.half_x + (i + 0.5) * o.half_x / 2
        m.box([x, 0, -0.4], [o.half_x / 2 - 0.8, 2.3, 0.4], IRON)
        if rng.random() < 0.5:
            m.box(
                [x, 0, 0.0],
                [o.half_x / 2 - 0.8, 2.6, rng.uniform(1.6, 3.0)],
                shade(rng, rng.choice([(0.55, 0.26, 0.18), (0.4, 0.42, 0.4), (0.25, 0.38, 0.5)])),
                "corrugated",
                2.5,
            )
        else:
            m.beam(
                [x - o.half_x / 4 + 0.6, 0, 1.2],
                [x + o.half_x / 4 - 0.6, 0, 1.2],
                2.3,
                shade(rng, (0.75, 0.75, 0.72)),
                "plaster",
                10,
            )


def _station_house(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tone = shade(rng, (0.80, 0.46, 0.36))
    m.box([0, 0, 0], [22, 9, 4.2], tone, "brick", 2.6)
    m.box([0, 0, 4.2], [9, 9, 3.4], tone, "shutters", 6.0, whole=True)
    for s in (-1, 1):
        with m.at(s * 7.75, 0, 4.2):
            m.gable([0, 0, 0], [6.5, 9, 2.0], (0.4, 0.42, 0.46), "roof", 2.0, wall=tone, wall_texture="brick")
    m.gable([0, 0, 7.6], [9, 9, 2.4], (0.4, 0.42, 0.46), "roof", 2.0, wall=tone, wall_texture="brick")
    for i in range(5):
        with m.at(-8.8 + 4.4 * i, -4.6):
            m.arch(1.9, 3.1, 0.25, 0.35, (0.9, 0.85, 0.75), "plaster", 0.3)
            m.box([0, 0.06, 0], [1.9, 0.1, 3.0], (0.28, 0.36, 0.34) if i % 2 else (0.42, 0.26, 0.18), "planks", 1.5)
    m.cylinder([0, -4.5, 0], 0.01, 0.01, tone)
    with m.at(0, -4.62, 6.6):
        m.box([0, 0, -0.8], [1.6, 0.12, 1.6], (0.95, 0.94, 0.9))
        m.box([0, -0.08, 0], [0.08, 0.04, 0.6], IRON)
        m.box([0.2, -0.08, 0], [0.45, 0.04, 0.08], IRON)


def _canopy_pillar(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(0.25, 0), (0.2, 0.5), (0.1, 0.6), (0.09, 3.4), (0.16, 3.6)], (0.24, 0.36, 0.34), segments=8)
    for s in (-1, 1):
        m.beam([0, 0, 3.3], [s * 0.9, 0, 4.2], 0.1, (0.24, 0.36, 0.34))
        m.beam([0, 0, 3.3], [0, s * 1.6, 4.2], 0.1, (0.24, 0.36, 0.34))


def _signal_box(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [3.6, 3.6, 2.2], shade(rng, (0.74, 0.42, 0.32)), "brick", 2.0)
    m.box([0, 0, 2.2], [3.8, 3.8, 0.6], (0.93, 0.9, 0.8), "planks", 1.2)
    m.box([0, 0, 2.8], [3.7, 3.7, 1.2], (0.5, 0.6, 0.68), "curtain_wall", 4.0, whole=True)
    m.gable([0, 0, 4.0], [3.9, 3.9, 1.4], (0.4, 0.42, 0.46), "roof", 1.6, wall=(0.93, 0.9, 0.8), wall_texture="planks")


def _signal(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.beam([0, 0, 0], [0, 0, o.height], 0.14, STEEL)
    m.box([0, -0.1, o.height - 1.2], [0.45, 0.25, 1.2], IRON, sides=range(6))
    m.blob([0, -0.25, o.height - 0.3], [0.13] * 3, (1.0, 0.15, 0.1), dark=1.0)
    m.blob([0, -0.25, o.height - 0.85], [0.13] * 3, (0.2, 0.9, 0.4), dark=1.0)


def _station_clock(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(0.25, 0), (0.1, 0.5), (0.08, 3.0)], (0.16, 0.3, 0.26), segments=8)
    m.beam([0, -0.16, 3.3], [0, 0.16, 3.3], 1.0, (0.96, 0.95, 0.9), None, 14)
    for s in (-1, 1):
        m.box([0, s * 0.18, 2.9], [0.8, 0.03, 0.8], (0.97, 0.96, 0.92), sides=range(6))
        m.box([0, s * 0.2, 3.3], [0.06, 0.03, 0.34], IRON)
        m.box([0.12, s * 0.2, 3.27], [0.28, 0.03, 0.06], IRON)


def _luggage_trolley(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0.3], [1.7, 0.9, 0.08], WOOD, "planks", 1.0, sides=range(6))
    m.beam([-0.85, 0, 0.3], [-1.0, 0, 1.1], 0.06, IRON)
    for s in (-1, 1):
        for x in (-0.6, 0.6):
            m.beam([x, s * 0.42, 0.16], [x, s * 0.48, 0.16], 0.32, IRON, None, 8)
    for x, z, w in ((-0.4, 0.38, 0.7), (0.35, 0.38, 0.6), (-0.2, 0.83, 0.6)):
        m.box(
            [x, rng.uniform(-0.1, 0.1), z],
            [w, 0.55, 0.44],
            shade(rng, rng.choice([(0.5, 0.3, 0.18), (0.2, 0.3, 0.45), (0.65, 0.2, 0.15), (0.25, 0.4, 0.3)])),
        )


def _water_tower(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe(
        [0, 0, -1], [(1.7, 0), (1.4, 6.5), (2.3, 7.6), (2.3, 10.0), (0.05, 11.5)], (0.72, 0.45, 0.35), "brick", 2.4, 14
    )


def _construction_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.add("unfinished building", plan.rng.uniform(-4, 4), y1 + 7, (11, 5.5), 13)
    plan.add("unfinished building", x0 - 9, plan.rng.uniform(-5, 5), (8, 5), 9.8, pi / 2)
    plan.add("tower crane", x1 + 5, y1 + 3, (1.5, 1.5), 26)
    plan.row(["container"], (x1 + 3, y0 + 14), (x1 + 3, y0 - 4), (6.0, 6.05), 2.5, (2.6, 5.2), gap=0.5)
    plan.row("apartment block", (x1 + 20, y0 - 18), (x0 - 20, y0 - 18), (14, 20), 12, (12, 21), gap=5)
    plan.row("apartment block", (x1 + 26, y1 + 14), (x1 + 26, y0 - 4), (14, 18), 12, (12, 21), gap=4)
    plan.add(
        "digger",
        plan.rng.uniform(-7, 7),
        plan.rng.choice([-1, 1]) * plan.rng.uniform(4, 7),
        (2.1, 1.4),
        3.2,
        plan.rng.uniform(0, 6),
    )
    plan.scatter(["pipe stack", "brick pallet", "plank stack"], 6, (1.4, 0.9), (1.0, 1.3), gap=2.5)
    plan.scatter(["sand heap"], 2, (1.9, 1.7), (1.2, 1.6), gap=2.4)
    plan.scatter(["barrier", "barrel", "cement mixer", "traffic cone"], 9, (0.8, 0.5), (0.8, 1.5), gap=2.0)
    plan.add("portable toilet", x1 - 1.5, plan.rng.uniform(-4, 4), (0.6, 0.6), 2.4)


def _construction_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    x0, y0, x1, y1 = layout.stage
    wide_ground(m, layout, (0.72, 0.55, 0.40), "dirt", 3.2, step=2.5, mottle=0.15, patches=(0.60, 0.56, 0.50))
    strip(m, x0, -2.2, x1 + 30, 2.2, 0.03, (0.62, 0.56, 0.48), "gravel", 2.4)
    strip(m, -5, y1 - 5, 5, y1 + 1, 0.04, (0.76, 0.75, 0.72), "concrete", 3.0)
    for i in range(12):
        x = x0 + (i + 0.5) * (x1 - x0) / 12
        m.box(
            [x, y0 - 0.8, 0],
            [(x1 - x0) / 12 - 0.1, 0.08, 2.0],
            (0.16, 0.4, 0.66) if i % 3 else (0.92, 0.9, 0.86),
            "planks" if i % 3 else "portrait",
            1.6,
        )
        m.box([x + 1.2, y0 - 0.9, 0], [0.1, 0.1, 2.1], STEEL)
    skyline(m, rng, (75, 110), (14, 34), 20, [(0.8, 0.76, 0.7), (0.7, 0.6, 0.54), (0.66, 0.7, 0.74)], "windows", 6.5)


def _digger(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for s in (-1, 1):
        m.box([0, s * 0.95, 0], [3.0, 0.55, 0.75], (0.14, 0.14, 0.15), "corrugated", 1.0)
    m.box([-0.2, 0, 0.75], [2.5, 2.1, 0.9], YELLOW, sides=range(6))
    m.box([0.4, 0.5, 1.65], [1.3, 1.0, 1.3], (0.3, 0.38, 0.42))
    m.box([0.4, 0.5, 2.95], [1.4, 1.1, 0.1], YELLOW, sides=range(6))
    a, b, c = [0.9, -0.4, 1.5], [2.4, -0.4, 3.6], [3.3, -0.4, 1.6]
    m.beam(a, b, 0.4, YELLOW)
    m.beam(b, c, 0.3, YELLOW)
    m.box([3.3, -0.4, 0.9], [0.7, 0.9, 0.75], (0.3, 0.3, 0.3), sides=range(6))


def _pipe_stack(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tone = rng.choice([(0.78, 0.77, 0.74), (0.85, 0.45, 0.2), (0.25, 0.45, 0.65)])
    for row, n in enumerate((3, 2, 1)):
        for i in range(n):
            y = (i - (n - 1) / 2) * 0.5
            m.beam([-1.4, y, 0.25 + 0.43 * row], [1.4, y, 0.25 + 0.43 * row], 0.5, shade(rng, tone), "plaster", 9)
            for s in (-1.405, 1.405):
                m.box([s, y, 0.08 + 0.43 * row], [0.01, 0.34, 0.34], (0.1, 0.1, 0.1), contact=1)


def _brick_pallet(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [1.4, 1.2, 0.15], WOOD, "planks", 0.8)
    m.box([0, 0, 0.15], [1.25, 1.05, rng.uniform(0.6, 1.0)], shade(rng, (0.76, 0.38, 0.28)), "brick", 0.9)


def _plank_stack(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for i in range(4):
        m.box(
            [rng.uniform(-0.15, 0.15), 0, 0.24 * i],
            [2.6, 1.0 - 0.1 * i, 0.2],
            shade(rng, (0.82, 0.64, 0.42)),
            "planks",
            0.8,
            sides=range(6),
        )


def _sand_heap(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.blob(
        [0, 0, -0.2],
        [o.half_x, o.half_y, o.height + 0.2],
        shade(rng, (0.86, 0.70, 0.46)),
        "sand",
        2.0,
        rough=0.09,
        detail=2,
        seed=rng.randrange(99),
        floor=-0.05,
    )


def _barrier(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for i in range(5):
        m.box(
            [-0.64 + 0.32 * i, 0, 0.75],
            [0.32, 0.06, 0.26],
            (0.9, 0.2, 0.12) if i % 2 else (0.96, 0.95, 0.92),
            sides=range(6),
        )
    for s in (-0.65, 0.65):
        m.beam([s, -0.3, 0], [s, 0, 0.95], 0.07, STEEL)
        m.beam([s, 0.3, 0], [s, 0, 0.95], 0.07, STEEL)


def _traffic_cone(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [0.5, 0.5, 0.05], IRON)
    for z0, z1, tone in ((0.05, 0.3, 0), (0.3, 0.5, 1), (0.5, 0.8, 0)):
        m.lathe(
            [0, 0, z0],
            [(0.2 * (1 - z0), 0), (0.2 * (1 - z1), z1 - z0)],
            (0.96, 0.95, 0.92) if tone else (0.95, 0.4, 0.1),
            segments=9,
        )


def _cement_mixer(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.beam([-0.4, -0.3, 0], [0, 0, 0.8], 0.08, STEEL)
    m.beam([0.4, -0.3, 0], [0, 0, 0.8], 0.08, STEEL)
    m.beam([0, 0.4, 0], [0, 0, 0.8], 0.08, STEEL)
    m.lathe([0, 0, 0.6], [(0.2, 0), (0.48, 0.3), (0.48, 0.55), (0.25, 0.9)], (0.95, 0.5, 0.12), segments=11)


def _toilet(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [1.2, 1.2, 2.2], (0.14, 0.45, 0.72), "corrugated", 1.0)
    m.box([0, 0, 2.2], [1.25, 1.25, 0.16], (0.93, 0.93, 0.93))
    m.box([0, -0.61, 0.1], [0.8, 0.04, 1.95], (0.2, 0.55, 0.82))


WORKS = (
    Family(
        "harbour",
        ("a harbour quay with boats", "a busy harbour"),
        ("morning", "noon", "overcast"),
        ((14, 17), (12.5, 14)),
        _harbour_fill,
        _harbour_ground,
        {"boat": _boat, "ship": _ship, "warehouse": _warehouse, "net pile": _net_pile},
    ),
    Family(
        "station",
        ("a railway platform", "a country railway station"),
        ("morning", "afternoon", "overcast"),
        ((14, 18), (12, 13)),
        _station_fill,
        _station_ground,
        {
            "train": _train,
            "goods train": _goods_train,
            "station house": _station_house,
            "canopy pillar": _canopy_pillar,
            "signal": _signal,
            "signal box": _signal_box,
            "station clock": _station_clock,
            "luggage trolley": _luggage_trolley,
            "water tower": _water_tower,
            "warehouse": _warehouse,
        },
    ),
    Family(
        "construction_site",
        ("a construction site", "a building site under a tower crane"),
        ("morning", "noon", "afternoon"),
        ((13, 16), (13, 15)),
        _construction_fill,
        _construction_ground,
        {
            "digger": _digger,
            "pipe stack": _pipe_stack,
            "brick pallet": _brick_pallet,
            "plank stack": _plank_stack,
            "sand heap": _sand_heap,
            "barrier": _barrier,
            "traffic cone": _traffic_cone,
            "cement mixer": _cement_mixer,
            "portable toilet": _toilet,
        },
    ),
)
