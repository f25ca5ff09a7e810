"""Predictions that are wrong in one way."""

from __future__ import annotations

import numpy as np
import pytest
from metric_clips import texture

from outofsight.errors import GeometryError, LayoutError
from outofsight.evaluation.metrics.failures import (
    Staged,
    blurred,
    compressed,
    late,
    portrait,
    shifted,
    wrong_identity,
)

BACKGROUND = texture(3, 16, 24)
IDS = np.zeros((3, 16, 24), np.uint8)
IDS[0, 4:8, 10:14] = IDS[1, 4:8, 20:24] = 1
IDS[1:, 12, 3] = 2
FRAMES = BACKGROUND.copy()
FRAMES[IDS == 1] = (200, 10, 30)
FRAMES[IDS == 2] = (0, 255, 0)
TRUTH = Staged(FRAMES, IDS)


def test_shifted_subjects_uncover_what_was_behind() -> None:
    found = shifted(TRUTH, BACKGROUND, [1], 3)
    assert (found.frames[0, 4:8, 13:17] == (200, 10, 30)).all() and (found.ids[0, 4:8, 13:17] == 1).all()
    assert np.array_equal(found.frames[0, :, :13], BACKGROUND[0, :, :13])
    assert (found.ids[1, 4:8] == np.array([0] * 23 + [1])).all()  # three of its columns left the picture
    assert (found.ids == 2).sum() == 2 and (found.ids == 1).sum() == 16 + 4
    left = shifted(TRUTH, BACKGROUND, [1], -3)
    assert (left.ids[0, 4:8, 7:11] == 1).all() and (left.ids == 1).sum() == 32


def test_a_stranger_in_the_same_place() -> None:
    stranger = portrait(TRUTH, 2)
    assert stranger.shape == (1, 1, 3) and stranger[0, 0].tolist() == [0, 255, 0]
    found = wrong_identity(TRUTH, [1], stranger)
    assert (found.frames[IDS == 1] == (0, 255, 0)).all() and np.array_equal(found.frames[IDS != 1], FRAMES[IDS != 1])
    assert found.ids is TRUTH.ids
    with pytest.raises(LayoutError, match="seen in no frame"):
        portrait(TRUTH, 5)


def test_a_portrait_is_of_the_subject_alone() -> None:
    ids = np.zeros((2, 16, 24), np.uint8)
    ids[0, 2, 2] = 1
    ids[1, 2:5, 2:6] = 1
    ids[1, 2, 2] = 0
    frames = np.full((2, 16, 24, 3), 9, np.uint8)
    frames[ids == 1] = (50, 60, 70)
    assert (portrait(Staged(frames, ids), 1) == (50, 60, 70)).all()


def test_late() -> None:
    context = Staged(texture(4, 16, 24, seed=5), np.full((4, 16, 24), 7, np.uint8))
    found = late(context, TRUTH, 2)
    assert np.array_equal(found.frames, np.concatenate([context.frames[2:], FRAMES[:1]]))
    assert np.array_equal(found.ids, np.concatenate([context.ids[2:], IDS[:1]]))
    for frames in (0, 4):
        with pytest.raises(GeometryError, match="frames late"):
            late(context, TRUTH, frames)


def test_blur_and_compression() -> None:
    soft, light = blurred(TRUTH).frames.astype(int), compressed(TRUTH).frames.astype(int)
    assert abs(soft.mean() - FRAMES.mean()) < 1 and soft.std() < FRAMES.std()
    assert np.abs(soft[2] - FRAMES[0]).mean() > np.abs(soft[0] - FRAMES[0]).mean()  # frames stay apart
    assert 0 < np.abs(light - FRAMES).mean() < np.abs(soft - FRAMES).mean()
    with pytest.raises(GeometryError, match="ids are"):
        Staged(FRAMES, IDS[:2])
