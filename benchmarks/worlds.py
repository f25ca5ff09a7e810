r"""python benchmarks/worlds.py pictures docs/worlds           the contact sheets of docs/worlds.md
python benchmarks/worlds.py table DIR                     what is in a folder of clips, as Markdown
python benchmarks/worlds.py planned --clips 2000          plan without rendering: speed, and that nothing is missing
python benchmarks/worlds.py speed --preset tiny           frames/s of whole clips, and where the time goes
python benchmarks/worlds.py small docs                    the picture and the table of docs/small_world.md
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.content.subjects import SUBJECTS, build_body
from outofsight.worlds.engine import plan as planning
from outofsight.worlds.engine.motion import PATHS
from outofsight.worlds.engine.presets import preset_named
from outofsight.worlds.engine.shots import SHOTS
from outofsight.worlds.engine.skinning import pose_body
from outofsight.worlds.generate import ClipMaker
from outofsight.worlds.manifest import Settings, listed_rows
from outofsight.worlds.small import PRESETS as SMALL_PRESETS
from outofsight.worlds.small import draw_clip, judged, small_world

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
    from outofsight.worlds.engine.shots import CameraTrack, poses

    track = CameraTrack(np.array([[x, y]]), np.array([yaw]), np.array([pitch]))
    return poses(track, np.array([z]))[0]


def picture_families(out: Path) -> None:
    from outofsight.worlds.engine.render import Renderer

    tiles = []
    with Renderer(256, 144) as renderer:
        for family in CATALOGUE.families:
            for seed in (1, 2):
                layout = CATALOGUE.layout_scene(family, seed)
                renderer.load(CATALOGUE.build_scene(layout), [])
                x0, y0, x1, y1 = layout.stage
                x, y = x0 + 0.3 * (x1 - x0), y0 + 0.5 * (y1 - y0)
                frames = [renderer.frame(look_from(x, y, 1.7, yaw), 70.0, []).colour for yaw in (0.0, 2.4)]
                tiles.append((f"{family}, seed {seed}", np.concatenate(frames, axis=1)))
    sheet(tiles, 2).save(out / "families.jpg", quality=82)


def picture_subjects(out: Path) -> None:
    from outofsight.worlds.engine.render import Renderer

    tiles = []
    layout = CATALOGUE.layout_scene(next(iter(CATALOGUE.families)), 1)
    scene = CATALOGUE.build_scene(layout)
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
            plan = planning.plan_clip(CATALOGUE, 11, index, "tiny", "train", settings.mix, None)
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


# --- tables and speed -------------------------------------------------------------------------------------------


def share_table(title: str, values: Iterable[str]) -> str:
    counted = Counter(values)
    body = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
    return f"| {title} ({len(counted)}) | {body} |"


def table(options: argparse.Namespace) -> None:
    rows = list(listed_rows(Path(options.folder)).values())
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
    """Plan without rendering: the speed, the distribution, and that no family, shot, path or subject is missing."""
    started, used = time.perf_counter(), time.process_time()
    plans = [
        planning.plan_clip(CATALOGUE, options.seed, index, options.preset, split, "re-entry", None)
        for split in planning.SPLITS
        for index in range(options.clips // len(planning.SPLITS))
    ]
    taken, used = time.perf_counter() - started, time.process_time() - used
    print(f"{len(plans)} clips planned in {taken:.1f} s: {len(plans) / taken:.0f} clips/s on one core, ", end="")
    print(f"{len(plans) / used:.0f} per second of processor time\n")
    print(f"| {len(plans)} plans, half of them of each split | |\n|---|---|")
    subjects = [subject for plan in plans for subject in plan.subjects]
    kinds: tuple[tuple[str, Sequence[str], list[str]], ...] = (
        ("scene", tuple(CATALOGUE.families), [plan.family for plan in plans]),
        ("camera", [shot.name for shot in SHOTS], [plan.camera.shot for plan in plans]),
        ("path", PATHS, [subject.path.name for subject in subjects]),
        ("subject", [spec.name for spec in SUBJECTS], [subject.name for subject in subjects]),
        ("subjects in a clip", ("1", "2", "3"), [str(len(plan.subjects)) for plan in plans]),
    )
    for title, names, values in kinds:
        print(share_table(title, values))
        missing = sorted(set(names) - set(values))
        print(f"| {title}, missing | {', '.join(missing) or 'none'} |")


def speed(options: argparse.Namespace) -> None:
    """Whole clips, everything written and encoded: frames/s, and the share of each part."""
    import shutil
    import tempfile

    from outofsight.worlds.generate import Seconds
    from outofsight.worlds.runner import make_clips

    settings = Settings(options.seed, options.preset, "train", "re-entry", None, False)
    folder = Path(tempfile.mkdtemp())
    parts, finished = Seconds(), []
    first = Seconds()
    try:
        start = time.perf_counter()

        def report(_: object, seconds: Seconds) -> None:
            finished.append(time.perf_counter() - start)
            parts.add(seconds)
            if len(finished) == 1:
                first.add(seconds)

        make_clips(settings, options.clips, folder, workers=options.workers, report=report)
        taken = time.perf_counter() - start
    finally:
        shutil.rmtree(folder)
    rate = parts.frames / taken
    print(f"{options.preset}, {options.clips} clips, {options.workers} processes: {rate:.1f} frames/s, ", end="")
    print(f"{rate / len(os.sched_getaffinity(0)):.1f} per core, start of the processes included ({taken:.0f} s)")
    steady = (parts.frames - first.frames) / (finished[-1] - finished[0])
    print(f"from the first finished clip to the last: {steady:.1f} frames/s")
    total = sum(value for name, value in vars(parts).items() if name != "frames")
    print({name: f"{value / total:.0%}" for name, value in vars(parts).items() if name != "frames"})


# --- the small world --------------------------------------------------------------------------------------------

PICTURED = ("small-easy", "small-elsewhere", "small-parallax", "small-occluders", "small-scenes", "small-film")


def picture_small(out: Path) -> None:
    """A strip of ten frames for each of some presets, the cut in red, and the frozen fate of the first."""
    rows = []
    for number, preset in enumerate(PICTURED):
        clip = next(judged(small_world(preset), 3, 20 * number))
        cut, count = clip.world.context_frames, 10
        halves = [np.linspace(0, cut - 1, count // 2), np.linspace(cut, clip.world.frames - 1, count - count // 2)]
        strips = [(preset, clip.frames)]
        if preset in (PICTURED[0], PICTURED[-1]):
            strips.append(("frozen", np.concatenate([clip.frames[:cut], clip.frozen])))
        times = 96 // clip.world.height
        for words, frames in strips:
            shown = [np.concatenate(list(frames[half.round().astype(int)]), axis=1) for half in halves]
            shown = [half.repeat(times, axis=0).repeat(times, axis=1) for half in shown]
            bar = np.full((96, 4, 3), (255, 0, 0), np.uint8)
            strip = np.concatenate([shown[0], bar, shown[1]], axis=1)
            row = Image.new("RGB", (strip.shape[1] + 110, 100), "white")
            row.paste(Image.fromarray(strip), (110, 0))
            ImageDraw.Draw(row).text((4, 40), words, fill="black", font_size=12)
            rows.append(np.asarray(row))
    Image.fromarray(np.concatenate(rows)).quantize(256).save(out / "small_world.png", optimize=True)


def small(options: argparse.Namespace) -> None:
    """The picture, and for each preset: milliseconds of one core for a clip, and the share that is judged."""
    picture_small(Path(options.folder))
    for preset in SMALL_PRESETS:
        clips, taken = [], []
        for number in range(200):
            start = time.process_time()
            clips.append(draw_clip(small_world(preset), 1, number).is_judged)
            taken.append(time.process_time() - start)
        print(f"| `{preset}` | {1000 * float(np.median(taken[20:])):.1f} | {np.mean(clips):.0%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for run in (pictures, table, small):
        command = commands.add_parser(run.__name__)
        command.add_argument("folder")
        command.set_defaults(run=run)
    for run, clips in ((planned, 2000), (speed, 8)):
        command = commands.add_parser(run.__name__)
        command.add_argument("--clips", type=int, default=clips)
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--preset", default="tiny")
        command.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
        command.set_defaults(run=run)
    options: Any = parser.parse_args()
    call: Callable[[Any], None] = options.run
    call(options)


if __name__ == "__main__":
    main()
