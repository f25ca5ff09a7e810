"""Counterfactual re-entry: which of three fates of the subject is a prediction nearest to?

The generator renders each target as it was (true), without the subject (vanished), and with the subject held where it
was last seen (frozen). Within the union of the true and frozen subject regions, a prediction is nearest by mean
squared error to one of the three. Source: spec/metrics.md, "Counterfactual re-entry".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..metric import Metric, Value, register_metric
from .psnr import squared_errors

if TYPE_CHECKING:
    from ..measure import Sample

FATES = ("true", "vanished", "frozen")
_NEVER = 1e-12  # mean squared error below which a prediction and a fate are equal


@dataclass(frozen=True)
class FateScore:
    """One clip's fate.

    errors: mean squared error on [0, 1] against each fate, over all pixels of the region and all frames that count.
    nearest: the fate of the least. margin_db: by how much the true one is nearer than the nearer of the other two,
    10 log10 of the ratio of their errors; negative where it is not. apart_db: PSNR between the true fate and the other
    one that is most like it; large where the fates are hardly distinct. frozen_seen: whether the frozen subject is
    in view at all; where it is not, frozen and vanished are one picture, and a prediction nearest to it counts as
    vanished. pixels: of the region, over all frames.
    """

    errors: Mapping[str, float]
    nearest: str
    margin_db: float
    apart_db: float
    frozen_seen: bool
    pixels: int


def nearest_fate(
    prediction: np.ndarray, fates: Mapping[str, np.ndarray], region: np.ndarray, frames: np.ndarray
) -> FateScore | None:
    """Score a prediction uint8 ``[f, h, w, 3]`` against the three fates (the same shape, by their names in FATES).

    Args:
        region: bool ``[f, h, w]``, where the subjects are in the true or the frozen video (``regions.fate_region``).
        frames: bool ``[f]``, those in which a subject has re-entered.

    Returns:
        None where no pixel of the region lies in a frame that counts.
    """
    where = region & frames[:, None, None]
    pixels = int(where.sum())
    if pixels == 0:
        return None
    errors = {name: _region_error(prediction, fates[name], where) for name in FATES}
    rivals = {name: _region_error(fates["true"], fates[name], where) for name in FATES[1:]}
    other = min(errors["vanished"], errors["frozen"])
    margin = 10 * math.log10(max(other, _NEVER) / max(errors["true"], _NEVER))
    apart = -10 * math.log10(max(min(rivals.values()), _NEVER))
    nearest = min(FATES, key=lambda name: errors[name])
    frozen_seen = bool((fates["frozen"] != fates["vanished"])[where].any())
    return FateScore(errors, nearest, margin, apart, frozen_seen, pixels)


def _region_error(prediction: np.ndarray, fate: np.ndarray, where: np.ndarray) -> float:
    return float(squared_errors(prediction, fate)[where].mean(dtype=np.float64))


def _nearest(sample: Sample) -> FateScore | None:
    """The errors count within the region alone, so the videos are cut to it."""
    clip = sample.clip
    assert clip.region is not None
    axes = [np.flatnonzero(clip.region.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    if not all(map(len, axes)):
        return None
    box = tuple(slice(axis[0], axis[-1] + 1) for axis in axes)
    fates = {name: video[box] for name, video in clip.fates.items()}
    return nearest_fate(sample.frames[box], fates, clip.region[box], clip.re_entered[box[0]])


def _fate(sample: Sample) -> Value:
    found = sample.once("fate", _nearest)
    if found is None:
        return Value({}, notes=("nobody re-enters",))
    return Value({}, facts={
        "nearest": found.nearest, "errors": dict(found.errors), "apart_db": found.apart_db,
        "frozen_seen": found.frozen_seen, "pixels": found.pixels,
    })  # fmt: skip


def _margin(sample: Sample) -> float | None:
    found = sample.once("fate", _nearest)
    return None if found is None else found.margin_db


_NEEDS = frozenset({"truth", "fates", "visibility", "masks"})
register_metric(Metric(
    "fate", _NEEDS, "shares", "higher", _fate,
    "nearest by squared error in the pixels of the true and frozen subjects, re-entered frames", "clip", "fate",
))  # fmt: skip
register_metric(Metric(
    "fate_margin", _NEEDS, "dB", "higher", _margin,
    "10 log10 of the squared error to the nearer of vanished and frozen, by that to the true fate", "clip", "fate",
))  # fmt: skip
