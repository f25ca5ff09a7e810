"""What stands on quays, platforms and building sites."""

from __future__ import annotations

import itertools
from random import Random

from ...engine.geometry import MeshBuilder, polar
from ...engine.scene import Obstacle
from .base import BRIGHT, IRON, STEEL, WOOD, YELLOW, shade


def boat(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    paint = shade(rng, rng.choice(BRIGHT))
    length, beam, z = o.half_x, o.half_y, -1.5
    stations = ((-1.0, 0.7, 1.3), (-0.4, 1.0, 1.1), (0.35, 0.9, 1.25), (1.0, 0.02, 1.8))
    for (s0, w0, h0), (s1, w1, h1) in itertools.pairwise(stations):
        for side in (-1, 1):
            w2, w3 = side * w1 * beam, side * w0 * beam
            p = [[s0 * length, w3 * 0.55, z], [s1 * length * 0.92, w2 * 0.55, z]]
            p += [[s1 * length, w2, z + h1], [s0 * length, w3, z + h0]]
            m.quad(p if side < 0 else p[::-1], paint, "planks", (0.6, 2))
        a, b, deep, high = s0 * length, s1 * length, z + h0 - 0.15, z + h1 - 0.15
        deck = [[a, -w0 * beam, deep], [b, -w1 * beam, high], [b, w1 * beam, high], [a, w0 * beam, deep]]
        m.quad(deck, (0.8, 0.64, 0.44), "planks", (1, 1))
    y, low, top = beam * 0.7, beam * 0.4, z + 1.3
    m.quad([[-length, low, z], [-length, -low, z], [-length, -y, top], [-length, y, top]], paint)
    m.box([-0.3, 0, z + 0.9], [1.9, beam * 1.1, 1.6], (0.94, 0.93, 0.9), "planks", 1.2)
    m.box([-0.3, 0, z + 1.7], [1.95, beam * 1.15, 0.5], (0.25, 0.32, 0.38))
    m.beam([0.9, 0, z + 1.0], [0.9, 0, z + 6.5], 0.12, WOOD)
    m.beam([0.9, 0, z + 5.8], [-length * 0.9, 0, z + 2.6], 0.04, IRON)
    m.beam([0.9, 0, z + 6.2], [length * 0.95, 0, z + 1.8], 0.04, IRON)


def ship(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    hull = shade(rng, rng.choice([(0.16, 0.24, 0.36), (0.6, 0.14, 0.12), (0.14, 0.36, 0.3)]))
    m.box([0, 0, -1.5], [2 * o.half_x, 2 * o.half_y, 1.6], (0.55, 0.16, 0.12), "corrugated", 6)
    m.box([0, 0, 0.1], [2 * o.half_x, 2 * o.half_y, 4.0], hull, "corrugated", 8)
    m.box([-o.half_x * 0.75, 0, 4.1], [6, 2 * o.half_y - 1, 8.0], (0.95, 0.95, 0.93), "windows", 4.0, whole=True)
    m.cylinder([-o.half_x * 0.75, 0, 12.0], 1.2, 2.6, hull, segments=10)
    for i in range(5):
        for j in range(rng.randint(1, 3)):
            tone = shade(rng, rng.choice(BRIGHT[:7]))
            box = [5.2, 2 * o.half_y - 1.5, 2.55]
            m.box([-o.half_x * 0.45 + i * 5.6, 0, 4.1 + 2.6 * j], box, tone, "corrugated", 3.0)


def warehouse(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    w, d, rise = 2 * o.half_x, 2 * o.half_y, o.height * 0.25
    tone = shade(rng, rng.choice([(0.72, 0.42, 0.32), (0.66, 0.7, 0.72), (0.45, 0.58, 0.62)]))
    skin = "brick" if tone[0] > tone[2] + 0.15 else "corrugated"
    m.box([0, 0, 0], [w, d, o.height - rise], tone, skin, 3.0)
    m.gable([0, 0, o.height - rise], [w, d, rise], (0.52, 0.54, 0.56), "corrugated", 3.0, wall=tone, wall_texture=skin)
    for i in range(int(w // 5)):
        x = -w / 2 + 2.5 + 5 * i
        m.box([x, -d / 2 - 0.05, 0], [3.0, 0.1, 3.2], shade(rng, rng.choice(BRIGHT)) * 0.8, "corrugated", 3.0)
        m.box([x, -d / 2 - 0.05, 4.2], [2.4, 0.08, 0.9], (0.3, 0.38, 0.45), "curtain_wall", 4.0)


def net_pile(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tone, seed = rng.choice([(0.2, 0.5, 0.45), (0.85, 0.45, 0.15), (0.3, 0.4, 0.6)]), rng.randrange(99)
    m.blob([0, 0, 0.15], [0.85, 0.7, 0.5], tone, "needles", 0.5, rough=0.15, detail=2, seed=seed, floor=0.0)
    for i in range(3):
        m.blob(polar(0.5, i * 2, 0.55), [0.13] * 3, (0.95, 0.9, 0.3), detail=1)


def train(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
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


def goods_train(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for i in range(4):
        x = -o.half_x + (i + 0.5) * o.half_x / 2
        m.box([x, 0, -0.4], [o.half_x / 2 - 0.8, 2.3, 0.4], IRON)
        if rng.random() < 0.5:
            size = [o.half_x / 2 - 0.8, 2.6, rng.uniform(1.6, 3.0)]
            tone = shade(rng, rng.choice([(0.55, 0.26, 0.18), (0.4, 0.42, 0.4), (0.25, 0.38, 0.5)]))
            m.box([x, 0, 0.0], size, tone, "corrugated", 2.5)
        else:
            start, end = [x - o.half_x / 4 + 0.6, 0, 1.2], [x + o.half_x / 4 - 0.6, 0, 1.2]
            m.beam(start, end, 2.3, shade(rng, (0.75, 0.75, 0.72)), "plaster", 10)


def station_house(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
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


def canopy_pillar(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(0.25, 0), (0.2, 0.5), (0.1, 0.6), (0.09, 3.4), (0.16, 3.6)], (0.24, 0.36, 0.34), segments=8)
    for s in (-1, 1):
        m.beam([0, 0, 3.3], [s * 0.9, 0, 4.2], 0.1, (0.24, 0.36, 0.34))
        m.beam([0, 0, 3.3], [0, s * 1.6, 4.2], 0.1, (0.24, 0.36, 0.34))


def signal_box(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [3.6, 3.6, 2.2], shade(rng, (0.74, 0.42, 0.32)), "brick", 2.0)
    m.box([0, 0, 2.2], [3.8, 3.8, 0.6], (0.93, 0.9, 0.8), "planks", 1.2)
    m.box([0, 0, 2.8], [3.7, 3.7, 1.2], (0.5, 0.6, 0.68), "curtain_wall", 4.0, whole=True)
    m.gable([0, 0, 4.0], [3.9, 3.9, 1.4], (0.4, 0.42, 0.46), "roof", 1.6, wall=(0.93, 0.9, 0.8), wall_texture="planks")


def signal(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.beam([0, 0, 0], [0, 0, o.height], 0.14, STEEL)
    m.box([0, -0.1, o.height - 1.2], [0.45, 0.25, 1.2], IRON, sides=range(6))
    m.blob([0, -0.25, o.height - 0.3], [0.13] * 3, (1.0, 0.15, 0.1), dark=1.0)
    m.blob([0, -0.25, o.height - 0.85], [0.13] * 3, (0.2, 0.9, 0.4), dark=1.0)


def station_clock(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(0.25, 0), (0.1, 0.5), (0.08, 3.0)], (0.16, 0.3, 0.26), segments=8)
    m.beam([0, -0.16, 3.3], [0, 0.16, 3.3], 1.0, (0.96, 0.95, 0.9), None, 14)
    for s in (-1, 1):
        m.box([0, s * 0.18, 2.9], [0.8, 0.03, 0.8], (0.97, 0.96, 0.92), sides=range(6))
        m.box([0, s * 0.2, 3.3], [0.06, 0.03, 0.34], IRON)
        m.box([0.12, s * 0.2, 3.27], [0.28, 0.03, 0.06], IRON)


def luggage_trolley(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0.3], [1.7, 0.9, 0.08], WOOD, "planks", 1.0, sides=range(6))
    m.beam([-0.85, 0, 0.3], [-1.0, 0, 1.1], 0.06, IRON)
    for s in (-1, 1):
        for x in (-0.6, 0.6):
            m.beam([x, s * 0.42, 0.16], [x, s * 0.48, 0.16], 0.32, IRON, None, 8)
    for x, z, w in ((-0.4, 0.38, 0.7), (0.35, 0.38, 0.6), (-0.2, 0.83, 0.6)):
        y = rng.uniform(-0.1, 0.1)
        tone = rng.choice([(0.5, 0.3, 0.18), (0.2, 0.3, 0.45), (0.65, 0.2, 0.15), (0.25, 0.4, 0.3)])
        m.box([x, y, z], [w, 0.55, 0.44], shade(rng, tone))


def water_tower(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    profile = [(1.7, 0), (1.4, 6.5), (2.3, 7.6), (2.3, 10.0), (0.05, 11.5)]
    m.lathe([0, 0, -1], profile, (0.72, 0.45, 0.35), "brick", 2.4, 14)


def digger(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for s in (-1, 1):
        m.box([0, s * 0.95, 0], [3.0, 0.55, 0.75], (0.14, 0.14, 0.15), "corrugated", 1.0)
    m.box([-0.2, 0, 0.75], [2.5, 2.1, 0.9], YELLOW, sides=range(6))
    m.box([0.4, 0.5, 1.65], [1.3, 1.0, 1.3], (0.3, 0.38, 0.42))
    m.box([0.4, 0.5, 2.95], [1.4, 1.1, 0.1], YELLOW, sides=range(6))
    a, b, c = [0.9, -0.4, 1.5], [2.4, -0.4, 3.6], [3.3, -0.4, 1.6]
    m.beam(a, b, 0.4, YELLOW)
    m.beam(b, c, 0.3, YELLOW)
    m.box([3.3, -0.4, 0.9], [0.7, 0.9, 0.75], (0.3, 0.3, 0.3), sides=range(6))


def pipe_stack(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tone = rng.choice([(0.78, 0.77, 0.74), (0.85, 0.45, 0.2), (0.25, 0.45, 0.65)])
    for row, n in enumerate((3, 2, 1)):
        for i in range(n):
            y = (i - (n - 1) / 2) * 0.5
            m.beam([-1.4, y, 0.25 + 0.43 * row], [1.4, y, 0.25 + 0.43 * row], 0.5, shade(rng, tone), "plaster", 9)
            for s in (-1.405, 1.405):
                m.box([s, y, 0.08 + 0.43 * row], [0.01, 0.34, 0.34], (0.1, 0.1, 0.1), contact=1)


def brick_pallet(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [1.4, 1.2, 0.15], WOOD, "planks", 0.8)
    m.box([0, 0, 0.15], [1.25, 1.05, rng.uniform(0.6, 1.0)], shade(rng, (0.76, 0.38, 0.28)), "brick", 0.9)


def plank_stack(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for i in range(4):
        x, size = rng.uniform(-0.15, 0.15), [2.6, 1.0 - 0.1 * i, 0.2]
        m.box([x, 0, 0.24 * i], size, shade(rng, (0.82, 0.64, 0.42)), "planks", 0.8, sides=range(6))


def sand_heap(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    radii, tone = [o.half_x, o.half_y, o.height + 0.2], shade(rng, (0.86, 0.70, 0.46))
    m.blob([0, 0, -0.2], radii, tone, "sand", 2.0, rough=0.09, detail=2, seed=rng.randrange(99), floor=-0.05)


def barrier(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for i in range(5):
        tone = (0.9, 0.2, 0.12) if i % 2 else (0.96, 0.95, 0.92)
        m.box([-0.64 + 0.32 * i, 0, 0.75], [0.32, 0.06, 0.26], tone, sides=range(6))
    for s in (-0.65, 0.65):
        m.beam([s, -0.3, 0], [s, 0, 0.95], 0.07, STEEL)
        m.beam([s, 0.3, 0], [s, 0, 0.95], 0.07, STEEL)


def traffic_cone(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [0.5, 0.5, 0.05], IRON)
    for z0, z1, tone in ((0.05, 0.3, 0), (0.3, 0.5, 1), (0.5, 0.8, 0)):
        paint = (0.96, 0.95, 0.92) if tone else (0.95, 0.4, 0.1)
        m.lathe([0, 0, z0], [(0.2 * (1 - z0), 0), (0.2 * (1 - z1), z1 - z0)], paint, segments=9)


def cement_mixer(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.beam([-0.4, -0.3, 0], [0, 0, 0.8], 0.08, STEEL)
    m.beam([0.4, -0.3, 0], [0, 0, 0.8], 0.08, STEEL)
    m.beam([0, 0.4, 0], [0, 0, 0.8], 0.08, STEEL)
    m.lathe([0, 0, 0.6], [(0.2, 0), (0.48, 0.3), (0.48, 0.55), (0.25, 0.9)], (0.95, 0.5, 0.12), segments=11)


def portable_toilet(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [1.2, 1.2, 2.2], (0.14, 0.45, 0.72), "corrugated", 1.0)
    m.box([0, 0, 2.2], [1.25, 1.25, 0.16], (0.93, 0.93, 0.93))
    m.box([0, -0.61, 0.1], [0.8, 0.04, 1.95], (0.2, 0.55, 0.82))
