"""Pictures in sheets, differences as colours, and the scene from above."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from outofsight.cameras import CameraPath
from outofsight.viewer import sheets as module
from outofsight.viewer.ground import ground_track, ground_view
from outofsight.viewer.sheets import difference, sprite_sheets, thumbnail


def decoded(uri: str) -> np.ndarray:
    kind, data = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def levels(count: int, height: int, width: int) -> np.ndarray:
    values = (10 * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, height, width, 3)).copy()


def test_every_frame_lies_in_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIDE", 64)
    found = sprite_sheets(levels(11, 12, 20))
    assert (found.width, found.height, found.cell, found.shrunk) == (20, 12, (24, 16), None)
    assert (found.columns, found.per_sheet, len(found.uris)) == (2, 8, 2)
    for frame in range(11):
        sheet, place = decoded(found.uris[frame // 8]), frame % 8
        top, left = place // 2 * 16, place % 2 * 24
        cell = sheet[top : top + 12, left : left + 20]
        assert np.abs(cell.astype(int) - 10 * frame).max() <= 3, frame


def test_large_videos_are_scaled_down_and_say_so() -> None:
    frames = np.repeat(levels(10, 1, 2), 100, axis=1).repeat(100, axis=2)  # 10 frames of 200x100
    found = sprite_sheets(frames, pixels=50_000)
    assert (found.width, found.height, found.shrunk) == (100, 50, (100, 200))
    assert decoded(thumbnail(frames)).mean() == pytest.approx(50, abs=2), "the middle frame"


def test_a_difference_is_dark_where_equal_and_bright_from_half_of_the_range_on() -> None:
    truth = np.full((1, 1, 4, 3), 100, np.uint8)
    made = truth + np.array([0, 64, 128, 150], np.uint8)[None, None, :, None]
    colours = difference(made, truth)[0, 0].astype(int)
    assert colours[0].tolist() == [0, 32, 77]
    assert np.abs(colours[1] - [124, 123, 120]).max() <= 2, "a quarter of the range: the middle"
    assert colours[2].tolist() == colours[3].tolist() == [255, 234, 70]
    assert (np.diff(colours.sum(axis=1)[:3]) > 0).all(), "lighter the larger, without colour vision too"


def turned(degrees: float, x: float, z: float) -> np.ndarray:
    """A camera in a right-handed world, turned to the right about the vertical."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, 0, s, x], [0, 1, 0, -1.5], [-s, 0, c, z], [0, 0, 0, 1]])


def test_from_above_the_first_target_camera_looks_ahead() -> None:
    context = CameraPath(np.stack([turned(90, 5, 5), turned(80, 7, 5)]), 60.0)
    target = CameraPath(np.stack([turned(90, 7, 5), turned(120, 7, 2)]), 60.0)
    ground = ground_view(context, target, (2, 2))
    # it looks along the world's x axis; its right is the world's -z
    assert ground.places == pytest.approx(np.array([[0, -2], [0, 0], [0, 0], [3, 0]]), abs=1e-9)
    assert np.rad2deg(ground.headings) == pytest.approx([0, -10, 0, 30], abs=1e-9)
    assert ground.fov == 60
    track = ground_track(np.array([[10.0, 0, 5], [7, 0, 9]]), target)
    assert track == pytest.approx(np.array([[0, 3], [-4, 0]]), abs=1e-9)


def test_a_left_handed_world_gives_the_same_map() -> None:
    target = CameraPath(np.stack([turned(20, 1, 2), turned(50, 3, 2)]), 60.0)
    # Unreal: x forward, y right, z up
    to_unreal = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    unreal = CameraPath(to_unreal @ target.c2w, 60.0)
    for path in (target, unreal):
        view = ground_view(path, path, (2, 2))
        assert np.rad2deg(view.headings[:2]) == pytest.approx([0, 30])
    one, other = ground_view(target, target, (2, 2)), ground_view(unreal, unreal, (2, 2))
    assert one.places == pytest.approx(other.places)
    point = np.array([[4.0, -1.0, 9.0]])
    assert ground_track(point, target) == pytest.approx(ground_track(point @ to_unreal[:3, :3].T, unreal))


def test_slow_cameras_hold_and_cameras_that_look_down_have_a_heading() -> None:
    slow = CameraPath(np.stack([turned(0, 0, 0), turned(0, 0, 4)]), None, frame_stride=4)
    ground = ground_view(slow, slow, (5, 5))
    assert ground.places[:5, 1].tolist() == [0, 0, 0, 0, 4] and ground.fov is None
    down = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    path = CameraPath(np.stack([down, turned(90, 0, 0)]))
    assert np.rad2deg(ground_view(path, path, (2, 2)).headings[:2]) == pytest.approx([0, 90])
