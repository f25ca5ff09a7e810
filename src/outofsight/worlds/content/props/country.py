"""What stands in parks, forests, deserts, villages and on farms."""

from __future__ import annotations

from math import cos, pi, sin
from random import Random

import numpy as np

from ...engine.geometry import MeshBuilder, polar
from ...engine.scene import Obstacle
from .base import BRIGHT, IRON, STEEL, STONE, WOOD, shade


def gazebo(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    white = (0.93, 0.92, 0.88)
    m.cylinder([0, 0, -0.2], 2.4, 0.45, STONE, "flagstones", 1.2, segments=8)
    for i in range(8):
        a = pi / 8 + i * pi / 4
        m.beam(polar(2.1, a, 0.2), polar(2.1, a, 3.0), 0.14, white)
        if i:
            b = a - pi / 4
            for z in (0.55, 1.0):
                m.beam(polar(2.1, a, z), polar(2.1, b, z), 0.07, white)
    m.lathe([0, 0, 2.9], [(2.6, 0), (1.2, 1.0), (0.1, 1.7)], (0.32, 0.5, 0.47), "roof", 1.5, 8)
    m.lathe([0, 0, 4.4], [(0.01, 0), (2.58, -1.5)], (0.6, 0.5, 0.4), "planks", 1.0, 8)


def pond(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    t = np.linspace(0, 2 * pi, 29)[:-1]
    wob = 1 + 0.08 * np.sin(3 * t + 1) + 0.05 * np.sin(5 * t)
    for grow, z, tone, skin in ((1.0, 0.42, (0.78, 0.72, 0.6), "gravel"), (0.9, 0.47, (0.35, 0.55, 0.62), "water")):
        p = np.stack([o.half_x * grow * wob * np.cos(t), o.half_y * grow * wob * np.sin(t), np.full(28, z)], axis=1)
        m.polygon(p, [0, 0, 1.0], tone, skin, p[:, :2] / 3.0)
    for i in range(9):
        a = rng.uniform(0, 2 * pi)
        centre, tone = [o.half_x * cos(a), o.half_y * sin(a), 0.4], (0.6, 0.58, 0.55)
        m.blob(centre, [0.5, 0.4, 0.5], tone, "dirt", rough=0.2, seed=i)


def stump(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, -0.2], [(0.55, 0), (0.4, 0.4), (0.38, 0.75)], (0.5, 0.38, 0.28), "bark", 0.8, 9)
    m.cylinder([0, 0, 0.3], 0.38, 0.26, (0.85, 0.7, 0.48), "planks", 1.0, segments=9)


def brown_cabin(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w, d, rise = 2 * o.half_x, 2 * o.half_y, o.half_y * 0.8
    for i in range(int((o.height - rise) / 0.32)):
        size = [w + 0.1 * (i % 2), d + 0.1 * (i % 2), 0.32]
        m.box([0, 0, -0.4 + 0.32 * i], size, shade(rng, (0.50, 0.33, 0.2)), "bark", 1.2, sides=range(4))
    roof, wall = (0.34, 0.42, 0.3), (0.45, 0.3, 0.2)
    m.gable([0, 0, o.height - rise], [w, d, rise], roof, "roof", 2.0, wall=wall, wall_texture="planks")
    m.box([0, -d / 2 - 0.06, 0], [1.0, 0.14, 2.0], (0.3, 0.42, 0.3), "planks", 1.0)
    m.box([w * 0.3, -d / 2 - 0.06, 1.0], [1.0, 0.14, 0.9], (0.75, 0.8, 0.8))


def mesa(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    r, z = o.half_x, -3.0
    for i, (share, tone) in enumerate(
        ((0.35, (0.72, 0.42, 0.28)), (0.25, (0.82, 0.55, 0.36)), (0.25, (0.66, 0.36, 0.25)), (0.25, (0.85, 0.6, 0.42)))
    ):
        high = (o.height + 3) * share
        inner = r * (0.66 if i == 0 else 0.97)
        layer = [(r, 0), (inner, high), (inner * 0.9, high + 0.01)]
        m.lathe([0.4 * i, 0.2 * i, z], layer, shade(rng, tone), "dirt", 5.0, 11)
        z, r = z + high, inner * 0.95
    m.cylinder([1.0, 0.5, z - 0.2], r, 0.2, (0.8, 0.55, 0.38), "sand", 4.0, segments=11)


def cart(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0.55], [1.7, 1.0, 0.4], WOOD, "planks", 1.0, sides=range(6))
    for s in (-1, 1):
        m.beam([0, s * 0.52, 0.45], [0, s * 0.6, 0.45], 0.95, (0.4, 0.28, 0.18), "planks", 10)
        m.beam([0.8, s * 0.35, 0.6], [1.7, s * 0.3, 0.25], 0.07, WOOD)
    m.blob([-0.1, 0, 0.95], [0.6, 0.4, 0.3], (0.75, 0.6, 0.35), "dirt", 1.0, rough=0.1)


def snowman(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    white = (0.97, 0.98, 1.0)
    for z, r in ((0.42, 0.52), (1.1, 0.38), (1.62, 0.26)):
        m.blob([0, 0, z], [r, r, r], white, "snow", 1.0, detail=2, dark=0.8)
    m.beam([0.22, 0, 1.62], [0.55, 0, 1.6], 0.09, (0.95, 0.5, 0.12))
    m.cylinder([0, 0, 1.8], 0.34, 0.05, IRON)
    m.cylinder([0, 0, 1.84], 0.2, 0.32, IRON)
    m.lathe([0, 0, 1.36], [(0.3, 0), (0.3, 0.13)], rng.choice(BRIGHT[:6]), segments=10)
    for s in (-1, 1):
        m.beam([0, s * 0.3, 1.15], [0.1, s * 0.85, 1.45], 0.05, (0.35, 0.25, 0.18))
        m.blob([0.22, s * 0.09, 1.7], [0.05] * 3, IRON, detail=0)


def sledge(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0.3], [1.5, 0.6, 0.07], rng.choice(BRIGHT[:4]), "planks", 0.6, sides=range(6))
    for s in (-1, 1):
        m.box([0, s * 0.24, 0.02], [1.7, 0.06, 0.07], STEEL)
        m.beam([0.85, s * 0.24, 0.06], [1.0, s * 0.24, 0.45], 0.06, STEEL)
        for x in (-0.5, 0.4):
            m.box([x, s * 0.24, 0.05], [0.06, 0.06, 0.27], WOOD)


def wood_pile(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for row in range(4):
        for i in range(5 - row % 2):
            y = -0.5 + 0.25 * i + 0.12 * (row % 2)
            z, brown = 0.13 + 0.22 * row, shade(rng, (0.6, 0.42, 0.26), 0.2)
            m.beam([-0.7, y, z], [0.7, y, z], 0.25, brown, "bark", 6)
    m.box([0, 0, 0.98], [1.6, 1.4, 0.14], (0.97, 0.98, 1.0), "snow", 2.0)


def hay_bale(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.beam([-0.6, 0, 0.72], [0.6, 0, 0.72], 1.5, (0.88, 0.72, 0.36), "needles", 12)
    for s in (-1, 1):
        t = np.linspace(0, 2 * pi, 12, endpoint=False) * s
        p = np.stack([np.full(12, s * 0.6), 0.74 * np.cos(t), 0.72 + 0.74 * np.sin(t)], axis=1)
        m.polygon(p, [float(s), 0, 0], (0.78, 0.6, 0.3), "needles", p[:, 1:])


def tractor(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    paint = rng.choice([(0.16, 0.45, 0.2), (0.78, 0.14, 0.1), (0.14, 0.3, 0.62)])
    m.box([0.6, 0, 0.7], [1.6, 0.7, 0.65], paint, sides=range(6))
    m.box([-0.7, 0, 0.6], [1.1, 1.1, 0.8], paint, sides=range(6))
    m.box([-0.7, 0, 1.4], [1.0, 1.0, 0.8], (0.35, 0.45, 0.5))
    m.box([-0.7, 0, 2.2], [1.2, 1.2, 0.1], paint, sides=range(6))
    m.cylinder([0.9, 0.2, 1.35], 0.06, 0.7, IRON, segments=6)
    for s in (-1, 1):
        for x, r in ((-0.8, 0.75), (1.0, 0.42)):
            m.beam([x, s * 0.55, r], [x, s * 0.9, r], 2 * r, (0.1, 0.1, 0.1), None, 12)
            m.beam([x, s * 0.9, r], [x, s * 0.92, r], r, (0.95, 0.8, 0.2), None, 8)


def trough(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [1.6, 0.7, 0.6], STONE, "concrete", 1.0, sides=range(4))
    m.flat(-0.75, -0.3, 0.75, 0.3, 0.55, (0.4, 0.6, 0.68), "water", (0.5, 0.3))


def scarecrow(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.beam([0, 0, 0], [0, 0, 1.9], 0.09, WOOD)
    m.beam([0, -0.75, 1.4], [0, 0.75, 1.4], 0.09, WOOD)
    m.lathe([0, 0, 0.7], [(0.34, 0), (0.26, 0.8), (0.1, 0.86)], rng.choice(BRIGHT), "awning", 0.5, 8)
    m.blob([0, 0, 1.75], [0.18, 0.18, 0.2], (0.86, 0.74, 0.5), detail=1)
    m.lathe([0, 0, 1.86], [(0.38, 0), (0.16, 0.04), (0.12, 0.26), (0.01, 0.26)], (0.6, 0.45, 0.2), segments=9)
