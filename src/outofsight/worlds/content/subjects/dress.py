"""What a human wears: hair, hats, skirts and coats, bags, and the patterns of the torso."""

from __future__ import annotations

import numpy as np

from ...engine.catalogue import Colour
from ...engine.noise import smoothstep
from ...engine.tubes import BodyBuilder, Grid, Paint, bands, plain
from .shapes import HumanShape

SOLE_CLEAR = 0.035  # the hem of a robe above the ground
BELT = 1.28  # station of a skirt's tube where the belt ends
STRIPE = 0.42  # stations
COVERED = ("headscarf", "turban", "helmet", "beanie")


def _dots(grid: Grid) -> np.ndarray:
    column, level = np.round(grid.angle / (2 * np.pi / 16)), np.round(grid.place[:, 2] / 0.022)
    return (column.astype(int) + 2 * level.astype(int)) % 4 == 0


def torso_paint(shape: HumanShape) -> tuple[Paint, list[float]]:
    """Colours of the torso's tube and the stations where they change."""
    full = shape.skirt in ("dress", "robe")
    top = shape.skirt_colour if shape.skirt in ("coat", "robe") and shape.skirt_colour else shape.top
    lower = top if full else (shape.skirt_colour or shape.top) if shape.skirt != "none" else shape.bottom
    collar = 7.55 if shape.sleeve != "none" else 6.75
    waist = 2.55
    steps: list[tuple[float, Colour]] = [(0.0, lower)]
    if shape.belt is not None:
        steps += [(waist - 0.22, shape.belt), (waist + 0.22, top)]
    else:
        steps += [(waist, top)]
    steps += [(collar, shape.skin)]
    base = bands(*steps)
    accent = np.asarray(shape.accent, float)

    def paint(grid: Grid) -> np.ndarray:
        out = base(grid)
        cloth = (grid.station >= waist + (0.22 if shape.belt is not None else 0.0)) & (grid.station < collar)
        turn = grid.turn
        if shape.pattern == "stripes":
            out[cloth & (np.floor((grid.station - waist) / STRIPE) % 2 == 1)] = accent
        elif shape.pattern == "open":
            out[cloth & (turn < 0.42)] = accent
        elif shape.pattern == "band":
            out[cloth & (np.abs(grid.station - 4.7) < 0.45)] = accent
        elif shape.pattern == "vest":
            band = (np.abs(grid.station - 3.6) < 0.3) | (np.abs(grid.station - 5.0) < 0.22)
            out[cloth & band] = accent
        elif shape.pattern == "apron":
            out[(grid.station > 1.0) & (grid.station < 5.6) & (turn < 1.2)] = accent
        elif shape.pattern == "dots":
            out[cloth & _dots(grid)] = accent
        return out

    cuts = [start for start, _ in steps[1:]]
    if shape.pattern == "vest":
        cuts += [3.3, 3.9, 4.78, 5.22]
    elif shape.pattern == "band":
        cuts += [4.25, 5.15]
    elif shape.pattern == "stripes":
        cuts += list(np.arange(waist + STRIPE, collar - 0.1, STRIPE))
    return paint, sorted(cuts)


def hair_covers_ears(shape: HumanShape) -> bool:
    return shape.hair_style in ("bob", "long", "afro") or shape.hat in COVERED


def add_hair(builder: BodyBuilder, shape: HumanShape, centre: np.ndarray, radii: np.ndarray, skull: str) -> None:
    """A cap of hair whose rim dips under the skin at the hairline, and what hangs or sits on it."""
    style = shape.hair_style
    if style == "bald" or shape.hat in ("headscarf", "turban"):
        return
    thick = {"afro": 1.42, "bob": 1.15, "long": 1.13}.get(style, 1.09)
    if shape.hat != "none":
        thick = min(thick, 1.08)
    front, side, back = {
        "bob": (0.46, -0.95, -0.95),
        "long": (0.46, -0.75, -0.9),
        "afro": (0.40, -0.35, -0.7),
        "fringe": (9.0, -0.30, -0.62),
    }.get(style, (0.48, -0.15, -0.62))
    colour = np.asarray(shape.hair, float)

    def rim(grid: Grid) -> np.ndarray:
        away = (grid.place - centre) / radii
        turn = grid.turn
        limit = np.where(turn < 1.15, front, np.where(turn < 1.95, side, back))
        high = away[:, 2] / thick
        inside = high < limit
        if style == "fringe":
            inside = (high < limit) | (high > 0.32)
        scale = np.where(inside, 0.80 / thick, 1.0)
        return centre + (grid.place - centre) * scale[:, None]

    def strands(grid: Grid) -> np.ndarray:
        shade = 1 + 0.14 * np.cos(5 * grid.angle + 9 * grid.station)
        return np.clip(colour * shade[:, None], 0, 1)

    lift = centre + radii * np.array([-0.08 if style != "afro" else -0.12, 0.0, 0.03 if style != "afro" else 0.10])
    size = radii * np.array([thick, thick, thick if style != "afro" else 1.3])
    builder.ellipsoid(lift, size, skull, strands, rings=10, segments=16, warp=rim)
    tall = 2 * radii[2]
    if style == "long":
        x, z = centre[0] - 0.62 * radii[0], centre[2]
        rows = [
            (x, 0, z + 0.25 * tall, 0.20 * tall, 0.14 * tall),
            (x - 0.05 * tall, 0, z - 0.15 * tall, 0.40 * tall, 0.20 * tall),
            (x - 0.16 * tall, 0, z - 0.62 * tall, 0.42 * tall, 0.15 * tall),
            (x - 0.24 * tall, 0, z - 1.15 * tall, 0.36 * tall, 0.10 * tall),
            (x - 0.24 * tall, 0, z - 1.32 * tall, 0.12 * tall, 0.04 * tall),
        ]
        weights = builder.chain(["head", "neck", "chest"], [1.5, 2.6], 0.8)
        builder.tube(rows, weights, strands, rings=9, segments=12, tangent=(0, 0, -1))
    elif style == "bun":
        knot = centre + radii * np.array([-0.95, 0.0, 0.62])
        builder.ellipsoid(knot, 0.22 * tall * np.ones(3), skull, strands, rings=6, segments=8)
    elif style == "ponytail":
        root = centre + radii * np.array([-1.0, 0.0, 0.35])
        rows = [
            (*root, 0.06 * tall, 0.06 * tall),
            (root[0] - 0.16 * tall, 0, root[2] - 0.02 * tall, 0.10 * tall, 0.10 * tall),
            (root[0] - 0.24 * tall, 0, root[2] - 0.40 * tall, 0.12 * tall, 0.10 * tall),
            (root[0] - 0.22 * tall, 0, root[2] - 0.85 * tall, 0.04 * tall, 0.04 * tall),
        ]
        builder.tube(rows, skull, strands, rings=9, segments=8)


def add_hat(builder: BodyBuilder, shape: HumanShape, centre: np.ndarray, radii: np.ndarray, skull: str) -> None:
    """Hats sit on the head; a headscarf frames the face and falls to the shoulders."""
    colour, hat = shape.hat_colour, shape.hat
    if hat == "none":
        return
    wide, deep, tall = radii[1], radii[0], radii[2]
    x, z = centre[0] - 0.05 * deep, centre[2]

    def lathe(profile: list[tuple[float, float]], paint: Paint | Colour, *, rings: int = 9, lean: float = 0.0) -> None:
        """Rows of (height above the head's centre in half heads, girth in half heads)."""
        rows = [(x + lean * h * deep, 0.0, z + h * tall, g * wide, g * deep) for h, g in profile]
        builder.tube(rows, skull, paint, rings=rings, segments=18, tangent=(0, 0, 1))

    dark = (0.45 * colour[0], 0.45 * colour[1], 0.45 * colour[2])
    if hat in ("cap", "peaked"):
        if hat == "cap":
            lathe([(0.30, 0.9), (0.34, 1.16), (0.62, 1.13), (0.95, 0.92), (1.14, 0.45), (1.17, 0.05)], colour)
        else:
            paint = bands((0.0, dark), (2.0, colour))
            lathe([(0.30, 0.9), (0.34, 1.15), (0.58, 1.15), (0.85, 1.42), (1.02, 1.35), (1.10, 0.1)], paint, lean=-0.05)
        visor = [
            (x + 0.75 * deep, 0, z + 0.40 * tall, 0.70 * wide, 0.05 * tall),
            (x + 1.15 * deep, 0, z + 0.36 * tall, 0.80 * wide, 0.05 * tall),
            (x + 1.70 * deep, 0, z + 0.26 * tall, 0.45 * wide, 0.04 * tall),
            (x + 1.78 * deep, 0, z + 0.25 * tall, 0.10 * wide, 0.02 * tall),
        ]
        builder.tube(visor, skull, dark, rings=6, segments=10)
    elif hat == "beanie":
        cuff = (min(1.0, 1.25 * colour[0]), min(1.0, 1.25 * colour[1]), min(1.0, 1.25 * colour[2]))
        profile = [(0.12, 0.95), (0.16, 1.20), (0.40, 1.20), (0.46, 1.13), (0.85, 1.02), (1.18, 0.5), (1.24, 0.05)]
        lathe(profile, bands((0.0, cuff), (2.6, colour)), rings=11)
        builder.ellipsoid((x, 0, z + 1.32 * tall), 0.26 * tall * np.ones(3), skull, cuff, rings=4, segments=7)
    elif hat == "helmet":
        profile = [(0.26, 0.95), (0.28, 1.36), (0.36, 1.34), (0.44, 1.20), (0.85, 1.08), (1.18, 0.65), (1.28, 0.05)]
        lathe(profile, colour, rings=11)
    elif hat == "sunhat":
        profile = [(0.34, 0.9), (0.30, 2.2), (0.36, 2.2), (0.48, 1.20), (0.62, 1.14), (1.05, 0.95), (1.18, 0.1)]
        lathe(profile, bands((0.0, colour), (3.2, dark), (4.0, colour)), rings=14)
    elif hat == "tophat":
        profile = [(0.40, 0.9), (0.38, 1.62), (0.45, 1.62), (0.52, 1.10), (0.75, 1.06), (1.9, 1.16), (1.92, 0.1)]
        lathe(profile, bands((0.0, colour), (3.1, shape.accent), (3.9, colour)), rings=14)
    elif hat == "turban":
        profile = [(0.15, 0.9), (0.22, 1.22), (0.55, 1.42), (0.90, 1.25), (1.22, 0.65), (1.28, 0.05)]

        def folds(grid: Grid) -> np.ndarray:
            shade = 1 - 0.22 * (np.sin(14 * grid.station + 2 * np.sin(grid.angle)) > 0.2)
            return plain(colour)(grid) * shade[:, None]

        lathe(profile, folds, rings=14)
    elif hat == "headscarf":
        _headscarf(builder, centre, radii, colour)


def _headscarf(builder: BodyBuilder, centre: np.ndarray, radii: np.ndarray, paint: Colour) -> None:
    skull = "head"

    def opening(grid: Grid) -> np.ndarray:
        away = (grid.place - centre) / radii
        turn = grid.turn
        face = (turn < 0.85) & (away[:, 2] < 0.62) & (away[:, 2] > -1.0)
        return centre + (grid.place - centre) * np.where(face, 0.72, 1.0)[:, None]

    builder.ellipsoid(
        centre - radii * [0.06, 0, 0.02], radii * [1.13, 1.2, 1.12], skull, paint, rings=11, segments=18, warp=opening
    )
    x, z, tall = centre[0], centre[2], 2 * radii[2]
    rows = [
        (x - 0.10 * tall, 0, z - 0.12 * tall, 0.34 * tall, 0.30 * tall),
        (x - 0.06 * tall, 0, z - 0.52 * tall, 0.42 * tall, 0.40 * tall),
        (x - 0.06 * tall, 0, z - 0.86 * tall, 0.78 * tall, 0.50 * tall),
        (x - 0.06 * tall, 0, z - 1.02 * tall, 0.80 * tall, 0.52 * tall),
        (x - 0.06 * tall, 0, z - 1.03 * tall, 0.30 * tall, 0.20 * tall),
    ]
    builder.tube(rows, builder.chain(["head", "chest"], [1.4], 0.7), paint, rings=9, segments=16, tangent=(0, 0, -1))


def add_dress(builder: BodyBuilder, shape: HumanShape, at: dict[str, np.ndarray]) -> None:
    """Skirt, backpack and scarf."""
    chest = "chest"
    shoulder = at["neck"][2]
    if shape.skirt != "none":
        _skirt(builder, shape, at)
    if shape.backpack is not None:
        _backpack(builder, shape, chest, shoulder, shape.backpack)
    if shape.scarf is not None:
        rows = [
            (-0.002, 0, shoulder + 0.008, 0.035, 0.035),
            (0.002, 0, shoulder + 0.010, 0.056, 0.056),
            (0.004, 0, shoulder + 0.030, 0.055, 0.056),
            (0.004, 0, shoulder + 0.036, 0.030, 0.030),
        ]
        builder.tube(rows, chest, shape.scarf, rings=8, segments=14, tangent=(0, 0, 1))
        end = [
            (0.060, 0.022, shoulder + 0.015, 0.018, 0.010),
            (0.082, 0.024, shoulder - 0.06, 0.020, 0.010),
            (0.078, 0.024, shoulder - 0.14, 0.022, 0.009),
        ]
        builder.tube(end, chest, shape.scarf, rings=6, segments=6)


def _backpack(builder: BodyBuilder, shape: HumanShape, chest: str, shoulder: float, colour: Colour) -> None:
    x = -0.058 * shape.girth - 0.042
    dark = (0.6 * colour[0], 0.6 * colour[1], 0.6 * colour[2])
    rows = [
        (x, 0, shoulder - 0.225, 0.050, 0.030),
        (x, 0, shoulder - 0.215, 0.078, 0.050),
        (x, 0, shoulder - 0.10, 0.080, 0.054),
        (x, 0, shoulder - 0.02, 0.072, 0.046),
        (x, 0, shoulder + 0.005, 0.040, 0.022),
    ]
    builder.tube(rows, chest, bands((0.0, dark), (1.45, colour)), rings=8, segments=14, square=3.2, cuts=[1.45])
    for sign in (1.0, -1.0):
        y = 0.058 * sign * shape.shoulders
        strap = [
            (x + 0.02, y, shoulder - 0.04, 0.011, 0.008),
            (-0.01, y, shoulder + 0.018, 0.011, 0.008),
            (0.046 * shape.girth, y, shoulder - 0.05, 0.011, 0.008),
            (0.056 * shape.girth + 0.3 * shape.bust, y * 1.1, shoulder - 0.12, 0.011, 0.008),
            (0.02, y * 1.45, shoulder - 0.18, 0.011, 0.008),
        ]
        builder.tube(strap, chest, dark, rings=7, segments=6)


def _skirt(builder: BodyBuilder, shape: HumanShape, at: dict[str, np.ndarray]) -> None:
    hip, knee = at["l_hip"][2], at["l_knee"][2]
    waist = hip + 0.36 * (at["l_shoulder"][2] + 0.022 - hip)
    hem = {"skirt": knee - 0.01, "dress": 0.62 * knee, "coat": knee + 0.02, "robe": SOLE_CLEAR}[shape.skirt]
    flare = {"skirt": 1.20, "dress": 1.42, "coat": 1.10, "robe": 1.22}[shape.skirt]
    girth, hips = shape.girth, shape.hips
    belly = shape.belly
    wide = 0.105 * hips
    rows = [
        (0.3 * belly, 0, waist + 0.022, 0.070 * girth, 0.050 * girth + 0.5 * belly),
        (0.4 * belly, 0, waist + 0.014, 0.0835 * girth, 0.0615 * girth + 0.62 * belly),
        (0.2 * belly, 0, hip + 0.03, wide, 0.080 * hips + 0.4 * belly),
        (0, 0, 0.5 * (hip + hem), wide * (0.5 + 0.5 * flare), 0.092 * hips * (0.5 + 0.5 * flare)),
        (0, 0, hem, wide * flare, 0.10 * hips * flare),
        (0, 0, hem + 0.006, 0.6 * wide, 0.06 * hips),
    ]
    thighs = [builder.names.index(f"{side}_hip") for side in "lr"]
    shins = [builder.names.index(f"{side}_knee") for side in "lr"]

    def weights(grid: Grid) -> np.ndarray:
        out = np.zeros((len(grid.station), len(builder.names)))
        left = smoothstep(0.5 + 0.5 * grid.place[:, 1] / (0.8 * wide))
        down = 0.88 * smoothstep((hip + 0.06 - grid.place[:, 2]) / 0.16)
        shin = 0.75 * smoothstep((knee + 0.04 - grid.place[:, 2]) / 0.16)
        out[:, 0] = 1 - down
        for share, thigh, lower in zip((left, 1 - left), thighs, shins, strict=True):
            out[:, thigh] = down * share * (1 - shin)
            out[:, lower] = down * share * shin
        return out

    colour = np.asarray(shape.skirt_colour or shape.top, float)
    accent = np.asarray(shape.accent, float)

    def paint(grid: Grid) -> np.ndarray:
        out = np.tile(colour * 1.0, (len(grid.station), 1))
        out *= (1 + 0.07 * np.cos(6 * grid.angle) * smoothstep(grid.station / 3))[:, None]
        turn = grid.turn
        if shape.pattern == "open":
            out[(turn < 0.2) & (shape.skirt != "skirt")] = 0.55 * colour
        elif shape.pattern == "dots" and shape.skirt == "dress":
            out[_dots(grid)] = accent
        elif shape.pattern == "apron":
            out[turn < 1.0] = accent
        if shape.belt is not None:
            out[grid.station < BELT] = shape.belt
        return out

    dotted = shape.pattern == "dots" and shape.skirt == "dress"
    cuts = [] if shape.belt is None else [BELT]
    builder.tube(
        rows, weights, paint, rings=18 if dotted else 11, segments=16, tangent=(0, 0, -1), cuts=cuts, square=2.3
    )
