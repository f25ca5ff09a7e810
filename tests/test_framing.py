"""Pixels and cameras together: crops, turns, pixel shapes, and whole clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outofsight.cameras import CameraPath
from outofsight.cameras.geometry import project
from outofsight.clips import Clip, RedMasks, SubjectTrack, VideoFile
from outofsight.datasets import read_clip, write_clip
from outofsight.errors import CameraError, GeometryError
from outofsight.framing import Framing, fit
from outofsight.generation.inputs import field_of_view, fitted_inputs
from outofsight.video import read_video, write_video
from pipelines import cameras, frames


def still(count: int = 2, **lens: object) -> CameraPath:
    return CameraPath(np.tile(np.eye(4), (count, 1, 1)), **lens)  # type: ignore[arg-type]


# --- the field of view of a crop --------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(73.502, 48.270), (51.368, 32.192)])
def test_a_crop_of_the_middle_narrows_the_view(before: float, after: float) -> None:
    video = frames(2, 96, 160)
    made = fit(video, [still(horizontal_fov=before), still(3, horizontal_fov=before)], (96, 96))
    np.testing.assert_array_equal(made.frames, video[:, :, 32:128])
    assert [len(path) for path in made.cameras] == [2, 3]
    for path in made.cameras:
        assert path.horizontal_fov == pytest.approx(after, abs=1e-3)
        assert path.intrinsics is not None
        np.testing.assert_allclose(path.intrinsics[:, 2:], 0.5, atol=1e-12)
        np.testing.assert_allclose(path.intrinsics[:, 0], path.intrinsics[:, 1])  # a square picture of square pixels
    assert made.note == f"cropped to 96x96, field of view {before:g} degrees -> {made.cameras[0].lens}"


def test_what_is_scaled_alone_keeps_its_lens() -> None:
    path = still(horizontal_fov=60.0)
    made = fit(frames(2, 96, 160), [path], (48, 80))
    assert made.cameras == (path,)
    assert made.note == "resized 160x96 -> 80x48"
    same = fit(frames(2, 96, 160), [path], None)
    assert (same.cameras, same.note, same.frames.shape) == ((path,), None, (2, 96, 160, 3))
    blind = fit(frames(2, 96, 160), [still()], (96, 96))
    assert not blind.cameras[0].has_lens
    assert blind.note == "cropped to 96x96"


def test_the_released_sizes() -> None:
    # 1280 x 720 covers 832 x 480 at 853 x 480, of which 832 columns stay
    framing = Framing.cover((720, 1280), (480, 832))
    assert (framing.scaled, framing.corner) == ((480, 853), (0, 10))
    fov = framing.cameras(still(horizontal_fov=90.0)).horizontal_fov
    assert fov == pytest.approx(np.degrees(2 * np.arctan(832 / 853)), abs=1e-9)


@given(
    source=st.tuples(st.integers(3, 60), st.integers(3, 60)), size=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    turns=st.integers(0, 3), aspect=st.sampled_from([1.0, 4 / 3, 0.75]),
    place=st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(1, 5)),
)  # fmt: skip
def test_a_point_of_the_world_stays_on_its_pixel(
    source: tuple[int, int], size: tuple[int, int], turns: int, aspect: float, place: tuple[float, float, float]
) -> None:
    """What a camera sees at a pixel, the changed camera sees where that pixel went."""
    lens = np.array([0.8, 1.1, 0.45, 0.6])
    framing = Framing.cover(source, size, turns=turns, pixel_aspect=aspect)
    old, new = still(1, intrinsics=lens), framing.cameras(still(1, intrinsics=lens))
    assert new.intrinsics is not None
    (x, y), _ = project(np.array(place), old.intrinsics_for(*source)[0])
    for _ in range(turns):
        x, y = y, 1 - x
    (height, width), (top, left) = framing.scaled, framing.corner
    expected = (x * width - left) / size[1], (y * height - top) / size[0]
    seen = np.linalg.inv(new[0]) @ [*place, 1]
    found, depth = project(seen[:3], new.intrinsics[0])
    assert depth == pytest.approx(place[2])
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_picture_has_a_turned_camera(turns: int) -> None:
    video = frames(1, 96, 160)
    made = fit(video, [still(1, horizontal_fov=73.502)], None, turns=turns)
    np.testing.assert_array_equal(made.frames[0], np.rot90(video[0], turns))
    fov = made.cameras[0].horizontal_fov
    if turns == 2:
        assert fov == pytest.approx(73.502)
    else:  # what was the vertical angle
        assert fov == pytest.approx(np.degrees(2 * np.arctan(np.tan(np.radians(73.502 / 2)) * 96 / 160)))
    up = {1: [0, -1, 0], 2: [-1, 0, 0], 3: [0, 1, 0]}[turns]  # where the right of the camera before now points
    np.testing.assert_allclose(made.cameras[0].c2w[0, :3, :3].T @ [1, 0, 0], up, atol=1e-12)
    assert np.linalg.det(made.cameras[0].c2w[0, :3, :3]) == pytest.approx(1)
    back = fit(made.frames, made.cameras, None, turns=4 - turns)
    np.testing.assert_array_equal(back.frames, video)
    np.testing.assert_allclose(back.cameras[0].c2w, still(1).c2w, atol=1e-12)


def test_a_zoom_is_cropped_frame_by_frame() -> None:
    angles = [40.0, 60.0, 80.0]
    lens = np.stack([still(1, horizontal_fov=a).intrinsics_for(96, 160)[0] for a in angles])
    made = fit(frames(3, 96, 160), [still(3, intrinsics=lens)], (96, 96))
    each = [fit(frames(1, 96, 160), [still(1, horizontal_fov=a)], (96, 96)).cameras[0].horizontal_fov for a in angles]
    assert [made.cameras[0][i : i + 1].horizontal_fov for i in range(3)] == pytest.approx(each)
    assert made.note is not None
    assert "40 to 80 degrees -> " in made.note


def test_what_cannot_be_framed() -> None:
    for bad in ({"size": (0, 4)}, {"size": (4, 4), "pixel_aspect": 0.0}):
        with pytest.raises(GeometryError, match="positive"):
            fit(frames(1), (), **bad)  # type: ignore[arg-type]


# --- what a file says of its pictures ---------------------------------------------------------------------------


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = 120, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for picture in frames(3, 96, 120):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    found = read_video(file)
    assert found.size == (96, 160)
    assert found.note == "resized 120x96 -> 160x96 (pixels of 1.333 to 1 made square as the file says)"
    # its lens is that of the picture as it is shown
    cropped = fit(found.frames, [still(horizontal_fov=73.502)], (96, 96))
    assert cropped.cameras[0].horizontal_fov == pytest.approx(48.270, abs=1e-3)
    # in one step from the stored pixels
    stored = fit(frames(3, 96, 120), [still(horizontal_fov=73.502)], (96, 96), pixel_aspect=4 / 3)
    assert stored.cameras[0].horizontal_fov == pytest.approx(48.270, abs=1e-3)
    assert stored.frames.shape == (3, 96, 96, 3)


# --- whole clips ------------------------------------------------------------------------------------------------


def walker(count: int, **more: object) -> tuple[np.ndarray, SubjectTrack]:
    """Ids [F,32,48] and the track of a subject 8 pixels wide that walks from left to right."""
    ids = np.zeros((count, 32, 48), np.uint8)
    for frame in range(count):
        ids[frame, 8:24, 2 * frame : 2 * frame + 8] = 1
    boxes = np.stack([[2 * f, 8, 2 * f + 8, 24] for f in range(count)]).astype(float)
    pixels = (ids > 0).sum(axis=(1, 2))
    return ids, SubjectTrack("a", boxes=boxes, visible_pixels=pixels, in_frame=pixels > 0, **more)  # type: ignore[arg-type]


def test_a_clip_is_fitted_whole(tmp_path: Path) -> None:
    ids, track = walker(18)
    paths = [path.with_fov(70.0) for path in cameras()]
    clip = Clip("a", "b", *paths, frames(), frames(seed=3), (track,), ids, fps=8.0)
    small = clip.fitted(32, 32)  # columns 8 to 40 stay
    np.testing.assert_array_equal(small.context_video().frames, frames()[:, :, 8:40])
    np.testing.assert_array_equal(small.target_video().frames, frames(seed=3)[:, :, 8:40])
    np.testing.assert_array_equal(small.load_masks(), ids[:, :, 8:40])
    expected = np.degrees(2 * np.arctan(np.tan(np.radians(35)) * 32 / 48))
    for path in (small.context_cameras, small.target_cameras):
        assert path.horizontal_fov == pytest.approx(expected)
    subject = small.subjects[0]
    assert subject.visible_pixels is not None
    assert subject.boxes is not None
    assert subject.in_frame is not None
    np.testing.assert_array_equal(subject.visible_pixels[:6], [0, 32, 64, 96, 128, 128])
    assert np.isnan(subject.boxes[0]).all()
    np.testing.assert_array_equal(subject.boxes[1], [0, 8, 2, 24])
    np.testing.assert_array_equal(subject.boxes[8], [8, 8, 16, 24])
    assert subject.in_frame.tolist() == [False] + [True] * 17
    assert "field of view 70 degrees" in small.notes[-1]
    assert clip.fitted(32, 48) is clip
    # written and read, it is the same clip
    found = read_clip(write_clip(small, tmp_path))
    assert found.context_cameras.horizontal_fov == small.context_cameras.horizontal_fov
    np.testing.assert_array_equal(found.target_cameras.intrinsics, small.target_cameras.intrinsics)
    half = clip.fitted(16, 24).subjects[0]
    assert half.visible_pixels is not None
    assert half.boxes is not None
    assert half.visible_pixels.tolist() == [32] * 18
    np.testing.assert_array_equal(half.boxes[1], [1, 4, 5, 12])


def test_without_masks_a_crop_does_not_guess_what_is_visible(tmp_path: Path) -> None:
    ids, track = walker(18)
    clip = Clip("a", "b", *cameras(), frames(), frames(seed=3), (track,), fps=8.0)
    subject = clip.fitted(32, 32).subjects[0]
    assert subject.visible_pixels is None
    assert subject.in_frame is not None
    assert subject.in_frame.all()
    scaled = clip.fitted(16, 24).subjects[0]
    assert scaled.visible_pixels is not None
    assert scaled.visible_pixels.tolist() == [32] * 18
    # red masks of two subjects tell nobody apart
    write_video(tmp_path / "m.mp4", (ids[..., None] > 0) * np.array([255, 0, 0], np.uint8), 8.0)
    red = RedMasks(VideoFile(tmp_path / "m.mp4", np.arange(9)), VideoFile(tmp_path / "m.mp4", np.arange(9, 18)))
    both = Clip(
        "a", "b", *cameras(), frames(), frames(seed=3), (track, SubjectTrack("c", boxes=track.boxes)), red, fps=8.0
    )
    assert both.fitted(32, 32).masks is None
    assert "red masks" in both.fitted(32, 32).notes[-1]


# --- what a run is given ----------------------------------------------------------------------------------------


def test_a_given_field_of_view_is_that_before_the_crop() -> None:
    config = {"memory": "fov"}
    video, paths = frames(9, 96, 160), [still(9, horizontal_fov=60.0), still(5)]
    made = fitted_inputs(video, paths, (96, 96), 73.502)
    assert field_of_view(*made.cameras, None, config) == pytest.approx(48.270, abs=1e-3)
    own = fitted_inputs(video, [paths[0], still(5, horizontal_fov=60.0)], (None, 96), None)
    assert own.frames.shape == (9, 96, 96, 3)
    assert field_of_view(*own.cameras, None, config) == pytest.approx(
        np.degrees(2 * np.arctan(np.tan(np.radians(30)) * 0.6))
    )


def test_one_field_of_view_must_say_all_of_the_lens() -> None:
    config = {"memory": "fov", "memory_options": {}, "context_attention": "joint"}
    zoom = still(2, intrinsics=[[0.5, 0.8, 0.5, 0.5], [0.6, 0.9, 0.5, 0.5]])
    aside = still(2, intrinsics=[0.5, 0.8, 0.4, 0.5])
    for path, words in ((zoom, "79.6.* to 90 degrees.*one field of view"), (aside, r"10\.0%.*off its centre")):
        for pair in ((path, still(2, horizontal_fov=90.0)), (still(2, horizontal_fov=90.0), path)):
            with pytest.raises(CameraError, match=words):
                field_of_view(*pair, None, config)
            assert field_of_view(*pair, 60.0, config) == 60.0
    # nobody needs it, and there is not one
    assert field_of_view(zoom, zoom, None, {**config, "memory": "full"}) is None
    # half a pixel that a crop rounds away is no fault, not even in the smallest pictures
    made = fit(frames(2, 32, 48), [still(horizontal_fov=60.0)], (16, 32))
    assert made.cameras[0].horizontal_fov is not None
    assert field_of_view(*made.cameras, still(horizontal_fov=made.cameras[0].horizontal_fov), None, config)
