"""What all props share: their type, and the colours that recur."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from ...engine.geometry import MeshBuilder
from ...engine.scene import Obstacle

Prop = Callable[[MeshBuilder, Random, Obstacle], None]
RGB = tuple[float, float, float]

WOOD: RGB = (0.55, 0.38, 0.24)
IRON: RGB = (0.16, 0.18, 0.19)
STEEL: RGB = (0.62, 0.64, 0.66)
STONE: RGB = (0.72, 0.69, 0.63)
YELLOW: RGB = (0.95, 0.72, 0.1)
BRIGHT: tuple[RGB, ...] = (
    (0.82, 0.16, 0.13),
    (0.95, 0.72, 0.12),
    (0.12, 0.42, 0.72),
    (0.16, 0.56, 0.32),
    (0.90, 0.45, 0.12),
    (0.52, 0.22, 0.55),
    (0.12, 0.60, 0.62),
    (0.92, 0.90, 0.85),
)
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def shade(rng: Random, colour: RGB, spread: float = 0.08) -> np.ndarray:
    """The colour, a little lighter or darker and a little off in hue."""
    return np.clip(
        np.array(colour) * (1 + rng.uniform(-spread, spread)) + [rng.uniform(-0.02, 0.02) for _ in "rgb"], 0, 1
    )
