"""Birds on the ground: one skeleton from pigeon to ostrich. Lengths are in units of the body's length."""

from __future__ import annotations

import numpy as np

from ...engine.catalogue import Colour, SubjectSpec
from ...engine.gait import Leg, Rig, Wave, limb
from ...engine.noise import smoothstep
from ...engine.skinning import Body, assemble
from ...engine.tubes import BodyBuilder, Grid, Paint, bands, vec
from .shapes import BirdShape

NAMES = ("root", "breast", "neck1", "neck2", "head", "tail", *limb("l"), *limb("r"))
PARENTS = (-1, 0, 1, 2, 3, 0, 0, 6, 7, 8, 0, 10, 11, 12)
EYE: Colour = (0.06, 0.05, 0.05)


def _joints(shape: BirdShape) -> dict[str, np.ndarray]:
    hip = shape.leg
    ahead = np.array([np.cos(shape.pitch), 0.0, np.sin(shape.pitch)])
    centre = np.array([0.0, 0.0, hip + 0.35 * shape.depth])
    neck_from = centre + 0.36 * ahead + vec(0, 0, 0.22 * shape.depth)
    long, rise = shape.neck
    way = np.array([np.cos(rise), 0.0, np.sin(rise)])
    out = {
        "root": centre - 0.1 * ahead,
        "breast": centre + 0.15 * ahead,
        "neck1": neck_from,
        "neck2": neck_from + 0.45 * long * way + vec(0.06 * long, 0, 0),
        "head": neck_from + long * way,
        "tail": centre - 0.42 * ahead + vec(0, 0, 0.15 * shape.depth),
    }
    for side, sign in (("l", 1.0), ("r", -1.0)):
        y = 0.52 * sign * shape.width
        out[f"{side}_hip"] = np.array([-0.06, y, hip])
        out[f"{side}_knee"] = np.array([-0.06 + 0.26 * hip, y, 0.74 * hip])
        out[f"{side}_ankle"] = np.array([-0.06 - 0.10 * hip, y, 0.46 * hip])
        out[f"{side}_toe"] = np.array([0.0, y, 0.028])
    return out


def _digit(shape: BirdShape) -> float:
    """Length of the middle toe."""
    return 0.15 * (1 + shape.leg_thickness / 0.1)


def _rig(spec: SubjectSpec, shape: BirdShape) -> Rig:
    places = _joints(shape)
    legs = tuple(
        Leg(
            joints=limb(side),
            parent="root",
            phase=(start, start),
            strike=(0.25, 0.30),
            push=(0.45, 0.60),
            fold=(0.55, 0.80),
            lift=(0.14, 0.22),
            narrow=0.45,
            toes=_digit(shape),
        )
        for side, start in (("l", 0.0), ("r", 0.5))
    )
    waddle = 0.10 if shape.webbed else 0.04
    # Two bobs a cycle: the neck leans ahead as a foot lands, the head stays level.
    nod = 0.22 if shape.neck[0] < 0.6 else 0.09
    waves = (
        Wave("root", 0, (0, waddle, 0.7 * waddle), shift=0.31),
        Wave("root", 2, (0, 0.05, 0.05), shift=0.05),
        Wave("root", 1, (0.01, 0.015, 0.02), (0, 0.02, 0.05), 2),
        Wave("neck1", 1, (0.02, nod, nod), (0, 0.03, 0.16), 2, 0.2),
        Wave("neck2", 1, (0.0, -0.3 * nod, -0.3 * nod), harmonic=2, shift=0.2),
        Wave("neck2", 2, (0.08, 0.0, 0.0), shift=0.3),
        Wave("head", 1, (-0.02, -0.7 * nod, -0.7 * nod), (0, -0.03, -0.16), 2, 0.2),
        Wave("head", 2, (0.18, 0.0, 0.0), shift=0.3),
        Wave("tail", 1, (0.02, 0.04, 0.05), harmonic=2),
        Wave("tail", 2, (0.0, 0.07, 0.07)),
    )
    return Rig(
        *(NAMES, PARENTS, np.array([places[name] for name in NAMES]), legs, waves),
        *(spec.walk_speed, spec.run_speed),
        duty=(0.62, 0.45),
        bounce=(0.01, 0.04),
        crouch=(0.02, 0.05),
        stride=(0.55, 1.7),
    )


def build_bird(spec: SubjectSpec) -> Body:
    """The body of a bird."""
    shape = spec.shape
    assert isinstance(shape, BirdShape)
    rig = _rig(spec, shape)
    at = dict(zip(NAMES, rig.joints, strict=True))
    builder = BodyBuilder(NAMES)
    _trunk(builder, shape, at)
    _neck_and_head(builder, shape, at)
    for side, sign in (("l", 1.0), ("r", -1.0)):
        _wing(builder, shape, at, sign)
        _leg(builder, shape, at, side)
    _tail(builder, shape, at)
    return assemble(spec, builder, rig)


def _feathers(shape: BirdShape, colour: Colour) -> Paint:
    def paint(grid: Grid) -> np.ndarray:
        out = np.tile(np.asarray(colour, float), (len(grid.station), 1))
        if shape.pattern == "bars":
            out *= np.where(np.sin(grid.place[:, 0] / 0.024) > 0.2, 0.62, 1.0)[:, None]
        elif shape.pattern == "speckles":
            spot = np.sin(grid.place[:, 0] / 0.02 + 2 * grid.angle) * np.sin(grid.place[:, 2] / 0.02 + 3 * grid.angle)
            out = np.where((spot > 0.25)[:, None], np.clip(out * 0.55 + 0.42, 0, 1), out)
        return out

    return paint


def _trunk(builder: BodyBuilder, shape: BirdShape, at: dict[str, np.ndarray]) -> None:
    ahead = np.array([np.cos(shape.pitch), 0.0, np.sin(shape.pitch)])
    up = np.array([-ahead[2], 0.0, ahead[0]])
    centre = at["root"] + 0.1 * ahead
    width, depth = shape.width, shape.depth
    profile = [
        (-0.54, 0.24, 0.10, 0.10),
        (-0.50, 0.20, 0.28, 0.26),
        (-0.28, 0.04, 0.74, 0.72),
        (0.0, 0.0, 1.0, 1.0),
        (0.26, 0.02, 0.92, 0.92),
        (0.43, 0.12, 0.62, 0.60),
        (0.52, 0.20, 0.26, 0.26),
        (0.535, 0.20, 0.08, 0.08),
    ]
    rows = [(*(centre + x * ahead + z * depth * up), w * width, d * depth) for x, z, w, d in profile]
    body, breast = np.asarray(shape.body, float), np.asarray(shape.breast, float)
    plumage = _feathers(shape, shape.body)

    def paint(grid: Grid) -> np.ndarray:
        turn = grid.turn
        front = smoothstep((grid.station - 3.4) / 1.2)
        low = np.maximum(front, 1 - smoothstep((turn - 0.8) / 0.6))
        return plumage(grid) + (breast - body) * low[:, None]

    builder.tube(rows, builder.chain(["root", "breast"], [3.6], 1.0), paint, rings=16, segments=18)


def _neck_and_head(builder: BodyBuilder, shape: BirdShape, at: dict[str, np.ndarray]) -> None:
    base, middle, end = at["neck1"], at["neck2"], at["head"]
    thick, size = shape.neck_thickness, shape.head_size
    slim = 0.5 * (thick + 0.7 * size)
    rows = [
        (*(base + vec(-0.10, 0, -0.16 * shape.depth)), 1.5 * thick, 1.6 * thick),
        (*(0.75 * base + 0.25 * middle), 1.22 * thick, 1.32 * thick),
        (*middle, thick, 1.02 * thick),
        (*(0.45 * middle + 0.55 * end), 0.92 * slim, 0.95 * slim),
        (*end, 0.62 * size, 0.66 * size),
        (*(end + vec(0.1 * size, 0, 0.2 * size)), 0.2 * size, 0.2 * size),
    ]
    neck = shape.neck_colour or shape.breast
    paint = bands((0.0, shape.breast), (0.7, neck), (3.3, shape.head))
    weights = builder.chain(["breast", "neck1", "neck2", "head"], [0.5, 2.0, 3.7], [0.5, 0.6, 0.5])
    builder.tube(rows, weights, paint, rings=13, segments=12, cuts=[0.7, 3.3])
    skull = "head"
    centre = end + np.array([0.22, 0, 0.12]) * size
    builder.ellipsoid(centre, size * np.array([0.98, 0.72, 0.78]), skull, shape.head, rings=9, segments=12, axis=0)
    long, high = shape.beak_size
    tip = centre + np.array([0.78 * size, 0, -0.10 * size])
    beak = [
        (*tip, high * 0.9, high),
        (*(tip + vec(0.5 * long, 0, -0.08 * long)), 0.7 * high, 0.65 * high),
        (*(tip + vec(long, 0, -0.28 * long)), 0.12 * high, 0.12 * high),
    ]
    builder.tube(beak, skull, shape.beak, rings=6, segments=8)
    for sign in (1.0, -1.0):
        eye = centre + size * np.array([0.42, 0.58 * sign, 0.22])
        builder.ellipsoid(eye, 0.16 * size * np.ones(3), skull, EYE, rings=4, segments=6)
    if shape.comb is not None:
        comb = [
            (*(centre + size * np.array([-0.55, 0, 0.55])), 0.02 * size, 0.1 * size),
            (*(centre + size * np.array([-0.35, 0, 0.95])), 0.12 * size, 0.35 * size),
            (*(centre + size * np.array([0.35, 0, 0.95])), 0.12 * size, 0.38 * size),
            (*(centre + size * np.array([0.80, 0, 0.45])), 0.05 * size, 0.12 * size),
        ]
        builder.tube(comb, skull, shape.comb, rings=8, segments=8)
        wattle, radii = centre + size * np.array([0.85, 0, -0.75]), size * np.array([0.22, 0.16, 0.42])
        builder.ellipsoid(wattle, radii, skull, shape.comb, rings=5, segments=7)
    if shape.crest:
        for lean in (-0.5, -0.15, 0.2):
            root = centre + size * np.array([-0.15, 0, 0.6])
            top = root + size * np.array([1.3 * lean, 0, 1.25])
            quill = [
                (*root, 0.05 * size, 0.05 * size),
                (*(0.3 * root + 0.7 * top), 0.05 * size, 0.05 * size),
                (*(0.1 * root + 0.9 * top), 0.18 * size, 0.18 * size),
                (*top, 0.04 * size, 0.04 * size),
            ]
            builder.tube(quill, skull, shape.neck_colour or shape.head, rings=6, segments=6)


def _wing(builder: BodyBuilder, shape: BirdShape, at: dict[str, np.ndarray], sign: float) -> None:
    ahead = np.array([np.cos(0.7 * shape.pitch), 0.0, np.sin(0.7 * shape.pitch)])
    centre = at["root"] + 0.1 * ahead + np.array([0.0, 0.0, 0.22 * shape.depth])
    width, depth = shape.width, shape.depth
    rows = [
        (*(centre + 0.36 * ahead + vec(0, 0.56 * sign * width, 0)), 0.05 * depth, 0.18 * depth),
        (*(centre + 0.26 * ahead + vec(0, 0.84 * sign * width, 0)), 0.20 * width, 0.55 * depth),
        (*(centre - 0.05 * ahead + vec(0, 0.90 * sign * width, 0)), 0.24 * width, 0.66 * depth),
        (*(centre - 0.36 * ahead + vec(0, 0.66 * sign * width, 0.03)), 0.16 * width, 0.44 * depth),
        (*(centre - 0.62 * ahead + vec(0, 0.32 * sign * width, 0.05)), 0.08 * width, 0.20 * depth),
        (*(centre - 0.74 * ahead + vec(0, 0.22 * sign * width, 0.05)), 0.02 * width, 0.06 * depth),
    ]
    tip = shape.wing_tip or (0.55 * shape.wing[0], 0.55 * shape.wing[1], 0.55 * shape.wing[2])
    feathers, dark = _feathers(shape, shape.wing), np.asarray(tip)

    def paint(grid: Grid) -> np.ndarray:
        return np.where((grid.station > 3.4)[:, None], dark, feathers(grid))

    builder.tube(rows, builder.chain(["breast", "root"], [1.6], 0.9), paint, rings=12, segments=10, cuts=[3.4])


def _leg(builder: BodyBuilder, shape: BirdShape, at: dict[str, np.ndarray], side: str) -> None:
    hip, knee, ankle, toe = (at[name] for name in limb(side))
    bones = ["root", *limb(side)]
    t = shape.leg_thickness
    rows = [
        (*(hip + vec(0, 0, 0.05)), 0.09, 0.10),
        (*(0.4 * hip + 0.6 * knee), 2.6 * t, 3.0 * t),
        (*(0.85 * knee + 0.15 * ankle), 2.0 * t, 2.3 * t),
        (*(0.35 * knee + 0.65 * ankle), 1.15 * t, 1.2 * t),
        (*ankle, 0.95 * t, 1.0 * t),
        (*(0.5 * (ankle + toe)), 0.70 * t, 0.75 * t),
        (*toe, 0.75 * t, 0.8 * t),
        (*(toe + vec(0, 0, -0.015)), 0.4 * t, 0.4 * t),
    ]
    thigh = shape.legs if shape.neck[0] > 0.9 and not shape.crest else shape.body
    paint = bands((0.0, thigh), (3.0, shape.legs))
    weights = builder.chain(bones, [0.2, 1.7, 4.0, 6.0], [0.5, 0.6, 0.4, 0.3])
    builder.tube(rows, weights, paint, rings=13, segments=8, cuts=[3.0])
    foot = bones[4]
    long = _digit(shape)
    if shape.webbed:
        web = [
            (*(toe + vec(-0.03, 0, -0.014)), 0.02, 0.012),
            (*(toe + vec(0.5 * long, 0, -0.018)), 0.55 * long, 0.012),
            (*(toe + vec(long, 0, -0.02)), 0.75 * long, 0.010),
            (*(toe + vec(1.05 * long, 0, -0.02)), 0.4 * long, 0.006),
        ]
        builder.tube(web, foot, shape.legs, rings=7, segments=8)
        return
    for turn, share in ((0.0, 1.0), (0.5, 0.85), (-0.5, 0.85), (np.pi, 0.6)):
        way = long * share * np.array([np.cos(turn), np.sin(turn), 0.0])
        digit = [
            (*(toe + vec(0, 0, -0.008)), 0.6 * t, 0.024),
            (*(toe + 0.6 * way + vec(0, 0, -0.012)), 0.5 * t, 0.014),
            (*(toe + way + vec(0, 0, -0.020)), 0.15 * t, 0.006),
        ]
        across = (np.sin(turn), -np.cos(turn), 0.0)
        builder.tube(digit, foot, shape.legs, rings=5, segments=6, side=across)


def _tail(builder: BodyBuilder, shape: BirdShape, at: dict[str, np.ndarray]) -> None:
    long, wide, elevation = shape.tail
    way = np.array([-np.cos(elevation), 0.0, np.sin(elevation)])
    start = at["tail"] - 0.08 * way
    colour = shape.tail_colour or shape.wing
    rows = [
        (*start, 0.5 * wide, 0.10),
        (*(start + 0.4 * long * way), 0.75 * wide, 0.055),
        (*(start + 0.8 * long * way), wide, 0.030),
        (*(start + 1.0 * long * way), 0.85 * wide, 0.018),
        (*(start + 1.03 * long * way), 0.4 * wide, 0.010),
    ]
    eye, ring = np.array([0.10, 0.16, 0.55]), np.array([0.80, 0.60, 0.15])

    def paint(grid: Grid) -> np.ndarray:
        out = _feathers(shape, colour)(grid)
        if shape.train:
            spot = np.cos(grid.place[:, 0] / 0.028) * np.cos(grid.place[:, 1] / 0.024)
            out[spot > 0.30] = ring
            out[spot > 0.68] = eye
        return out

    rings, segments = (22, 20) if shape.train else (9, 12)
    builder.tube(rows, builder.chain(["root", "tail"], [0.5], 0.5), paint, rings=rings, segments=segments)
