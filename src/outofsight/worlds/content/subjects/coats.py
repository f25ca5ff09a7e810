"""Colours of animals' coats: undersides, patches, spots, saddles, stripes, socks."""

from __future__ import annotations

import numpy as np

from ...engine.catalogue import Colour
from ...engine.noise import smoothstep
from ...engine.tubes import Grid, Paint
from .shapes import QuadrupedShape


def _noise(place: np.ndarray, scale: float, seed: float) -> np.ndarray:
    """Smooth wobble [N] in -1..1 over places [N,3]: a fixed sum of plane waves."""
    ways = np.array([[1.0, 0.3, 0.5], [-0.4, 1.0, 0.7], [0.6, -0.8, 1.0], [0.9, 0.7, -0.6]])
    shifts = seed + np.array([0.0, 1.7, 3.1, 4.6])
    return np.sin(place @ ways.T / scale + shifts).sum(axis=1) / 4


_PATCHED = {"patches": (0.11, 2.0, 0.12), "spots": (0.035, 0.5, 0.34)}  # scale, seed and level of the noise


def _patched(shape: QuadrupedShape, grid: Grid) -> np.ndarray:
    scale, seed, level = _PATCHED[shape.pattern]
    return _noise(grid.place, scale, seed) > level


def coat_paint(shape: QuadrupedShape) -> Paint:
    """Trunk and neck. Angle 0 is the underside."""
    coat, belly, accent = (np.asarray(c, float) for c in (shape.coat, shape.belly, shape.accent))

    def paint(grid: Grid) -> np.ndarray:
        turn = grid.turn
        under = 1 - smoothstep((turn - 0.75) / 0.45)
        out = coat + (belly - coat) * under[:, None]
        out = out * (1 + 0.05 * _noise(grid.place, 0.05, 1.0))[:, None]
        if shape.pattern in _PATCHED:
            out[_patched(shape, grid)] = accent
        elif shape.pattern == "saddle":
            out[turn > 1.75 + 0.25 * _noise(grid.place, 0.12, 0.0)] = accent
        elif shape.pattern == "stripes":
            wave = np.sin(grid.place[:, 0] / 0.036 + 0.8 * np.sin(grid.place[:, 2] / 0.08))
            out[(wave > 0.35) & (turn > 1.0)] = accent
        return out

    return paint


def limb_paint(
    shape: QuadrupedShape, middle: float, low: float, *, upper: Colour | None = None, lower: Colour | None = None
) -> Paint:
    """Coat above the station `middle`, the colour of the lower leg below, of the feet below `low` (socks: white)."""
    top = np.asarray(upper or shape.coat, float)
    below = np.asarray(lower or shape.legs, float)
    accent = np.asarray(shape.accent, float)

    def paint(grid: Grid) -> np.ndarray:
        out = np.tile(top, (len(grid.station), 1))
        if shape.pattern in _PATCHED and lower is None:
            out[_patched(shape, grid)] = accent
        elif shape.pattern == "stripes":
            out[np.sin(grid.place[:, 2] / 0.026) > 0.4] = accent
        out[grid.station >= middle] = below
        if shape.pattern == "socks" and lower is None:
            out[grid.station >= low] = accent
        return out

    return paint
