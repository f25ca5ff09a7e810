"""DSC, dynamic subject consistency: does the subject look as it did? As released, and mended.

Frames pass through CLIP ViT-B/16; its patch tokens are meaned within the subject's box (:mod:`.roi`) and compared by
cosine. Source: HyDRA (arXiv 2603.25716) and its released code, spec/metrics.md, "DSC".

As released (:func:`subject_features` with remap=False, then :func:`dsc_released`): the mean of all pairwise cosines
between frames of the prediction and of the context (DSC_ctx) or of the ground truth (DSC_GT); frames without a box
are dropped. Its faults are kept: CLIP's processor crops the frame to its middle, but boxes are laid on the crop as if
it were the whole frame; a subject that vanished costs nothing; any order of the frames gives the same number.

Mended (remap=True, then :func:`dsc_mended` and :func:`dsc_mended_context`): boxes are moved to where the crop shows
them; re-entered frames only; against the ground truth frame by frame; where the prediction has no subject, the cosine
counts as 0. Frames whose true box the crop leaves out do not count (NaN).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import GeometryError
from ..metric import Metric, Value, register_metric
from .preprocess import SIDE, Extractor, clip_processor_pixels, crop_corner, extract, resized_shape
from .roi import roi_mean

if TYPE_CHECKING:
    from ..measure import Sample


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Patch tokens of a video's frames, float32 ``[f, d, g, g]``, and the size of the frames in pixels."""

    patches: Tensor
    height: int
    width: int


def patch_features(frames: np.ndarray, extractor: Extractor, batch: int = 16) -> PatchFeatures:
    """A uint8 video ``[f, h, w, 3]`` through an extractor of pixels ``[n, 3, 224, 224]`` to ``[n, d, g, g]``."""
    patches = extract(frames, clip_processor_pixels, extractor, batch)
    if patches.ndim != 4:
        raise GeometryError(f"DSC's extractor gave {list(patches.shape)}, expected patch tokens [n, d, g, g]")
    return PatchFeatures(patches, *frames.shape[1:3])


def subject_features(video: PatchFeatures, boxes: np.ndarray, *, remap: bool) -> np.ndarray:
    """Unit features of one subject: float64 ``[f, d]``, NaN in frames without it.

    Args:
        boxes: ``[f, 4]`` x0, y0, x1, y1 in pixels of the frame, NaN where the subject is not seen.
        remap: True: moved to the crop that the network saw, and cut by it; frames whose box lies outside are NaN.
            False: laid on the crop as if it were the frame (the release's fault).
    """
    if boxes.shape != (len(video.patches), 4):
        raise GeometryError(f"boxes are {list(boxes.shape)}, expected [{len(video.patches)}, 4]: one for each frame")
    cells = boxes_in_cells(boxes, video.height, video.width, video.patches.shape[-1], remap=remap)
    there = ~np.isnan(cells).any(axis=1)
    found = np.full((len(boxes), video.patches.shape[1]), np.nan)
    if there.any():
        means = roi_mean(video.patches[torch.from_numpy(there)], torch.from_numpy(cells[there]))
        found[there] = F.normalize(means.double(), dim=-1).numpy()
    return found


def boxes_in_cells(boxes: np.ndarray, height: int, width: int, side: int, *, remap: bool) -> np.ndarray:
    """Boxes ``[f, 4]`` in pixels of the frame to positions of a map of ``side`` x ``side``; NaN where none is left."""
    if not remap:
        return np.asarray(boxes / [width, height, width, height] * side)
    resized, corner = resized_shape(height, width), crop_corner(height, width)
    scale = np.array([resized[1] / width, resized[0] / height] * 2)
    in_crop = np.clip(boxes * scale - np.array([corner[1], corner[0]] * 2), 0, SIDE)
    with np.errstate(invalid="ignore"):
        outside = (in_crop[:, 2:] <= in_crop[:, :2]).any(axis=1)
    in_crop[outside] = np.nan
    return np.asarray(in_crop / SIDE * side)


def dsc_released(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Of each frame of a prediction, the mean cosine to all frames of a reference: ``[f]``, NaN where it has no box.

    features ``[f, d]`` and reference ``[m, d]`` are of :func:`subject_features`. The mean over the frames that are no
    NaN is the mean over all pairs. All NaN where the reference has no box at all.
    """
    known = reference[~np.isnan(reference).any(axis=1)]
    if len(known) == 0:
        return np.full(len(features), np.nan)
    return np.asarray((features @ known.T).mean(axis=1))


def dsc_mended(features: np.ndarray, truth: np.ndarray, returned: np.ndarray) -> np.ndarray:
    """Of each re-entered frame, the cosine to the same frame of the ground truth: ``[f]``, 0 without a subject.

    Args:
        features, truth: ``[f, d]`` of :func:`subject_features`.
        returned: bool ``[f]``, frames in which the subject has re-entered in the ground truth; the others are NaN.
    """
    if features.shape != truth.shape:
        raise GeometryError(f"features are {list(features.shape)}, the truth's {list(truth.shape)}: expected the same")
    return _counted((features * truth).sum(axis=1), truth, returned)


def dsc_mended_context(
    features: np.ndarray, context: np.ndarray, truth: np.ndarray, returned: np.ndarray
) -> np.ndarray:
    """The same against the context: of each re-entered frame the mean cosine to all context frames with the subject.

    context ``[m, d]``; all NaN where it never shows the subject. truth, returned: which frames count, as above.
    """
    if np.isnan(context).any(axis=1).all():
        return np.full(len(features), np.nan)
    return _counted(dsc_released(features, context), truth, returned)


def _counted(cosines: np.ndarray, truth: np.ndarray, returned: np.ndarray) -> np.ndarray:
    """Cosines ``[f]`` of the frames that count, 0 where the prediction has no subject; NaN in all others."""
    return np.where(returned & ~np.isnan(truth).any(axis=1), np.nan_to_num(cosines, nan=0.0), np.nan)


def _by_crop(frames: np.ndarray, boxes: np.ndarray, network: Extractor) -> dict[bool, list[np.ndarray]]:
    """Features of each subject, ``[f, d]``, by whether boxes are moved to the crop."""
    encoded = patch_features(frames, network)
    return {remap: [subject_features(encoded, track, remap=remap) for track in boxes] for remap in (False, True)}


def _dsc(name: str, sample: Sample) -> Value:
    return sample.once("dsc", _all_four)[name](sample)


def _all_four(sample: Sample) -> dict[str, Callable[[Sample], Value]]:
    """Each of the four, from features that they share."""
    network, clip = sample.networks.clip_b16, sample.clip
    assert network is not None and sample.boxes is not None
    mine = _by_crop(sample.frames, sample.boxes, network)
    context = sample.once_a_clip("dsc context", lambda: _by_crop(clip.context, clip.boxes[0], network))

    def truth() -> dict[bool, list[np.ndarray]]:
        return sample.once_a_clip("dsc truth", lambda: _by_crop(clip.truth, clip.boxes[1], network))

    def each(row: Callable[[int], np.ndarray]) -> Callable[[Sample], Value]:
        return lambda sample: sample.by_subject(np.stack([row(n) for n in range(len(clip.numbers))]))

    return {
        "dsc_released_context": each(lambda n: dsc_released(mine[False][n], context[False][n])),
        "dsc_released_truth": each(lambda n: dsc_released(mine[False][n], truth()[False][n])),
        "dsc_mended_context": each(
            lambda n: dsc_mended_context(mine[True][n], context[True][n], truth()[True][n], clip.returned[n])
        ),
        "dsc_mended_truth": each(lambda n: dsc_mended(mine[True][n], truth()[True][n], clip.returned[n])),
    }


_WORDS = "CLIP ViT-B/16 patch tokens before the final norm, RoIAlign 7x7 in the subject's box, mean, cosine"
for _name, _needs, _rest in (
    ("dsc_released_context", "masks", "all pairs with context frames; boxes not moved to the crop, none = dropped"),
    ("dsc_released_truth", "truth masks", "all pairs with true target frames; faults as in dsc_released_context"),
    (
        "dsc_mended_context", "truth masks visibility",
        "re-entered frames with all context frames; boxes moved to the crop, none = 0",
    ),
    (
        "dsc_mended_truth", "truth masks visibility",
        "re-entered frames with the same true frame; boxes moved to the crop, none = 0",
    ),
):  # fmt: skip
    register_metric(Metric(
        _name, frozenset(_needs.split()) | {"boxes", "clip-b16"}, "", "higher", partial(_dsc, _name),
        f"{_WORDS}, {_rest}", family="dsc",
    ))  # fmt: skip
