"""Counterfactual re-entry: which of three fates of the subject is a prediction nearest to?

The generator renders each target as it was (true), without the subject (vanished), and with the subject held where it
was last seen (frozen). Within the union of the true and frozen subject regions, a prediction is nearest by mean
squared error to one of the three. Source: spec/metrics.md, "Counterfactual re-entry".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .psnr import squared_errors

FATES = ("true", "vanished", "frozen")
_NEVER = 1e-12  # mean squared error below which a prediction and a fate are equal


@dataclass(frozen=True)
class FateScore:
    """One clip's answer.

    errors: mean squared error on [0, 1] against each fate, over all pixels of the region and all frames that count.
    nearest: the fate of the least. margin_db: by how much the true one is nearer than the nearer of the other two,
    10 log10 of the ratio of their errors; negative where it is not. apart_db: PSNR between the true fate and the other
    one that is most like it; large where the fates can hardly be told apart. frozen_seen: whether the frozen subject is
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
        region: bool ``[f, h, w]``, where the subjects are in the true or the frozen video (:func:`subject_region`).
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


def subject_region(
    true_ids: np.ndarray, frozen_ids: np.ndarray, subjects: Mapping[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Where and when the fates are compared.

    Args:
        true_ids, frozen_ids: uint8 ``[f, h, w]`` instance ids of the two renders (0 background).
        subjects: id -> bool ``[f]``, the target frames in which that subject has re-entered.

    Returns:
        region bool ``[f, h, w]``: pixels of a subject in either render, in the frames in which it has re-entered; and
        bool ``[f]``: frames in which any has.
    """
    region = np.zeros(true_ids.shape, bool)
    frames = np.zeros(len(true_ids), bool)
    for number, returned in subjects.items():
        region |= ((true_ids == number) | (frozen_ids == number)) & returned[:, None, None]
        frames |= returned
    return region, frames


def returned_frames(visible: np.ndarray, context_frames: int) -> np.ndarray:
    """bool ``[Ft]``: target frames in which a subject is in view again after it was hidden, having come back in the
    target.

    visible: bool ``[F]`` over context and target. A subject that had come back within the context already has
    re-entered only once it has left and come back again.
    """
    returned = np.zeros(len(visible), bool)
    appeared = here = False
    for frame, seen in enumerate(visible):
        if seen and (frame == 0 or not visible[frame - 1]):
            here = appeared and frame >= context_frames
        returned[frame] = seen and here
        appeared |= bool(seen)
    return returned[context_frames:]
