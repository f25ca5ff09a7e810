"""Intervals over clips by the percentile bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import OutOfSightError


@dataclass(frozen=True)
class Interval:
    """A mean over ``clips`` clips and the interval (low, high) that holds it with the confidence asked for."""

    mean: float
    low: float
    high: float
    clips: int

    def words(self, places: int = 2, scale: float = 1.0) -> str:
        """``mean [low, high]``, times ``scale``."""
        mean, low, high = (f"{scale * value:.{places}f}" for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"


def interval(
    values: Sequence[float] | np.ndarray, *, confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Mean of per-clip values and its bootstrap interval; the same values give the same interval.

    Shares are means of zeros and ones; of two predictions of the same clips, take the interval of their differences.

    Raises:
        OutOfSightError: no values, or NaN among them.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or len(given) == 0 or np.isnan(given).any():
        raise OutOfSightError(f"an interval needs one number per clip, got {given.shape} with NaN or nothing in it")
    picked = np.random.default_rng(seed).integers(0, len(given), size=(draws, len(given)))
    means = given[picked].mean(axis=1)
    return _between(float(given.mean()), means, confidence, len(given))


def difference_over_runs(
    one: np.ndarray, other: np.ndarray, *, confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """How much higher ``one [runs, clips]`` is than ``other [runs, clips]``, two systems trained and judged alike.

    Clips are drawn in pairs (bootstrap). The mean over a system's r runs is taken to deviate from that over all runs it
    could have by s / sqrt(r) times Student's t with r - 1 degrees of freedom, s being the deviation of its runs, so the
    interval speaks of other clips and of other seeds. With one run of a system it speaks of clips alone.

    Raises:
        OutOfSightError: no values, NaN among them, or other clips in the one than in the other.
    """
    given = [np.asarray(values, dtype=np.float64) for values in (one, other)]
    if any(v.ndim != 2 or v.size == 0 or np.isnan(v).any() for v in given) or given[0].shape[1] != given[1].shape[1]:
        raise OutOfSightError(
            f"an interval over runs needs [runs, clips] of the same clips, got {given[0].shape} and {given[1].shape} "
            "with NaN or nothing in it"
        )
    random = np.random.default_rng(seed)
    clips = given[0].shape[1]
    gap = given[0].mean(axis=0) - given[1].mean(axis=0)
    means = gap[random.integers(0, clips, size=(draws, clips))].mean(axis=1)
    for values in given:
        runs = len(values)
        if runs > 1:
            deviation = values.mean(axis=1).std(ddof=1)
            means += random.standard_t(runs - 1, size=draws) * deviation / np.sqrt(runs)
    return _between(float(gap.mean()), means, confidence, clips)


def _between(mean: float, means: np.ndarray, confidence: float, clips: int) -> Interval:
    """The middle of the drawn means, as much as the confidence asks for."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(mean, float(low), float(high), clips)
