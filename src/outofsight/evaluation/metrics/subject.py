"""Is the subject back, and in the right place? Boxes, the reappearance rate, and the re-entry position error.

Boxes are float64 ``[s, f, 4]``: x0, y0, x1, y1 in pixels (x1 and y1 are the first pixels outside) of each subject in
each frame, NaN where it is not seen. Of a prediction they come from a :class:`BoxSource`: a detector
(:mod:`.detector`), a user's own tracker, or masks, where the masks of the prediction itself are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.ndimage import find_objects

from ...errors import GeometryError
from ..metric import Metric, Value, register_metric

if TYPE_CHECKING:
    from ..measure import Sample


@dataclass(frozen=True, eq=False)
class Sought:
    """A subject to find in a prediction. kind: what it is, by the clip ("human", "dog"). known ``[Fc, 4]``: its
    boxes in the context.
    """

    id: str
    kind: str
    known: np.ndarray


class BoxSource(Protocol):
    """Anything that finds where subjects are in a predicted video. It never sees the truth of the target.

    name: goes into the results, with the version or weights that were used.
    """

    name: str

    def __call__(self, context: np.ndarray, prediction: np.ndarray, subjects: Sequence[Sought]) -> np.ndarray:
        """uint8 ``[Fc, h, w, 3]`` and ``[f, h, w, 3]`` to boxes ``[s, f, 4]`` in the prediction."""
        ...


def boxes_from_masks(ids: np.ndarray, numbers: Sequence[int], at_least: int = 1) -> np.ndarray:
    """Boxes ``[s, f, 4]`` of subjects by their ids (1 or more) in masks uint8 ``[f, h, w]``.

    at_least: pixels below which a subject counts as not seen.
    """
    boxes = np.full((len(numbers), len(ids), 4), np.nan)
    for frame, picture in enumerate(ids):
        found = find_objects(picture)
        for row, number in enumerate(numbers):
            place = found[number - 1] if number <= len(found) else None
            if place is not None and np.count_nonzero(picture[place] == number) >= at_least:
                boxes[row, frame] = (place[1].start, place[0].start, place[1].stop, place[0].stop)
    return boxes


@dataclass(frozen=True, eq=False)
class Reappearance:
    """What became of re-entries. Values per subject and frame are float64 ``[s, f]``, NaN where they have none.

    found: 1 or 0, in frames in which the subject has re-entered in the truth: the prediction has a box of it, or none.
    phantom: 1 or 0, in frames in which it is out of view in the truth: the prediction has a box of it all the same.
    pixels: distance of the box's centre from the true box's, in re-entered frames with both. share: the same by the
    frame's diagonal.
    """

    found: np.ndarray
    phantom: np.ndarray
    pixels: np.ndarray
    share: np.ndarray


def reappearance(
    boxes: np.ndarray, true_boxes: np.ndarray, returned: np.ndarray, hidden: np.ndarray, size: tuple[int, int]
) -> Reappearance:
    """Judge the boxes of a prediction.

    Args:
        boxes, true_boxes: ``[s, f, 4]`` over target frames.
        returned: bool ``[s, f]``, frames in which the subject is in view again (``regions.returned_frames``).
        hidden: bool ``[s, f]``, frames in which a subject that was seen before is out of view
            (``regions.hidden_frames``).
        size: height and width of the frames.

    Raises:
        GeometryError: shapes that do not fit one another.
    """
    shapes = {boxes.shape, true_boxes.shape, (*returned.shape, 4), (*hidden.shape, 4)}
    if len(shapes) > 1:
        raise GeometryError(f"boxes [s,f,4] and frames [s,f] do not fit one another: {sorted(shapes)}")
    there = ~np.isnan(boxes).any(axis=2)
    centres, true_centres = ((found[..., :2] + found[..., 2:]) / 2 for found in (boxes, true_boxes))
    pixels = np.where(returned, np.hypot(*np.moveaxis(centres - true_centres, -1, 0)), np.nan)
    return Reappearance(
        found=np.where(returned, there, np.nan),
        phantom=np.where(hidden, there, np.nan),
        pixels=pixels,
        share=pixels / np.hypot(*size),
    )


def _judged(sample: Sample) -> Reappearance:
    clip = sample.clip
    assert sample.boxes is not None
    return reappearance(sample.boxes, clip.boxes[1], clip.returned, clip.hidden, clip.context.shape[1:3])


def _reentry(array: str, sample: Sample) -> Value:
    return sample.by_subject(getattr(sample.once("reentry", _judged), array))


for _name, _array, _unit, _better, _words in (
    ("reappearance_rate", "found", "share", "higher",
     "share of truly re-entered frames in which the prediction has a box of the subject"),
    ("phantom_rate", "phantom", "share", "lower",
     "share of frames in which the subject is truly hidden and the prediction has a box of it"),
    ("reentry_error_pixels", "pixels", "pixels", "lower",
     "distance of box centres in re-entered frames that have both boxes"),
    ("reentry_error_share", "share", "share", "lower", "the same by the frame's diagonal"),
):  # fmt: skip
    register_metric(Metric(
        _name, frozenset({"visibility", "masks", "boxes"}), _unit, "higher" if _better == "higher" else "lower",
        partial(_reentry, _array), _words, family="reentry",
    ))  # fmt: skip
