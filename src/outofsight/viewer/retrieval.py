"""A trace as the report shows it: what each target latent frame recalled, and which video frames that covers."""

from __future__ import annotations

import numpy as np

from ..evaluation.clip import EvalClip
from ..evaluation.metrics import clip_hits
from ..evaluation.traces import Arrays, frame_stride, latents
from .data import Recall


def latent_spans(arrays: Arrays, frames: tuple[int, int]) -> np.ndarray:
    """``[L, 2]`` first and last video frame of each latent frame, context then target.

    The first video frame of each half has a latent frame of its own; the next ones come in strides.
    """
    stride = frame_stride(arrays, frames)
    spans = []
    for start, count in zip((0, frames[0]), latents(arrays), strict=True):
        last = start + stride * np.arange(count)
        spans.append(np.stack([np.maximum(last - stride + 1, start), last], axis=1))
    return np.concatenate(spans)


def build_recall(arrays: Arrays, frames: tuple[int, int], clip: EvalClip | None) -> Recall | None:
    """What the report shows of a trace; None where nothing could be recalled.

    clip: the clip that was continued, cut to the run's frames, where its target is what followed.
    """
    tokens = len(arrays["sources"])
    if tokens == 0 or arrays["picks"].shape[-1] == 0:
        return None
    cut, made = latents(arrays)
    first = cut - int(arrays["first_query"])
    spans = latent_spans(arrays, frames)
    return Recall(
        columns=_columns(arrays["sources"], cut + made),
        spans=spans,
        cut=cut,
        picks=arrays["picks"][:, :, 0, first:],
        selectable=arrays["selectable"][first:].astype(bool),
        windows=arrays["windows"][first:].astype(int),
        sigmas=arrays["sigmas"],
        hits=_hits(arrays, clip),
    )


def _columns(sources: np.ndarray, latents: int) -> tuple[tuple[int, int, int], ...]:
    covered = {frame for first, last in sources.tolist() for frame in range(first, last + 1)}
    found = [(token, first, last) for token, (first, last) in enumerate(sources.tolist())]
    found += [(-1, frame, frame) for frame in range(latents) if frame not in covered]
    return tuple(sorted(found, key=lambda column: column[1:]))


def _hits(arrays: Arrays, clip: EvalClip | None) -> tuple[float, float] | None:
    if clip is None or clip.seen is None:
        return None
    hits = clip_hits(arrays, clip.visible, clip.returned)
    return None if hits is None else (hits.rate, hits.chance)
