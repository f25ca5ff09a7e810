"""How much videos move."""

from __future__ import annotations

import numpy as np
import pytest
from metric_clips import texture

from outofsight.evaluation.metrics import frame_change, frame_flow

LARGE = texture(1, 140, 260)[0]


def panned(*steps: tuple[int, int]) -> np.ndarray:
    """A window of 96 x 160 pixels that moves over a large picture: its corner at each frame."""
    return np.stack([LARGE[y : y + 96, x : x + 160] for y, x in steps])


def test_a_pan_of_whole_pixels() -> None:
    found = frame_flow(panned((20, 40), (20, 43), (16, 40), (16, 40), (16, 51)))
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx([3, 5, 0, 11], abs=0.35)


def test_half_a_pixel() -> None:
    large = LARGE.astype(np.float64)
    halves = np.stack([large, (large + np.roll(large, -1, axis=1)) / 2]).round().astype(np.uint8)
    assert frame_flow(halves[:, 10:106, 10:170])[1] == pytest.approx(0.5, abs=0.2)


def test_it_is_not_deceived_by_light_or_blur() -> None:
    video = panned((20, 40), (20, 44), (20, 48))
    assert frame_flow((video * 0.4 + 30).astype(np.uint8))[1:] == pytest.approx([4, 4], abs=0.4)
    fading = video[[0, 0]].astype(np.float64) * np.array([1, 0.6])[:, None, None, None]
    assert frame_flow(fading.astype(np.uint8))[1] == pytest.approx(0, abs=0.05)


def test_part_of_the_picture() -> None:
    still = panned((20, 40), (20, 40))
    moved = still.copy()
    moved[1, :, 80:] = panned((20, 46))[0, :, 80:]
    assert frame_flow(still)[1] == pytest.approx(0, abs=1e-3)
    assert 1.5 < frame_flow(moved)[1] < 4.5


def test_flat_frames_do_not_move() -> None:
    assert frame_flow(np.full((3, 20, 30, 3), 9, np.uint8))[1:].tolist() == [0, 0]


def test_change() -> None:
    video = np.zeros((3, 2, 4, 3), np.uint8)
    video[1, :, :2] = 255
    video[2] = video[1]
    assert frame_change(video)[1:].tolist() == pytest.approx([50, 0]) and np.isnan(frame_change(video)[0])
    where = np.zeros((3, 2, 4), bool)
    where[1, 0, 0] = True
    found = frame_change(video, where)
    assert found[1] == pytest.approx(100) and np.isnan(found[[0, 2]]).all()
