"""The baselines."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.cameras import CameraPath
from outofsight.errors import CameraError
from outofsight.evaluation.baselines import best_views, hold_last


def turning(*degrees: float, fov: float | None = 60.0, stride: int = 1) -> CameraPath:
    c2w = np.tile(np.eye(4), (len(degrees), 1, 1))
    a = np.radians(degrees)
    c2w[:, 0, 0] = c2w[:, 2, 2] = np.cos(a)
    c2w[:, 0, 2], c2w[:, 2, 0] = np.sin(a), -np.sin(a)
    return CameraPath(c2w, horizontal_fov=fov, frame_stride=stride)


def test_the_last_frame_is_held() -> None:
    context = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    held = hold_last(context, 4)
    assert held.shape == (4, 2, 2, 3) and (held == 2).all()


def test_the_best_view_and_the_latest_of_equals() -> None:
    context = turning(0, 20, 40, 40, 20)
    #  0 was seen once; 20 twice: the later; 41 nearest to the two at 40: the later; 90 sees a little of 40
    assert best_views(context, turning(0, 20, 41, 90)).tolist() == [0, 4, 3, 3]
    # nothing overlaps: all are equal, so the last frame
    assert best_views(context, turning(200)).tolist() == [4]


def test_views_cannot_be_compared_without_a_lens_or_a_pose_per_frame() -> None:
    with pytest.raises(CameraError, match="field of view"):
        best_views(turning(0, fov=None), turning(0, fov=None))
    with pytest.raises(CameraError, match="one pose per video frame"):
        best_views(turning(0, stride=4), turning(0, stride=4))
