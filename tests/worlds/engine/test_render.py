"""The renderer against geometry that is known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from outofsight.errors import WorldsError
from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.engine.geometry import MeshBuilder
from outofsight.worlds.engine.mesh import icosphere
from outofsight.worlds.engine.render import Frame, Renderer
from outofsight.worlds.engine.scene import Scene, SceneLayout

pytest.importorskip("moderngl", reason="needs moderngl to draw worlds")
WIDTH, HEIGHT, FOV = 128, 72, 70.0
UNIT, SPHERE = icosphere(3)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    try:
        made = Renderer(WIDTH, HEIGHT)
    except WorldsError as error:
        pytest.skip(f"needs EGL: {error}")
    with made:
        yield made


def camera(x: float, y: float, z: float, heading: float, pitch: float = 0.0) -> np.ndarray:
    forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = x, y, z
    return pose


def rays() -> np.ndarray:
    """Through the pixel centres, camera axes, z = 1: [H,W,3]."""
    focal = WIDTH / 2 / np.tan(np.radians(FOV) / 2)
    u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    return np.stack([(u - WIDTH / 2) / focal, (v - HEIGHT / 2) / focal, np.ones_like(u)], axis=-1)


def ball(x: float, y: float, z: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    return (UNIT * radius + [x, y, z]).astype(np.float32), UNIT.astype(np.float32)


def bare_scene() -> Scene:
    """A floor and one box with corners at (4, -1, 0) and (6, 1, 2)."""
    mesh = MeshBuilder()
    lines = np.linspace(-40, 40, 21)
    mesh.ground(lines, lines, np.zeros((21, 21)), np.full((21, 21, 3), 0.6), None, 1.0)
    mesh.box([5, 0, 0], [2, 2, 2], (0.8, 0.2, 0.2))
    layout = SceneLayout("bare", 0, (-12, -12, 12, 12), (), "noon", {}, {})
    grey = np.full(3, 0.7, dtype=np.float32)
    sun = np.array([0.48, 0.6, 0.64], dtype=np.float32)
    return Scene(
        layout, mesh.finish(), np.zeros((0, 256, 256, 3), np.uint8), sun, grey * 3, grey, grey, grey, 0.0, grey
    )


COLOURS = np.full((len(UNIT), 3), (0.2, 0.4, 0.9), dtype=np.float32)


def test_depth_is_that_of_the_box_and_the_floor(renderer: Renderer) -> None:
    renderer.load(bare_scene())
    frame = renderer.frame(camera(0, 0.3, 1.5, 0.1, -0.1), FOV)
    turn = camera(0, 0.3, 1.5, 0.1, -0.1)[:3, :3]
    directions = rays() @ turn.T
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(directions[..., 2] < 0, -1.5 / directions[..., 2], np.inf)
        low, high = np.array([4, -1, 0.0]), np.array([6, 1, 2.0])
        to = [np.stack([(corner - [0, 0.3, 1.5]) / directions], axis=0)[0] for corner in (low, high)]
    enter, leave = np.minimum(*to).max(axis=-1), np.maximum(*to).min(axis=-1)
    box = np.where((enter < leave) & (enter > 0), enter, np.inf)
    expected = np.minimum(floor, box)
    ground = directions * np.where(np.isfinite(expected), expected, 0)[..., None]
    sure = (np.abs(ground[..., :2]).max(axis=-1) < 39) & np.isfinite(expected)
    # pixels whose centre is within a hair of an outline may fall to either side
    error = np.abs(frame.depth[sure] - expected[sure]) / expected[sure]
    assert sure.sum() > 3000
    assert np.mean(error < 1e-4) > 0.998
    assert np.isinf(frame.depth[directions[..., 2] > 0.02][np.isinf(box[directions[..., 2] > 0.02])]).all()
    assert not frame.ids.any()


def test_ids_are_those_of_the_nearest_body(renderer: Renderer) -> None:
    renderer.load(bare_scene(), [(SPHERE, COLOURS), (SPHERE, COLOURS)])
    pose = camera(-6, 0, 1.2, 0.0)
    frame = renderer.frame(pose, FOV, [ball(0, -0.5, 1.2, 0.8), ball(-2, 0.1, 1.0, 0.5)])
    directions = rays() @ pose[:3, :3].T
    depth = []
    for centre, radius in (((0, -0.5, 1.2), 0.8), ((-2, 0.1, 1.0), 0.5)):
        away = pose[:3, 3] - centre
        a, b, c = (directions**2).sum(-1), (directions * away).sum(-1), away @ away - radius**2
        root = b * b - a * c
        depth.append(np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf))
    expected = np.where(depth[1] < depth[0], 2, np.where(np.isfinite(depth[0]), 1, 0))
    assert set(np.unique(frame.ids)) == {0, 1, 2}
    # a ball of triangles is a little smaller than a ball: its outline may miss the outermost pixels
    assert (frame.ids == expected).mean() > 0.985
    swollen = (frame.ids == 2) & (expected != 2)
    assert swollen.sum() <= 2


def test_an_absent_body_takes_only_itself_and_its_shadow(renderer: Renderer) -> None:
    scene = CATALOGUE.build_scene(CATALOGUE.layout_scene("plaza", 2))
    renderer.load(scene, [(SPHERE, COLOURS), (SPHERE, COLOURS)])
    pose = camera(-9, 0, 1.7, 0.2)
    place = np.array([-3.0, 2.5, 1.0])
    both = renderer.frame(pose, FOV, [ball(*place, 0.7), ball(-3, -2.0, 0.8, 0.8)])
    alone = renderer.frame(pose, FOV, [None, ball(-3, -2.0, 0.8, 0.8)])
    assert not (alone.ids == 1).any() and (both.ids == 1).any()
    changed = (both.colour != alone.colour).any(axis=-1)
    body = both.ids == 1
    grown = np.pad(body, 1)
    grown = np.logical_or.reduce([grown[i : i + HEIGHT, j : j + WIDTH] for i in range(3) for j in range(3)])
    points = rays() * np.where(np.isfinite(alone.depth), alone.depth, 1e6)[..., None]
    world = points @ pose[:3, :3].T + pose[:3, 3]
    # in the shadow: within the radius of the line from the body away from the sun, plus the width of the filter
    off = world - place
    behind = -(off @ scene.sun)
    shadow = (np.linalg.norm(off + behind[..., None] * scene.sun, axis=-1) < 0.7 + 0.15) & (behind > -0.9)
    # multisampled edges may show a shadowed surface that the pixel's centre does not
    wide = np.pad(shadow, 1)
    wide = np.logical_or.reduce([wide[i : i + HEIGHT, j : j + WIDTH] for i in range(3) for j in range(3)])
    assert changed[body].mean() > 0.9
    assert not (changed & ~grown & ~wide).any()
    assert (changed & ~grown).any(), "the body casts no shadow that can be seen"
    assert ((both.depth == alone.depth) | body).all()


def test_the_same_input_gives_the_same_bytes(renderer: Renderer) -> None:
    def draw() -> Frame:
        renderer.load(CATALOGUE.build_scene(CATALOGUE.layout_scene("night_street", 1)), [(SPHERE, COLOURS)])
        return renderer.frame(camera(0, -8, 1.6, 1.5), FOV, [ball(0, 0, 1, 0.6)])

    first = draw()
    renderer.load(CATALOGUE.build_scene(CATALOGUE.layout_scene("desert", 1)))
    renderer.frame(camera(0, 0, 1.6, 0.5), FOV)
    again = draw()
    for name in ("colour", "ids", "depth"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()


def test_renderers_side_by_side_draw_their_own(renderer: Renderer) -> None:
    pose = camera(0, 0.3, 1.5, 0.1, -0.1)
    renderer.load(bare_scene())
    alone = renderer.frame(pose, FOV)
    with Renderer(WIDTH, HEIGHT) as other:
        other.load(CATALOGUE.build_scene(CATALOGUE.layout_scene("plaza", 1)))
        elsewhere = other.frame(pose, FOV)
        assert renderer.frame(pose, FOV).colour.tobytes() == alone.colour.tobytes()
        assert other.frame(pose, FOV).colour.tobytes() == elsewhere.colour.tobytes()
    assert elsewhere.colour.tobytes() != alone.colour.tobytes()
    assert renderer.frame(pose, FOV).colour.tobytes() == alone.colour.tobytes()


@pytest.mark.parametrize("family", ["brick_street", "harbour", "gallery", "park"])
def test_points_reproject_onto_the_same_surface(renderer: Renderer, family: str) -> None:
    renderer.load(CATALOGUE.build_scene(CATALOGUE.layout_scene(family, 0)))
    near, far = camera(-2, -3, 1.6, 1.0), camera(-2.6, -3.4, 1.7, 0.8)
    one, two = renderer.frame(near, FOV), renderer.frame(far, FOV)
    seen = np.isfinite(one.depth) & (one.depth < 80)
    world = (rays() * np.where(seen, one.depth, 1.0)[..., None])[seen] @ near[:3, :3].T + near[:3, 3]
    local = (world - far[:3, 3]) @ far[:3, :3]
    focal = WIDTH / 2 / np.tan(np.radians(FOV) / 2)
    local = local[local[:, 2] > 0.2]
    u = local[:, 0] / local[:, 2] * focal + WIDTH / 2
    v = local[:, 1] / local[:, 2] * focal + HEIGHT / 2
    inside = (u > 1.5) & (u < WIDTH - 1.5) & (v > 1.5) & (v < HEIGHT - 1.5)
    column, row, depth = np.floor(u[inside]).astype(int), np.floor(v[inside]).astype(int), local[inside, 2]
    around = np.stack([two.depth[row + j, column + i] for j in (-1, 0, 1) for i in (-1, 0, 1)])
    # hidden in the second view: everything within a pixel is nearer to the camera
    open_ = around.max(axis=0) > depth * 0.99
    agrees = (around.min(axis=0) <= depth * 1.01) & open_
    assert open_.sum() > 2000
    assert agrees.sum() / open_.sum() >= 0.99


def test_supersampling_only_smooths(renderer: Renderer) -> None:
    scene = bare_scene()
    renderer.load(scene)
    pose = camera(0, 0.3, 1.5, 0.1, -0.1)
    smooth = renderer.frame(pose, FOV)
    for factor in (1, 3):
        with Renderer(WIDTH, HEIGHT, supersample=factor) as other:
            other.load(scene)
            frame = other.frame(pose, FOV)
        assert frame.depth.tobytes() == smooth.depth.tobytes() and frame.ids.tobytes() == smooth.ids.tobytes()
        gap = np.abs(frame.colour.astype(int) - smooth.colour)
        assert gap.mean() < 2.0


def test_wrong_use_is_refused(renderer: Renderer) -> None:
    with pytest.raises(WorldsError, match="positive sizes"):
        Renderer(0, 10)
    renderer.load(bare_scene(), [(SPHERE, COLOURS)])
    with pytest.raises(WorldsError, match="0 bodies for a frame, but 1 were loaded"):
        renderer.frame(camera(0, 0, 1, 0), FOV, [])
    with pytest.raises(WorldsError, match="vertices were loaded"):
        renderer.frame(camera(0, 0, 1, 0), FOV, [(np.zeros((3, 3)), np.zeros((3, 3)))])
    with pytest.raises(WorldsError, match="field of view 180"):
        renderer.frame(camera(0, 0, 1, 0), 180, [None])
    with pytest.raises(WorldsError, match="9 bodies"):
        renderer.load(bare_scene(), [(SPHERE, COLOURS)] * 9)


def test_missing_egl_names_the_packages() -> None:
    code = (
        "from outofsight.worlds.engine.render import Renderer\nfrom outofsight.errors import WorldsError\n"
        "try:\n    Renderer(8, 8)\nexcept WorldsError as error:\n    print('refused:', error)\n"
    )
    # no driver to be found: EGL itself answers that it has none
    hidden = {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent.json", "__EGL_VENDOR_LIBRARY_DIRS": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **hidden},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "refused:" in done.stdout, done.stderr
    assert "libegl1" in done.stdout and "libgl1-mesa-dri" in done.stdout
