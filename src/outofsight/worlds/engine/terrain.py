"""Ground that is not flat: a few long waves, and hills that rise beyond the stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .noise import smoothstep


@dataclass(frozen=True)
class Terrain:
    """Height = the waves (amplitude, kx, ky, phase), plus ``far`` metres of hills from ``near`` m to ``near + 60`` m.

    Distances are from ``centre``; kx and ky in radians per metre.
    """

    waves: tuple[tuple[float, float, float, float], ...] = ()
    centre: tuple[float, float] = (0.0, 0.0)
    near: float = 30.0
    far: float = 0.0


def terrain_height(terrain: Terrain | None, xy: np.ndarray) -> np.ndarray:
    """Height in metres at xy [..., 2] -> [...]; 0 without a terrain."""
    if terrain is None:
        return np.zeros(xy.shape[:-1])
    x, y = xy[..., 0], xy[..., 1]
    height = np.zeros(xy.shape[:-1])
    for amplitude, kx, ky, phase in terrain.waves:
        height = height + amplitude * np.sin(kx * x + ky * y + phase)
    if terrain.far:
        across, along = x - terrain.centre[0], y - terrain.centre[1]
        rise = smoothstep((np.hypot(across, along) - terrain.near) / 60.0)
        bumps = 0.62 + 0.23 * np.sin(0.043 * x + 1.3) * np.cos(0.037 * y) + 0.15 * np.sin(0.09 * x - 0.11 * y)
        height = height + terrain.far * rise * bumps
    return height


def slope(terrain: Terrain) -> float:
    """The steepest slope that the waves can add up to, in metres per metre."""
    return sum(abs(amplitude) * float(np.hypot(kx, ky)) for amplitude, kx, ky, _ in terrain.waves)
