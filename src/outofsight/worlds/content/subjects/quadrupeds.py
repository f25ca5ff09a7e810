"""Four-legged animals: one skeleton whose proportions and coat make dogs, horses, camels and elephants of it.

Lengths are in units of the height at the withers; the finished mesh is scaled to the subject's height.
"""

from __future__ import annotations

import numpy as np

from ...engine.catalogue import SubjectSpec
from ...engine.gait import Leg, Rig, Wave, limb
from ...engine.noise import smoothstep
from ...engine.skinning import Body, assemble
from ...engine.tubes import BodyBuilder, Grid, vec
from .coats import coat_paint, limb_paint
from .headgear import add_head
from .shapes import QuadrupedShape

_SPINE = ("root", "loin", "chest", "neck", "poll", "head", "tail1", "tail2", "tail3")
NAMES = (*_SPINE, *limb("fl"), *limb("fr"), *limb("hl"), *limb("hr"))
PARENTS = (-1, 0, 1, 2, 3, 4, 0, 6, 7, 2, 9, 10, 11, 2, 13, 14, 15, 0, 17, 18, 19, 0, 21, 22, 23)


def _joints(shape: QuadrupedShape) -> dict[str, np.ndarray]:
    half = 0.5 * shape.length
    back = 1.0 + shape.rump
    chest_low = 1.0 - shape.depth
    neck_from = np.array([half + 0.04, 0.0, 1.0 - 0.30 * shape.depth])
    long, rise = shape.neck
    neck_way = np.array([np.cos(rise), 0.0, np.sin(rise)])
    poll = neck_from + long * neck_way
    out = {
        "root": np.array([-half, 0.0, back - 0.14]),
        "loin": np.array([-0.45 * half, 0.0, 0.5 * (1 + back) - 0.14]),
        "chest": np.array([0.25 * half, 0.0, 0.84]),
        "neck": neck_from,
        "poll": neck_from + 0.55 * long * neck_way,
        "head": poll,
    }
    length, _, elevation = shape.tail
    tail_way = np.array([-np.cos(elevation), 0.0, np.sin(elevation)])
    start = np.array([-half - 0.15, 0.0, back - 0.09])
    for index in range(3):
        out[f"tail{index + 1}"] = start + tail_way * length * index / 3
    elbow = max(chest_low + 0.08, 0.42) if not shape.trunk else chest_low + 0.06
    stance = 0.62 * shape.width if not shape.trunk else 0.66 * shape.width
    for side, sign in (("l", 1.0), ("r", -1.0)):
        y = sign * stance
        straight = 0.4 if shape.trunk else 1.0
        out[f"f{side}_hip"] = np.array([half + 0.03, y, elbow + 0.20])
        out[f"f{side}_knee"] = np.array([half - 0.06 * straight, y, elbow])
        out[f"f{side}_ankle"] = np.array([half - 0.02, y, 0.52 * elbow])
        out[f"f{side}_toe"] = np.array([half - 0.01, y, 0.055])
        thigh = back - 0.14 - 0.12
        out[f"h{side}_hip"] = np.array([-half - 0.01, y, thigh])
        out[f"h{side}_knee"] = np.array([-half + 0.09 * straight, y, 0.42 * thigh + 0.30 * elbow + 0.06])
        out[f"h{side}_ankle"] = np.array([-half - 0.12 * straight, y, 0.60 * elbow])
        out[f"h{side}_toe"] = np.array([-half - 0.05 * straight, y, 0.055])
    return out


def _rig(spec: SubjectSpec, shape: QuadrupedShape) -> Rig:
    places = _joints(shape)
    # Walk: lateral sequence, a quarter of a cycle apart. Run: diagonal pairs (trot) or lateral pairs (pace).
    fast = {"trot": (0.5, 1.0), "pace": (0.05, 0.55), "amble": (0.25, 0.75)}[shape.gait]
    stiff = 0.5 if shape.trunk else 1.0
    legs = []
    for end, side, phases in (
        ("h", "l", (0.0, 0.0)),
        ("f", "l", (0.25, fast[0])),
        ("h", "r", (0.5, 0.5)),
        ("f", "r", (0.75, fast[1])),
    ):
        fore = end == "f"
        legs.append(
            Leg(
                joints=limb(end + side),
                parent="chest" if fore else "root",
                phase=phases,
                strike=(0.30 * stiff, 0.36 * stiff) if fore else (0.10, 0.16),
                push=(0.40 * stiff, 0.50 * stiff) if fore else (0.55 * stiff, 0.70 * stiff),
                fold=(0.75 * stiff, 1.25 * stiff) if fore else (0.30 * stiff, 0.60 * stiff),
                lift=(0.10, 0.18),
                narrow=0.25,
                toes=0.05 if shape.hooves else 0.08 * shape.leg,
            )
        )
    bob = 0.05 if shape.neck[0] > 0.3 else 0.03
    waves = (
        Wave("root", 2, (0, 0.035, 0.02), shift=0.15),
        Wave("root", 0, (0, 0.025, 0.01), shift=0.1),
        Wave("loin", 2, (0, -0.05, -0.03), shift=0.15),
        Wave("chest", 2, (0, 0.02, 0.01), shift=0.15),
        Wave("chest", 1, (0.003, 0.01, 0.015), harmonic=2, shift=0.3),
        Wave("neck", 1, (0.022, bob, 0.5 * bob), (0.0, 0.03, -0.05), 2, 0.35),
        Wave("poll", 1, (0.015, bob, 0.5 * bob), harmonic=2, shift=0.40),
        Wave("head", 1, (0.02, -1.4 * bob, -0.8 * bob), (0.0, -0.04, 0.02), 2, 0.35),
        Wave("head", 2, (0.08, 0.02, 0.01), shift=0.3),
        Wave("neck", 2, (0.05, 0.02, 0.01), shift=0.3),
        Wave("tail1", 2, (0.05, 0.16, 0.12)),
        Wave("tail2", 2, (0.08, 0.20, 0.15), shift=0.12),
        Wave("tail3", 2, (0.10, 0.22, 0.18), shift=0.24),
        Wave("tail1", 1, (0, 0.02, 0.05), (0, 0.05, 0.30), 2),
    )
    return Rig(
        *(NAMES, PARENTS, np.array([places[name] for name in NAMES]), tuple(legs), waves),
        *(spec.walk_speed, spec.run_speed),
        duty=(0.64, 0.64) if shape.gait == "amble" else (0.64, 0.44),
        bounce=(0.0, 0.0) if shape.gait == "amble" else (0.0, 0.025),
        crouch=(0.01, 0.02) if shape.gait == "amble" else (0.01, 0.035),
        stride=(0.55, 1.45),
    )


def build_quadruped(spec: SubjectSpec) -> Body:
    """The body of a four-legged subject."""
    shape = spec.shape
    assert isinstance(shape, QuadrupedShape)
    rig = _rig(spec, shape)
    at = dict(zip(NAMES, rig.joints, strict=True))
    builder = BodyBuilder(NAMES)
    _trunk(builder, shape)
    _neck(builder, shape, at)
    for side in "lr":
        _leg(builder, shape, at, "f" + side)
        _leg(builder, shape, at, "h" + side)
    _tail(builder, shape, at)
    add_head(builder, shape, at["head"])
    return assemble(spec, builder, rig)


def _trunk(builder: BodyBuilder, shape: QuadrupedShape) -> None:
    half, width, deep = 0.5 * shape.length, shape.width, 0.5 * shape.depth
    back = 1.0 + shape.rump
    loin = deep * shape.tuck
    hind = back - 0.01 - 0.98 * loin
    rows = [
        (-half - 0.205, 0, hind + 0.10 * loin, 0.10 * width, 0.10 * loin),
        (-half - 0.185, 0, hind + 0.08 * loin, 0.42 * width, 0.44 * loin),
        (-half - 0.125, 0, hind + 0.02 * loin, 0.72 * width, 0.80 * loin),
        (-half - 0.010, 0, hind, 0.88 * width, 0.98 * loin),
        (-0.45 * half, 0, 0.5 * (1 + back) - 0.015 - loin, 0.84 * width, loin),
        (0.15 * half, 0, 0.985 - 0.97 * deep, 0.98 * width, 0.97 * deep),
        (0.72 * half, 0, 1.0 - deep, 0.92 * width, deep),
        (half + 0.09, 0, 0.965 - 0.90 * deep, 0.68 * width, 0.80 * deep),
        (half + 0.17, 0, 0.94 - 0.80 * deep, 0.35 * width, 0.48 * deep),
        (half + 0.19, 0, 0.94 - 0.80 * deep, 0.10 * width, 0.15 * deep),
    ]
    bones = ["root", "loin", "chest"]

    def hump(grid: Grid) -> np.ndarray:
        place = grid.place.copy()
        if shape.hump:
            near = np.exp(-(((place[:, 0] + 0.05) / (0.34 * half)) ** 2))
            over = smoothstep((place[:, 2] - 0.80) / 0.2)
            place[:, 2] += shape.hump * near * over
            place[:, 1] *= 1 - 0.35 * near * over
        if shape.fleece:
            bumps = np.cos(6 * grid.angle + 2.5 * grid.station) * np.cos(5.2 * grid.station)
            centre = np.array([0.0, 0.0, 1.0 - deep])
            place[:, 1:] = centre[1:] + (place[:, 1:] - centre[1:]) * (1 + 0.055 * bumps)[:, None]
        return place

    weights, paint, rings = builder.chain(bones, [3.4, 5.2], 0.9), coat_paint(shape), 24 if shape.fleece else 20
    builder.tube(rows, weights, paint, rings=rings, segments=18, warp=hump, tangent=(1, 0, 0), square=2.15)


def _neck(builder: BodyBuilder, shape: QuadrupedShape, at: dict[str, np.ndarray]) -> None:
    base, middle, end = at["neck"], at["poll"], at["head"]
    way = (end - base) / np.linalg.norm(end - base)
    thick, skull = shape.neck_depth, shape.skull
    root = base - 0.20 * way + np.array([-0.04, 0, -0.05])
    rows = [
        (*root, 0.45 * shape.width, 0.40 * shape.depth),
        (*(base - 0.02 * way), 0.55 * shape.width, 0.5 * (0.40 * shape.depth + 1.25 * thick)),
        (*(0.45 * base + 0.55 * middle), 0.75 * thick, 1.12 * thick),
        (*(0.3 * middle + 0.7 * end), 0.66 * thick, 0.5 * (thick + skull)),
        (*(end + 0.02 * way), 0.62 * skull, 0.80 * skull),
        (*(end + 0.06 * way), 0.30 * skull, 0.40 * skull),
    ]
    bones = ["chest", "neck", "poll", "head"]
    paint = coat_paint(shape)
    builder.tube(rows, builder.chain(bones, [0.9, 2.2, 3.7], [0.7, 0.6, 0.5]), paint, rings=11, segments=14)
    if shape.mane is not None:
        up = np.array([-way[2], 0.0, way[0]])
        tall = 0.55 * thick
        line = [
            (*(base - 0.06 * way + up * 1.05 * thick), 0.018, 0.03),
            (*(0.5 * (base + middle) + up * 1.02 * thick), 0.026, tall),
            (*(0.35 * middle + 0.65 * end + up * (0.5 * (thick + skull))), 0.026, tall),
            (*(end + up * 0.95 * skull + 0.03 * way), 0.024, 0.6 * tall),
            (*(end + up * 0.75 * skull + 0.10 * way), 0.010, 0.02),
        ]
        builder.tube(line, builder.chain(bones[1:], [1.5, 2.7], 0.5), shape.mane, rings=9, segments=8)


def _leg(builder: BodyBuilder, shape: QuadrupedShape, at: dict[str, np.ndarray], name: str) -> None:
    hip, knee, ankle, toe = (at[joint] for joint in limb(name))
    t = 0.062 * shape.leg
    if name[0] == "f":
        root, width, shin = "chest", 0.55, 0.54
        rows = [
            (*(hip + vec(-0.06, -0.25 * hip[1], 0.14)), 0.8 * t, 0.10),
            (*(hip + vec(-0.03, -0.12 * hip[1], 0.02)), 1.20 * t, 0.115),
            (*(0.55 * knee + 0.45 * hip), 1.10 * t, 1.55 * t),
            (*knee, 0.92 * t, 1.25 * t),
            (*(0.5 * (knee + ankle)), 0.70 * t, 0.80 * t),
            (*ankle, 0.62 * t, 0.68 * t),
        ]
    else:
        root, width, shin = "root", 0.6, 0.56
        rows = [
            (*(hip + vec(-0.01, -0.30 * hip[1], 0.17)), 0.8 * t, 0.10),
            (*(hip + vec(0.00, -0.12 * hip[1], 0.05)), 1.35 * t, 0.150),
            (*(0.5 * (hip + knee)), 1.35 * t, 0.75 * t + 0.085),
            (*(knee + vec(-0.01, 0, 0)), 1.05 * t, 1.45 * t),
            (*(0.55 * knee + 0.45 * ankle), 0.80 * t, 1.0 * t),
            (*(ankle + vec(0.004, 0, 0)), 0.58 * t, 0.72 * t),
        ]
    rows += [
        (*(0.5 * (ankle + toe)), 0.50 * t, shin * t),
        (*(toe + vec(0, 0, 0.015)), 0.56 * t, 0.60 * t),
        (*(toe + vec(0.004, 0, -0.018)), 0.40 * t, 0.42 * t),
    ]
    if shape.trunk:
        rows = [(*row[:3], max(row[3], 0.9 * t), max(row[4], 0.9 * t)) for row in rows]
    bones = [root, *limb(name)]
    weights = builder.chain(bones, [0.8, 3.0, 5.0, 7.2], [0.9, width, 0.4, 0.3])
    builder.tube(rows, weights, limb_paint(shape, 4.2, 6.2), rings=14, segments=10, cuts=[4.2, 6.2])
    _paw(builder, shape, toe, bones[4], t)


def _paw(builder: BodyBuilder, shape: QuadrupedShape, toe: np.ndarray, bone: str, t: float) -> None:
    x, y = toe[0], toe[1]
    if shape.trunk or shape.hooves:
        wide = 0.62 * t if shape.hooves else 1.08 * t
        rows = [
            (x, y, 0.075, 0.5 * wide, 0.55 * wide),
            (x + 0.004, y, 0.055, 0.92 * wide, 1.02 * wide),
            (x + 0.016, y, 0.012, 1.25 * wide, 1.45 * wide),
            (x + 0.016, y, 0.0, 1.25 * wide, 1.45 * wide),
            (x + 0.016, y, 0.0, 0.3 * wide, 0.3 * wide),
        ]
        builder.tube(rows, bone, shape.feet, rings=6, segments=10, tangent=(0, 0, -1))
        return
    size = 0.058 * shape.leg**0.7
    rows = [
        (x - 0.75 * size, y, 0.030, 0.25 * size, 0.25 * size),
        (x - 0.45 * size, y, 0.038, 0.70 * size, 0.75 * size),
        (x + 0.35 * size, y, 0.032, 0.85 * size, 0.75 * size),
        (x + 1.05 * size, y, 0.022, 0.60 * size, 0.50 * size),
        (x + 1.30 * size, y, 0.016, 0.20 * size, 0.20 * size),
    ]
    builder.tube(rows, bone, shape.feet, rings=7, segments=8)


def _tail(builder: BodyBuilder, shape: QuadrupedShape, at: dict[str, np.ndarray]) -> None:
    length, thick, elevation = shape.tail
    way = np.array([-np.cos(elevation), 0.0, np.sin(elevation)])
    start = at["tail1"] - 0.05 * way
    end = thick * shape.tuft
    sag = np.array([-0.10 * length, 0.0, 0.06 * length]) * (1 if elevation < 0 else -1)
    rows = [
        (*start, 0.9 * thick, 0.9 * thick),
        (*(at["tail1"] + 0.18 * length * way + 0.8 * sag), thick, thick),
        (*(at["tail1"] + 0.50 * length * way + sag), 0.5 * (thick + end), 0.5 * (thick + end)),
        (*(at["tail1"] + 0.80 * length * way + 0.5 * sag), end, end),
        (*(at["tail1"] + 0.95 * length * way), 0.6 * end, 0.6 * end),
        (*(at["tail1"] + 1.0 * length * way), 0.12 * end, 0.12 * end),
    ]
    bones = ["root", "tail1", "tail2", "tail3"]
    tip = shape.tail_tip or shape.coat
    paint = limb_paint(shape, 3.2, 9.0, upper=shape.coat, lower=tip)
    side = (0.0, 1.0, 0.0)
    builder.tube(rows, builder.chain(bones, [0.4, 1.7, 2.7], 0.35), paint, rings=11, segments=9, side=side, cuts=[3.2])
