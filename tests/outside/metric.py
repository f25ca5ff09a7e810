"""A metric from outside of the package; whoever wants it in the tables calls :func:`register`."""

from __future__ import annotations

import numpy as np

from outofsight.evaluation import Metric, Sample, register_metric

NAME = "brightness"


def brightness(sample: Sample) -> np.ndarray:
    """Mean level of each frame, of 255 in percent."""
    return sample.frames.mean(axis=(1, 2, 3)) / 2.55


METRIC = Metric(NAME, frozenset({"truth"}), "%", "like the truth", brightness, "mean level of a frame, of 255")


def register() -> None:
    register_metric(METRIC)
