"""Is the right past recalled? How often recalled memory tokens cover frames in which the hidden subject was visible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import GeometryError
from ..metric import Metric, Value, register_metric
from ..traces import by_latent

if TYPE_CHECKING:
    from ..measure import Sample


@dataclass(frozen=True)
class HitRate:
    """rate: share of recalled tokens that cover a frame in which the subject was visible. chance: the share that as
    many tokens, drawn at random from those the frame may recall, would have. queries: frames that were asked about.
    """

    rate: float
    chance: float
    queries: int


def retrieval_hits(
    trace: Mapping[str, np.ndarray], visible: np.ndarray, wanted: np.ndarray, sample: int = 0
) -> HitRate | None:
    """Hits of one clip, over all denoising steps, blocks, and target frames in which a subject has to be drawn again.

    Args:
        trace: the arrays of a ``RetrievalTrace``.
        visible: bool ``[s, f]``: whether each subject is seen in each latent frame, context then target. Only the
            context counts: frames that are being made show nothing yet.
        wanted: bool ``[s, ft]``: target latent frames in which that subject is back in view.
        sample: which clip of the batch.

    Returns:
        None where no frame is asked about, or nothing could be recalled.
    """
    cut = int(trace["context_frames"])
    if visible.shape[1] != cut + int(trace["target_frames"]) or wanted.shape[1] != int(trace["target_frames"]):
        raise GeometryError(
            f"the trace is of {cut} + {int(trace['target_frames'])} latent frames, but visibility was given for "
            f"{visible.shape[1]} and the question for {wanted.shape[1]}"
        )
    if len(trace["sources"]) == 0:
        return None
    seen = visible & (np.arange(visible.shape[1]) < cut)
    covers = np.stack([seen[:, first : last + 1].any(axis=1) for first, last in trace["sources"]], axis=1)  # [s, t]
    rates, chances = [], []
    for frame in np.flatnonzero(wanted.any(axis=0)):
        query = cut + int(frame) - int(trace["first_query"])
        good = covers[wanted[:, frame]].any(axis=0)
        picks = trace["picks"][:, :, sample, query].ravel()
        picks = picks[picks >= 0]
        open_to = trace["selectable"][query]
        if len(picks) and open_to.any():
            rates.append(good[picks].mean())
            chances.append(good[open_to].mean())
    return HitRate(float(np.mean(rates)), float(np.mean(chances)), len(rates)) if rates else None


def clip_hits(
    arrays: Mapping[str, np.ndarray], visible: np.ndarray, returned: np.ndarray, sample: int = 0
) -> HitRate | None:
    """:func:`retrieval_hits` from what is known by video frame: visible bool ``[s, Fc + Ft]``, returned ``[s, Ft]``.

    Raises LayoutError for a trace whose latent frames do not make the clip's video frames.
    """
    if len(visible) == 0:
        return None
    cut = visible.shape[1] - returned.shape[1]
    before, wanted = by_latent(arrays, visible[:, :cut], returned)
    # what is made shows nothing yet: only the context can be recalled from
    seen = np.concatenate([before, np.zeros_like(wanted)], axis=1)
    return retrieval_hits(arrays, seen, wanted, sample)


def _hits(sample: Sample) -> Value:
    clip = sample.clip
    assert sample.trace is not None
    found = clip_hits(sample.trace, clip.visible, clip.returned, sample.trace_row)
    if found is None:
        return Value({"target": None}, notes=("no frame asks for a subject",))
    return Value({"target": found.rate}, facts={"chance": found.chance, "queries": found.queries})


register_metric(Metric(
    "retrieval_hit_rate", frozenset({"trace", "visibility"}), "share", "higher", _hits,
    "share of recalled memory tokens that cover a context frame with the returned subject", "clip", "retrieval",
))  # fmt: skip
