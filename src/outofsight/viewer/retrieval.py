"""Traces as the report shows them: what each target latent frame recalled, and which video frames that covers."""

from __future__ import annotations

import numpy as np

from ..evaluation.clip import EvalClip
from ..evaluation.metrics import run_hits
from ..evaluation.traces import ChunkTrace, RunTrace, latents
from .data import Recall


def build_recalls(trace: RunTrace, context_frames: int) -> tuple[Recall, ...]:
    """What the report shows of each chunk that has a trace; of those that could recall nothing, nothing."""
    found = (_recall(chunk, context_frames) for chunk in trace.chunks)
    return tuple(recall for recall in found if recall is not None)


def _recall(chunk: ChunkTrace, context_frames: int) -> Recall | None:
    arrays = chunk.arrays
    if len(arrays["sources"]) == 0 or arrays["picks"].shape[-1] == 0:
        return None
    cut, made = latents(arrays)
    first = cut - int(arrays["first_query"])
    return Recall(
        columns=_columns(arrays["sources"], cut + made),
        spans=chunk.spans + context_frames,
        cut=cut,
        picks=arrays["picks"][:, :, 0, first:],
        selectable=arrays["selectable"][first:].astype(bool),
        windows=arrays["windows"][first:].astype(int),
        sigmas=arrays["sigmas"],
        made=(context_frames + chunk.made[0], context_frames + chunk.made[-1]),
        chunk=chunk.number,
    )


def _columns(sources: np.ndarray, latents: int) -> tuple[tuple[int, int, int], ...]:
    covered = {frame for first, last in sources.tolist() for frame in range(first, last + 1)}
    found = [(token, first, last) for token, (first, last) in enumerate(sources.tolist())]
    found += [(-1, frame, frame) for frame in range(latents) if frame not in covered]
    return tuple(sorted(found, key=lambda column: column[1:]))


def recall_hits(trace: RunTrace, clip: EvalClip | None) -> tuple[float, float] | None:
    """The run's hit rate and chance's, as ``evaluate`` has them; None where it is not known who is seen when.

    clip: the clip that was continued, cut to the run's frames, where its target is what followed.
    """
    if clip is None or clip.seen is None:
        return None
    hits = run_hits(trace, clip.visible, clip.returned)
    return None if hits is None else (hits.rate, hits.chance)
