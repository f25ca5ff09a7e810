"""A model whose memory is taken away, to see what the memory does: nothing else of it changes.

- "random recall": as many memory tokens as ever, drawn at random from those a frame may recall, and again for every
  block, frame and step. (For a memory that goes by pose: as many context frames, at random.)
- "worst recall": as many, those of least affinity.
- "no recall": none; each frame sees its window alone.
- "context hidden": the model is given the last context latent frame and nothing before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..errors import OutOfSightError
from ..memory import AttentionPlan, FrameLayout, FrameSelection, Memory

RANDOM_RECALL, WORST_RECALL, NO_RECALL, CONTEXT_HIDDEN = ABLATIONS = (
    "random recall",
    "worst recall",
    "no recall",
    "context hidden",
)


def _of_highest(chosen: FrameSelection, rank: Tensor) -> FrameSelection:
    """As many context frames as were chosen: those of highest ``rank [b, fc]``, and always the last one."""
    rank[:, -1] = float("inf")
    indices = rank.topk(chosen.indices.shape[1], dim=1).indices.sort(dim=1).values
    return replace(chosen, indices=indices.to(chosen.indices))


class _RandomRecall(Memory):
    """Mixed into a mechanism: scores are noise. Signatures are one number per memory token, keys the identity."""

    generator: torch.Generator

    def query_signature(self, query: Tensor, plan: AttentionPlan) -> Tensor:
        assert plan.memory is not None
        drawn = torch.rand(*query.shape[:2], plan.memory.count, generator=self.generator)
        return drawn.to(query)

    def key_signature(self, key: Tensor) -> Tensor:
        return torch.eye(key.shape[1]).to(key).expand(len(key), -1, -1)

    def pose_scores(self, layout: FrameLayout, plan: AttentionPlan) -> Tensor | None:
        return None

    def select_frames(self, layout: FrameLayout) -> FrameSelection | None:
        chosen = super().select_frames(layout)
        if chosen is None:
            return None
        rank = torch.rand(len(chosen.indices), layout.context_frames, generator=self.generator)
        return _of_highest(chosen, rank)


class _WorstRecall(Memory):
    """Mixed into a mechanism: scores are turned round. Frames of least overlap enter, where it goes by pose."""

    def query_signature(self, query: Tensor, plan: AttentionPlan) -> Tensor:
        return -super().query_signature(query, plan)

    def pose_scores(self, layout: FrameLayout, plan: AttentionPlan) -> Tensor | None:
        scores = super().pose_scores(layout, plan)
        return None if scores is None else -scores

    def select_frames(self, layout: FrameLayout) -> FrameSelection | None:
        chosen = super().select_frames(layout)
        return None if chosen is None else _of_highest(chosen, -chosen.scores.amax(dim=1))


class _NoRecall(Memory):
    """Mixed into a mechanism: nothing is recalled."""

    def recall_of(self, frame: int, context_frames: int, selectable: int) -> int:
        return 0


@contextmanager
def ablated(model: Any, what: str | None, seed: int = 0) -> Iterator[Any]:
    """The model with its recall replaced while the block runs; None and "context hidden" leave it as it is.

    Encode contexts inside: one that was cached before was encoded with the true memory.

    Raises OutOfSightError for an unknown ablation, or one that would change nothing in this mechanism.
    """
    if what is not None and what not in ABLATIONS:
        raise OutOfSightError(f"no ablation {what!r}, expected one of {', '.join(ABLATIONS)}")
    if what in (None, CONTEXT_HIDDEN):
        yield model
        return
    mixin = {RANDOM_RECALL: _RandomRecall, WORST_RECALL: _WorstRecall, NO_RECALL: _NoRecall}[str(what)]
    kind = type(model.memory)
    recalls = kind.recall_of is not Memory.recall_of
    if not recalls and (what == NO_RECALL or kind.select_frames is Memory.select_frames):
        raise OutOfSightError(f"{what!r} would change nothing: memory {kind.name!r} recalls no memory tokens")
    memory = type(f"{mixin.__name__}{kind.__name__}", (mixin, kind), {})(
        model.memory.config(), model.memory.context_attention, model.memory.page_frames
    )
    memory.generator = torch.Generator().manual_seed(seed)
    before = model.use_memory(memory)
    try:
        yield model
    finally:
        model.use_memory(before)


def hide_context(latents: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
    """The last context latent frame ``[b, c, 1, h, w]`` and its pose ``[b, 1, 12]``."""
    return latents[:, :, -1:], poses[:, -1:]
