r"""python benchmarks/worlds.py pictures docs/worlds           the contact sheets of docs/worlds.md
python benchmarks/worlds.py truth DIR                     check written clips against their own plans and poses
python benchmarks/worlds.py table DIR                     what is in a folder of clips, as Markdown
python benchmarks/worlds.py planned --clips 2000          plan without rendering: speed, and that nothing is missing
python benchmarks/worlds.py speed --preset tiny           frames/s of whole clips, and where the time goes
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from outofsight.datasets import read_clip
from outofsight.worlds import plan as planning
from outofsight.worlds.generate import ClipMaker, lay_out, posed
from outofsight.worlds.manifest import Settings, read_rows
from outofsight.worlds.presets import preset_named
from outofsight.worlds.scene import build_scene, family_names, layout_scene
from outofsight.worlds.shots import SHOTS
from outofsight.worlds.subjects import SUBJECTS, SUBJECTS_BY_NAME, build_body, pose_body

DATA = "HM-World"


# --- pictures ---------------------------------------------------------------------------------------------------


def sheet(tiles: Sequence[tuple[str, np.ndarray]], columns: int) -> Image.Image:
    """Tiles with a line of words each, in rows."""
    height, width = tiles[0][1].shape[:2]
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * (width + 4), rows * (height + 20)), "white")
    draw = ImageDraw.Draw(page)
    for i, (words, tile) in enumerate(tiles):
        x, y = (i % columns) * (width + 4), (i // columns) * (height + 20)
        draw.text((x + 2, y + 3), words, fill="black", font_size=12)
        page.paste(Image.fromarray(tile), (x, y + 18))
    return page


def look_from(x: float, y: float, z: float, yaw: float, pitch: float = 0.0) -> np.ndarray:
    """Camera-to-world ``[4, 4]`` in the worlds' z-up frame."""
    from outofsight.worlds.shots import CameraTrack, poses

    track = CameraTrack(np.array([[x, y]]), np.array([yaw]), np.array([pitch]))
    return poses(track, np.array([z]))[0]


def picture_families(out: Path) -> None:
    from outofsight.worlds.render import Renderer

    tiles = []
    with Renderer(256, 144) as renderer:
        for family in family_names():
            for seed in (1, 2):
                layout = layout_scene(family, seed)
                renderer.load(build_scene(layout), [])
                x0, y0, x1, y1 = layout.stage
                x, y = x0 + 0.3 * (x1 - x0), y0 + 0.5 * (y1 - y0)
                frames = [renderer.frame(look_from(x, y, 1.7, yaw), 70.0, []).colour for yaw in (0.0, 2.4)]
                tiles.append((f"{family}, seed {seed}", np.concatenate(frames, axis=1)))
    sheet(tiles, 2).save(out / "families.jpg", quality=82)


def picture_subjects(out: Path) -> None:
    from outofsight.worlds.render import Renderer

    tiles = []
    layout = layout_scene(family_names()[0], 1)
    scene = build_scene(layout)
    scene.surface.faces = scene.surface.faces[:1]  # the bodies alone
    with Renderer(132, 168) as renderer:
        for spec in SUBJECTS:
            body = build_body(spec)
            renderer.load(scene, [(body.faces, body.colours)])
            zero = np.zeros(1)
            made = pose_body(body, zero, zero, zero, zero + 2.2, zero + 0.15, zero + spec.walk_speed)
            size = max(spec.height, 2.2 * spec.radius)
            camera = look_from(0.0, -2.3 * size, 0.62 * size, np.pi / 2, -0.06)
            frame = renderer.frame(camera, 32.0, [(made.positions[0], made.normals[0])])
            tiles.append((spec.name, frame.colour))
    sheet(tiles, 10).save(out / "subjects.jpg", quality=84)


def picture_shots(out: Path) -> None:
    """A strip of frames for the first shot of every camera family and its relatives."""
    wanted = list(dict.fromkeys((shot.family, shot.name) for shot in SHOTS))
    seen: Counter[str] = Counter()
    names = []
    for family, name in wanted:
        if seen[family] < 2:
            names.append(name)
            seen[family] += 1
    tiles = []
    settings = Settings(11, "tiny", "train", "re-entry", None, False)
    with ClipMaker(preset_named("tiny")) as maker:
        for index in range(4000):
            plan = planning.plan_clip(11, index, "tiny", "train", settings.mix, None)
            if plan.camera.shot not in names:
                continue
            names.remove(plan.camera.shot)
            clip = maker.make(settings, index).clip
            frames = np.concatenate([clip.context_video().frames, clip.target_video().frames])
            chosen = np.linspace(0, len(frames) - 1, 8).round().astype(int)
            tiles.append((plan.camera.shot, np.concatenate(list(frames[chosen]), axis=1)))
            if not names:
                break
    sheet(sorted(tiles), 1).save(out / "shots.jpg", quality=82)


def picture_fates(out: Path) -> None:
    tiles = []
    settings = Settings(5, "tiny", "test", "re-entry", None, True)
    with ClipMaker(preset_named("tiny")) as maker:
        for index in range(3):
            made = maker.make(settings, index)
            rows = {"true": made.clip.target_video().frames, **made.fates}
            chosen = np.linspace(0, len(rows["true"]) - 1, 8).round().astype(int)
            tiles += [(f"{name}", np.concatenate(list(rows[name][chosen]), axis=1)) for name in rows]
    sheet(tiles, 1).save(out / "fates.jpg", quality=84)


def pictures(options: argparse.Namespace) -> None:
    out = Path(options.folder)
    out.mkdir(parents=True, exist_ok=True)
    for draw in (picture_families, picture_subjects, picture_shots, picture_fates):
        draw(out)
        print(f"{draw.__name__}: done")


# --- truth ------------------------------------------------------------------------------------------------------


def projected(
    points: np.ndarray, c2w: np.ndarray, fov: float, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels ``[n, 2]`` and depth ``[n]`` of world points ``[n, 3]``."""
    local = (points - c2w[:3, 3]) @ c2w[:3, :3]
    focal = width / 2 / np.tan(np.radians(fov) / 2)
    return local[:, :2] / local[:, 2:] * focal + (width / 2, height / 2), local[:, 2]


def truth(options: argparse.Namespace) -> None:
    """Visible counts against the written masks of every clip; of every ``--every``-th, all body points by pose.

    A frame of a visible subject agrees when each vertex of its body that lies in the image, and that the rendered
    depth does not put behind something nearer, falls into the box of its written mask dilated by 2 pixels.
    """
    root = Path(options.folder)
    rows = list(read_rows(root).values())
    good = seen = points = wrong_counts = 0
    maker: ClipMaker | None = None
    for place, row in enumerate(rows):
        folder = root / DATA / str(row["name"])
        clip = read_clip(folder)
        ids = clip.load_masks()
        for number, track in enumerate(clip.subjects, start=1):
            wrong_counts += int(not np.array_equal((ids == number).sum(axis=(1, 2)), track.visible_pixels))
        if place % options.every:
            continue
        world = json.loads((folder / "world.json").read_text())
        staging = lay_out(planning.ClipPlan.from_json(world["plan"]))
        maker = maker or ClipMaker(staging.preset)
        agreed, frames, vertices = body_points(maker, staging, ids)
        good, seen, points = good + agreed, seen + frames, points + vertices
    print(f"{len(rows)} clips: subjects whose written visible counts differ from the written masks: {wrong_counts}")
    print(f"{good} of {seen} visible subject-frames agree ({good / max(seen, 1):.4%}; {points} body points)")


def body_points(maker: ClipMaker, staging: Any, ids: np.ndarray) -> tuple[int, int, int]:
    """Subject-frames that agree, subject-frames, and points looked at, of one clip rendered again for its depth."""
    fov, (height, width) = staging.plan.camera.fov, ids.shape[1:]
    bodies = posed(staging)
    maker.renderer.load(build_scene(staging.layout), [body_mesh(subject.name) for subject in staging.plan.subjects])
    good = seen = points = 0
    for frame, raw in enumerate(np.concatenate(staging.preset.halves())):
        present = [number for number in range(1, len(bodies) + 1) if (ids[frame] == number).any()]
        if not present:
            continue
        shown = [(body.positions[raw], body.normals[raw]) for body in bodies]
        depth = maker.renderer.frame(staging.c2w[raw], fov, shown).depth
        for number in present:
            pixels, away = projected(bodies[number - 1].positions[raw], staging.c2w[raw], fov, width, height)
            inside = (away > 0.1) & (pixels >= 0).all(1) & (pixels < (width, height)).all(1)
            pixels, away = pixels[inside], away[inside]
            cells = pixels.astype(int)
            free = depth[cells[:, 1], cells[:, 0]] >= away - 0.05
            rows, columns = np.nonzero(ids[frame] == number)
            low, high = (columns.min() - 2, rows.min() - 2), (columns.max() + 3, rows.max() + 3)
            within = (pixels >= low).all(1) & (pixels <= high).all(1)
            seen, points = seen + 1, points + len(pixels)
            good += int((within | ~free).all())
    return good, seen, points


def body_mesh(name: str) -> tuple[np.ndarray, np.ndarray]:
    body = build_body(SUBJECTS_BY_NAME[name])
    return body.faces, body.colours


# --- tables and speed -------------------------------------------------------------------------------------------


def share_table(title: str, values: Iterable[str]) -> str:
    counted = Counter(values)
    body = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
    return f"| {title} ({len(counted)}) | {body} |"


def table(options: argparse.Namespace) -> None:
    rows = list(read_rows(Path(options.folder)).values())
    print(f"| {len(rows)} clips | |\n|---|---|")
    print(share_table("scene", (str(row["family"]) for row in rows)))
    print(share_table("camera", (str(row["shot"]) for row in rows)))
    print(share_table("path", (path for row in rows for path in row["paths"])))
    print(share_table("subjects in a clip", (str(len(row["paths"])) for row in rows)))
    print(share_table("subject", (name for row in rows for name in row["subjects"])))
    entries = [entry for row in rows for entry in row["re-entries"].values()]
    for title, key in (("hidden for (s)", "hidden_s"), ("returns at raw frame", "returned")):
        values = np.array([entry[key] for entry in entries], dtype=float)
        quartiles = ", ".join(f"{q:.1f}" for q in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
        print(f"| {title}, {len(values)} re-entries | least, quartiles, most: {quartiles} |")


def planned(options: argparse.Namespace) -> None:
    start = time.perf_counter()
    seen: dict[str, Counter[str]] = {"family": Counter(), "shot": Counter(), "path": Counter(), "subject": Counter()}
    for split in ("train", "test"):
        for index in range(options.clips // 2):
            plan = planning.plan_clip(options.seed, index, "tiny", split, "re-entry", None)
            seen["family"][plan.family] += 1
            seen["shot"][plan.camera.shot] += 1
            for subject in plan.subjects:
                seen["path"][subject.path.name] += 1
                seen["subject"][subject.name] += 1
    taken = time.perf_counter() - start
    print(f"{options.clips} clips planned in {taken:.1f} s: {options.clips / taken:.0f} clips/s on one core")
    for name, counts in seen.items():
        print(f"{name}: {len(counts)} different, the rarest {min(counts.values())} times")


def speed(options: argparse.Namespace) -> None:
    import shutil
    import tempfile

    from outofsight.worlds.runner import make_one

    settings = Settings(options.seed, options.preset, "train", "re-entry", None, False)
    folder = Path(tempfile.mkdtemp())
    try:
        with ClipMaker(preset_named(options.preset)) as maker:
            start = time.perf_counter()
            for index in range(options.clips):
                make_one(maker, settings, index, folder)
            taken = time.perf_counter() - start
            parts = vars(maker.seconds)
    finally:
        shutil.rmtree(folder)
    print(f"{options.preset}: {parts['frames'] / taken:.1f} rendered frames/s in one process, all outputs written")
    print({name: f"{value / taken:.0%}" for name, value in parts.items() if name != "frames"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for run in (pictures, truth, table):
        command = commands.add_parser(run.__name__)
        command.add_argument("folder")
        command.add_argument("--every", type=int, default=10, help="truth: render every so many-th clip again")
        command.set_defaults(run=run)
    for run, clips in ((planned, 2000), (speed, 4)):
        command = commands.add_parser(run.__name__)
        command.add_argument("--clips", type=int, default=clips)
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--preset", default="tiny")
        command.set_defaults(run=run)
    options: Any = parser.parse_args()
    call: Callable[[Any], None] = options.run
    call(options)


if __name__ == "__main__":
    main()
