"""Intervals over clips."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.errors import OutOfSightError
from outofsight.evaluation.bootstrap import difference_over_runs, interval


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


def test_a_difference_over_runs_of_one_run_is_that_of_pairs() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 50))
    found = difference_over_runs(one[None], other[None])
    paired = interval(one - other)
    assert found.mean == pytest.approx((one - other).mean()) and found.clips == 50
    assert (found.low, found.high) == pytest.approx((paired.low, paired.high), abs=0.02)


@pytest.mark.parametrize("seeds_matter", [0.0, 0.3, 3.0])
def test_a_difference_over_runs_covers_the_truth(seeds_matter: float) -> None:
    random = np.random.default_rng(1)
    held = 0
    for draw in range(200):
        clips = random.normal(size=64)  # shared by both, so that pairs matter
        one, other = (clips + seeds_matter * random.normal(size=(3, 1)) + random.normal(size=(3, 64)) for _ in range(2))
        found = difference_over_runs(one, other, draws=500, seed=draw)
        held += found.low <= 0 <= found.high
    assert held / 200 >= 0.92


def test_a_difference_over_runs_needs_the_same_clips() -> None:
    for one, other in ((np.ones((2, 3)), np.ones((2, 4))), (np.ones(3), np.ones(3)), (np.full((1, 2), np.nan),) * 2):
        with pytest.raises(OutOfSightError, match="over runs"):
            difference_over_runs(one, other)
