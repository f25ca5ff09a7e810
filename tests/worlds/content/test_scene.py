"""Scene families: what planning and rendering may rely on."""

from __future__ import annotations

import hashlib
from random import Random

import numpy as np
import pytest

from outofsight.errors import WorldsError
from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.content.families.common import LIGHTS, Plan, family
from outofsight.worlds.content.textures import TEXTURES, texture
from outofsight.worlds.engine.scene import Scene, ground_height
from outofsight.worlds.engine.terrain import slope

FAMILIES = tuple(CATALOGUE.families)


def digest(scene: Scene) -> str:
    surface = scene.surface
    parts = (surface.positions, surface.normals, surface.colours, surface.uvs, surface.layers, surface.faces)
    whole = hashlib.sha256()
    for part in (*parts, surface.glow, scene.textures, scene.sun, scene.sun_colour, scene.fog_colour):
        whole.update(np.ascontiguousarray(part).tobytes())
    return whole.hexdigest()


def test_there_are_seventeen_families() -> None:
    assert len(FAMILIES) == 17 == len(set(FAMILIES))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scene_follows_from_family_and_seed(family: str) -> None:
    first, again, other = (CATALOGUE.layout_scene(family, seed) for seed in (3, 3, 4))
    assert first == again
    assert first.obstacles != other.obstacles
    scene = CATALOGUE.build_scene(first)
    assert digest(scene) == digest(CATALOGUE.build_scene(again))
    assert digest(scene) != digest(CATALOGUE.build_scene(other))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scene_is_well_formed(family: str) -> None:
    scene = CATALOGUE.build_scene(CATALOGUE.layout_scene(family, 5))
    surface = scene.surface
    vertices = len(surface.positions)
    assert 2_000 < len(surface.faces) < 40_000
    assert surface.faces.min() >= 0 and surface.faces.max() < vertices
    assert surface.layers.min() >= -1 and surface.layers.max() < len(scene.textures)
    for part in (surface.positions, surface.normals, surface.colours, surface.uvs):
        assert len(part) == vertices and part.dtype == np.float32 and np.isfinite(part).all()
    assert surface.colours.min() >= 0 and surface.colours.max() <= 1
    lengths = np.linalg.norm(surface.normals, axis=1)
    assert np.abs(lengths - 1)[lengths > 0.5].max() < 1e-4 and (lengths > 0.5).mean() > 0.99
    assert abs(np.linalg.norm(scene.sun) - 1) < 1e-5 and scene.sun[2] > 0.1
    assert len(scene.lamps) <= 8


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(6))
def test_the_stage_has_room_and_things_to_hide_behind(family: str, seed: int) -> None:
    layout = CATALOGUE.layout_scene(family, seed)
    x0, y0, x1, y1 = layout.stage
    width, height = x1 - x0, y1 - y0
    assert min(width, height) >= 24 or (min(width, height) >= 6 and max(width, height) >= 60)
    near = [o for o in layout.obstacles if x0 - 12 < o.x < x1 + 12 and y0 - 12 < o.y < y1 + 12]
    assert len(near) >= 6
    xs, ys = np.meshgrid(np.linspace(x0, x1, 40), np.linspace(y0, y1, 40))
    covered = np.zeros(xs.shape, dtype=bool)
    for o in layout.obstacles:
        assert o.half_x > 0 and o.half_y > 0 and o.height > 0 and o.kind
        c, s = np.cos(o.angle), np.sin(o.angle)
        dx, dy = xs - o.x, ys - o.y
        covered |= (np.abs(dx * c + dy * s) <= o.half_x) & (np.abs(dy * c - dx * s) <= o.half_y)
    assert covered.mean() < 0.25
    assert {"place", "light"} <= set(layout.words)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ground_of_the_stage_is_gentle(family: str) -> None:
    for seed in range(8):
        layout = CATALOGUE.layout_scene(family, seed)
        x0, y0, x1, y1 = layout.stage
        places = np.stack(np.meshgrid(np.linspace(x0, x1, 60), np.linspace(y0, y1, 60)), axis=-1)
        heights = ground_height(layout, places)
        assert heights.shape == (60, 60) and np.abs(heights).max() < 1.5
        terrain = layout.params.get("terrain")
        if terrain is not None:
            assert slope(terrain) < np.tan(np.radians(10)) * 1.5
            steep = np.hypot(*np.gradient(heights, (y1 - y0) / 59, (x1 - x0) / 59))
            assert steep.max() < np.tan(np.radians(10))


def test_unknown_families_and_seeds_are_refused() -> None:
    with pytest.raises(WorldsError, match=r"no scene family 'moon': expected one of brick_street"):
        CATALOGUE.layout_scene("moon", 1)
    with pytest.raises(WorldsError, match=r"scene seed -1"):
        CATALOGUE.layout_scene("park", -1)
    with pytest.raises(WorldsError, match=r"no texture 'velvet'"):
        texture("velvet")


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_tile_and_are_not_flat(name: str) -> None:
    pixels = texture(name).astype(np.float64)
    assert pixels.shape == (256, 256, 3)
    assert pixels.mean(axis=-1).std() > 1.5
    if name in {"art", "portrait", "shopfront"}:
        return  # pictures, never repeated within a surface's bay
    for axis in (0, 1):
        inside = np.abs(np.diff(pixels, axis=axis)).mean(axis=(1 - axis, 2))
        seam = np.abs(np.take(pixels, 0, axis) - np.take(pixels, -1, axis)).mean()
        assert seam <= inside.max() * 1.3 + 2, f"axis {axis}"


def test_a_plan_draws_signs_and_quarter_turns() -> None:
    plan = Plan(Random(1), (-5.0, -5.0, 5.0, 5.0))
    assert {plan.sign() for _ in range(40)} == {-1, 1}
    assert {round(plan.quarter() / (np.pi / 2), 9) for _ in range(80)} == {0.0, 1.0, 2.0, 3.0}


def test_families_take_their_words_and_numbers_from_the_table() -> None:
    made = family("park", lambda plan: None, lambda mesh, layout, rng: None)
    assert made.places[1] == "a city park" and made.fog == 0.0024
    layout = made.layout(7)
    assert 14 <= layout.stage[2] <= 17 and 13 <= layout.stage[3] <= 16 and not layout.obstacles
    assert layout.words["light"] in LIGHTS[layout.light].words
    with pytest.raises(KeyError):
        family("moon", lambda plan: None, lambda mesh, layout, rng: None)
