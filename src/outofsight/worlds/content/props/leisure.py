"""What stands on roofs, in playgrounds and galleries."""

from __future__ import annotations

from math import pi
from random import Random

from ...engine.geometry import MeshBuilder, polar
from ...engine.scene import Obstacle
from .base import BRIGHT, CORNERS, IRON, STEEL, STONE, WOOD, shade


def stair_hut(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [4.0, 3.2, 2.8], shade(rng, (0.78, 0.5, 0.4)), "brick", 2.0)
    m.box([0, 0, 2.8], [4.4, 3.6, 0.15], STONE, "concrete", 2.0, sides=range(6))
    m.box([0.4, -1.63, 0], [1.0, 0.1, 2.1], shade(rng, rng.choice(BRIGHT)), "corrugated", 1.0)
    m.box([-1.1, -1.63, 1.2], [0.9, 0.08, 0.8], (0.4, 0.5, 0.56))
    m.beam([1.6, 1.0, 2.9], [1.6, 1.0, 4.6], 0.06, STEEL)


def water_tank(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    for i in range(4):
        a = pi / 4 + i * pi / 2
        m.beam(polar(1.3, a, 0), polar(1.1, a, 2.2), 0.16, STEEL)
        m.beam(polar(1.3, a, 0.2), polar(1.1, a + pi / 2, 2.0), 0.07, STEEL)
    m.lathe([0, 0, 2.1], [(1.45, 0), (1.45, 2.2), (0.02, 3.2)], shade(rng, (0.56, 0.38, 0.25)), "planks", 1.2, 12)
    for z in (2.4, 3.1, 3.9):
        m.lathe([0, 0, z], [(1.48, 0), (1.48, 0.08)], IRON, segments=12)


def air_conditioner(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    size = [2 * o.half_x, 2 * o.half_y, o.height - 0.2]
    m.box([0, 0, 0.2], size, (0.82, 0.83, 0.82), "corrugated", 2.2, sides=range(6))
    for s in (-0.5, 0.5):
        m.cylinder([s * o.half_x, 0, o.height], 0.42, 0.12, (0.3, 0.31, 0.32), segments=10)
        m.box([s * o.half_x * 1.6, 0, 0], [0.15, 2 * o.half_y, 0.2], IRON)
    m.beam([o.half_x, 0, 0.4], [o.half_x + 0.5, 0, 0.1], 0.12, STEEL)


def chimney(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [0.9, 0.7, o.height], shade(rng, (0.7, 0.38, 0.3)), "brick", 1.2)
    m.box([0, 0, o.height], [1.05, 0.85, 0.12], STONE, sides=range(6))
    for s in (-0.2, 0.2):
        m.cylinder([s, 0, o.height + 0.1], 0.13, 0.45, (0.76, 0.42, 0.3), segments=8)


def vent(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.lathe([0, 0, 0], [(0.4, 0), (0.3, 0.3), (0.26, 1.0)], STEEL, "corrugated", 1.0, 9)
    m.lathe([0, 0, 1.0], [(0.3, 0), (0.48, 0.2), (0.3, 0.5), (0.02, 0.6)], STEEL, "corrugated", 0.8, 10)


def solar_panel(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    p = [[-1.3, -0.7, 0.25], [1.3, -0.7, 0.25], [1.3, 0.7, 1.0], [-1.3, 0.7, 1.0]]
    m.sheet(p, (0.25, 0.4, 0.85), (0.6, 0.6, 0.6), "curtain_wall", (1.5, 0.8))
    for x in (-1.1, 1.1):
        m.beam([x, 0.6, 0], [x, 0.6, 0.95], 0.06, STEEL)
        m.beam([x, -0.6, 0], [x, -0.6, 0.3], 0.06, STEEL)


def aerial(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.beam([0, 0, 0], [0, 0, o.height], 0.08, STEEL)
    for i in range(5):
        x, z = 0.6 - 0.08 * i, o.height - 0.2 - 0.3 * i
        m.beam([-x, 0, z], [x, 0, z], 0.05, STEEL)
    m.blob([0.25, 0, 1.3], [0.12, 0.42, 0.42], (0.9, 0.9, 0.9), detail=1)


def slide(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    a, b = rng.sample(BRIGHT[:7], 2)
    for sx in (-2.4, -1.0):
        for sy in (-0.7, 0.7):
            m.beam([sx, sy, 0], [sx, sy, 3.0], 0.13, b)
    m.box([-1.7, 0, 1.7], [1.5, 1.5, 0.1], WOOD, "planks", 1.0, sides=range(6))
    m.gable([-1.7, 0, 2.9], [1.7, 1.7, 0.7], a, "planks", 1.0, wall=a)
    for s in (-1, 1):
        m.quad([[-1.0, s * 0.4, 1.75], [2.2, s * 0.4, 0.35], [2.2, s * 0.4, 0.65], [-1.0, s * 0.4, 2.1]], a)
        m.quad([[-1.0, s * 0.4, 2.1], [2.2, s * 0.4, 0.65], [2.2, s * 0.4, 0.35], [-1.0, s * 0.4, 1.75]], a)
    for z in (0.0, -0.03):
        p = [[-1.0, -0.4, 1.78 + z], [2.2, -0.4, 0.38 + z], [2.2, 0.4, 0.38 + z], [-1.0, 0.4, 1.78 + z]]
        m.quad(p if z == 0 else p[::-1], (0.85, 0.86, 0.88))
    for i in range(5):
        m.box([-2.5 - 0.05 * (5 - i), 0, 0.3 * i + 0.15], [0.1, 0.9, 0.07], b, sides=range(6))


def swing(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tone = rng.choice(BRIGHT[:7])
    for s in (-2.2, 2.2):
        m.beam([s, -0.9, 0], [s, 0, 2.6], 0.12, tone)
        m.beam([s, 0.9, 0], [s, 0, 2.6], 0.12, tone)
    m.beam([-2.2, 0, 2.6], [2.2, 0, 2.6], 0.12, tone)
    for x in (-1.1, 1.1):
        for d in (-0.22, 0.22):
            m.beam([x + d, 0, 2.6], [x + d, 0.1, 0.6], 0.035, STEEL)
        m.box([x, 0.1, 0.55], [0.55, 0.26, 0.06], IRON, sides=range(6))


def climbing_frame(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tones = rng.sample(BRIGHT[:7], 3)
    for i in range(3):
        for j in range(3):
            x, y = -1.5 + 1.5 * i, -1.5 + 1.5 * j
            m.beam([x, y, 0], [x, y, 2.6 if i == j == 1 else 1.9], 0.08, tones[0])
        for k, z in enumerate((0.65, 1.3, 1.9)):
            m.beam([-1.5 + 1.5 * i, -1.5, z], [-1.5 + 1.5 * i, 1.5, z], 0.07, tones[k])
            m.beam([-1.5, -1.5 + 1.5 * i, z], [1.5, -1.5 + 1.5 * i, z], 0.07, tones[(k + 1) % 3])


def merry_go_round(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tones = rng.sample(BRIGHT[:7], 2)
    m.cylinder([0, 0, 0.12], 1.35, 0.1, tones[0], "rubber", 1.0, segments=14)
    m.cylinder([0, 0, 0.2], 0.08, 0.9, STEEL, segments=6)
    for i in range(6):
        a = i * pi / 3
        m.beam(polar(1.2, a, 0.2), polar(1.2, a, 0.95), 0.06, tones[1])
        m.beam(polar(1.2, a, 0.95), [0, 0, 1.0], 0.06, tones[1])


def seesaw(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tone = rng.choice(BRIGHT[:7])
    m.beam([-1.85, 0, 0.25], [1.85, 0, 0.85], 0.2, tone)
    m.box([0, 0, 0], [0.3, 0.4, 0.5], STEEL)
    for x, z in ((-1.5, 0.35), (1.5, 0.85)):
        m.beam([x, -0.25, z + 0.2], [x, 0.25, z + 0.2], 0.06, STEEL)


def spring_horse(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    tone = rng.choice(BRIGHT)
    m.cylinder([0, 0, 0], 0.12, 0.4, IRON, segments=7)
    m.blob([0, 0, 0.6], [0.5, 0.16, 0.24], tone)
    m.blob([0.45, 0, 0.95], [0.2, 0.12, 0.2], tone)
    m.beam([0.3, -0.3, 0.85], [0.3, 0.3, 0.85], 0.05, IRON)


def sandpit(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [2.2, 2.2, 0.25], WOOD, "planks", 1.0, sides=range(4))
    m.flat(-1.1, -1.1, 1.1, 1.1, 0.18, (0.92, 0.80, 0.56), "sand")
    for s in (-1, 1):
        m.box([0, s * 1.1, 0.22], [2.4, 0.22, 0.08], WOOD, "planks", 1.0)
        m.box([s * 1.1, 0, 0.22], [0.22, 2.4, 0.08], WOOD, "planks", 1.0)
    m.lathe([0.4, 0.2, 0.18], [(0.16, 0), (0.2, 0.28)], rng.choice(BRIGHT), segments=8)


def _pedestal(m: MeshBuilder, high: float) -> None:
    m.box([0, 0, 0], [0.8, 0.8, high], (0.93, 0.92, 0.9), "plaster", 1.0)


def sculpture(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    _pedestal(m, 0.7)
    tone = shade(rng, rng.choice([*BRIGHT, (0.3, 0.3, 0.32)]))
    for i in range(4):
        centre, radii = polar(0.12, i * 2, 0.9 + i * 0.3), [0.34 - 0.05 * i, 0.28 - 0.04 * i, 0.24]
        m.blob(centre, radii, tone, rough=0.08, detail=2, seed=rng.randrange(99))


def vase(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    _pedestal(m, 0.8)
    profile = [(0.16, 0), (0.34, 0.4), (0.3, 0.65), (0.12, 0.85), (0.2, 1.0)]
    m.lathe([0, 0, 0.8], profile, shade(rng, rng.choice(BRIGHT)), "art", 1.2, 14)


def glass_case(m: MeshBuilder, rng: Random, o: Obstacle) -> None:
    m.box([0, 0, 0], [1.8, 1.0, 0.9], (0.34, 0.22, 0.14), "planks", 1.2)
    for sx, sy in CORNERS:
        m.box([sx * 0.87, sy * 0.47, 0.9], [0.05, 0.05, 0.7], (0.75, 0.6, 0.3))
    m.box([0, 0, 1.6], [1.8, 1.0, 0.05], (0.75, 0.6, 0.3), sides=range(6))
    for i in range(3):
        tone = shade(rng, rng.choice(BRIGHT))
        m.lathe([-0.5 + 0.5 * i, 0, 0.9], [(0.12, 0), (0.18, 0.2), (0.06, 0.4)], tone, segments=9)
