"""The pictures that rich small worlds are made of: panoramas of the scene families, walks of the subjects.

    python -m outofsight.recipes.small_assets src/outofsight/worlds/small/pictures

Expected: 34 panoramas and 49 walks, some 2 MB of PNG and `assets.json`, in about two minutes of one CPU core. They are
part of the package, so that drawing a small world needs no OpenGL; only this command does.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..io import replacing, write_json
from ..worlds.catalogue import CATALOGUE
from ..worlds.content.subjects import build_body
from ..worlds.engine.motion import Ground
from ..worlds.engine.plan import split_families, split_subjects
from ..worlds.engine.render import Renderer
from ..worlds.engine.scene import Scene, SceneLayout, ground_height
from ..worlds.engine.shots import CameraTrack, poses
from ..worlds.engine.skinning import pose_body
from ..worlds.small.assets import COLUMNS, EYE, GAIT, ROWS, encode_distance

SEEDS = (1, 2)  # scenes of each family
_SIGHT = 6.0  # metres from which a walk is drawn
_FINER = 4  # drawn texels to a kept one, each way
_FREE = 6.5  # metres around the eye that should be free of obstacles and within the stage


def small_assets(out: Path) -> None:
    """Write all panoramas, walks and `assets.json` to a folder."""
    panoramas, walks = [], []
    for family in CATALOGUE.families:
        for seed in SEEDS:
            picture, facts = panorama(family, seed)
            panoramas.append(facts)
            _save(out / f"{facts['name']}.png", picture)
            print(facts["name"], file=sys.stderr)
    for name in CATALOGUE.subjects:
        picture, facts = walk(name)
        walks.append(facts)
        _save(out / f"{name}.png", picture)
    write_json(out / "assets.json", {"panoramas": panoramas, "walks": walks})


def panorama(family: str, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """All round from an open spot of a scene: uint8 [ROWS,COLUMNS,4], colours and coded horizontal distances."""
    layout = CATALOGUE.layout_scene(family, seed)
    x, y = _open_spot(layout)
    height = float(ground_height(layout, np.array([[x, y]]))[0]) + EYE
    views, wide = 36, 14.0  # degrees of each view; 10 of them are kept
    focal = 2 * COLUMNS / (2 * np.pi)  # pixels, about two to a kept texel
    width = 2 * round(focal * np.tan(np.radians(wide / 2)) + 1)
    tall = 2 * round(1.05 * focal * np.tan(np.pi * ROWS / COLUMNS) + 2)
    fov = float(np.degrees(2 * np.arctan(width / 2 / focal)))
    colour, distance = np.zeros((ROWS, COLUMNS, 3)), np.zeros((ROWS, COLUMNS))
    azimuth = (np.arange(COLUMNS) + 0.5) / COLUMNS * 2 * np.pi
    rise = (np.arange(ROWS) + 0.5 - ROWS / 2) * 2 * np.pi / COLUMNS  # height over distance, downwards
    with Renderer(width, tall, supersample=3) as renderer:
        renderer.load(CATALOGUE.build_scene(layout), [])
        for view in range(views):
            centre = (view + 0.5) / views * 2 * np.pi
            # azimuths of the drum grow to the right, the scene's yaw to the left
            frame = renderer.frame(_look(x, y, height, -centre), fov)
            own = np.flatnonzero(np.abs(azimuth - centre) <= np.pi / views + 1e-9)
            across = np.tan(azimuth[own] - centre)
            far = np.sqrt(1 + across**2)
            column = across * focal + width / 2 - 0.5
            row = rise[:, None] * far * focal + tall / 2 - 0.5
            colour[:, own] = _bilinear(frame.colour.astype(np.float64), row, np.broadcast_to(column, row.shape))
            near = np.rint(row).astype(int).clip(0, tall - 1), np.rint(column).astype(int).clip(0, width - 1)
            distance[:, own] = frame.depth[near[0], near[1][None]] * far
    light = float(colour[ROWS // 2 :].mean() / 255)
    facts = {"name": f"{family}-{seed}", "family": family, "split": _split(family, split_families), "light": light,
             "place": str(layout.words["place"])}  # fmt: skip
    return np.concatenate([np.rint(colour).astype(np.uint8), encode_distance(distance)[..., None]], axis=-1), facts


def _open_spot(layout: SceneLayout) -> tuple[float, float]:
    """A place on the stage with free, flat ground around."""
    x0, y0, x1, y1 = layout.stage
    points = np.random.default_rng(layout.seed).uniform([x0, y0], [x1, y1], (400, 2))
    ring = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    around = points[:, None] + 5.0 * np.stack([np.cos(ring), np.sin(ring)], axis=-1)
    bumps = np.ptp(np.asarray(ground_height(layout, around)), axis=1)
    edge = np.minimum(points - [x0, y0], [x1, y1] - points).min(axis=1)
    clear = np.minimum(Ground(layout).clearance(points), _FREE) + np.minimum(edge, _FREE) - 4.0 * bumps
    best = points[int(np.argmax(clear))]
    return float(best[0]), float(best[1])


def walk(name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """A subject from the side, going right: uint8 [h, (GAIT + 1) w, 4], the phases of its gait and then standing."""
    spec = CATALOGUE.subjects[name]
    body = build_body(spec)
    fine = _FINER * float(np.clip(30.0 / spec.height, 22.0, 44.0))  # drawn texels to a metre
    half = max(spec.height, 2.6 * spec.radius) + 0.4
    width, tall = 2 * round(fine * half), 2 * round(fine * (max(EYE, spec.height - EYE) + 0.3))
    fov = float(np.degrees(2 * np.arctan(width / 2 / (fine * _SIGHT))))
    phase = np.append(np.arange(GAIT) / GAIT, 0.0)
    pace = np.append(np.full(GAIT, spec.walk_speed), 0.0)
    zero = np.zeros(GAIT + 1)
    made = pose_body(body, zero, zero, zero, zero, phase, pace)
    frames = []
    with Renderer(width, tall, supersample=1) as renderer:
        renderer.load(_bare_scene(), [(body.faces, body.colours)])
        for positions, normals in zip(made.positions, made.normals, strict=True):
            frame = renderer.frame(_look(0.0, -_SIGHT, EYE, np.pi / 2), fov, [(positions, normals)])
            seen = (frame.ids > 0)[..., None]
            frames.append(np.concatenate([frame.colour * seen, 255 * seen], axis=-1).astype(np.float64))
    video = np.stack(frames)
    cover = video[..., 3].max(axis=0) > 0
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    reach = _FINER * (-(-int(max(width / 2 - columns[0], columns[-1] + 1 - width / 2)) // _FINER) + 1)
    ground = round(tall / 2 + fine * EYE)  # the row of the feet
    top = _FINER * (-(-(ground - int(rows[0])) // _FINER) + 1)
    video = np.pad(video, ((0, 0), (8 * _FINER, 8 * _FINER), (8 * _FINER, 8 * _FINER), (0, 0)))
    middle, ground = width // 2 + 8 * _FINER, ground + 8 * _FINER
    video = video[:, ground - top : ground + 2 * _FINER, middle - reach : middle + reach]
    count, high, wide, _ = video.shape
    kept = video.reshape(count, high // _FINER, _FINER, wide // _FINER, _FINER, 4).mean(axis=(2, 4))
    alpha = kept[..., 3:] / 255
    kept[..., :3] = np.where(alpha > 0, kept[..., :3] / np.maximum(alpha, 1e-6), 0)
    strip = np.concatenate(list(np.rint(kept).clip(0, 255).astype(np.uint8)), axis=1)
    facts = {
        "name": name, "split": _split(name, split_subjects), "kind": spec.kind, "species": spec.species,
        "who": str(spec.words["who"]), "height": spec.height, "radius": spec.radius, "speed": spec.walk_speed,
        "stride": float(body.stride(spec.walk_speed)), "texels": fine / _FINER, "below": 2,
    }  # fmt: skip
    return strip, facts


def _bare_scene() -> Scene:
    """Light without a world."""
    scene = CATALOGUE.build_scene(CATALOGUE.layout_scene("park", 1))
    scene.surface.faces = scene.surface.faces[:1]
    return scene


def _split(name: str, of: Any) -> str:
    return "test" if name in of(CATALOGUE, "test") else "train"


def _look(x: float, y: float, z: float, yaw: float) -> np.ndarray:
    """A level camera at a place in the worlds' z-up frame, [4,4]."""
    return poses(CameraTrack(np.array([[x, y]]), np.array([yaw]), np.zeros(1)), np.array([z]))[0]


def _bilinear(picture: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """[H,W,3] at fractional rows and columns, held at the edges."""
    row, column = row.clip(0, picture.shape[0] - 1.001), column.clip(0, picture.shape[1] - 1.001)
    top, left = row.astype(int), column.astype(int)
    down, right = (row - top)[..., None], (column - left)[..., None]
    upper = picture[top, left] * (1 - right) + picture[top, left + 1] * right
    lower = picture[top + 1, left] * (1 - right) + picture[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)


def _save(file: Path, picture: np.ndarray) -> None:
    from PIL import Image

    with replacing(file) as beside:
        Image.fromarray(picture).save(beside, format="PNG", optimize=True)


if __name__ == "__main__":
    small_assets(Path(sys.argv[1]))
