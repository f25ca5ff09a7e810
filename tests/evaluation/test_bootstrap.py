"""Intervals over clips."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.errors import OutOfSightError
from outofsight.evaluation.bootstrap import interval


def test_one_clip_or_equal_clips_leave_no_doubt() -> None:
    for values in ([3.5], [3.5] * 9):
        found = interval(values)
        assert (found.mean, found.low, found.high, found.clips) == (3.5, 3.5, 3.5, len(values))


def test_the_width_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(10, 2, size=400)
    found = interval(values)
    error = values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.02)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.02)
    assert found == interval(values) != interval(values, seed=1)
    assert interval(values, confidence=0.5).low > found.low


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        found = interval(rng.normal(0, 1, size=40), draws=800, seed=trial)
        covered += found.low <= 0 <= found.high
    assert 0.89 <= covered / 200 <= 0.98  # percentile intervals are a little narrow at 40 clips


def test_words() -> None:
    assert interval([1, 1, 0, 0], draws=50).words(0, 100).startswith("50 [")


def test_nothing_or_nan_has_no_interval() -> None:
    for values in ([], [1.0, float("nan")], [[1.0]]):
        with pytest.raises(OutOfSightError, match="one number per clip"):
            interval(np.array(values))
