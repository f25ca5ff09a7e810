"""Is the right past recalled? How often recalled memory tokens cover frames in which the hidden subject was visible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import GeometryError
from ..metric import Metric, Value, register_metric
from ..traces import RunTrace

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

    Raises GeometryError for visibility of other frames than the trace's.
    """
    return _hit_rate(*_shares(trace, visible, wanted, sample))


Shares = list[float]


def _hit_rate(rates: Shares, chances: Shares) -> HitRate | None:
    return HitRate(float(np.mean(rates)), float(np.mean(chances)), len(rates)) if rates else None


def _shares(
    trace: Mapping[str, np.ndarray], visible: np.ndarray, wanted: np.ndarray, sample: int
) -> tuple[Shares, Shares]:
    """Of each frame that is asked about: the share of what it recalled that shows the subject, and chance's."""
    cut = int(trace["context_frames"])
    if visible.shape[1] != cut + int(trace["target_frames"]) or wanted.shape[1] != int(trace["target_frames"]):
        raise GeometryError(
            f"the trace is of {cut} + {int(trace['target_frames'])} latent frames, but visibility was given for "
            f"{visible.shape[1]} and the question for {wanted.shape[1]}"
        )
    rates: Shares = []
    chances: Shares = []
    if len(trace["sources"]) == 0:
        return rates, chances
    seen = visible & (np.arange(visible.shape[1]) < cut)
    covers = np.stack([seen[:, first : last + 1].any(axis=1) for first, last in trace["sources"]], axis=1)  # [s, t]
    for frame in np.flatnonzero(wanted.any(axis=0)):
        query = cut + int(frame) - int(trace["first_query"])
        good = covers[wanted[:, frame]].any(axis=0)
        picks = trace["picks"][:, :, sample, query].ravel()
        picks = picks[picks >= 0]
        open_to = trace["selectable"][query]
        if len(picks) and open_to.any():
            rates.append(float(good[picks].mean()))
            chances.append(float(good[open_to].mean()))
    return rates, chances


def run_hits(trace: RunTrace, visible: np.ndarray, returned: np.ndarray, sample: int = 0) -> HitRate | None:
    """:func:`retrieval_hits` of a whole run, over the frames of all its chunks that have a trace.

    What a chunk recalls of frames that earlier chunks made counts by the ground truth of those frames.

    Args:
        visible: bool ``[s, Fc + Ft]`` by video frame of context and target. returned: bool ``[s, Ft]``.
    """
    if len(visible) == 0:
        return None
    rates: Shares = []
    chances: Shares = []
    for chunk in trace.chunks:
        more = _shares(chunk.arrays, *chunk.by_latent(visible, returned), sample)
        rates += more[0]
        chances += more[1]
    return _hit_rate(rates, chances)


def _hits(sample: Sample) -> Value:
    clip = sample.clip
    assert sample.trace is not None
    found = run_hits(sample.trace, clip.visible, clip.returned, sample.trace_row)
    lost = sample.trace.notes
    if found is None:
        return Value({"target": None}, notes=("no frame asks for a subject", *lost))
    return Value({"target": found.rate}, facts={"chance": found.chance, "queries": found.queries}, notes=lost)


register_metric(Metric(
    "retrieval_hit_rate", frozenset({"trace", "visibility"}), "share", "higher", _hits,
    "share of recalled memory tokens that cover an earlier frame with the returned subject", "clip", "retrieval",
))  # fmt: skip
