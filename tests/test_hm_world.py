"""HM-World's layouts: what is written is read back, what is found is told, nothing is guessed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outofsight import CameraPath, Clip
from outofsight.cameras import relative_pose_vectors
from outofsight.clips import SubjectTrack, VideoFile
from outofsight.datasets import detect_layout, iterate_clips, read_clip, write_clip
from outofsight.errors import CameraError, GeometryError, LayoutError, OutputError
from outofsight.video import read_video, write_video

HEIGHT, WIDTH = 32, 48


def shot(frames: int, first: int = 0) -> np.ndarray:
    """A grey ramp with a square whose brightness tells the frame."""
    video = np.full((frames, HEIGHT, WIDTH, 3), 60, dtype=np.uint8)
    for frame in range(frames):
        video[frame, 8:24, 8:24] = 80 + 8 * (first + frame)
    return video


def generated(name: str = "scene-1", **fields: Any) -> Clip:
    """A clip as the generator makes them: 5 and 5 frames, two subjects; one leaves and comes back."""
    context = CameraPath.from_string("forward+right-5", stride=1, fps=12.0, horizontal_fov=64.0)
    target = CameraPath.from_string("left-5", stride=1, start=context)
    masks = np.zeros((10, HEIGHT, WIDTH), dtype=np.uint8)
    masks[:3, 8:24, 8:24], masks[8:, 8:24, 24:40] = 1, 1
    masks[:, :8, :8] = 2
    seen = (masks == 1).any(axis=(1, 2))
    boxes = np.where(seen[:, None], [8.0, 8.0, 24.0, 24.0], np.nan)
    walker = SubjectTrack(
        "walker",
        {"kind": "human", "colours": ["red", "blue"]},
        positions=np.random.default_rng(0).normal(size=(10, 3)),
        heading=np.linspace(0, 90, 10),
        boxes=boxes,
        visible_pixels=(masks == 1).sum(axis=(1, 2)),
        in_frame=seen,
    )
    cat = SubjectTrack("cat", positions=np.ones((10, 3)), visible_pixels=(masks == 2).sum(axis=(1, 2)))
    values: dict[str, Any] = {
        "caption": "A walker in a red coat; größer.",
        "context": shot(5),
        "target": shot(5, 5),
        "subjects": (walker, cat),
        "masks": masks,
        "fps": 12.0,
        "extras": {"seed": 7},
    }
    return Clip(name, context_cameras=context, target_cameras=target, **{**values, **fields})


def assert_same_tracks(found: SubjectTrack, expected: SubjectTrack) -> None:
    assert (found.id, found.attributes) == (expected.id, expected.attributes)
    for name in ("positions", "heading", "boxes", "visible_pixels"):
        mine, theirs = getattr(found, name), getattr(expected, name)
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            np.testing.assert_array_equal(mine, theirs)


def test_written_clip_is_read_back(tmp_path: Path) -> None:
    clip = generated()
    folder = write_clip(clip, tmp_path)
    assert folder == tmp_path / "HM-World" / "scene-1"
    for found in (read_clip(tmp_path), read_clip(folder), read_clip(tmp_path / "HM-World", "scene-1")):
        assert (found.name, found.caption, found.fps) == (clip.name, clip.caption, 12.0)
        assert (found.extras, found.notes) == ({"seed": 7}, ())
        for mine, theirs in (
            (found.context_cameras, clip.context_cameras),
            (found.target_cameras, clip.target_cameras),
        ):
            np.testing.assert_allclose(mine.c2w, theirs.c2w, atol=1e-12)
            assert (mine.fps, mine.horizontal_fov, mine.frame_stride) == (12.0, 64.0, 1)
        for track, expected in zip(found.subjects, clip.subjects, strict=True):
            assert_same_tracks(track, expected)
            np.testing.assert_array_equal(track.in_frame, expected.visible())
        np.testing.assert_array_equal(found.load_masks(), clip.masks)
        for video, source in ((found.context_video(), clip.context), (found.target_video(), clip.target)):
            assert np.abs(video.frames.astype(int) - source).mean() < 3
        assert found.events == clip.events
        assert [event.kind for event in found.events] == ["exit", "entry"]


def test_written_files_are_the_released_ones(tmp_path: Path) -> None:
    clip = generated()
    folder = write_clip(clip, tmp_path)
    released = {
        "cond.mp4",
        "tgt.mp4",
        "cond_mask.mp4",
        "tgt_mask.mp4",
        "camera.json",
        "character.json",
        "check.json",
    }
    assert {file.name for file in folder.iterdir()} == released | {"instance_masks.npz", "extras.json"}
    check = json.loads((folder / "check.json").read_text())
    assert check["tgt_check"]["walker"]["walker"][3] == {"frame": 3, "inFrame": True}
    assert (tmp_path / "HM-World" / "caption.txt").read_text(encoding="utf-8").endswith(f".mp4\t{clip.caption}\n")
    red = read_video(folder / "cond_mask.mp4").frames
    assert red[0, 16, 16, 0] > 200
    assert red[0, 16, 16, 1:].max() < 60
    # The released loader's own arithmetic on the file: columns 1, 2, 0, 3, the second negated, centimetres.
    cameras = json.loads((folder / "camera.json").read_text())
    halves = [np.array([cameras[key][str(f)] for f in range(5)])[..., [1, 2, 0, 3]] for key in ("cond_cam", "tgt_cam")]
    for half in halves:
        half[:, :, 1] *= -1
        half[:, :3, 3] /= 100
    vectors = [np.linalg.inv(halves[1][0]) @ half[::4] for half in halves]
    for mine, theirs in zip(relative_pose_vectors(clip.context_cameras, clip.target_cameras), vectors, strict=True):
        np.testing.assert_allclose(mine, theirs[:, :3].reshape(-1, 12), atol=1e-5)


def test_unreal_world_and_red_masks_survive_a_second_writing(tmp_path: Path) -> None:
    clip = generated()
    unreal = [
        CameraPath.from_unreal(half.to_unreal() * np.array([1.0, -1.0, 1.0, 1.0]), horizontal_fov=64.0)
        for half in (clip.context_cameras, clip.target_cameras)
    ]
    clip = replace(clip, context_cameras=unreal[0], target_cameras=unreal[1])
    folder = write_clip(clip, tmp_path)
    (folder / "instance_masks.npz").unlink()
    first = read_clip(tmp_path)
    np.testing.assert_array_equal(first.load_masks(), clip.load_masks() > 0)
    second = read_clip(write_clip(first, tmp_path / "again"))
    np.testing.assert_allclose(second.target_cameras.c2w, clip.target_cameras.c2w, atol=1e-12)
    np.testing.assert_array_equal(second.load_masks(), first.load_masks())
    # a video that lay on disk is copied, not coded anew
    assert (folder / "tgt.mp4").read_bytes() == (tmp_path / "again/HM-World/scene-1/tgt.mp4").read_bytes()


def test_many_clips_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write_clip(generated(f"clip{number}", caption=f"number {number}"), tmp_path)
    (tmp_path / "HM-World" / ".unfinished").mkdir()
    assert detect_layout(tmp_path).samples == ("clip1", "clip2", "clip10")
    assert [clip.caption for clip in iterate_clips(tmp_path)] == ["number 1", "number 2", "number 10"]
    with pytest.raises(LayoutError, match="holds 3 clips; give the name of one: clip1, clip2, clip10"):
        read_clip(tmp_path)
    with pytest.raises(LayoutError, match='no clip "clip3"'):
        read_clip(tmp_path, "clip3")
    with pytest.raises(OutputError, match="exists already"):
        write_clip(generated("clip2"), tmp_path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"caption": "two\nlines"}, "one line"),
        ({"caption": " "}, "one line"),
        ({"target": None}, "no target video"),
        ({"extras": {"when": object()}}, "extras.json cannot be written"),
        ({"extras": {"x": float("nan")}}, "extras.json cannot be written"),
        ({"context": np.zeros((5, 31, 48, 3), dtype=np.uint8)}, "even sizes"),
        ({"context": VideoFile(Path("gone.mp4"))}, "gone.mp4"),
    ],
)
def test_clip_that_cannot_be_held_leaves_nothing(fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises((LayoutError, GeometryError, OutputError), match=words):
        write_clip(generated(**fields), tmp_path)
    assert not [entry for entry in tmp_path.rglob("*") if entry.name != "HM-World"]


def test_bad_names_and_layouts_are_refused(tmp_path: Path) -> None:
    for name in ("", ".hidden", "../up", "a/b", "a\tb"):
        with pytest.raises(LayoutError, match="name"):
            write_clip(generated(name), tmp_path)
    with pytest.raises(LayoutError, match="raw"):
        write_clip(generated(), tmp_path, layout="raw")
    latent = [half.subsample(4) for half in (generated().context_cameras, generated().target_cameras)]
    clip = replace(generated(), context_cameras=latent[0], target_cameras=latent[1])
    with pytest.raises(LayoutError, match="one pose per 4 frames"):
        write_clip(clip, tmp_path)


def test_faults_of_a_released_sample_are_told(tmp_path: Path) -> None:
    folder = write_clip(generated(), tmp_path / "good")

    def broken(name: str, content: bytes | None) -> Path:
        copy = tmp_path / "bad" / "HM-World"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder.parent, copy)
        place = copy / name
        place.unlink()
        if content is not None:
            place.write_bytes(content)
        return tmp_path / "bad"

    with pytest.raises(LayoutError, match=r"camera.json missing.*needs cond.mp4.*it holds character.json"):
        read_clip(broken("scene-1/camera.json", None))
    with pytest.raises(LayoutError, match=r"tgt.mp4 missing"):
        read_clip(broken("scene-1/tgt.mp4", None))
    with pytest.raises(LayoutError, match='clip "scene-1": no caption file'):
        read_clip(broken("caption.txt", None))
    with pytest.raises(LayoutError, match='no caption for clip "scene-1" among 1 lines'):
        read_clip(broken("caption.txt", b"other/tgt.mp4\tA cat.\n"))
    with pytest.raises(LayoutError, match=r"character.json: not a JSON file"):
        read_clip(broken("scene-1/character.json", b"{"))
    with pytest.raises(LayoutError, match="version 9"):
        read_clip(broken("scene-1/character.json", b'{"outofsight": {"version": 9, "subjects": []}}'))
    with pytest.raises(LayoutError, match="subject 0 has no id"):
        read_clip(broken("scene-1/character.json", b'{"outofsight": {"version": 1, "subjects": [{}]}}'))
    with pytest.raises(LayoutError, match="expected a JSON object"):
        read_clip(broken("scene-1/extras.json", b"[]"))
    with pytest.raises(CameraError, match=r"camera.json: unknown keys"):
        read_clip(broken("scene-1/camera.json", b'{"cams": []}'))
    write_video(tmp_path / "short.mp4", shot(4), 12)
    with pytest.raises(LayoutError, match=r"tgt.mp4: 4 frames, but 5 camera poses"):
        read_clip(broken("scene-1/tgt.mp4", (tmp_path / "short.mp4").read_bytes()))
    write_video(tmp_path / "fast.mp4", shot(5), 24)
    with pytest.raises(LayoutError, match="differ in frame rate"):
        read_clip(broken("scene-1/tgt.mp4", (tmp_path / "fast.mp4").read_bytes()))
    (broken("scene-1/tgt_mask.mp4", None) / "HM-World/scene-1/instance_masks.npz").unlink()
    assert read_clip(tmp_path / "bad").notes == ("cond_mask.mp4: the mask of the other half is missing; not used",)


def test_unknown_annotations_are_kept_and_told(tmp_path: Path) -> None:
    folder = write_clip(generated(), tmp_path)
    unknown = {"Actor_1": {"0": [1, 2, 3]}, "units": "cm"}
    (folder / "character.json").write_text(json.dumps(unknown))
    check = json.loads((folder / "check.json").read_text())
    check["cond_check"]["cat"]["cat"].pop()
    check["tgt_check"]["BP_Dog"] = {"dog": check["tgt_check"]["walker"]["walker"]}
    check["cond_check"]["BP_Dog"] = {"dog": check["cond_check"]["walker"]["walker"]}
    (folder / "check.json").write_text(json.dumps(check))
    clip = read_clip(tmp_path)
    assert clip.extras["character.json"] == unknown
    assert "unknown schema, top-level keys Actor_1, units" in clip.notes[0]
    assert '"cat" has no flag for 1 of 5 frames (first: 4' in clip.notes[1]
    assert '"cat" has flags for one half only' in clip.notes[2]
    assert [subject.id for subject in clip.subjects] == ["BP_Dog/dog", "walker"]
    assert clip.phases("BP_Dog/dog", by="in_frame").tolist() == generated().phases("walker").tolist()
    # Written again, nothing of it is lost.
    again = read_clip(write_clip(clip, tmp_path / "again"))
    assert again.extras["character.json"] == unknown
    assert [subject.id for subject in again.subjects] == ["BP_Dog/dog", "walker"]


def test_lines_that_disagree_are_noted(tmp_path: Path) -> None:
    write_clip(generated(), tmp_path)
    with (tmp_path / "HM-World" / "caption.txt").open("a", encoding="utf-8") as file:
        file.write("HM-World/scene-1/cond.mp4\tAnother one.\nno tab here\n")
    clip = read_clip(tmp_path)
    assert clip.caption == generated().caption
    assert "2 lines name this clip and differ; scene-1/tgt.mp4 is used" in clip.notes[0]


def raw_sample(root: Path, frames: int = 9) -> None:
    """S1/videos/V.mp4 with its mask, S1.json and its check file in S1/, captions.txt in `root`."""
    videos = root / "S1" / "videos"
    videos.mkdir(parents=True)
    write_video(videos / "V.mp4", shot(frames), 15, crf=1)
    mask = np.zeros((frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
    mask[5:, 8:24, 8:24, 0] = 255
    write_video(videos / "VM_CustomDepth.mp4", mask, 15)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 3] = 100 * np.arange(frames)
    text = {
        str(f): " ".join("[" + " ".join(map(str, column)) + "]" for column in pose.T.tolist()) + " "
        for f, pose in enumerate(poses)
    }
    (root / "S1" / "S1.json").write_text(json.dumps(text))
    flags = [{"frame": f, "inFrame": f >= 5, "distance": 3.0} for f in range(frames)]
    (root / "S1" / "S1_check.json").write_text(json.dumps({"BP_Man": {"Man": flags}}))
    (root / "captions.txt").write_text("S1/videos/V.mp4\tA man comes in.\n")


def test_raw_layout_edits_frames_cameras_and_flags_alike(tmp_path: Path) -> None:
    raw_sample(tmp_path)
    for clip in (read_clip(tmp_path, "S1"), read_clip(tmp_path / "S1")):
        assert (clip.name, clip.caption, clip.fps) == ("S1", "A man comes in.", 15.0)
        order = [1, 1, 1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 8, 8]  # 9 raw frames: 7 and 7
        assert (clip.context_frames, clip.target_frames) == (7, 7)
        metres = np.concatenate([clip.context_cameras.c2w, clip.target_cameras.c2w])[:, 0, 3]
        np.testing.assert_allclose(metres, order)
        frames = np.concatenate([clip.context_video().frames, clip.target_video().frames])
        brightness = frames[:, 12:20, 12:20].mean(axis=(1, 2, 3))
        np.testing.assert_allclose((brightness - 80) / 8, order, atol=0.3)
        seen = np.array(order) >= 5
        np.testing.assert_array_equal(clip.subject("BP_Man/Man").in_frame, seen)
        np.testing.assert_array_equal(clip.load_masks().any(axis=(1, 2)), seen)
    assert detect_layout(tmp_path).kind == "raw"
    # Written in the released layout, the edited frames are the clip.
    released = read_clip(write_clip(clip, tmp_path / "released"))
    np.testing.assert_array_equal(released.subject("BP_Man/Man").in_frame, seen)
    np.testing.assert_array_equal(released.load_masks().any(axis=(1, 2)), seen)


def test_faults_of_a_raw_sample_are_told(tmp_path: Path) -> None:
    raw_sample(tmp_path)
    write_video(tmp_path / "S1/videos/V.mp4", shot(7), 15)
    with pytest.raises(LayoutError, match=r"7 frames give a context of 6, but S1.json one of 7"):
        read_clip(tmp_path)
    write_video(tmp_path / "S1/videos/V.mp4", shot(8), 15)
    with pytest.raises(CameraError, match=r"V.mp4 has 8 frames; expected an odd number"):
        read_clip(tmp_path)
    (tmp_path / "S1/S1.json").unlink()
    with pytest.raises(LayoutError, match=r"no S1.json in it or beside it; it holds S1_check.json, videos/"):
        read_clip(tmp_path)


def test_folder_of_no_layout_is_listed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "frames").mkdir()
    with pytest.raises(LayoutError, match=r"it holds frames/, notes.txt. Layouts: released: .*raw: .*example: "):
        detect_layout(tmp_path)
    with pytest.raises(LayoutError, match="is a file"):
        read_clip(tmp_path / "notes.txt")
    with pytest.raises(LayoutError, match="does not exist"):
        list(iterate_clips(tmp_path / "none"))


def test_real_examples(shared: Path) -> None:
    folder = shared / "data" / "hm_world_examples"
    clips = list(iterate_clips(folder))
    captions = (folder / "caption.txt").read_text().splitlines()
    assert [clip.name for clip in clips] == ["1", "2"]
    for clip, caption in zip(clips, captions, strict=True):
        assert (clip.caption, clip.target, clip.notes) == (caption, None, ())
        assert (clip.context_frames, clip.target_frames, clip.fps) == (77, 77, 15.0)
        assert clip.fitted(30, 52).context_video().frames.shape == (77, 30, 52, 3)
    assert read_clip(folder, "2").caption == captions[1]


def test_example_captions_go_by_line(tmp_path: Path, shared: Path) -> None:
    folder = shared / "data" / "hm_world_examples"
    for name in ("1.mp4", "cam1.json"):
        shutil.copy(folder / name, tmp_path / name)
    with pytest.raises(LayoutError, match='clip "1": no caption file'):
        read_clip(tmp_path)
    (tmp_path / "caption.txt").write_text("\nsecond\n")
    with pytest.raises(LayoutError, match='no caption for clip "1": it has 2 lines'):
        read_clip(tmp_path)
