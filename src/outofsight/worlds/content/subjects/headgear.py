"""Heads of four-legged animals: skull and muzzle, eyes, nose, ears, horns, trunk."""

from __future__ import annotations

import numpy as np

from ...engine.catalogue import Colour
from ...engine.noise import smoothstep
from ...engine.tubes import BodyBuilder, Grid, vec
from .shapes import QuadrupedShape

EYE: Colour = (0.06, 0.05, 0.05)
HORN: Colour = (0.78, 0.72, 0.60)


def add_head(builder: BodyBuilder, shape: QuadrupedShape, poll: np.ndarray) -> None:
    """The head at the end of the neck. `poll`: the joint between them."""
    long, high, low = shape.head, shape.skull, shape.muzzle
    way = np.array([np.cos(shape.droop), 0.0, -np.sin(shape.droop)])
    up = np.array([way[2] * -1, 0.0, way[0]])
    start = poll + 0.10 * high * up

    def at(along: float, above: float = 0.0) -> np.ndarray:
        return start + along * long * way + above * high * up

    rows = [
        (*at(-0.22), 0.30 * high, 0.35 * high),
        (*at(-0.14), 0.72 * high, 0.80 * high),
        (*at(0.12), 0.86 * high, 1.00 * high),
        (*at(0.36, -0.06), 0.76 * high, 0.5 * (1.05 * high + low)),
        (*at(0.60, -0.18), 0.5 * (0.62 * high + low), 0.35 * high + 0.65 * low),
        (*at(0.90, -0.22), 0.92 * low, 0.98 * low),
        (*at(1.00, -0.24), 0.70 * low, 0.72 * low),
        (*at(1.03, -0.24), 0.20 * low, 0.20 * low),
    ]
    coat = np.asarray(shape.coat, float)
    face = np.asarray(shape.face or shape.coat, float)

    def paint(grid: Grid) -> np.ndarray:
        turn = grid.turn
        share = smoothstep((grid.station - 2.6) / 0.9)
        if shape.pattern in ("socks", "patches"):
            # A blaze down the middle of the face.
            share = np.where((turn > 2.5) & (grid.station > 1.5), 1.0, share)
        chin = (1 - smoothstep((turn - 0.7) / 0.5)) * (shape.belly != shape.coat)
        out = coat + (face - coat) * share[:, None]
        return out + (np.asarray(shape.belly, float) - out) * (0.8 * chin * (grid.station > 3))[:, None]

    builder.tube(rows, "head", paint, rings=12, segments=14)
    if not shape.trunk:
        nose: Colour = (0.10, 0.08, 0.08) if not shape.hooves else (0.32, 0.24, 0.22)
        size = 0.50 * low * np.array([0.7, 1.1, 0.8])
        if shape.snout:
            nose, size = (0.78, 0.46, 0.44), low * np.array([0.35, 0.98, 0.98])
        place = at(1.0, -0.22 if shape.snout else -0.10)
        builder.ellipsoid(place, size, "head", nose, rings=4, segments=8)
    for sign in (1.0, -1.0):
        eye = at(0.36, 0.30) + np.array([0, 0.70 * sign * high, 0])
        ball = max(0.13 * high, 0.016)
        builder.ellipsoid(eye, ball * np.array([1.2, 0.9, 1.0]), "head", EYE, rings=4, segments=6)
        axes = way, np.array([0.0, sign, 0.0]), up
        _ear(builder, shape, at(0.02, 0.62), axes)
        _horn(builder, shape, at(0.08, 0.80), axes)
    if shape.trunk:
        _trunk(builder, shape, at(0.86, -0.2))


def _ear(builder: BodyBuilder, shape: QuadrupedShape, root: np.ndarray, axes: tuple[np.ndarray, ...]) -> None:
    long, high = shape.ear, shape.skull
    way, out, up = axes
    start = root + 0.52 * high * out
    if shape.ears in ("flop", "fan"):
        down = np.array([0.0, 0.0, -1.0])
        if shape.ears == "flop":
            steps = [
                start,
                start + 0.30 * long * out + 0.08 * long * up,
                start + 0.40 * long * out + 0.5 * long * down,
                start + 0.34 * long * out + long * down,
            ]
            widths, thick = (0.14, 0.26, 0.30, 0.08), 0.07
        else:
            back = -0.4 * way
            steps = [
                start - 0.2 * high * up,
                start + 0.35 * long * (out + back),
                start + 0.75 * long * (out + back) + 0.15 * long * down,
                start + 1.05 * long * (out + back) + 0.35 * long * down,
            ]
            widths, thick = (0.40, 0.62, 0.60, 0.16), 0.05
        side = way if shape.ears == "flop" else np.array([0.0, 0.0, 1.0])
    else:
        tilt = {"point": 0.22, "round": 0.35, "long": 0.12, "side": 1.25}[shape.ears]
        ahead = np.cos(tilt) * up + np.sin(tilt) * out + (-0.25 if shape.ears != "side" else -0.1) * way
        ahead /= np.linalg.norm(ahead)
        steps = [start + share * long * ahead for share in (-0.15, 0.25, 0.65, 1.0)]
        widths = {
            "point": (0.26, 0.30, 0.20, 0.03),
            "round": (0.40, 0.50, 0.46, 0.16),
            "long": (0.12, 0.17, 0.15, 0.03),
            "side": (0.18, 0.28, 0.24, 0.04),
        }[shape.ears]
        thick = 0.09
        side = np.cross(ahead, way)
    rows = [(*step, width * long, thick * long) for step, width in zip(steps, widths, strict=True)]
    colour = shape.coat if not (shape.fleece and shape.face) else shape.face
    builder.tube(rows, "head", colour, rings=6, segments=8, side=side)


def _horn(builder: BodyBuilder, shape: QuadrupedShape, root: np.ndarray, axes: tuple[np.ndarray, ...]) -> None:
    if shape.horns == "none":
        return
    way, out, up = axes
    start = root + 0.30 * shape.skull * out

    def line(points: list[np.ndarray], thick: float, colour: Colour = HORN) -> None:
        sizes = np.linspace(1.0, 0.15, len(points)) * thick
        rows = [(*p, s, s) for p, s in zip(points, sizes, strict=True)]
        builder.tube(rows, "head", colour, rings=7, segments=6, side=way if shape.horns == "short" else (0, 1, 0))

    if shape.horns == "short":
        first, middle = start - 0.02 * out, start + 0.07 * out + 0.03 * up
        last = start + 0.13 * out + 0.09 * up + 0.02 * way, start + 0.14 * out + 0.16 * up + 0.03 * way
        line([first, middle, *last], 0.022)
    elif shape.horns == "swept":
        first, middle = start - 0.02 * up, start + 0.10 * up - 0.02 * way
        last = start + 0.22 * up - 0.12 * way + 0.03 * out, start + 0.26 * up - 0.26 * way + 0.07 * out
        line([first, middle, *last], 0.026, (0.42, 0.37, 0.30))
    else:
        brown: Colour = (0.48, 0.37, 0.26)
        beam = [
            start - 0.02 * up,
            start + 0.12 * up - 0.06 * way + 0.06 * out,
            start + 0.28 * up - 0.10 * way + 0.16 * out,
            start + 0.46 * up + 0.02 * way + 0.18 * out,
        ]
        line(beam, 0.022, brown)
        for share, size in ((0.06, 0.13), (0.20, 0.16), (0.33, 0.14)):
            foot = start + share * up - 0.06 * way + 0.5 * share * out
            line([foot, foot + 0.6 * size * way + 0.25 * size * up, foot + size * way + 0.8 * size * up], 0.015, brown)


def _trunk(builder: BodyBuilder, shape: QuadrupedShape, tip: np.ndarray) -> None:
    low = shape.muzzle
    rows = [
        (*(tip + vec(-0.10, 0, 0.02)), 0.95 * low, 0.95 * low),
        (*(tip + vec(0.03, 0, -0.05)), 0.85 * low, 0.85 * low),
        (*(tip + vec(0.07, 0, -0.20)), 0.66 * low, 0.66 * low),
        (*(tip + vec(0.06, 0, -0.34)), 0.52 * low, 0.52 * low),
        (*(tip + vec(0.11, 0, -0.44)), 0.42 * low, 0.42 * low),
        (*(tip + vec(0.18, 0, -0.46)), 0.30 * low, 0.30 * low),
    ]
    builder.tube(rows, "head", shape.coat, rings=11, segments=10)
