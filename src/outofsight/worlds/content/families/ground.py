"""What lies under and around a stage: ground, strips, paths, far buildings and hills."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin
from random import Random

import numpy as np

from ...engine.geometry import Colour, MeshBuilder, Pair, Texture
from ...engine.scene import SceneLayout
from ...engine.terrain import Terrain, terrain_height


def _grid_lines(low: float, high: float, step: float) -> np.ndarray:
    """Lines every ``step`` metres from low to high, then ever further apart out to 130 m beyond."""
    inner = np.linspace(low, high, max(2, round((high - low) / step) + 1))
    outer, gap = [], step
    at = 0.0
    while at < 130.0:
        gap *= 1.4
        at += gap
        outer.append(at)
    far = np.array(outer)
    return np.concatenate([low - far[::-1], inner, high + far])


def wide_ground(
    mesh: MeshBuilder,
    layout: SceneLayout,
    colour: Colour,
    texture_name: str,
    repeat: float,
    *,
    step: float = 3.0,
    mottle: float = 0.10,
    patches: Sequence[float] | None = None,
    z: float = 0.0,
) -> None:
    """Ground over the stage and far beyond, its colour varied in large patches (towards ``patches`` if given)."""
    x0, y0, x1, y1 = layout.stage
    xs, ys = _grid_lines(x0 - 8, x1 + 8, step), _grid_lines(y0 - 8, y1 + 8, step)
    places = np.stack(np.meshgrid(xs, ys), axis=-1)
    heights = terrain_height(layout.params.get("terrain"), places) + z
    rng = np.random.default_rng([layout.seed, 77])
    waves, phases = rng.normal(size=(5, 2)) * 0.22, rng.uniform(0, 2 * pi, 5)
    field_ = np.sin(places @ waves.T + phases).sum(axis=-1) / 2.2 + rng.uniform(-0.5, 0.5, heights.shape)
    tint = np.array(layout.params["tint"]) ** 0.5
    base = np.asarray(colour) * tint * (1.0 + mottle * np.clip(field_, -1.5, 1.5)[..., None])
    if patches is not None:
        share = np.clip(0.5 + 0.6 * field_, 0, 1)[..., None] ** 2
        base = base * (1 - share) + np.asarray(patches) * share
    mesh.ground(xs, ys, heights, base, texture_name, repeat)


def strip(
    mesh: MeshBuilder,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    z: float,
    colour: Colour,
    texture_name: Texture,
    repeat: float = 2.0,
) -> None:
    """A flat rectangle just above the ground, cut into pieces of some 8 m."""
    nx, ny = max(1, round((x1 - x0) / 8)), max(1, round((y1 - y0) / 8))
    xs, ys = np.linspace(x0, x1, nx + 1), np.linspace(y0, y1, ny + 1)
    gx, gy = np.meshgrid(xs, ys)
    ripple = 1.0 + 0.05 * np.sin(gx * 1.7 + gy * 2.3 + 1.0)[..., None]
    mesh.ground(xs, ys, np.full(gx.shape, z), np.asarray(colour) * ripple, texture_name, repeat)


def path(
    mesh: MeshBuilder,
    layout: SceneLayout,
    points: np.ndarray,
    width: float,
    colour: Colour,
    texture_name: str,
    repeat: float = 2.0,
) -> None:
    """A path along points [N,2] that follows the ground."""
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * width / 2
    rows = np.stack([points - across, points, points + across], axis=1)
    heights = terrain_height(layout.params.get("terrain"), rows) + 0.05
    p = np.concatenate([rows, heights[..., None]], axis=-1).reshape(-1, 3)
    left = [3 * i + j for i in range(len(points) - 1) for j in range(2)]
    faces = np.array([face for a in left for face in ([a, a + 4, a + 1], [a, a + 3, a + 4])])
    mesh.add(p, np.tile([0.0, 0.0, 1.0], (len(p), 1)), faces, colour, texture_name, p[:, :2] / repeat)


def skyline(
    mesh: MeshBuilder,
    rng: Random,
    distance: Pair,
    height: Pair,
    count: int,
    colours: Sequence[Colour],
    skin: Texture,
    repeat: float = 12.0,
    base: float = 0.0,
) -> None:
    """Far buildings all round."""
    for i in range(count):
        angle = 2 * pi * (i + rng.uniform(-0.4, 0.4)) / count
        away, w = rng.uniform(*distance), rng.uniform(8, 18)
        tall = rng.uniform(*height)
        with mesh.at(away * cos(angle), away * sin(angle), base, angle):
            size, tone = [w, w * rng.uniform(0.7, 1.4), tall], rng.choice(list(colours))
            mesh.box([0, 0, 0], size, tone, skin, repeat, whole=True)


def hills(
    mesh: MeshBuilder, seed: int, distance: float, height: float, colour: Colour, skin: Texture, jagged: float = 0.5
) -> None:
    """A ring of hills on the horizon."""
    rng = np.random.default_rng([seed, 5])
    n = 72
    angles = np.linspace(0, 2 * pi, n + 1)
    ridge = np.zeros(n + 1)
    for k in (2, 3, 5, 8, 13, 21):
        ridge += np.sin(k * angles + rng.uniform(0, 2 * pi)) * (1.0 / k) ** (1.2 - jagged)
    ridge = height * (0.62 + 0.38 * ridge / np.abs(ridge).max())
    rows = []
    for share, out in ((0.0, 0.0), (0.55, 0.12), (1.0, 0.3)):
        bump = 1 + 0.08 * np.sin(9 * angles + 4 * share)
        radius = distance * (1 + out) * bump
        rows.append(np.stack([radius * np.cos(angles), radius * np.sin(angles), ridge * share - 1.0], axis=1))
    p = np.concatenate(rows)
    index = np.arange(n)
    faces = []
    for row in range(2):
        a, b = row * (n + 1) + index, (row + 1) * (n + 1) + index
        faces += [np.stack([a, b + 1, a + 1], axis=1), np.stack([a, b, b + 1], axis=1)]
    f = np.concatenate(faces)
    inward = -np.stack([np.cos(angles), np.sin(angles), np.full(n + 1, -1.1)], axis=1)
    uvs = np.stack([np.tile(np.linspace(0, 24, n + 1), 3), np.repeat([0.0, 1.0, 2.0], n + 1)], axis=1)
    tone = np.asarray(colour) * np.repeat([0.8, 1.0, 1.1], n + 1)[:, None]
    mesh.add(p, np.tile(inward, (3, 1)), f, tone, skin, uvs)


def gentle(rng: Random, height: float, length: float, far: float, near: float) -> Terrain:
    """Low waves for a stage, hills beyond."""
    waves = []
    for i in range(3):
        a, k = rng.uniform(0, 2 * pi), 2 * pi / (length * rng.uniform(0.8, 1.4))
        waves.append((height / (1 + i), k * cos(a), k * sin(a), rng.uniform(0, 2 * pi)))
    return Terrain(tuple(waves), (0.0, 0.0), near, far)
