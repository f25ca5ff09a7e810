"""Streets and squares."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi
from random import Random

import numpy as np

from ...engine.geometry import MeshBuilder, Pair
from ...engine.scene import PointLight, SceneLayout
from ..props.base import BRIGHT, CORNERS, STONE, shade
from .common import Plan, family
from .ground import skyline, strip, wide_ground


def _kerbs(m: MeshBuilder, layout: SceneLayout, road: float, reach: float = 90.0) -> None:
    """Pavements on both sides of a road along y."""
    for sign in (-1, 1):
        m.box([sign * road, 0, 0], [0.3, 2 * reach, 0.07], STONE, "flagstones", 1.2, contact=0.7)


def _along_kerbs(plan: Plan, first: Pair, end: float, gap: Pair) -> Iterator[tuple[int, float]]:
    """Side (-1, 1) and y of places along a road, the first up to ``first`` from the stage's edge, ``gap`` apart."""
    for side in (-1, 1):
        y = plan.stage[1] + plan.uniform(*first)
        while y < end:
            yield side, y
            y += plan.uniform(*gap)


def _street_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.row(["brick house"], (x1 + 0.2, y1 + 34), (x1 + 0.2, y0 - 34), (6.0, 9.5), 9.0, (8.5, 12.5))
    plan.row(["brick house"], (x0 - 0.2, y0 - 34), (x0 - 0.2, y1 + 34), (6.0, 9.5), 9.0, (8.5, 12.5))
    plan.row(["brick house", "church"], (-12, y1 + 38), (12, y1 + 38), (11.0, 14.0), 14.0, (11, 20))
    plan.row(["brick house"], (14, y0 - 38), (-14, y0 - 38), (7.0, 10.0), 9.0, (9, 13))
    plan.params["road"] = road = 5.4
    for sign, y in _along_kerbs(plan, (0, 4), y1 + 20, (4.5, 7.5)):
        roll = plan.rng.random()
        if roll < 0.3:
            plan.add("car", sign * (road - 1.1), y, (2.1, 0.9), 1.45, sign * pi / 2)
        elif roll < 0.5:
            plan.add("lamp post", sign * (road + 1.0), y, (0.2, 0.2), 4.2)
        elif roll < 0.62:
            plan.add("tree", sign * (road + 2.2), y, (0.5, 0.5), plan.uniform(4.5, 6.5))
        elif roll < 0.74:
            plan.add("bench", sign * (x1 - 1.2), y, (0.8, 0.35), 0.9, sign * -pi / 2)
        elif roll < 0.84:
            plan.add(plan.rng.choice(["phone box", "bin"]), sign * (road + 1.3), y, (0.45, 0.45), 2.5)


def _street_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.74, 0.66, 0.60), "flagstones", 2.4)
    road = layout.params["road"]
    strip(m, -road, -100, road, 100, 0.03, (0.52, 0.50, 0.50), "cobbles", 3.2)
    _kerbs(m, layout, road)
    m.box([0, 0, 0.0], [0.35, 180, 0.05], (0.6, 0.58, 0.54), "flagstones", 0.7)


def _avenue_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.params["road"] = 6.8
    plan.row("tower block", (x1 + 3, y1 + 55), (x1 + 3, y0 - 55), (13, 20), 16, (16, 46), gap=3)
    plan.row("tower block", (x0 - 3, y0 - 55), (x0 - 3, y1 + 55), (13, 20), 16, (16, 46), gap=3)
    for sign, y in _along_kerbs(plan, (0, 3), y1 + 25, (4.5, 7.0)):
        kind = plan.rng.choice(["tree", "street lamp", "planter", "car", "bench", "kiosk"])
        if kind == "car":
            plan.add("car", sign * 5.6, y, (2.2, 0.95), 1.45, sign * pi / 2)
        elif kind == "planter":
            plan.add("planter", sign * 9.6, y, (1.4, 0.5), 1.1, pi / 2)
        elif kind == "bench":
            plan.add("bench", sign * 10.2, y, (0.9, 0.35), 0.9, -sign * pi / 2)
        elif kind == "street lamp":
            plan.add("street lamp", sign * 7.7, y, (0.15, 0.15), 6.5, pi if sign > 0 else 0.0)
        elif kind == "kiosk":
            plan.add("kiosk", sign * 10.4, y, (1.0, 1.0), 3.2)
        else:
            plan.add("tree", sign * 8.8, y, (0.5, 0.5), plan.uniform(5, 7))


def _avenue_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.80, 0.80, 0.80), "flagstones", 4.0)
    road = layout.params["road"]
    strip(m, -road, -110, road, 110, 0.03, (0.36, 0.37, 0.39), "asphalt", 5.0)
    _kerbs(m, layout, road, 100)
    white = (0.93, 0.93, 0.9)
    for i in range(-16, 17):
        strip(m, -0.09, i * 6.0, 0.09, i * 6.0 + 3.0, 0.055, (0.95, 0.82, 0.3), None)
        for x in (-3.4, 3.4):
            strip(m, x - 0.06, i * 6.0 + 1, x + 0.06, i * 6.0 + 3.2, 0.055, white, None)
    for y in (rng.uniform(-9, -5), rng.uniform(8, 14), -34.0, 40.0):
        for i in range(11):
            strip(m, -6.4 + i * 1.2, y, -5.8 + i * 1.2, y + 3.2, 0.055, white, None)
    skyline(m, rng, (85, 120), (30, 75), 26, [(0.66, 0.75, 0.85), (0.8, 0.8, 0.8), (0.72, 0.66, 0.6)], "curtain_wall")


def _plaza_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.around(["house"], (7.0, 11.0), 10.0, (9.0, 14.0), out=1.5, sides="esw")
    plan.row(["house"], (x0 - 1.5, y1 + 1.5), (-8.5, y1 + 1.5), (6.5, 9.0), 10.0, (9, 12))
    plan.add("church", plan.uniform(-1.5, 1.5), y1 + 12.0, (6.0, 10.0), 27.0)
    plan.row(["house"], (8.5, y1 + 1.5), (x1 + 1.5, y1 + 1.5), (6.5, 9.0), 10.0, (9, 12))
    middle = plan.rng.choice(["fountain", "fountain", "statue"])
    plan.add(middle, plan.uniform(-4, 4), plan.uniform(-3, 5), (1.9, 1.9), 3.4)
    plan.scatter("café table", 5, (1.2, 1.2), (2.5, 2.5), area=(x0, y0, x1, y0 + 6))
    plan.scatter(["lamp post"], 5, (0.2, 0.2), (4.2, 4.2), gap=4)
    plan.scatter(["bench"], 4, (0.8, 0.35), (0.9, 0.9), gap=3)
    plan.scatter(["flower bed", "kiosk"], 2, (1.2, 1.2), (3.2, 3.2), gap=3.5)


def _plaza_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.80, 0.74, 0.68), "cobbles", 2.6)
    x0, y0, x1, y1 = layout.stage
    for k in range(-2, 3):
        strip(m, x0, k * 5.5 - 0.35, x1, k * 5.5 + 0.35, 0.03, (0.88, 0.82, 0.72), "flagstones", 1.4)
        strip(m, k * 6.5 - 0.35, y0, k * 6.5 + 0.35, y1, 0.035, (0.88, 0.82, 0.72), "flagstones", 1.4)


def _night_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    plan.params["road"] = 4.6
    plan.row("shop", (x1, y1 + 30), (x1, y0 - 30), (8, 12), 10, (10, 20))
    plan.row("shop", (x0, y0 - 30), (x0, y1 + 30), (8, 12), 10, (10, 20))
    plan.row("shop", (-12, y1 + 34), (12, y1 + 34), (8, 12), 10, (14, 24))
    plan.row("shop", (12, y0 - 34), (-12, y0 - 34), (8, 12), 10, (14, 24))
    for i in range(6):
        sign = 1 if i % 2 else -1
        plan.add("street lamp", sign * 5.6, (i - 2.5) * 8.0, (0.15, 0.15), 5.2, pi if sign > 0 else 0.0)
    for sign, y in _along_kerbs(plan, (1, 4), y1, (4.5, 8)):
        kind = plan.rng.choice(["car", "bin", "planter", "phone box", "bench", "crate"])
        if kind == "car":
            plan.add("car", sign * 3.5, y, (2.1, 0.9), 1.45, sign * pi / 2)
        elif plan.clear(sign * 9.0, y, 1.0, 1.0):
            plan.add(kind, sign * 9.0, y, (0.8, 0.4) if kind != "phone box" else (0.45, 0.45), 1.0, -sign * pi / 2)


def _night_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.62, 0.62, 0.66), "flagstones", 2.0)
    road = layout.params["road"]
    strip(m, -road, -90, road, 90, 0.03, (0.40, 0.41, 0.46), "asphalt", 4.0)
    _kerbs(m, layout, road, 80)
    for i in range(-12, 13):
        strip(m, -0.08, i * 6.0, 0.08, i * 6.0 + 2.6, 0.05, (0.9, 0.9, 0.85), None)
    y = rng.uniform(-6, 6)
    for i in range(7):
        strip(m, -4.2 + i * 1.25, y, -3.6 + i * 1.25, y + 3.0, 0.05, (0.92, 0.92, 0.9), None)
    for i, y in enumerate(np.linspace(-22, 22, 6)):
        for k in range(9):
            x = -9 + 18 * (k + 0.5) / 9
            sag = 5.2 - 0.9 * (1 - (x / 9) ** 2)
            m.blob([x, y, sag], [0.11, 0.11, 0.14], BRIGHT[(i + k) % 5], detail=0, dark=1.0)


def _night_lamps(layout: SceneLayout) -> tuple[PointLight, ...]:
    lamps = [o for o in layout.obstacles if o.kind == "street lamp"]
    places = [np.array([o.x + (1.4 if o.angle == 0 else -1.4), o.y, o.height + 0.1]) for o in lamps]
    return tuple(PointLight(place, np.array([2.1, 1.45, 0.80]), 13.0) for place in places)


def _market_fill(plan: Plan) -> None:
    x0, _y0, x1, y1 = plan.stage
    plan.around(["house"], (6.0, 9.0), 8.0, (7.5, 11.0), out=2.5, skip=0.05)
    for row, side in CORNERS:
        for i in range(3):
            if plan.rng.random() < 0.82:
                x, y = -9.0 + i * 9.0 + plan.uniform(-1.2, 1.2), row * 5.3 + side * 1.35
                half = plan.uniform(1.6, 2.1), 1.3
                plan.add("market stall", x, y, half, 2.9, 0.0 if side < 0 else pi)
    plan.scatter(["crate", "barrel", "crate of fruit"], 9, (0.5, 0.5), (0.7, 1.3), gap=1.6)
    for sign in (-1, 1):
        for x in np.linspace(x0 + 2, x1 - 2, 4):
            if plan.rng.random() < 0.8:
                plan.add("market stall", float(x), sign * (y1 + 0.5), (1.8, 1.2), 2.9, 0.0 if sign > 0 else pi)


def _market_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    wide_ground(m, layout, (0.84, 0.72, 0.56), "flagstones", 3.0, mottle=0.12)
    x0, y0, x1, y1 = layout.stage
    strip(m, x0, -1.2, x1, 1.2, 0.03, (0.72, 0.42, 0.32), "brick", 1.6)
    # bunting across the lanes
    for y in np.linspace(y0 + 3, y1 - 3, 5):
        for k in range(22):
            x = x0 + (x1 - x0) * (k + 0.5) / 22
            z = 5.4 - 1.1 * (1 - (2 * x / (x1 - x0)) ** 2)
            tone = BRIGHT[(k + int(y)) % 7]
            p = [[x - 0.28, y, z], [x, y, z - 0.6], [x + 0.28, y, z]]
            for points, n in ((p, -1.0), (p[::-1], 1.0)):
                m.polygon(np.array(points), [0, n, 0], tone)


def _courtyard_fill(plan: Plan) -> None:
    x0, y0, x1, y1 = plan.stage
    walls = [(0.95, 0.80, 0.55), (0.92, 0.62, 0.46), (0.93, 0.90, 0.84)]
    plan.params["wall"] = shade(plan.rng, plan.rng.choice(walls)).tolist()
    plan.add("well", plan.uniform(-2, 2), plan.uniform(-2, 2), (1.1, 1.1), 2.8)
    for sx, sy in CORNERS:
        x, y = sx * plan.uniform(6.0, 7.2), sy * plan.uniform(6.0, 7.2)
        plan.add("orange tree", x, y, (0.7, 0.7), plan.uniform(2.8, 3.6))
    plan.scatter("bench", 4, (0.8, 0.35), (0.9, 0.9), gap=2.4, square=True)
    plan.scatter(["flower bed"], 2, (1.1, 1.1), (0.6, 0.6), gap=2.4)
    plan.scatter(["barrel", "statue"], 3, (0.5, 0.5), (1.0, 2.4), gap=2.0)
    for y in (y1 + 8, y0 - 8):
        plan.add("cloister wing", 0, y, (x1 + 12, 4), 8.5)
    for x in (x1 + 8, x0 - 8):
        plan.add("cloister wing", x, 0, (4, y1 + 4), 8.5)


def _courtyard_ground(m: MeshBuilder, layout: SceneLayout, rng: Random) -> None:
    x0, y0, x1, y1 = layout.stage
    wall = np.array(layout.params["wall"])
    strip(m, x0 - 5, y0 - 5, x1 + 5, y1 + 5, 0.0, (0.82, 0.50, 0.38), "flagstones", 2.2)
    for sx, sy in CORNERS:
        cx, cy = sx * (x1 / 2 + 0.3), sy * (y1 / 2 + 0.3)
        strip(m, cx - 4.0, cy - 4.0, cx + 4.0, cy + 4.0, 0.02, (0.42, 0.55, 0.26), "grass", 2.5)
    strip(m, -1.4, y0, 1.4, y1, 0.03, (0.92, 0.88, 0.80), "cobbles", 2.0)
    strip(m, x0, -1.4, x1, 1.4, 0.035, (0.92, 0.88, 0.80), "cobbles", 2.0)
    for side in m.turned(4):
        across, out = (x1, y1) if side % 2 == 0 else (y1, x1)
        n = 6
        width = 2 * across / n
        for i in range(n):
            with m.at(-across + (i + 0.5) * width, out + 0.6):
                m.arch(width - 1.0, 3.3, 0.7, 0.5, wall, "plaster", 0.7)
        m.box([0, out + 0.6, 4.0], [2 * across + 8, 0.7, 4.5], wall, "windows", 5.0, whole=True, contact=0.97)
        m.box([0, out + 4.1, 0], [2 * across + 8, 0.3, 4.0], wall * 0.85, "shutters", 4.0, whole=True)
        m.box([0, out + 2.4, 3.9], [2 * across + 8, 3.6, 0.15], (0.5, 0.36, 0.26), "planks", 1.5, sides=(5,))
        x, low, top = across + 5, [out + 0.0, 8.4], [out + 6, 10.6]
        roof = [[-across - 5, *low], [x, *low], [x, *top], [-across - 5, *top]]
        m.quad(roof, (0.78, 0.40, 0.27), "roof", (across, 3.2))
        m.box([rng.uniform(-6, 6), out + 3.0, 8.8], [0.9, 0.9, 2.2], wall, "plaster", 1.5)


TOWN = (
    family("brick_street", _street_fill, _street_ground),
    family("avenue", _avenue_fill, _avenue_ground),
    family("plaza", _plaza_fill, _plaza_ground),
    family("night_street", _night_fill, _night_ground, lamps=_night_lamps),
    family("market", _market_fill, _market_ground),
    family("courtyard", _courtyard_fill, _courtyard_ground),
)
