"""Boxes on real video: a detector of transformers (RT-DETRv2, YOLOS; Apache-2.0) and a simple link over time.

The detector knows classes, not individuals: another person where the right one should be is found all the same. What
it finds is whether one of the kind is there, and where; who it is, DSC measures.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from ...errors import CheckpointError, OutOfSightError
from .preprocess import check_video
from .subject import Sought

# what a subject may be called by a detector trained on COCO; by the kinds of our own worlds, else by the class itself
CLASSES: Mapping[str, tuple[str, ...]] = {
    "human": ("person",),
    "quadruped": ("cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    "bird": ("bird",),
}


class DetectorBoxes:
    """A :class:`.subject.BoxSource`: in each frame, of the detections of the subject's class, the one that overlaps
    most with its previous box; where it had none in the frame before, or none overlaps, the one of the highest score.
    Two subjects never share a detection.

    Args:
        model, processor: a transformers detector and its image processor.
        classes: kinds of subjects to names in the model's ``config.id2label``; a kind that is not in it is looked up
            as it is.
        threshold: scores below it do not count.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        classes: Mapping[str, Sequence[str]] = CLASSES,
        threshold: float = 0.5,
        batch: int = 4,
        name: str = "",
    ) -> None:
        self.model, self.processor, self.classes = model, processor, classes
        self.threshold, self.batch = threshold, batch
        self.name = name or type(model).__name__

    def __call__(self, context: np.ndarray, prediction: np.ndarray, subjects: Sequence[Sought]) -> np.ndarray:
        """Boxes ``[s, f, 4]``. Raises OutOfSightError for a kind that the detector has no class of."""
        wanted = [self._labels(subject.kind) for subject in subjects]
        boxes = np.full((len(subjects), len(prediction), 4), np.nan)
        previous = np.stack([subject.known[-1] for subject in subjects]) if subjects else np.zeros((0, 4))
        for frame, (found, labels, scores) in enumerate(self.detect(prediction)):
            open_to = np.zeros((len(subjects), len(found)), bool)
            for row, names in enumerate(wanted):
                open_to[row] = [label in names for label in labels]
            boxes[:, frame] = previous = link(previous, found, scores, open_to)
        return boxes

    @torch.no_grad()
    def detect(self, frames: np.ndarray) -> list[tuple[np.ndarray, list[int], np.ndarray]]:
        """Of each frame of uint8 ``[f, h, w, 3]``: boxes ``[n, 4]`` in pixels, label numbers, and scores ``[n]``."""
        check_video(frames)
        found = []
        for i in range(0, len(frames), self.batch):
            pictures = list(frames[i : i + self.batch])
            inputs = self.processor(images=pictures, return_tensors="pt", input_data_format="channels_last")
            outputs = self.model(**inputs.to(self.model.device))
            sizes = [frames.shape[1:3]] * len(pictures)
            for one in self.processor.post_process_object_detection(outputs, self.threshold, sizes):
                found.append((one["boxes"].cpu().double().numpy(), one["labels"].tolist(), one["scores"].cpu().numpy()))
        return found

    def _labels(self, kind: str) -> set[int]:
        names = self.classes.get(kind, (kind,))
        known = {str(name).lower(): int(number) for number, name in self.model.config.id2label.items()}
        labels = {known[name.lower()] for name in names if name.lower() in known}
        if not labels:
            raise OutOfSightError(
                f"{self.name} has no class for a subject of kind {kind!r} ({', '.join(names)}); it has "
                f"{', '.join(sorted(known)[:12])} ...: give classes={{{kind!r}: (...)}}"
            )
        return labels


def link(previous: np.ndarray, found: np.ndarray, scores: np.ndarray, open_to: np.ndarray) -> np.ndarray:
    """The new box of each subject, ``[s, 4]``, NaN where there is none.

    Args:
        previous: ``[s, 4]``, NaN where a subject was not seen.
        found ``[n, 4]``, scores ``[n]`` (0 to 1): detections. open_to: bool ``[s, n]``, those of the subject's class.
    """
    boxes = np.full((len(previous), 4), np.nan)
    if len(found) == 0 or len(previous) == 0:
        return boxes
    overlaps = overlap(previous, found)
    # overlap decides where there is any (0 to 1, plus 1), else the score (0 to 1)
    worth = np.where(overlaps > 0, 2 + overlaps, 1 + scores)
    rows, columns = linear_sum_assignment(np.where(open_to, worth, 0.0), maximize=True)
    for row, column in zip(rows, columns, strict=True):
        if open_to[row, column]:
            boxes[row] = found[column]
    return boxes


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes ``[n, 4]`` and ``[m, 4]``: ``[n, m]``, 0 where a box is NaN."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - shared
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(shared / union, nan=0.0)


def load_detector(
    folder: str | os.PathLike[str],
    device: str = "cpu",
    *,
    classes: Mapping[str, Sequence[str]] = CLASSES,
    threshold: float = 0.5,
) -> DetectorBoxes:
    """An RT-DETRv2 or YOLOS from a local folder in transformers' layout (config, weights, preprocessor_config.json).

    Raises CheckpointError where it is not there, or not whole; nothing is fetched.
    """
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    from .extractors import load_local

    place = Path(folder)
    if not (place / "preprocessor_config.json").is_file():
        raise CheckpointError(f"{place}: no preprocessor_config.json, which sets how the detector takes its pictures")
    model = load_local(AutoModelForObjectDetection, place, device)
    try:
        processor = AutoImageProcessor.from_pretrained(
            place, local_files_only=True, backend="pil", trust_remote_code=False
        )
    except (OSError, ValueError, ImportError) as error:
        raise CheckpointError(
            f"{place}: its image processor cannot be loaded ({str(error).splitlines()[0]})"
        ) from error
    return DetectorBoxes(
        model, processor, classes=classes, threshold=threshold, name=f"{type(model).__name__} {place.name}"
    )
