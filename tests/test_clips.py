"""Clips: phases and events from visibility, lazy videos, lengths that must fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outofsight import CameraPath
from outofsight.clips import Clip, Event, InstanceMasks, RedMasks, SubjectTrack, VideoFile
from outofsight.errors import GeometryError, LayoutError, OutOfSightError, VideoError
from outofsight.video import write_video


def still(frames: int, stride: int = 1) -> CameraPath:
    return CameraPath(np.tile(np.eye(4), (frames, 1, 1)), frame_stride=stride)


def clip_of(*subjects: SubjectTrack, frames: tuple[int, int] = (4, 6), **fields: Any) -> Clip:
    return Clip("a", "someone walks", still(frames[0]), still(frames[1]), subjects=subjects, **fields)


def test_phases_follow_the_definition() -> None:
    pixels = [0, 0, 5, 9, 0, 0, 3, 0, 2, 2]
    clip = clip_of(SubjectTrack("cat", visible_pixels=np.array(pixels)))
    out, back = "hidden", "re-entered"
    assert clip.phases("cat").tolist() == [*("unseen", "unseen", "visible", "visible", out, out, back, out, back, back)]
    # With a threshold of 4 the cat that shows 2 or 3 pixels counts as hidden.
    assert clip.phases("cat", threshold=4).tolist() == ["unseen"] * 2 + ["visible"] * 2 + [out] * 6
    assert clip.events == (
        Event("cat", "entry", 2, "visible_pixels"),
        Event("cat", "exit", 4, "visible_pixels"),
        Event("cat", "entry", 6, "visible_pixels"),
        Event("cat", "exit", 7, "visible_pixels"),
        Event("cat", "entry", 8, "visible_pixels"),
    )


@given(st.lists(st.booleans(), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_phases_against_a_plain_walk(seen: list[bool]) -> None:
    track = SubjectTrack("s", visible_pixels=np.array(seen, dtype=int))
    phase, expected = "unseen", []
    for visible in seen:
        if visible:
            phase = "visible" if phase in ("unseen", "visible") else "re-entered"
        elif phase != "unseen":
            phase = "hidden"
        expected.append(phase)
    assert clip_of(frames=(1, 1)).phases(track).tolist() == expected


def test_flags_stand_in_only_by_name() -> None:
    clip = clip_of(SubjectTrack("dog", in_frame=np.arange(10) < 3))
    with pytest.raises(LayoutError, match='"dog" has no visible_pixels; by="in_frame" is there'):
        clip.phases("dog")
    assert clip.phases("dog", by="in_frame").tolist() == ["visible"] * 3 + ["hidden"] * 7
    assert clip.events == (Event("dog", "exit", 3, "in_frame"),)
    with pytest.raises(LayoutError, match="expected one of"):
        clip.phases("dog", by="luck")
    with pytest.raises(LayoutError, match='no subject "cat"; it has: dog'):
        clip.phases("cat")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"positions": np.zeros((3, 2))}, r"positions is \[3, 2\], expected \[F,3\]"),
        ({"positions": np.full((3, 3), np.nan)}, "positions holds NaN"),
        ({"positions": [["a", "b", "c"]]}, "does not hold numbers"),
        ({"positions": np.zeros((3, 3)), "boxes": np.zeros((4, 4))}, r"differ in length: \[3, 4\]"),
        ({"heading": np.zeros((3, 1))}, r"expected \[F\]"),
    ],
)
def test_bad_track_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(LayoutError, match=words):
        SubjectTrack("s", **fields)


def test_lengths_must_fit() -> None:
    with pytest.raises(LayoutError, match=r'"s" has 9 frames, expected 10 \(4 of context and 6 of target\)'):
        clip_of(SubjectTrack("s", positions=np.zeros((9, 3))))
    with pytest.raises(LayoutError, match="two subjects have one id"):
        clip_of(SubjectTrack("s"), SubjectTrack("s"))
    with pytest.raises(LayoutError, match=r"masks are .* expected uint8 \[10,H,W\]"):
        clip_of(masks=np.zeros((9, 2, 2), dtype=np.uint8))
    with pytest.raises(LayoutError, match="the context has 5 frames and 4 camera poses"):
        clip_of(context=np.zeros((5, 2, 2, 3), dtype=np.uint8))
    with pytest.raises(GeometryError, match="uint8"):
        clip_of(context=np.zeros((4, 2, 2, 3), dtype=np.float32))


def test_latent_rate_cameras_fit_the_video() -> None:
    video = np.zeros((9, 2, 2, 3), dtype=np.uint8)
    clip = Clip("a", "b", still(3, 4), still(2, 4), context=video)
    assert (clip.context_frames, clip.target_frames) == (9, 5)
    with pytest.raises(LayoutError, match="expected 3 poses"):
        Clip("a", "b", still(4, 4), still(2, 4), context=video)


def test_videos_are_decoded_on_demand(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3), dtype=np.uint8)
    file = tmp_path / "v.mp4"
    clip = clip_of(frames=(3, 5), context=VideoFile(file, np.array([1, 1, 4])), target=frames, fps=12.0)
    with pytest.raises(VideoError, match="no such file"):
        clip.context_video()
    write_video(file, frames, 15)
    whole = VideoFile(file).load().frames
    np.testing.assert_array_equal(clip.context_video().frames, whole[[1, 1, 4]])
    assert clip.context_video().fps == 15
    assert clip.target_video().frames is frames
    assert clip.target_video().fps == 12
    small = clip.fitted(8, 4)
    assert (small.target_video().size, small.context_video().size) == ((8, 4), (8, 4))
    assert small.notes[-1].endswith("resized 16x16 -> 8x8, cropped to 4x8")
    with pytest.raises(VideoError, match="no target video"):
        clip_of().target_video()


def test_red_masks_become_ones(tmp_path: Path) -> None:
    mask = np.zeros((3, 16, 32, 3), dtype=np.uint8)
    mask[1, 4:12, 8:20, 0] = 255
    write_video(tmp_path / "m.mp4", mask, 15)
    half = VideoFile(tmp_path / "m.mp4")
    clip = clip_of(frames=(3, 2), masks=RedMasks(half, VideoFile(half.path, np.array([1, 2]))))
    ids = clip.load_masks()
    assert ids.shape == (5, 16, 32)
    np.testing.assert_array_equal(ids, (mask[[0, 1, 2, 1, 2], ..., 0] > 0))
    # White is not red.
    write_video(tmp_path / "m.mp4", mask | mask[..., :1], 15)
    assert RedMasks(half).load().max() == 0
    with pytest.raises(LayoutError, match="no masks"):
        clip_of().load_masks()


@pytest.mark.parametrize("content", [None, b"", b"no zip", "wrong", "objects"])
def test_bad_instance_masks_are_refused(content: bytes | str | None, tmp_path: Path) -> None:
    file = tmp_path / "ids.npz"
    if content == "wrong":
        np.savez(file, ids=np.zeros(3))
    elif content == "objects":  # pickled content must never be loaded
        np.savez(file, ids=np.array([{}], dtype=object))
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(OutOfSightError, match="ids"):
        InstanceMasks(file).load()
