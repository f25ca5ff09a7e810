"""VBench's subject and background consistency.

Of unit features f of every frame: s_t = (max(0, cos(f_t-1, f_t)) + max(0, cos(f_0, f_t))) / 2 for t = 1 ... T-1. Of a
corpus: the sum of all s_t of all videos by their number, so that long videos weigh more. Subject consistency looks
through DINO ViT-B/16 (:func:`extractors.load_dino`), background consistency at the whole frame through CLIP ViT-B/32
(:func:`extractors.load_clip_images`). Source: Huang et al. 2024, "VBench"; its released code.

A held frame scores 1, the best there is: print these beside the motion (:mod:`.motion`) and the truth's own score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ...errors import GeometryError
from ..metric import Metric, Value, register_metric
from .preprocess import Extractor, extract, vbench_clip_pixels, vbench_dino_pixels

if TYPE_CHECKING:
    from ..measure import Sample


def consistency(features: Tensor) -> np.ndarray:
    """s_t of the features ``[f, d]`` of one video: float64 ``[f]``, NaN for the first frame, which has none before it.

    Raises GeometryError where there are fewer than two frames.
    """
    if features.ndim != 2 or len(features) < 2:
        raise GeometryError(f"consistency needs features [f, d] of two frames or more, got {list(features.shape)}")
    unit = F.normalize(features.double(), dim=-1)
    to_previous = (unit[1:] * unit[:-1]).sum(dim=-1).clamp(min=0)
    to_first = (unit[1:] * unit[:1]).sum(dim=-1).clamp(min=0)
    return np.concatenate([[np.nan], ((to_previous + to_first) / 2).numpy()])


def subject_consistency(frames: np.ndarray, extractor: Extractor, batch: int = 16) -> np.ndarray:
    """s_t ``[f]`` of a uint8 video ``[f, h, w, 3]``; extractor: pixels with the short side 224 to ``[n, d]``."""
    return consistency(extract(frames, vbench_dino_pixels, extractor, batch))


def background_consistency(frames: np.ndarray, extractor: Extractor, batch: int = 16) -> np.ndarray:
    """s_t ``[f]`` of a uint8 video ``[f, h, w, 3]``; extractor: pixels ``[n, 3, 224, 224]`` to ``[n, d]``."""
    return consistency(extract(frames, vbench_clip_pixels, extractor, batch))


def corpus_consistency(videos: Sequence[np.ndarray]) -> float:
    """The corpus' score of the s_t of its videos, each ``[f]`` with NaN first."""
    values = np.concatenate(videos) if videos else np.zeros(0)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise GeometryError("a corpus of no videos has no consistency")
    return float(values.mean())


_S_T = "mean over t of (max(0, cos to the frame before) + max(0, cos to the first)) / 2"


def _subject(sample: Sample) -> np.ndarray:
    assert sample.networks.dino is not None
    return subject_consistency(sample.frames, sample.networks.dino)


def _background(sample: Sample) -> np.ndarray:
    assert sample.networks.clip_b32 is not None
    return background_consistency(sample.frames, sample.networks.clip_b32)


def _corpus(name: str, row: Mapping[str, Value], _: Mapping[str, Value]) -> dict[str, float]:
    return {f"{name} corpus": corpus_consistency([np.array(value.frames, np.float64) for value in row.values()])}


register_metric(Metric(
    "subject_consistency", frozenset({"dino"}), "", "like the truth", _subject,
    f"VBench: short side 224 bilinear, DINO ViT-B/16 class token; {_S_T}",
    over_clips=partial(_corpus, "subject_consistency"),
))  # fmt: skip
register_metric(Metric(
    "background_consistency", frozenset({"clip-b32"}), "", "like the truth", _background,
    f"VBench: 224 bicubic, centre crop, CLIP ViT-B/32 image embedding; {_S_T}",
    over_clips=partial(_corpus, "background_consistency"),
))  # fmt: skip
