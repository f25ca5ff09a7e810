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

    Shares are means of zeros and ones; of two answers to the same clips, take the interval of their differences.

    Raises:
        OutOfSightError: no values, or NaN among them.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or len(given) == 0 or np.isnan(given).any():
        raise OutOfSightError(f"an interval needs one number per clip, got {given.shape} with NaN or nothing in it")
    picked = np.random.default_rng(seed).integers(0, len(given), size=(draws, len(given)))
    means = given[picked].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(given.mean()), float(low), float(high), len(given))
