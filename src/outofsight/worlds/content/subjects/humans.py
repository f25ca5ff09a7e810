"""Human bodies: skeleton, gait, and the mesh from soles to hair. Lengths are fractions of the body's height."""

from __future__ import annotations

import numpy as np

from ...engine.catalogue import Colour, SubjectSpec
from ...engine.gait import Leg, Rig, Wave, limb
from ...engine.noise import smoothstep
from ...engine.skinning import Body, assemble
from ...engine.tubes import BodyBuilder, Grid, bands, plain, vec
from .dress import add_dress, add_hair, add_hat, hair_covers_ears, torso_paint
from .shapes import HumanShape

_ARM = ("shoulder", "elbow", "wrist")
_SIDES = (name for side in "lr" for name in (*(f"{side}_{part}" for part in _ARM), *limb(side)))
NAMES = ("root", "spine", "chest", "neck", "head", *_SIDES)
PARENTS = (-1, 0, 1, 2, 3, 2, 5, 6, 0, 8, 9, 10, 2, 12, 13, 0, 15, 16, 17)
EYE: Colour = (0.07, 0.06, 0.06)


def _joints(shape: HumanShape) -> dict[str, tuple[float, float, float]]:
    hip = 0.53 - 1.15 * (shape.head - 0.132)
    shoulder = 1.0 - shape.head - 0.047
    arm = (shoulder - hip) / 0.29
    wide, stance = 0.108 * shape.shoulders, 0.05 * shape.hips
    out = {
        "root": (0.0, 0.0, hip + 0.02),
        "spine": (0.0, 0.0, hip + 0.10),
        "chest": (0.0, 0.0, hip + 0.62 * (shoulder - hip)),
        "neck": (0.0, 0.0, shoulder + 0.008),
        "head": (0.002, 0.0, 1.0 - shape.head + 0.012),
    }
    for side, sign in (("l", 1.0), ("r", -1.0)):
        out[f"{side}_shoulder"] = (0.0, sign * wide, shoulder - 0.022)
        out[f"{side}_elbow"] = (-0.006, sign * (wide + 0.015), shoulder - 0.022 - 0.163 * arm)
        out[f"{side}_wrist"] = (0.008, sign * (wide + 0.024), shoulder - 0.022 - 0.305 * arm)
        out[f"{side}_hip"] = (0.0, sign * stance, hip)
        out[f"{side}_knee"] = (0.010, sign * stance, 0.045 + 0.49 * (hip - 0.045))
        out[f"{side}_ankle"] = (0.0, sign * stance, 0.045)
        out[f"{side}_toe"] = (0.070, sign * stance, 0.008)
    return out


def _rig(spec: SubjectSpec, shape: HumanShape) -> Rig:
    places = _joints(shape)
    old = shape.stoop > 0
    robed = shape.skirt == "robe"  # short quick steps, feet and knees low: what the hem leaves room for
    legs = tuple(
        Leg(
            joints=limb(side),
            parent="root",
            phase=(start, start),
            strike=(0.15 if old else 0.32, 0.10),
            push=(0.45 if old or robed else 0.75, 0.45 if robed else 0.95),
            fold=(0.15, 0.15 if robed else 0.55),
            lift=(0.035, 0.04 if robed else 0.20),
            narrow=0.45,
            trail=(0.05, 0.02),
            heel=0.10,
            toes=0.045,
        )
        for side, start in (("l", 0.0), ("r", 0.5))
    )
    waves = [
        Wave("root", 2, (0, -0.09, -0.12)),
        Wave("root", 0, (0.03, 0.03, 0.03), shift=0.25),
        Wave("root", 1, (0, 0, 0), (0, 0.02, 0.09)),
        Wave("spine", 1, (0.006, 0.015, 0.03), (shape.stoop * 0.4, 0.01 + shape.stoop * 0.4, 0.06), 2, 0.1),
        Wave("spine", 2, (0, 0.08, 0.14)),
        Wave("chest", 2, (0, 0.09, 0.16)),
        Wave("chest", 0, (-0.035, -0.03, -0.03), shift=0.25),
        Wave("chest", 1, (0.02, 0, 0), (shape.stoop * 0.6, shape.stoop * 0.6, 0.04)),
        Wave("neck", 1, (0, 0, 0), (-shape.stoop * 0.4, -shape.stoop * 0.4, -0.08)),
        Wave("head", 1, (0, 0.015, 0.02), (-shape.stoop * 0.4, -shape.stoop * 0.4, -0.06), 2),
        Wave("head", 2, (0, -0.08, -0.14)),
        Wave("head", 2, (0.14, 0, 0), harmonic=1, shift=0.2),
    ]
    for side, sign in (("l", 1.0), ("r", -1.0)):
        waves += [
            Wave(f"{side}_shoulder", 1, (0.04 * sign, 0.42 * sign, 0.62 * sign), (0.0, 0.04, 0.15)),
            Wave(f"{side}_shoulder", 0, (0, 0, 0), (-0.02 * sign, 0.02 * sign, 0.10 * sign)),
            Wave(f"{side}_elbow", 1, (0, 0.16 * sign, 0.18 * sign), (-0.12, -0.30, -1.35), 1, 0.0),
            Wave(f"{side}_wrist", 1, (0, 0, 0), (-0.05, -0.1, -0.1)),
        ]
    return Rig(
        *(NAMES, PARENTS, np.array([places[name] for name in NAMES]), legs, tuple(waves)),
        *(spec.walk_speed, spec.run_speed),
        duty=(0.62, 0.45 if robed else 0.30),
        bounce=(0.0, 0.012 if robed else 0.035),
        crouch=(0.004, 0.012 if robed else 0.035),
        stride=(0.36, 1.25) if robed else (0.5, 2.1),
    )


def build_human(spec: SubjectSpec) -> Body:
    """The body of a human subject."""
    shape = spec.shape
    assert isinstance(shape, HumanShape)
    rig = _rig(spec, shape)
    builder = BodyBuilder(NAMES)
    at = dict(zip(NAMES, rig.joints, strict=True))
    _torso(builder, shape, at)
    _head(builder, shape)
    for side, sign in (("l", 1.0), ("r", -1.0)):
        _arm(builder, shape, at, side, sign)
        _leg(builder, shape, at, side)
    add_dress(builder, shape, at)
    return assemble(spec, builder, rig)


def _torso(builder: BodyBuilder, shape: HumanShape, at: dict[str, np.ndarray]) -> None:
    hip, shoulder = at["l_hip"][2], at["l_shoulder"][2] + 0.022
    long = shoulder - hip
    wide, girth, hips, belly = shape.shoulders, shape.girth, shape.hips, shape.belly
    chest = 0.062 * girth + 0.2 * belly + 0.55 * shape.bust
    rows = [
        (0, 0, hip - 0.050, 0.030, 0.035),
        (-0.004, 0, hip - 0.020, 0.080 * hips, 0.062 * hips),
        (-0.005, 0, hip + 0.10 * long, 0.094 * hips, 0.070 * hips),
        (0.4 * belly, 0, hip + 0.36 * long, 0.078 * girth, 0.056 * girth + 0.6 * belly),
        (0.004 + 0.2 * belly + 0.25 * shape.bust, 0, hip + 0.66 * long, 0.087 * girth * wide**0.5, chest),
        (0.1 * shape.bust, 0, hip + 0.86 * long, 0.100 * wide, 0.060 * girth),
        (-0.002, 0, shoulder + 0.000, 0.097 * wide, 0.047 * girth**0.5),
        (-0.003, 0, shoulder + 0.024, 0.056 * wide, 0.037),
        (0.0, 0, shoulder + 0.040, 0.031, 0.033),
        (0.006, 0, 1.0 - shape.head + 0.030, 0.029, 0.032),
    ]
    weights = builder.chain(["root", "spine", "chest", "neck", "head"], [2.7, 4.2, 7.4, 9.0], [0.6, 0.6, 0.5, 0.4])
    paint, cuts = torso_paint(shape)
    rings = {"stripes": 7, "dots": 20}.get(shape.pattern, 15)
    builder.tube(rows, weights, paint, rings=rings, segments=16, cuts=cuts, square=2.35)


def _head(builder: BodyBuilder, shape: HumanShape) -> None:
    tall = shape.head
    radii = np.array([0.405, 0.335 if tall < 0.15 else 0.37, 0.5]) * tall
    centre = np.array([0.010, 0.0, 1.0 - 0.5 * tall])
    skull = "head"

    def jaw(grid: Grid) -> np.ndarray:
        place = grid.place - centre
        low = smoothstep(-place[:, 2] / radii[2] * 1.1)
        place[:, 1] *= 1 - 0.30 * low
        place[:, 0] = place[:, 0] * (1 - 0.22 * low) + 0.10 * radii[0] * low
        return place + centre

    def face(grid: Grid) -> np.ndarray:
        out = plain(shape.skin)(grid)
        place = (grid.place - centre) / radii
        lips = (place[:, 0] > 0.55) & (np.abs(place[:, 1]) < 0.33) & (np.abs(place[:, 2] + 0.58) < 0.12)
        out[lips] = 0.6 * out[lips] + 0.4 * np.array([0.62, 0.22, 0.20])
        if shape.beard:
            out[(place[:, 2] < -0.38) & (place[:, 0] > -0.2) & ~lips] = shape.hair
        return out

    builder.ellipsoid(centre, radii, skull, face, rings=10, segments=14, warp=jaw)
    front = centre + radii * [0.98, 0.0, -0.12]
    builder.ellipsoid(front, 0.085 * tall * np.array([1.1, 0.75, 1.3]), skull, shape.skin, rings=4, segments=6)
    for sign in (1.0, -1.0):
        eye = centre + radii * [0.86, 0.40 * sign, 0.06]
        builder.ellipsoid(eye, 0.062 * tall * np.array([0.9, 1.0, 0.8]), skull, EYE, rings=4, segments=6)
        if not hair_covers_ears(shape):
            ear = centre + radii * [-0.05, 0.99 * sign, -0.10]
            builder.ellipsoid(ear, tall * np.array([0.07, 0.035, 0.12]), skull, shape.skin, rings=4, segments=6)
    add_hair(builder, shape, centre, radii, skull)
    add_hat(builder, shape, centre, radii, skull)


def _arm(builder: BodyBuilder, shape: HumanShape, at: dict[str, np.ndarray], side: str, sign: float) -> None:
    shoulder, elbow, wrist = (at[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
    bones = ["chest", f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"]
    thick = shape.limbs * (1.0 if shape.head < 0.15 else 1.05)
    loose = 1.12 if shape.sleeve == "long" else 1.0
    if shape.skirt == "robe":
        loose = 1.45

    def row(point: np.ndarray, width: float, depth: float) -> tuple[float, ...]:
        return (*point, width * thick, depth * thick)

    inward = np.array([0.0, -sign, 0.0])
    rows = [
        row(shoulder + inward * 0.052 + vec(0, 0, 0.012), 0.010, 0.014),
        row(shoulder + inward * 0.020 + vec(0, 0, 0.009), 0.023, 0.031),
        row(0.82 * shoulder + 0.18 * elbow + inward * 0.001, 0.030, 0.036),
        row(0.4 * shoulder + 0.6 * elbow, 0.027 * loose**0.5, 0.030 * loose**0.5),
        row(elbow, 0.0235 * loose, 0.0255 * loose),
        row(0.65 * elbow + 0.35 * wrist, 0.0235 * loose, 0.0265 * loose),
        row(wrist, 0.0165 * loose**1.5, 0.0185 * loose**1.5),
        row(wrist + 0.04 * (wrist - elbow), 0.009, 0.010),
    ]
    cover = shape.skirt_colour if shape.skirt in ("coat", "robe") and shape.skirt_colour else shape.top
    if shape.pattern == "vest":
        cover = shape.top
    skin = shape.skin
    if shape.sleeve == "long":
        paint, cuts = plain(cover), []
    elif shape.sleeve == "short":
        paint, cuts = bands((0.0, cover), (2.9, skin)), [2.9]
    else:
        paint, cuts = bands((0.0, cover), (1.1, skin)), [1.1]
    builder.tube(rows, builder.chain(bones, [0.9, 4.0, 6.2], [0.7, 0.55, 0.4]), paint, rings=12, segments=9, cuts=cuts)
    hand = bones[3]
    size = thick * (1.0 if shape.head < 0.15 else 0.92)
    centre = wrist + vec(0.004, 0, -0.036 * size)
    builder.ellipsoid(centre, np.array([0.021, 0.012, 0.046]) * size, hand, skin, rings=5, segments=7)
    thumb = wrist + np.array([0.020, 0, -0.026]) * size
    builder.ellipsoid(thumb, np.array([0.008, 0.007, 0.022]) * size, hand, skin, rings=3, segments=5)


def _leg(builder: BodyBuilder, shape: HumanShape, at: dict[str, np.ndarray], side: str) -> None:
    hip, knee, ankle = (at[name] for name in limb(side)[:3])
    bones = ["root", *limb(side)]
    thick = shape.limbs * (1.0 if shape.head < 0.15 else 0.98)
    trousers = shape.legs == "trousers" and shape.skirt != "robe"
    cloth = 1.0 if trousers else 0.0
    upper = 0.5 * (shape.limbs + shape.hips)

    shin = 0.25 * knee + 0.75 * ankle + vec(-0.004, 0, 0)
    rows = [
        (*(hip + vec(0, 0, 0.045)), 0.020 * upper, 0.030 * upper),
        (*(hip + vec(-0.002, 0, -0.012)), 0.047 * upper, 0.058 * upper),
        (*(0.75 * hip + 0.25 * knee), 0.0475 * upper, 0.055 * upper),
        (*(0.35 * hip + 0.65 * knee), (0.040 + 0.002 * cloth) * thick, 0.044 * thick),
        (*(knee + vec(0.002, 0, 0)), (0.033 + 0.004 * cloth) * thick, (0.036 + 0.003 * cloth) * thick),
        (*(0.68 * knee + 0.32 * ankle + vec(-0.008, 0, 0)), (0.032 + 0.004 * cloth) * thick, 0.038 * thick),
        (*shin, (0.022 + 0.010 * cloth) * thick, (0.025 + 0.010 * cloth) * thick),
        (*(ankle + vec(0, 0, 0.004)), (0.020 + 0.011 * cloth) * thick, (0.023 + 0.011 * cloth) * thick),
        (*(ankle + vec(0.004, 0, -0.020)), 0.014, 0.016),
    ]
    tights = shape.legs in ("trousers", "tights")
    if tights:
        paint, cuts = plain(shape.bottom), []
    elif shape.legs == "shorts":
        paint, cuts = bands((0.0, shape.bottom), (3.3, shape.skin)), [3.3]
    else:
        paint, cuts = plain(shape.skin), []
    weights = builder.chain(bones[:4], [0.75, 4.0, 7.6], [0.7, 0.6, 0.4])
    builder.tube(rows, weights, paint, rings=13, segments=11, cuts=cuts)
    if shape.legs == "shorts":
        low = 0.28 * hip + 0.72 * knee
        cuff = [
            (*(0.8 * hip + 0.2 * knee), 0.030, 0.040),
            (*(0.6 * hip + 0.4 * knee), 0.050 * upper, 0.056 * upper),
            (*low, 0.053 * upper, 0.057 * upper),
            (*(low + vec(0, 0, 0.006)), 0.030 * upper, 0.030 * upper),
        ]
        weights = builder.chain(bones[:3], [-0.5, 3.6], 0.6)
        builder.tube(cuff, weights, shape.bottom, rings=6, segments=11, tangent=(0, 0, -1))
    _foot(builder, shape, ankle, bones[3:])


def _foot(builder: BodyBuilder, shape: HumanShape, ankle: np.ndarray, bones: list[str]) -> None:
    x, y = ankle[0], ankle[1]
    rows = [
        (x - 0.034, y, 0.018, 0.008, 0.008),
        (x - 0.027, y, 0.022, 0.021, 0.022),
        (x + 0.000, y, 0.028, 0.023, 0.031),
        (x + 0.040, y, 0.020, 0.025, 0.025),
        (x + 0.075, y, 0.014, 0.029, 0.018),
        (x + 0.103, y, 0.010, 0.022, 0.013),
        (x + 0.113, y, 0.008, 0.008, 0.006),
    ]
    builder.tube(rows, builder.chain(bones, [3.85], 0.35), shape.shoes, rings=8, segments=9, square=2.3)
