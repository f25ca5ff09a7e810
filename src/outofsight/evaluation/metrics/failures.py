"""Predictions that are wrong in one known way, made from a true clip: what metrics are tried on, and floors of tables.

Each is a video and the instance ids that belong to it, so boxes in it are exact. What the generator renders (vanished
and frozen subjects) lies beside the clip (``datasets.world_extras.read_fates``); here is what can be made of the
pictures alone.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ...errors import GeometryError, LayoutError
from .preprocess import check_video
from .subject import boxes_from_masks


@dataclass(frozen=True, eq=False)
class Staged:
    """A video uint8 ``[f, h, w, 3]`` and the instance ids uint8 ``[f, h, w]`` of its own frames (0 background)."""

    frames: np.ndarray
    ids: np.ndarray

    def __post_init__(self) -> None:
        if check_video(self.frames).shape[:3] != self.ids.shape:
            raise GeometryError(f"ids are {list(self.ids.shape)}, but the video is {list(self.frames.shape)}")


def compressed(truth: Staged, quality: int = 85) -> Staged:
    """Each frame through JPEG: a change that harms nobody, against which failures are weighed."""
    from PIL import Image

    frames = []
    for frame in truth.frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=quality)
        frames.append(np.asarray(Image.open(file).convert("RGB")))
    return Staged(np.stack(frames), truth.ids)


def blurred(truth: Staged, deviation: float = 2.0) -> Staged:
    """Each frame under a Gaussian of so many pixels."""
    soft = gaussian_filter(truth.frames.astype(np.float32), (0, deviation, deviation, 0))
    return Staged(soft.round().astype(np.uint8), truth.ids)


def late(context: Staged, truth: Staged, frames: int) -> Staged:
    """The true video, by so many frames too late: it begins with the last frames of the context."""
    if not 0 < frames <= min(len(context.frames), len(truth.frames)):
        raise GeometryError(f"{frames} frames late, expected 1 to {min(len(context.frames), len(truth.frames))}")
    parts = ((one[-frames:], other[:-frames]) for one, other in zip(_pair(context), _pair(truth), strict=True))
    return Staged(*(np.concatenate(both) for both in parts))


def shifted(truth: Staged, vanished: np.ndarray, numbers: Collection[int], pixels: int) -> Staged:
    """Subjects (by their ids) moved to the right by so many pixels (to the left where negative), over the render
    without them. They lie on top of what would hide them, and their shadows are gone.
    """
    frames, ids = vanished.copy(), np.where(np.isin(truth.ids, list(numbers)), 0, truth.ids).astype(np.uint8)
    width = truth.ids.shape[2]
    source = slice(max(-pixels, 0), width - max(pixels, 0))
    place = slice(max(pixels, 0), width + min(pixels, 0))
    subject = np.isin(truth.ids[:, :, source], list(numbers))
    frames[:, :, place][subject] = truth.frames[:, :, source][subject]
    ids[:, :, place][subject] = truth.ids[:, :, source][subject]
    return Staged(frames, ids)


def wrong_identity(truth: Staged, numbers: Collection[int], stranger: np.ndarray) -> Staged:
    """Subjects painted with a stranger: place, silhouette and timing are right, and who it is is wrong.

    stranger: uint8 ``[h, w, 3]``, a picture of another subject (:func:`portrait`); it is stretched to the subject's box
    in every frame and shows within the subject's mask, so it does not move its limbs.
    """
    from PIL import Image

    frames, picture = truth.frames.copy(), Image.fromarray(stranger)
    for number, boxes in zip(numbers, boxes_from_masks(truth.ids, list(numbers)), strict=True):
        for frame in np.flatnonzero(~np.isnan(boxes[:, 0])):
            x0, y0, x1, y1 = boxes[frame].astype(int)
            painted = np.asarray(picture.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR))
            mask = truth.ids[frame, y0:y1, x0:x1] == number
            frames[frame, y0:y1, x0:x1][mask] = painted[mask]
    return Staged(frames, truth.ids)


def portrait(video: Staged, number: int) -> np.ndarray:
    """The subject where most of it is seen, cut to its box: uint8 ``[h, w, 3]``; around it lies its mean colour.

    Raises LayoutError where it is never seen.
    """
    counts = np.count_nonzero(video.ids == number, axis=(1, 2))
    best = int(counts.argmax())
    if counts[best] == 0:
        raise LayoutError(f"subject {number} is seen in no frame, so there is no picture of it")
    x0, y0, x1, y1 = boxes_from_masks(video.ids[best : best + 1], [number])[0, 0].astype(int)
    picture, mask = video.frames[best, y0:y1, x0:x1].copy(), video.ids[best, y0:y1, x0:x1] == number
    picture[~mask] = picture[mask].mean(axis=0).round()
    return np.asarray(picture)


def _pair(video: Staged) -> tuple[np.ndarray, np.ndarray]:
    return video.frames, video.ids
