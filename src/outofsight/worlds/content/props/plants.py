"""Trees, bushes, flowers and stones."""

from __future__ import annotations

from math import cos, pi, sin
from random import Random

import numpy as np

from ...engine.geometry import MeshBuilder, polar
from ...engine.scene import Obstacle
from .base import BRIGHT, RGB, STONE, shade


def tree(m: MeshBuilder, rng: Random, o: Obstacle, leaf: RGB | None = None) -> None:
    green = leaf or rng.choice([(0.36, 0.50, 0.17), (0.27, 0.44, 0.16), (0.47, 0.54, 0.18), (0.33, 0.47, 0.25)])
    h, r = o.height, o.height * 0.3
    m.lathe([0, 0, -0.3], [(0.32, 0), (0.19, 0.7), (0.14, h * 0.55 + 0.3)], (0.5, 0.4, 0.31), "bark", 0.8, 8)
    for i in range(5):
        t = 2 * pi * i / 4 + rng.uniform(-0.4, 0.4)
        d = 0.0 if i == 4 else r * 0.62
        z = h * (0.82 if i == 4 else rng.uniform(0.56, 0.7))
        size = r * (rng.uniform(0.62, 0.8))
        centre, radii, tone = polar(d, t, z), [size, size, size * 0.82], shade(rng, green)
        m.blob(centre, radii, tone, "leaves", 1.6, rough=0.16, seed=rng.randrange(1 << 30), dark=0.42)


def autumn_tree(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tree(m, rng, o, rng.choice([(0.80, 0.42, 0.12), (0.85, 0.62, 0.16), (0.66, 0.24, 0.12)]))


def orange_tree(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    h = o.height
    m.lathe([0, 0, 0], [(0.5, 0), (0.6, 0.55), (0.5, 0.55)], (0.72, 0.42, 0.3), "plaster", 1.0, 10)
    m.lathe([0, 0, 0.4], [(0.1, 0), (0.07, h * 0.5)], (0.45, 0.36, 0.28), "bark", 0.5, 6)
    centre = np.array([0, 0, h * 0.72])
    green, radii = (0.26, 0.44, 0.18), [0.26 * h, 0.26 * h, 0.27 * h]
    m.blob(centre, radii, green, "leaves", 1.0, rough=0.1, seed=rng.randrange(99), detail=2)
    for _ in range(9):
        a, b = rng.uniform(0, 2 * pi), rng.uniform(-0.7, 0.9)
        d = np.array([cos(a) * cos(b), sin(a) * cos(b), sin(b)]) * 0.27 * h
        m.blob(centre + d, [0.09] * 3, (0.98, 0.55, 0.08), detail=0)


def palm(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    lean = rng.uniform(0, 2 * pi)
    top = np.array([0.12 * o.height * cos(lean), 0.12 * o.height * sin(lean), o.height - 0.6])
    m.beam([0, 0, -0.2], top, 0.28, (0.55, 0.45, 0.33), "bark", 6)
    for i in range(9):
        t = 2 * pi * i / 9 + rng.uniform(-0.2, 0.2)
        d, s = np.array([cos(t), sin(t), 0]), np.array([-sin(t), cos(t), 0])
        a, b, c = top, top + d * 1.3 + [0, 0, 0.5], top + d * 2.4 + [0, 0, -0.5]
        for lo, hi, w0, w1 in ((a, b, 0.12, 0.38), (b, c, 0.38, 0.05)):
            corners = [lo - s * w0, hi - s * w1, hi + s * w1, lo + s * w0]
            m.sheet(corners, (0.42, 0.55, 0.2), (0.34, 0.46, 0.17), "needles", lining="needles")


def pine(m: MeshBuilder, rng: Random, o: Obstacle, colour: RGB = (0.24, 0.42, 0.21), cap: RGB | None = None) -> None:
    h = o.height
    green = shade(rng, colour, 0.15)
    m.lathe([0, 0, -0.3], [(0.3, 0), (0.1, h * 0.8)], (0.48, 0.34, 0.25), "bark", 0.7, 7)
    layers = 5
    for i in range(layers):
        z = h * (0.27 + 0.14 * i)
        r = h * 0.2 * (1.12 - i / layers) * rng.uniform(0.9, 1.1)
        with m.at(0, 0, z, rng.uniform(0, 3)):
            needles = [(r, 0), (r * 0.25, h * 0.2)]
            m.lathe([0, 0, 0], needles, green * (0.75 + 0.08 * i), "needles", 1.0, 9, contact=0.55)
            m.lathe([0, 0, h * 0.02], [(0.01, 0), (r * 0.96, -h * 0.02)], green * 0.4, "needles", 1.0, 9)
            if cap:
                snow = [(r * 0.86, 0), (r * 0.2, h * 0.175)]
                m.lathe([0, 0, 0.05 + h * 0.035], snow, cap, "snow", 1.0, 9, contact=0.95)
    m.cylinder([0, 0, h * 0.86], h * 0.06, h * 0.14, cap or green, "snow" if cap else "needles", top=0, segments=7)


def snowy_pine(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    pine(m, rng, o, (0.16, 0.28, 0.2), (0.95, 0.97, 1.0))


def bush(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for i in range(3):
        x = (i - 1) * o.half_x * 0.55
        size = o.half_x * rng.uniform(0.5, 0.7)
        centre = [x, rng.uniform(-0.2, 0.2) * o.half_y, o.height * 0.42]
        radii, green = [size, min(size, o.half_y), o.height * 0.55], shade(rng, (0.30, 0.45, 0.18))
        m.blob(centre, radii, green, "leaves", 1.2, rough=0.14, seed=rng.randrange(999), dark=0.4, floor=-0.1)


def flower_bed(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(o.half_x, 0), (o.half_x, 0.35), (o.half_x - 0.15, 0.35)], STONE, "ashlar", 1.0, 12)
    m.cylinder([0, 0, 0], o.half_x - 0.1, 0.3, (0.35, 0.26, 0.18), "dirt", 1.5, segments=12)
    tones = rng.sample(BRIGHT, 3)
    for i in range(14):
        a, r = i * 2.4, (o.half_x - 0.3) * ((i + 0.5) / 14) ** 0.5
        tone = tones[i % 3] if i % 2 else (0.3, 0.45, 0.2)
        m.blob(polar(r, a, 0.4), [0.2, 0.2, 0.2], tone, "leaves", 0.4, detail=0)


def rock(m: MeshBuilder, rng: Random, o: Obstacle, colour: RGB = (0.55, 0.53, 0.5)) -> None:
    centre, radii = [0, 0, o.height * 0.3], [o.half_x * 0.9, o.half_y * 0.9, o.height * 0.7]
    tone, seed = shade(rng, colour), rng.randrange(1 << 30)
    m.blob(centre, radii, tone, "dirt", 1.6, rough=0.2, detail=2, seed=seed, dark=0.5, floor=-0.3)


def red_rock(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    rock(m, rng, o, (0.68, 0.40, 0.26))


def cactus(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    green, h = shade(rng, (0.33, 0.47, 0.26)), o.height
    m.lathe([0, 0, -0.1], [(0.2, 0), (0.24, h * 0.5), (0.2, h * 0.92), (0.06, h + 0.1)], green, "corrugated", 1.0, 9)
    for side in (-1, 1):
        z, reach = h * rng.uniform(0.35, 0.5), rng.uniform(0.5, 0.65)
        m.beam([0, 0, z], [side * reach, 0, z + 0.08], 0.24, green, "corrugated", 6)
        arm = [(0.12, -0.1), (0.14, 0.1), (0.12, h * 0.33), (0.03, h * 0.38)]
        m.lathe([side * reach, 0, z], arm, green, "corrugated", 1.0, 8)


def dead_tree(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    grey = (0.52, 0.45, 0.37)
    m.lathe([0, 0, -0.2], [(0.28, 0), (0.12, o.height * 0.7)], grey, "bark", 0.8, 7)
    for i in range(5):
        a, z = i * 1.3 + rng.uniform(-0.4, 0.4), o.height * rng.uniform(0.4, 0.65)
        end = [cos(a) * o.height * 0.3, sin(a) * o.height * 0.3, z + o.height * 0.3]
        m.beam([0, 0, z], end, 0.1, grey, "bark", 4)


def log(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    r = o.height / 2
    m.beam([-o.half_x, 0, r * 0.9], [o.half_x, 0, r * 0.9], 2 * r, (0.5, 0.38, 0.28), "bark", 8)
    for side in (-1, 1):
        t = np.linspace(0, 2 * pi, 8, endpoint=False) * side
        p = np.stack([np.full(8, side * o.half_x), r * np.cos(t), r * 0.9 + r * np.sin(t)], axis=1)
        m.polygon(p, [float(side), 0, 0], (0.8, 0.66, 0.46))
