"""Generated clips: the annotations are true, the files are the layout's, and a run can be killed."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from outofsight.cli import main
from outofsight.datasets import iterate_clips, read_clip
from outofsight.errors import OutputError, WorldsError
from outofsight.worlds.engine import annotate
from outofsight.worlds.engine.presets import PRESETS
from outofsight.worlds.generate import ClipMaker, RenderedClip, posed, row_of, write
from outofsight.worlds.manifest import Settings, checksums
from outofsight.worlds.runner import make_clips

TINY = PRESETS["tiny"]


def settings(**values) -> Settings:
    return Settings(**{"seed": 7, "preset": "tiny", "split": "train", "mix": "re-entry", "subjects": None,
                       "fates": False, **values})  # fmt: skip


@pytest.fixture(scope="module")
def maker() -> Iterator[ClipMaker]:
    try:
        made = ClipMaker(TINY)
    except WorldsError as error:
        pytest.skip(f"cannot render here: {error}")
    with made:
        yield made


@pytest.fixture(scope="module")
def made(maker: ClipMaker) -> list[RenderedClip]:
    return [maker.make(settings(fates=True), index) for index in range(4)]


def project(points: np.ndarray, c2w: np.ndarray, lens: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Points [N,3] in the camera's world -> pixels [N,2] and depth [N], through an OpenCV camera."""
    local = (points - c2w[:3, 3]) @ c2w[:3, :3]
    depth = local[:, 2]
    pixels = local[:, :2] / np.where(depth > 0.05, depth, np.nan)[:, None]
    return pixels * [lens["fx"], lens["fy"]] + [lens["cx"], lens["cy"]], depth


def lens_of(made: RenderedClip) -> dict[str, float]:
    focal = TINY.width / 2 / np.tan(np.radians(made.clip.target_cameras.horizontal_fov) / 2)
    return {"fx": focal, "fy": focal, "cx": TINY.width / 2, "cy": TINY.height / 2}


def test_events_counts_and_masks_agree(made: list[RenderedClip]) -> None:
    for one in made:
        clip = one.clip
        masks = clip.load_masks()
        changes = []
        for number, track in enumerate(clip.subjects):
            counts = (masks == number + 1).sum(axis=(1, 2))
            np.testing.assert_array_equal(track.visible_pixels, counts)
            for frame in np.flatnonzero(counts):
                rows, columns = np.nonzero(masks[frame] == number + 1)
                box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                np.testing.assert_array_equal(track.boxes[frame], box)
            assert np.isnan(track.boxes[counts == 0]).all()
            changes += [
                (track.id, "entry" if counts[f] else "exit", f)
                for f in range(1, len(counts))
                if (counts[f] > 0) != (counts[f - 1] > 0)
            ]
        assert sorted(changes) == sorted((event.subject, event.kind, event.frame) for event in clip.events)
        first = clip.subjects[one.returning[0]]
        phases = clip.phases(first)
        assert "visible" in phases[: clip.context_frames] and "re-entered" in phases[clip.context_frames :]
        hidden = np.flatnonzero(phases == "hidden")
        assert len(hidden) >= 3


def test_headings_point_where_the_subjects_go(made: list[RenderedClip]) -> None:
    for one in made:
        for track in one.clip.subjects:
            steps = np.diff(track.positions, axis=0)
            going = np.degrees(np.arctan2(steps[:, 0], steps[:, 2]))
            moving = np.hypot(steps[:, 0], steps[:, 2]) > 0.03
            middle = 0.5 * (track.heading[1:] + track.heading[:-1])
            assert np.abs((going - middle + 180) % 360 - 180)[moving].max(initial=0) < 1e-6


def test_frozen_holds_the_subject_where_it_was_last_seen(made: list[RenderedClip]) -> None:
    for one in made:
        bodies = posed(one.staging)
        c2w, lens = one.clip.target_cameras.c2w, lens_of(one)
        for index, held in zip(one.fated, one.held, strict=True):
            counts = one.clip.subjects[index].visible_pixels[: TINY.cut]
            assert counts[held] > 0 and not counts[held + 1 :].any()
            body = annotate.points_to_y_down(bodies[index].positions[held])
            boxes = annotate.boxes(one.frozen_ids, index)
            for frame in np.flatnonzero(~np.isnan(boxes[:, 0])):
                pixels, _ = project(body, c2w[frame], lens)
                low, high = np.nanmin(pixels, axis=0) - 2, np.nanmax(pixels, axis=0) + 2
                assert (boxes[frame, :2] >= low).all() and (boxes[frame, 2:] <= high).all()
        np.testing.assert_array_equal(one.fates["frozen"].shape, one.clip.target.shape)


def independent_reader(folder: Path) -> dict:
    """A reader of the released layout that knows nothing of this library: json and PyAV alone."""

    def video(name: str) -> np.ndarray:
        with av.open(str(folder / name)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])

    cameras = json.loads((folder / "camera.json").read_text())
    check = json.loads((folder / "check.json").read_text())
    lines = (folder.parent / "caption.txt").read_text(encoding="utf-8").splitlines()
    captions = dict(line.split("\t") for line in lines)
    halves = {}
    for half, camera, flags in (("cond", "cond_cam", "cond_check"), ("tgt", "tgt_cam", "tgt_check")):
        frames, mask = video(f"{half}.mp4"), video(f"{half}_mask.mp4")
        unreal = np.array([cameras[camera][str(frame)] for frame in range(len(frames))])
        seen = {
            name: [entry["inFrame"] for entry in entries]
            for actor in check[flags].values()
            for name, entries in actor.items()
        }
        opencv = unreal[..., [1, 2, 0, 3]] * [1, -1, 1, 1]
        opencv[:, :3, 3] /= 100
        halves[half] = {"frames": frames, "red": mask[..., 0] > 127, "c2w": opencv, "seen": seen}
    return {**halves, "caption": captions[f"{folder.name}/tgt.mp4"]}


def test_written_clip_is_read_by_ours_and_by_another_reader(made: list[RenderedClip], tmp_path: Path) -> None:
    one = made[0]
    folder = write(one, tmp_path)
    row = row_of(one, folder)
    (tmp_path / "HM-World" / "caption.txt").write_text(f"{row['name']}/tgt.mp4\t{row['caption']}\n", encoding="utf-8")
    ours, theirs = read_clip(tmp_path), independent_reader(folder)
    for half, video, cameras in (("cond", one.clip.context, one.clip.context_cameras),
                                 ("tgt", one.clip.target, one.clip.target_cameras)):  # fmt: skip
        found = ours.context_video() if half == "cond" else ours.target_video()
        np.testing.assert_array_equal(found.frames, theirs[half]["frames"])
        assert np.abs(theirs[half]["frames"].astype(int) - video).mean() < 6
        np.testing.assert_allclose(theirs[half]["c2w"], cameras.c2w, atol=1e-9)
        read = ours.context_cameras if half == "cond" else ours.target_cameras
        np.testing.assert_allclose(read.c2w, cameras.c2w, atol=1e-9)
        assert np.linalg.det(read.c2w[0, :3, :3]) > 0
        assert (read.horizontal_fov, read.fps) == (one.staging.plan.camera.fov, 6.0)
        assert theirs[half]["frames"].shape == (25, 96, 160, 3)
    masks = one.clip.load_masks()
    np.testing.assert_array_equal(ours.load_masks(), masks)
    red = np.concatenate([theirs["cond"]["red"], theirs["tgt"]["red"]])
    assert (red == (masks > 0)).mean() > 0.995
    for track, wanted in zip(ours.subjects, one.clip.subjects, strict=True):
        assert (track.id, track.attributes) == (wanted.id, wanted.attributes)
        for name in ("positions", "heading", "boxes", "visible_pixels"):
            np.testing.assert_array_equal(getattr(track, name), getattr(wanted, name))
        seen = theirs["cond"]["seen"][track.id] + theirs["tgt"]["seen"][track.id]
        np.testing.assert_array_equal(seen, wanted.visible_pixels > 0)
    assert ours.caption == theirs["caption"] == one.clip.caption
    assert (ours.events, ours.notes, ours.fps) == (one.clip.events, (), 6.0)
    world = json.loads((folder / "world.json").read_text())
    assert world["plan"] == json.loads(json.dumps(one.staging.plan.to_json()))
    np.testing.assert_array_equal(world["cameras"]["target"], one.clip.target_cameras.c2w)
    with np.load(folder / "fates" / "frozen_masks.npz") as archive:
        np.testing.assert_array_equal(archive["ids"], one.frozen_ids)
    assert row["files"] == checksums(folder)
    assert {"cond.mp4", "fates/vanished.mp4", "fates/frozen.mp4", "instance_masks.npz"} <= set(row["files"])


@pytest.mark.usefixtures("maker")
def test_killed_run_continues_and_ends_in_the_same_files(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    clips, chosen = 4, settings(seed=2)
    expected = make_clips(chosen, clips, whole, workers=1)
    assert expected.kept == 0
    command = [sys.executable, "-m", "outofsight", "worlds", "--clips", str(clips), "--seed", "2", "--out", str(killed)]
    run = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (killed / "manifest.jsonl").is_file() or not (killed / "manifest.jsonl").read_text():
        assert time.monotonic() < deadline and run.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    time.sleep(0.3)  # the workers see that their parent is gone
    done = len((killed / "manifest.jsonl").read_text().splitlines())
    assert 1 <= done < clips
    # what a crash may leave behind: half a row, a half-written folder, a file that is not as it was
    with (killed / "manifest.jsonl").open("a") as file:
        file.write('{"index": 3, "na')
    (killed / "HM-World" / "train-2-000003").mkdir(exist_ok=True)
    (killed / ".making" / "x").mkdir(parents=True, exist_ok=True)
    finished = json.loads((killed / "manifest.jsonl").read_text().splitlines()[0])
    (killed / "HM-World" / finished["name"] / "tgt.mp4").write_bytes(b"torn")
    again = make_clips(chosen, clips, killed, workers=2)
    assert again.kept == done - 1
    assert checksums(killed) == checksums(whole)
    assert not (killed / ".making").exists()
    assert [clip.name for clip in iterate_clips(killed)] == [f"train-2-{index:06d}" for index in range(clips)]
    # once more: nothing to do, nothing touched
    times = {file: file.stat().st_mtime_ns for file in (killed / "HM-World").rglob("*.mp4")}
    assert main(command[3:]) == 0
    assert times == {file: file.stat().st_mtime_ns for file in (killed / "HM-World").rglob("*.mp4")}
    with pytest.raises(WorldsError, match="--clips 4 or more"):
        make_clips(chosen, 2, killed)
    shutil.rmtree(killed)


@pytest.mark.usefixtures("maker")
def test_command_previews_and_refuses_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "w")
    assert main(["worlds", "--clips", "1", "--seed", "1", "--split", "test", "--out", out, "--preview"]) == 0
    assert capsys.readouterr().out.strip().endswith("HM-World")
    assert (tmp_path / "w" / "preview.png").stat().st_size > 10_000
    clip = read_clip(out)
    assert clip.name == "test-1-000000" and (tmp_path / "w/HM-World/test-1-000000/fates/frozen.mp4").is_file()
    assert main(["worlds", "--clips", "2", "--seed", "9", "--split", "test", "--out", out]) == 2
    said = capsys.readouterr().err
    assert "made with other settings" in said and "--seed 1 " in said and "--seed 9 " in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--clips", "0"], "--clips 0: nothing to make"),
        (["--clips", "1", "--mix", "never"], 'no kind of clip "never"'),
        (["--clips", "1", "--subjects", "9"], "room for 1 to 3"),
        (["--clips", "1", "--preset", "big"], 'no preset "big"'),
    ],
)
def test_wrong_input_is_told_and_leaves_nothing(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["worlds", *options, "--out", str(tmp_path / "w")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match=r"not empty and holds no worlds.json"):
        make_clips(settings(), 1, tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match="cannot be written to"):
        make_clips(settings(), 1, file)


@pytest.mark.skipif(os.name != "posix", reason="needs RLIMIT_FSIZE, which POSIX systems have")
def test_full_disk_leaves_no_half_written_clip(made: list[RenderedClip], tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot"):
            write(made[0], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
