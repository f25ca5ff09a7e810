"""What is painted on the drum: band-limited noise, new in every clip, or a panorama; and how a camera sees it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from . import assets
from .options import SmallWorld
from .plan import Plan, texel

_MARGIN = 2  # rows of cells that the noise wall is higher than the picture
_CUBIC = -0.75


@dataclass(frozen=True, eq=False)
class Wall:
    """texels: float32 [3,rows,columns], of the wall's columns from ``first`` on, repeated where they are all of a
    panorama's. distance: [rows,columns] metres of each, where it is a panorama."""

    plan: Plan
    texels: np.ndarray
    first: int = 0
    distance: np.ndarray | None = None

    def at(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Colours float32 [3,...] at cells, bilinear; u and v broadcast."""
        column, row = self._places(u, v)
        _, high, wide = self.texels.shape
        row = row.clip(0, high - 1.001)
        left, top = np.floor(column).astype(np.int32), row.astype(np.int32)
        right, down = column - left, row - top
        left -= self.first
        left %= wide
        after, top = (left + 1) % wide, top * wide
        table = self.texels.reshape(3, -1)
        upper = np.take(table, top + left, axis=1)
        beside = np.take(table, top + after, axis=1)
        beside -= upper
        beside *= right
        upper += beside
        top += wide
        lower = np.take(table, top + left, axis=1)
        beside = np.take(table, top + after, axis=1)
        beside -= lower
        beside *= right
        lower += beside
        lower -= upper
        lower *= down
        upper += lower
        return upper

    def distances(self, u: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        """Metres on the level to what is painted there; None where everything is on the drum."""
        if self.distance is None:
            return None
        column, row = self._places(u, v)
        down = np.rint(row).astype(np.int32).clip(0, self.distance.shape[0] - 1)
        return np.asarray(self.distance[down, np.rint(column).astype(np.int32) % self.distance.shape[1]])

    def _places(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        world = self.plan.world
        if self.plan.panorama is not None:
            return texel(self.plan, u, v)
        half = np.float32((self.texels.shape[1] - 1) / 2)
        return u * np.float32(world.cell) - np.float32(0.5), v * np.float32(world.cell) + half


def wall_of(plan: Plan, u: np.ndarray) -> Wall:
    """The wall of a clip, as far as the cells u are on it."""
    if plan.panorama is not None:
        panorama = assets.load_panorama(plan.panorama)
        return Wall(plan, panorama.colours.transpose(2, 0, 1).copy(), distance=panorama.distance)
    world = plan.world
    wide = round(world.cell * (world.period or world.around))
    first = int(np.floor(u.min() * world.cell - 0.5))
    count = int(np.ceil(u.max() * world.cell - 0.5)) + 2 - first
    if count >= wide:
        first, count = 0, wide
    return Wall(plan, noise(world, wide, plan.generator(1), first, count), first)


def noise(
    world: SmallWorld, around: int, rng: np.random.Generator, first: int = 0, count: int | None = None
) -> np.ndarray:
    """Noise of two scales, more grey than coloured, which repeats after ``around`` texels; a texel is a pixel.

    float32 [3,rows,columns], 0..1, of ``count`` columns from the ``first`` on (None: all).
    """
    rows = world.cell * (world.rows + _MARGIN)
    chosen = (first + np.arange(around if count is None else count)) % around
    total = np.zeros((3, rows, len(chosen)), dtype=np.float32)
    for scale, strength in ((world.wave, 1.0), (4 * world.wave, 0.8)):
        down, across = (_cubic(n, max(2, int(n / scale)), n == around) for n in (rows, around))
        knots = rng.standard_normal((3, down.shape[1], across.shape[1]), dtype=np.float32)
        lines = knots.reshape(-1, across.shape[1]) @ across[chosen].T
        total += (np.float32(strength) * down) @ lines.reshape(3, down.shape[1], -1)
    total *= np.float32(0.45 * world.contrast)
    total += np.float32(0.55 / 0.45 / 3) * (total[0] + total[1] + total[2]) + np.float32(0.45)
    return np.clip(total, 0, 1, out=total)


@functools.lru_cache(maxsize=64)
def _cubic(count: int, knots: int, periodic: bool) -> np.ndarray:
    """float32 [count,knots]: cubic interpolation (Keys, a = -0.75) of evenly spread knots, at the texels' middles."""
    place = (np.arange(count) + 0.5) * knots / count - 0.5
    first = np.floor(place).astype(int)
    weights = np.zeros((count, knots))
    for tap in range(-1, 3):
        gap = np.abs(place - first - tap)
        near = (_CUBIC + 2) * gap**3 - (_CUBIC + 3) * gap**2 + 1
        far = _CUBIC * (gap**3 - 5 * gap**2 + 8 * gap - 4)
        index = (first + tap) % knots if periodic else (first + tap).clip(0, knots - 1)
        np.add.at(weights, (np.arange(count), index), np.where(gap <= 1, near, far))
    return weights.astype(np.float32)
