"""What stands in streets, squares and yards."""

from __future__ import annotations

from math import cos, pi, sin
from random import Random

from ...engine.geometry import MeshBuilder, polar
from ...engine.scene import Obstacle
from .base import BRIGHT, IRON, STEEL, STONE, WOOD, shade


def bench(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    wood = shade(rng, WOOD)
    for i in range(3):
        m.box([0, -0.16 + 0.16 * i, 0.42], [2 * o.half_x, 0.13, 0.05], wood, "planks", 1.0)
    for i in range(2):
        m.box([0, 0.24, 0.58 + 0.17 * i], [2 * o.half_x, 0.04, 0.12], wood, "planks", 1.0)
    for side in (-1, 1):
        m.box([side * (o.half_x - 0.15), 0, 0], [0.07, 0.42, 0.42], IRON)
        m.box([side * (o.half_x - 0.15), 0.27, 0], [0.06, 0.05, 0.86], IRON)


def lamp_post(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(0.16, 0), (0.12, 0.5), (0.055, 0.6), (0.045, o.height - 0.6)], IRON, segments=7)
    m.lathe([0, 0, o.height - 0.6], [(0.08, 0), (0.2, 0.42)], (0.98, 0.93, 0.78), segments=6, glow=0.45)
    m.lathe([0, 0, o.height - 0.18], [(0.26, 0), (0.03, 0.18)], IRON, segments=6)


def street_lamp(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(0.12, 0), (0.06, o.height)], STEEL, segments=7)
    m.beam([0, 0, o.height - 0.05], [1.3, 0, o.height + 0.25], 0.08, STEEL)
    m.box([1.4, 0, o.height + 0.15], [0.7, 0.24, 0.1], (0.95, 0.95, 0.9), sides=range(6), glow=0.3)


def car(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    paint = shade(rng, rng.choice([*BRIGHT, (0.2, 0.22, 0.25), (0.75, 0.77, 0.8)]))
    length, width = 2 * o.half_x, 2 * o.half_y
    m.box([0, 0, 0.28], [length, width, 0.5], paint, contact=0.6, sides=range(6))
    x0, x1, t0, t1, z0, z1 = -length * 0.42, length * 0.24, -length * 0.32, length * 0.08, 0.78, 1.42
    wl, wt = width / 2 - 0.04, width / 2 - 0.2
    glass = (0.16, 0.2, 0.24)
    for s in (-1, 1):
        side = [[x0, s * wl, z0], [x1, s * wl, z0], [t1, s * wt, z1], [t0, s * wt, z1]]
        m.quad(side if s < 0 else side[::-1], glass)
    m.quad([[x1, -wl, z0], [x1, wl, z0], [t1, wt, z1], [t1, -wt, z1]], glass)
    m.quad([[x0, wl, z0], [x0, -wl, z0], [t0, -wt, z1], [t0, wt, z1]], glass)
    m.quad([[t0, -wt, z1], [t1, -wt, z1], [t1, wt, z1], [t0, wt, z1]], paint)
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * length * 0.3, width / 2
            m.beam([x, sy * (y - 0.2), 0.32], [x, sy * (y + 0.02), 0.32], 0.64, (0.08, 0.08, 0.09), None, 8)
            m.beam([x, sy * (y + 0.015), 0.32], [x, sy * (y + 0.03), 0.32], 0.3, STEEL, None, 6)
        lamp = (0.95, 0.93, 0.85) if sx > 0 else (0.7, 0.08, 0.08)
        m.box([sx * (length / 2 - 0.01), 0, 0.5], [0.05, width * 0.86, 0.13], lamp)


def bin(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    profile = [(0.24, 0), (0.3, 0.85), (0.32, 0.85), (0.32, 0.95), (0.2, 0.98), (0.01, 1.0)]
    m.lathe([0, 0, 0], profile, rng.choice([IRON, (0.15, 0.36, 0.2), (0.4, 0.4, 0.42)]), segments=9)


def bollard(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(0.14, 0), (0.1, 0.2), (0.1, 0.75), (0.15, 0.8), (0.13, 0.95), (0.01, 1.0)], IRON, segments=8)


def crate(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w = 2 * min(o.half_x, o.half_y)
    m.box([0, 0, 0], [w, w, min(w, o.height)], shade(rng, (0.68, 0.5, 0.32)), "planks", 0.9)
    if o.height > 1.3 * w:
        with m.at(0.06, 0.04, w, 0.3):
            m.box([0, 0, 0], [w * 0.8, w * 0.8, o.height - w], shade(rng, (0.68, 0.5, 0.32)), "planks", 0.9)


def barrel(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    h, r = o.height, o.half_x
    profile = [(r * 0.8, 0), (r, h * 0.35), (r, h * 0.65), (r * 0.8, h), (0.01, h)]
    m.lathe([0, 0, 0], profile, shade(rng, WOOD), "planks", 1.0, 12)
    for z in (0.2, 0.78):
        m.lathe([0, 0, h * z], [(r * 0.97, 0), (r * 0.97, 0.06)], IRON, segments=12)


def planter(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [2 * o.half_x, 2 * o.half_y, 0.55], shade(rng, (0.62, 0.6, 0.56)), "concrete", 1.5)
    n = max(2, int(o.half_x * 2.2))
    for i in range(n):
        x = -o.half_x + (i + 0.5) * 2 * o.half_x / n
        green, radii = shade(rng, (0.33, 0.48, 0.2)), [0.36, min(0.4, o.half_y), 0.4]
        m.blob([x, 0, 0.75], radii, green, "leaves", 0.8, rough=0.15, seed=rng.randrange(99), dark=0.4)


def fountain(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    r = o.half_x
    m.lathe([0, 0, 0], [(r, 0), (r, 0.55), (r - 0.3, 0.55), (r - 0.3, 0.1)], STONE, "ashlar", 1.2, 20)
    m.cylinder([0, 0, 0], r - 0.3, 0.38, (0.45, 0.68, 0.75), "water", 1.5, segments=20)
    bowls = [(0.5, 0), (0.28, 0.5), (0.25, 1.0), (1.1, 1.35), (1.1, 1.45), (0.2, 1.4)]
    bowls += [(0.18, 2.0), (0.55, 2.2), (0.1, 2.25), (0.14, 2.6), (0.01, 2.9)]
    m.lathe([0, 0, 0.2], bowls, STONE, "plaster", 1.0, 14)
    for i in range(8):
        a = 2 * pi * i / 8
        m.beam(polar(1.08, a, 1.6), polar(1.3, a, 0.4), 0.05, (0.85, 0.93, 0.97), None, 4)


def statue(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    bronze = rng.choice([(0.34, 0.46, 0.40), (0.80, 0.78, 0.74), (0.4, 0.3, 0.2)])
    base = o.height * 0.4
    m.box([0, 0, 0], [2 * o.half_x, 2 * o.half_y, 0.3], STONE, "ashlar", 1.5)
    m.box([0, 0, 0.3], [1.5 * o.half_x, 1.5 * o.half_y, base - 0.3], STONE, "ashlar", 1.5)
    s = (o.height - base) / 2.0
    cloak = [(0.42 * s, 0), (0.3 * s, 0.5 * s), (0.22 * s, 1.0 * s), (0.32 * s, 1.4 * s), (0.1 * s, 1.58 * s)]
    m.lathe([0, 0, base], cloak, bronze, "plaster", 1.0, 9)
    m.blob([0, 0, base + 1.76 * s], [0.15 * s, 0.15 * s, 0.2 * s], bronze)
    m.beam([0.25 * s, 0, base + 1.4 * s], [0.75 * s, 0.2 * s, base + 1.9 * s], 0.14 * s, bronze)
    m.beam([-0.25 * s, 0, base + 1.4 * s], [-0.42 * s, 0.1 * s, base + 0.8 * s], 0.14 * s, bronze)


def market_stall(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    x, y, h = o.half_x, o.half_y, o.height
    colour = shade(rng, rng.choice(BRIGHT[:7]))
    m.box([0, -y * 0.2, 0], [2 * x - 0.3, 1.1, 0.85], shade(rng, WOOD), "planks", 1.0)
    for sx in (-1, 1):
        m.box([sx * (x - 0.1), -y + 0.15, 0], [0.08, 0.08, h - 0.5], WOOD)
        m.box([sx * (x - 0.1), y - 0.15, 0], [0.08, 0.08, h - 0.1], WOOD)
    roof = [[-x, -y, h - 0.65], [x, -y, h - 0.65], [x, y, h], [-x, y, h]]
    m.sheet(roof, colour * 1.1, colour * 0.5, "awning", (x, 1))
    front = [[-x, -y, h - 0.95], [x, -y, h - 0.95], [x, -y, h - 0.65], [-x, -y, h - 0.65]]
    m.sheet(front, colour, colour * 0.6, "awning", (x, 1), lining="awning")
    n = max(3, int(2 * x / 0.5))
    tones = [rng.choice(BRIGHT) for _ in range(4)]
    for i in range(n):
        for j in range(2):
            px = -x + 0.35 + (2 * x - 0.7) * i / (n - 1)
            centre, tone = [px, -y * 0.2 - 0.28 + 0.5 * j, 0.88], shade(rng, tones[(i // 2 + j) % 4])
            m.blob(centre, [0.22, 0.22, 0.18], tone, "leaves", 0.5, detail=0, rough=0.1)


def kiosk(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    paint = shade(rng, rng.choice([(0.16, 0.36, 0.28), (0.6, 0.16, 0.14), (0.16, 0.28, 0.45)]))
    r, h = o.half_x, o.height
    m.lathe([0, 0, 0], [(r * 0.85, 0), (r * 0.85, h * 0.72)], paint, "planks", 1.0, 8)
    m.lathe([0, 0, h * 0.4], [(r * 0.87, 0), (r * 0.87, 0.8)], (0.9, 0.85, 0.7), "portrait", 1.6, 8)
    m.lathe([0, 0, h * 0.72], [(r, 0), (r * 0.5, h * 0.12), (0.02, h * 0.28)], paint * 0.7, "roof", 1.0, 8)


def phone_box(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [0.9, 0.9, 2.4], (0.75, 0.1, 0.09), contact=0.7)
    for _ in m.turned(4):
        m.box([0, -0.455, 0.35], [0.66, 0.02, 1.6], (0.62, 0.72, 0.75), "curtain_wall", 0.9)
    m.box([0, 0, 2.4], [0.8, 0.8, 0.15], (0.75, 0.1, 0.09))


def cafe_table(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    profile = [(0.25, 0), (0.04, 0.08), (0.04, 0.72), (0.42, 0.73), (0.42, 0.77), (0.01, 0.77)]
    m.lathe([0, 0, 0], profile, (0.85, 0.83, 0.8), segments=10)
    for i in range(3):
        with m.at(0.85 * cos(2.1 * i), 0.85 * sin(2.1 * i), 0, 2.1 * i):
            m.box([0, 0, 0.42], [0.4, 0.4, 0.05], WOOD, sides=range(6))
            m.box([0.18, 0, 0.47], [0.05, 0.4, 0.42], WOOD)
            m.box([0, 0, 0], [0.06, 0.06, 0.42], IRON)
    cloth = shade(rng, rng.choice(BRIGHT))
    m.cylinder([0, 0, 0.77], 0.03, 1.6, STEEL, segments=5)
    m.lathe([0, 0, 2.05], [(1.25, 0), (0.03, 0.5)], cloth, "awning", 2.0, 8)
    m.lathe([0, 0, 2.54], [(0.02, 0), (1.25, -0.5)], cloth * 0.5, None, 1.0, 8)


def crate_of_fruit(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [2 * o.half_x, 2 * o.half_y, 0.4], shade(rng, (0.7, 0.55, 0.36)), "planks", 0.7)
    tone = rng.choice(BRIGHT)
    for i in range(6):
        x, y = (-0.5 + i % 3 * 0.5) * o.half_x, (-0.4 + i // 3 * 0.8) * o.half_y
        m.blob([x, y, 0.42], [0.2, 0.2, 0.16], shade(rng, tone), detail=0)


def column(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    r = o.half_x
    m.box([0, 0, 0], [2 * r, 2 * r, 0.3], STONE, "ashlar", 1.0)
    shaft = [(r * 0.95, 0), (r * 0.72, 0.15), (r * 0.66, o.height - 0.75), (r, o.height - 0.5)]
    m.lathe([0, 0, 0.3], shaft, (0.85, 0.81, 0.74), "plaster", 1.0, 14)
    m.box([0, 0, o.height - 0.2], [2.1 * r, 2.1 * r, 0.2], STONE, sides=range(6))


def well(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(1.1, 0), (1.0, 0.85), (0.75, 0.85), (0.75, 0.3)], STONE, "ashlar", 1.2, 14)
    m.cylinder([0, 0, 0], 0.8, 0.35, (0.2, 0.3, 0.34), "water", 2.0, segments=12)
    for s in (-1, 1):
        m.beam([s * 0.9, 0, 0.8], [s * 0.9, 0, 2.1], 0.14, (0.5, 0.34, 0.22), "planks")
    m.beam([-0.9, 0, 1.7], [0.9, 0, 1.7], 0.16, (0.5, 0.34, 0.22), "planks")
    m.gable([0, 0, 2.1], [2.2, 1.5, 0.7], (0.74, 0.38, 0.27), "roof", 1.0)


def cloister_wing(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    """For what a family draws with its ground."""
