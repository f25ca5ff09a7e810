"""PSNR by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from outofsight.errors import GeometryError
from outofsight.evaluation.metrics.psnr import LARGEST, frame_psnr, squared_errors
from outofsight.evaluation.regions import in_boxes, mean_of_frames


def flat(*levels: int) -> np.ndarray:
    """One frame of 2 x 4 pixels for each level."""
    return np.stack([np.full((2, 4, 3), level, np.uint8) for level in levels])


def test_frames_first_then_the_mean() -> None:
    truth, prediction = flat(0, 0, 0), flat(5, 13, 51)
    per_frame = frame_psnr(prediction, truth)
    assert_allclose(per_frame, [-20 * math.log10(level / 255) for level in (5, 13, 51)])
    # errors of about .02, .05 and .2: per frame 24.7 dB, pooled 18.4 (spec/metrics.md)
    assert mean_of_frames(per_frame) == pytest.approx(24.7, abs=0.2)
    assert -10 * math.log10(squared_errors(prediction, truth).mean()) == pytest.approx(18.4, abs=0.2)
    assert mean_of_frames(per_frame, np.array([False, True, False])) == pytest.approx(per_frame[1])
    assert mean_of_frames(per_frame, np.zeros(3, bool)) is None


def test_no_wrap_around_below_zero() -> None:
    assert_allclose(squared_errors(flat(0), flat(255)), 1)
    assert_allclose(squared_errors(flat(255), flat(0)), 1)
    assert frame_psnr(flat(0), flat(255))[0] == 0


def test_equal_frames_count_a_hundred() -> None:
    assert frame_psnr(flat(7), flat(7)).tolist() == [LARGEST]
    one = flat(7)
    one[0, 0, 0, 0] += 1  # the least difference there can be
    assert frame_psnr(one, flat(7))[0] < LARGEST


def test_inside_and_outside() -> None:
    truth, prediction = flat(0, 0), flat(0, 0)
    prediction[0, :, :2] = 51  # error .2 in the left half of the first frame
    where = np.zeros((2, 2, 4), bool)
    where[0, :, :2] = True
    inside, outside = frame_psnr(prediction, truth, where), frame_psnr(prediction, truth, ~where)
    assert inside[0] == pytest.approx(-20 * math.log10(0.2)) and math.isnan(inside[1])
    assert outside.tolist() == [LARGEST, LARGEST]
    assert mean_of_frames(inside) == pytest.approx(inside[0])  # the frame without the subject is left out


def test_pixels_of_a_box() -> None:
    boxes = np.array([[1, 0, 3, 1], [0.6, 0.4, 4, 2], [np.nan] * 4])
    inside = in_boxes(boxes[None], 2, 4)
    assert inside[0].tolist() == [[False, True, True, False], [False] * 4]
    assert inside[1].tolist() == [[False, True, True, True]] * 2
    assert not inside[2].any()


def test_what_is_no_pair_of_videos() -> None:
    for other in (flat(0, 0), flat(0).astype(np.float32), flat(0)[0]):
        with pytest.raises(GeometryError, match="two uint8 videos"):
            squared_errors(other, flat(0))
