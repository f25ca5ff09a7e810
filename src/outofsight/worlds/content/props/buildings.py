"""Buildings and large structures."""

from __future__ import annotations

import itertools
from math import cos, pi, sin
from random import Random

import numpy as np

from ...engine.geometry import MeshBuilder
from ...engine.scene import Obstacle
from .base import BRIGHT, CORNERS, IRON, RGB, STEEL, STONE, WOOD, shade

BRICKS: tuple[RGB, ...] = ((0.72, 0.36, 0.27), (0.62, 0.30, 0.24), (0.80, 0.58, 0.42), (0.70, 0.48, 0.36))
PASTELS: tuple[RGB, ...] = ((0.94, 0.80, 0.55), (0.90, 0.62, 0.50), (0.72, 0.80, 0.76))
PASTELS += ((0.93, 0.88, 0.78), (0.78, 0.72, 0.84), (0.86, 0.70, 0.62))
ROOFS: tuple[RGB, ...] = ((0.68, 0.34, 0.24), (0.42, 0.40, 0.42), (0.55, 0.30, 0.24), (0.35, 0.38, 0.45))


def _house(
    m: MeshBuilder, rng: Random, o: Obstacle, wall: RGB, skin: str, roof: RGB, shop: bool, steep: float = 0.42
) -> None:
    """A house whose front is -y: ground floor, storeys of windows, gabled roof with its ridge along x, chimney."""
    w, d = 2 * o.half_x, 2 * o.half_y
    rise = d * steep
    body = o.height - rise
    base = 3.2 if shop else 0.6
    tint = shade(rng, wall, 0.12)
    m.box([0, 0, 0], [w, d, base], tint * (1.0 if shop else 0.75), "plaster" if shop else "ashlar", 2.0)
    repeat = 6.0 if body - base > 5 else 3.0
    m.box([0, 0, base], [w, d, body - base], tint, skin, repeat, whole=True, contact=0.92, sides=range(4))
    m.gable([0, 0, body], [w, d, rise], shade(rng, roof), "roof", 2.0, wall=tint, wall_texture="plaster")
    m.box([rng.uniform(-0.35, 0.35) * w, 0.2 * d, body + rise * 0.3], [0.7, 0.7, rise * 0.95], BRICKS[1], "brick", 1.2)
    if shop:
        bays = max(1, round(w / 4.5))
        paint = shade(rng, rng.choice(BRIGHT))
        m.front(-w / 2, w / 2, -d / 2 - 0.03, 0, base, 0.5 + 0.5 * paint, "shopfront", (bays, 1))
        if rng.random() < 0.6:
            x, y = w / 2 - 0.3, -d / 2 - 1.2
            cloth = [[-w / 2 + 0.3, y, 2.3], [x, y, 2.3], [x, -d / 2, 2.95], [-w / 2 + 0.3, -d / 2, 2.95]]
            m.sheet(cloth, paint, paint * 0.5, "awning", (bays, 1))
    else:
        x = rng.uniform(-0.3, 0.3) * w
        m.box([x, -d / 2 - 0.04, 0], [1.15, 0.1, 2.2], shade(rng, rng.choice(BRIGHT)) * 0.8, "planks", 1.2)
        m.box([x, -d / 2 - 0.3, 0], [1.6, 0.6, 0.18], STONE)


def brick_house(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    _house(m, rng, o, rng.choice(BRICKS), "shutters", rng.choice(ROOFS), rng.random() < 0.35)


def house(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    _house(m, rng, o, rng.choice(PASTELS), "windows", rng.choice(ROOFS[::2]), rng.random() < 0.75, 0.3)


def cabin(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w, d, rise = 2 * o.half_x, 2 * o.half_y, o.half_y * 1.1
    body = o.height - rise
    wood = shade(rng, rng.choice([(0.52, 0.33, 0.2), (0.62, 0.22, 0.16), (0.36, 0.27, 0.2)]))
    m.box([0, 0, 0], [w, d, 0.5], STONE, "ashlar", 1.5)
    m.box([0, 0, 0.5], [w, d, body - 0.5], wood, "planks", 2.0)
    m.gable([0, 0, body], [w, d, rise], (0.96, 0.98, 1.0), "snow", 4.0, wall=wood, wall_texture="planks", overhang=0.6)
    m.box([0.3 * w, 0.1 * d, body + rise * 0.4], [0.8, 0.8, rise * 0.9], STONE, "ashlar", 1.2)
    m.box([0, -d / 2 - 0.04, 0], [1.1, 0.1, 2.1], wood * 0.5, "planks", 1.0)
    for sx in (-0.3, 0.3):
        m.box([sx * w, -d / 2 - 0.03, 1.2], [1.2, 0.08, 1.1], (0.95, 0.93, 0.9))
        m.box([sx * w, -d / 2 - 0.06, 1.27], [1.05, 0.06, 0.95], (1.0, 0.78, 0.4), glow=0.35)
        m.box([sx * w, -d / 2 - 0.1, 1.27], [0.07, 0.04, 0.95], (0.95, 0.93, 0.9))


def tower_block(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tint = shade(rng, rng.choice([(0.75, 0.86, 0.95), (0.85, 0.85, 0.82), (0.62, 0.78, 0.78), (0.9, 0.78, 0.66)]))
    w, d, h = 2 * o.half_x, 2 * o.half_y, o.height
    m.box([0, 0, 0], [w, d, 4.2], (0.5, 0.52, 0.55), "curtain_wall", 4.2, whole=True)
    skin = rng.choice(["curtain_wall", "curtain_wall", "windows"])
    step = rng.random() < 0.5
    size, repeat = [w, d, h * (0.7 if step else 1) - 4.2], 11.0 if skin == "curtain_wall" else 6.5
    m.box([0, 0, 4.2], size, tint, skin, repeat, whole=True, contact=0.9)
    if step:
        m.box([0, 0, h * 0.7], [w * 0.65, d * 0.65, h * 0.3], tint, skin, 11.0, whole=True)
    for z, t in ((4.2, 0.5), (h * (0.7 if step else 1.0), 0.6)):
        m.box([0, 0, z - t / 2], [w + 0.4, d + 0.4, t], (0.82, 0.82, 0.82), "concrete", 4.0, sides=range(6))


def apartment_block(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w, d, h = 2 * o.half_x, 2 * o.half_y, o.height
    tint = shade(rng, rng.choice(PASTELS))
    m.box([0, 0, 0], [w, d, 1.0], (0.5, 0.48, 0.46), "concrete", 2.0)
    m.box([0, 0, 1.0], [w, d, h - 1.0], tint, "windows", 6.0, whole=True, contact=0.92)
    m.box([0, 0, h], [w + 0.5, d + 0.5, 0.4], (0.6, 0.58, 0.56), sides=range(6))
    for i in range(int((h - 2) // 3)):
        for j in range(max(1, int(w // 8))):
            x = -w / 2 + 4 + 8 * j
            m.box([x, -d / 2 - 0.5, 3.6 + 3 * i], [2.6, 1.0, 0.15], STEEL, sides=range(6))
            m.box([x, -d / 2 - 0.98, 3.75 + 3 * i], [2.6, 0.05, 0.85], rng.choice(BRIGHT), sides=(0, 1, 2, 3, 4))


def shop(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    """A city house at night: dark walls, some windows lit, a glowing sign over the shop."""
    w, d, h = 2 * o.half_x, 2 * o.half_y, o.height
    m.box([0, 0, 0], [w, d, h], shade(rng, rng.choice(BRICKS)) * 0.8, "brick", 2.4)
    front = -d / 2 - 0.04
    glow = 0.16 if rng.random() < 0.7 else 0.0
    m.front(-w / 2, w / 2, front, 0, 3.2, (0.9, 0.8, 0.7), "shopfront", (max(1, round(w / 4.5)), 1), glow)
    for i in range(int((h - 4) // 3)):
        for j in range(max(1, int(w // 2.6))):
            x, z = -w / 2 + 1.3 + 2.6 * j, 4.1 + 3 * i
            lit = rng.random() < 0.42
            tone = rng.choice([(1.0, 0.78, 0.42), (1.0, 0.88, 0.62), (0.75, 0.86, 1.0)]) if lit else (0.2, 0.24, 0.32)
            m.box([x, front, z], [1.25, 0.1, 1.7], (0.75, 0.72, 0.68), sides=(0, 1, 3, 4))
            m.front(x - 0.5, x + 0.5, front - 0.06, z + 0.12, z + 1.58, tone, glow=0.4 if lit else 0.0)
    neon = rng.choice([(1.0, 0.16, 0.45), (0.1, 0.85, 1.0), (0.3, 1.0, 0.4), (1.0, 0.75, 0.1), (0.7, 0.3, 1.0)])
    x = rng.uniform(-0.25, 0.25) * w
    m.box([x, front - 0.1, 3.25], [w * 0.4, 0.2, 0.6], (0.1, 0.1, 0.12), sides=range(6))
    m.box([x, front - 0.2, 3.36], [w * 0.34, 0.08, 0.36], neon, glow=0.7, sides=range(6))
    if rng.random() < 0.7:
        m.box([w * 0.42, front - 0.55, 4.2], [0.16, 0.9, 2.8], neon, glow=0.6, sides=range(6))


def church(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w, h = 2 * o.half_x, o.height
    tone = shade(rng, (0.85, 0.79, 0.68))
    m.box([0, -o.half_y + w * 0.25, 0], [w * 0.5, w * 0.5, h * 0.62], tone, "ashlar", 2.4)
    spire = [(w * 0.38, 0), (w * 0.3, h * 0.06), (0.05, h * 0.38)]
    m.lathe([0, -o.half_y + w * 0.25, h * 0.62], spire, (0.36, 0.5, 0.46), "roof", 2.0, 8)
    m.box([0, 1.0, 0], [w, 2 * o.half_y - 2, h * 0.26], tone, "ashlar", 2.4)
    with m.at(0, 1.0, h * 0.26, pi / 2):
        m.gable([0, 0, 0], [2 * o.half_y - 2, w, h * 0.16], ROOFS[0], "roof", 2.0, wall=tone, wall_texture="ashlar")
    front = -o.half_y - 0.03
    m.box([0, front, 0], [1.8, 0.12, 3.2], WOOD, "planks", 1.2)
    for z in (0.34, 0.5):
        m.box([0, front, h * z], [1.1, 0.1, h * 0.08], (0.15, 0.17, 0.22))
    m.front(-0.9, 0.9, front - 0.02, h * 0.43, h * 0.43 + 1.8, (0.95, 0.93, 0.85))


def barn(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w, d, rise = 2 * o.half_x, 2 * o.half_y, o.height * 0.38
    body = o.height - rise
    red = shade(rng, (0.66, 0.16, 0.12))
    m.box([0, 0, 0], [w, d, body], red, "planks", 2.2)
    roof, grey = [w, d, rise], (0.5, 0.5, 0.52)
    m.gable([0, 0, body], roof, grey, "corrugated", 2.5, wall=red, wall_texture="planks", overhang=0.5)
    white = (0.95, 0.94, 0.9)
    m.box([0, -d / 2 - 0.05, 0], [3.6, 0.1, 3.2], red * 0.8, "planks", 1.6)
    for sx in (-1, 1):
        m.box([sx * 1.8, -d / 2 - 0.1, 0], [0.2, 0.12, 3.3], white)
        m.beam([-1.7 * sx, -d / 2 - 0.12, 0.1], [1.7 * sx, -d / 2 - 0.12, 3.1], 0.18, white)
        m.box([sx * (w / 2 - 0.1), -d / 2 - 0.04, 0], [0.24, 0.1, body], white)
    m.box([0, -d / 2 - 0.1, 3.2], [3.8, 0.12, 0.22], white)


def silo(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    r = o.half_x
    m.lathe([0, 0, 0], [(r, 0), (r, o.height - r)], (0.8, 0.82, 0.84), "corrugated", 2.0, 14)
    dome = [(r * 1.05, 0), (r * 0.7, r * 0.6), (0.02, r)]
    m.lathe([0, 0, o.height - r], dome, (0.6, 0.62, 0.66), "corrugated", 2.0, 14)


def windmill(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    h = o.height * 0.7
    m.lathe([0, 0, 0], [(o.half_x, 0), (o.half_x * 0.6, h)], (0.92, 0.89, 0.82), "plaster", 2.0, 10)
    m.lathe([0, 0, h], [(o.half_x * 0.7, 0), (o.half_x * 0.5, 0.8), (0.02, 1.8)], WOOD, "roof", 1.5, 10)
    m.box([0, -o.half_x + 0.02, 0], [1.1, 0.3, 2.1], WOOD, "planks", 1.0)
    hub = np.array([0, -o.half_x * 0.8, h + 0.4])
    turn = rng.uniform(0, pi / 2)
    for i in range(4):
        a = turn + i * pi / 2
        d, s = np.array([cos(a), 0, sin(a)]), np.array([-sin(a), 0, cos(a)])
        m.beam(hub, hub + d * h * 0.55, 0.16, WOOD)
        sail = [hub + d * 1.0, hub + d * h * 0.54, hub + d * h * 0.54 + s * 1.1, hub + d * 1.0 + s * 1.1]
        m.sheet(sail, (0.95, 0.93, 0.88), (0.7, 0.68, 0.64), "planks", (3, 1), lining="planks")


def container(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w, d = 2 * o.half_x, 2 * o.half_y
    for i in range(max(1, round(o.height / 2.6))):
        paint = shade(rng, rng.choice(BRIGHT[:7]))
        m.box([0, 0, 2.6 * i], [w, d, 2.58], paint, "corrugated", 3.0, contact=0.7)
        for sx, sy in CORNERS:
            m.box([sx * w / 2, sy * d / 2, 2.6 * i], [0.16, 0.16, 2.6], paint * 0.6)


def tower_crane(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    yellow, h = (0.95, 0.72, 0.1), o.height
    for sx in (-0.7, 0.7):
        for sy in (-0.7, 0.7):
            m.beam([sx, sy, 0], [sx, sy, h], 0.16, yellow)
    steps = int(h // 2.5)
    for i in range(steps):
        z, s = i * h / steps, 1 if i % 2 else -1
        for _ in m.turned(4):
            m.beam([-0.7 * s, -0.7, z], [0.7 * s, -0.7, z + h / steps], 0.09, yellow)
    m.box([0, 0, 0], [3.0, 3.0, 0.8], (0.6, 0.6, 0.58), "concrete", 1.5)
    with m.at(0, 0, h, rng.uniform(0, 6)):
        m.box([0.9, 0, 0], [1.4, 1.4, 1.8], yellow, sides=range(6))
        for sy in (-0.5, 0.5):
            m.beam([-8, sy, 1.4], [22, sy, 1.4], 0.16, yellow)
        m.beam([0, 0, 2.6], [22, 0, 1.9], 0.14, yellow)
        m.beam([0, 0, 1.4], [0, 0, 5.0], 0.3, yellow)
        m.beam([0, 0, 5.0], [20, 0, 1.6], 0.06, IRON)
        m.beam([0, 0, 5.0], [-8, 0, 1.6], 0.06, IRON)
        m.box([-7, 0, 0.2], [2.0, 1.6, 1.6], (0.6, 0.6, 0.58), "concrete", 1.5, sides=range(6))
        m.beam([15, 0, 1.4], [15, 0, -h * 0.4], 0.06, IRON)
        m.box([15, 0, -h * 0.4 - 0.8], [0.6, 0.6, 0.8], yellow, sides=range(6))


def harbour_crane(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    blue, h, x, y = shade(rng, (0.15, 0.4, 0.62)), o.height, o.half_x, o.half_y
    for sx in (-1, 1):
        for sy in (-1, 1):
            m.box([sx * (x - 0.3), sy * (y - 0.3), 0], [0.6, 0.6, h * 0.55], blue)
        m.box([sx * (x - 0.3), 0, h * 0.5], [0.6, 2 * y, 0.7], blue, sides=range(6))
    m.box([0, 0, h * 0.55], [2 * x, 2 * y, 0.5], blue * 0.8, sides=range(6))
    m.box([0, 0, h * 0.55 + 0.5], [2.4, 2.8, 2.6], (0.92, 0.9, 0.84), "corrugated", 2.0)
    for jib in (-0.5, 0.5):
        m.beam([jib, 0, h * 0.62], [jib, -14, h * 1.1], 0.25, blue)
    m.beam([0, 0, h * 0.95], [0, -14, h * 1.1], 0.08, IRON)
    m.beam([0, 1, h * 0.6], [0, 0, h * 0.95], 0.3, blue)
    m.beam([0, -13.8, h * 1.1], [0, -13.8, h * 0.5], 0.07, IRON)


def lighthouse(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    h, r = o.height, o.half_x
    bands = 6
    for i in range(bands):
        r0, r1 = r * (1 - 0.45 * i / bands), r * (1 - 0.45 * (i + 1) / bands)
        z0, z1 = h * 0.8 * i / bands, h * 0.8 * (i + 1) / bands
        tone = (0.8, 0.14, 0.12) if i % 2 else (0.95, 0.94, 0.92)
        m.lathe([0, 0, z0], [(r0, 0), (r1, z1 - z0)], tone, "plaster", 2.0, 12, 1.0)
    m.cylinder([0, 0, h * 0.8], r * 0.75, 0.25, IRON, segments=12)
    m.cylinder([0, 0, h * 0.82], r * 0.4, h * 0.1, (1.0, 0.95, 0.7), segments=10, glow=0.3)
    m.cylinder([0, 0, h * 0.92], r * 0.5, h * 0.08, (0.8, 0.14, 0.12), top=0.02, segments=10)


def unfinished_building(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    """A building under construction: slabs on columns, some walls of blocks, scaffolding in front."""
    w, d = 2 * o.half_x, 2 * o.half_y
    floors = max(2, int(o.height // 3.2))
    grey = shade(rng, (0.68, 0.67, 0.64))
    for level in range(floors + 1):
        floor = 3.2 * level
        m.box([0, 0, floor - 0.25 if level else 0], [w, d, 0.3], grey, "concrete", 3.0, sides=range(6), contact=0.9)
        if level == floors:
            break
        for i, j in itertools.product(range(4), range(2)):
            column = [-w / 2 + 0.4 + i * (w - 0.8) / 3, (j - 0.5) * (d - 0.8), floor]
            m.box(column, [0.5, 0.5, 3.2], grey, "concrete", 2.0)
        for i in range(3):
            if rng.random() < 0.45:
                wall = [w / 3 - 0.6, 0.2, rng.choice([1.2, 2.9])]
                m.box([-w / 2 + (i + 0.5) * w / 3, -d / 2 + 0.4, floor], wall, (0.75, 0.42, 0.3), "brick", 1.6)
        m.box([0, 0.4 * d, floor], [w * 0.9, 0.2, 2.95], grey * 0.8, "concrete", 2.5)
    front = -d / 2 - 0.8
    for i in range(5):
        m.beam([-w / 2 + i * w / 4, front, 0], [-w / 2 + i * w / 4, front, 3.2 * floors + 0.6], 0.08, STEEL)
    for level in range(floors):
        wood = shade(rng, (0.75, 0.6, 0.4))
        m.box([0, front, 3.2 * level + 2.0], [w, 0.7, 0.06], wood, "planks", 1.5, sides=range(6))
        m.beam([-w / 2, front, 3.2 * level + 3.0], [w / 2, front, 3.2 * level + 3.0], 0.07, STEEL)
    for i in range(6):
        x, top = -w / 2 + 0.5 + i * (w - 1) / 5, 3.2 * floors
        m.beam([x, 0, top], [x, 0.1, top + 1.1], 0.06, (0.5, 0.28, 0.18))


def ruin(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    """Broken walls of mud brick."""
    tone = shade(rng, (0.80, 0.60, 0.42))
    n = 6
    for a in range(3):
        length, out = (2 * o.half_x, o.half_y) if a % 2 == 0 else (2 * o.half_y, o.half_x)
        with m.at(0, 0, 0, a * pi / 2):
            for i in range(n):
                height = o.height * rng.uniform(0.35, 1.0)
                if i == 2 and a == 0:
                    continue
                x = -length / 2 + (i + 0.5) * length / n
                m.box([x, -out + 0.3, -0.3], [length / n + 0.01, 0.6, height], tone, "ashlar", 2.0)
