"""The two attentions of a block: self-attention through a memory, and cross-attention to the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor

from ..memory import AttentionPlan, FrameLayout, Memory, Recall, RetrievalTrace
from ..memory.rotary import Rotary, apply_rotary
from ..memory.windows import QueryGroup
from . import kernels, products
from .cache import BlockCache
from .conditioners.prope import turn


@dataclass(eq=False)
class BlockInputs:
    """What every block of one forward pass is given beside its tokens.

    Args:
        layout: the clip's frames (after a pose-driven memory has chosen among them).
        given: which of them the blocks are given.
        plan: windows and groups of the query frames.
        rotary: table of the block's tokens.
        memory_rotary: table of the memory tokens that the given frames make, or None where they make none.
        old_tokens: memory tokens that were cached before.
        features: ``[1|b, f, 1|n, k]`` of the block's frames or of their tokens, by conditioner.
        matrices: ``[b, f, 4, 4]`` of all frames of the layout, for conditioners that have an attention of their own.
        wide: dtype of modulation and residual sums.
        text_frames: frames before this one take no text.
        first_query: frames before this one give keys and memory tokens and are not computed further.
        pose_scores: ``[b, f, t]`` scores of the memory tokens where the memory goes by pose, else None.
        trace: where to record what was recalled, or None.
        keep_from: when set, blocks return a :class:`BlockCache` of the frames from this one on.
        plain: take the plain attention path.
    """

    layout: FrameLayout
    given: range
    plan: AttentionPlan
    rotary: Rotary
    features: Mapping[str, Tensor]
    wide: torch.dtype
    memory_rotary: Rotary | None = None
    old_tokens: int = 0
    matrices: Mapping[str, Tensor] = field(default_factory=dict)
    text_frames: int = 0
    first_query: int = 0
    pose_scores: Tensor | None = None
    trace: RetrievalTrace | None = None
    keep_from: int | None = None
    plain: bool = False

    @property
    def compresses(self) -> bool:
        """Whether the given frames make memory tokens."""
        return self.memory_rotary is not None

    @property
    def frames(self) -> int:
        """How many frames the blocks are given."""
        return self.given.stop - self.given.start  # a range of symbolic numbers has no len() for the compiler

    @property
    def context_queries(self) -> int:
        """How many of the blocks' frames are context; they are the first."""
        return max(0, min(self.layout.context_frames - self.given.start, self.frames))


class Compressed(NamedTuple):
    """New memory tokens: ``key``, ``value [b, t, p, heads, d]`` before rotary positions, ``signature [b, t, s]``."""

    key: Tensor
    value: Tensor
    signature: Tensor


class MemoryAttnProcessor:
    """Self-attention of the query frames to their windows and to what the memory recalls.

    Returns the attention output before the output projection ``[b, tokens, dim]``, what conditioners' own attentions
    add behind it (the same shape, or None), and the block's cache when the sequence asks for one.
    """

    _attention_backend: Any = None
    _parallel_config: Any = None

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
        *,
        sequence: BlockInputs,
        cached: BlockCache | None = None,
    ) -> tuple[Tensor, Tensor | None, BlockCache | None]:
        compressed = None
        if sequence.plan.memory is not None and sequence.compresses:
            compressed = self._compress(attn, hidden_states, sequence)
        query, key, value, signature = self._project_frames(attn, hidden_states, sequence)
        bank = self._bank(key, value, compressed, sequence, cached)
        picks = self._recall(signature, bank, sequence)
        out = self._attend(query, bank, picks, sequence)
        added, own = None, {}
        for name, projection in getattr(attn, "conditioners", {}).items():
            turned, own[name] = self._own_attention(name, attn, hidden_states, compressed, picks, sequence, cached)
            part = projection(turned)
            added = part if added is None else added + part
        kept = None if sequence.keep_from is None else bank.since(sequence.keep_from, own)
        return out.flatten(3).flatten(1, 2), added, kept

    def _attend(self, query: Tensor, bank: BlockCache, picks: Tensor | None, sequence: BlockInputs) -> Tensor:
        plan = sequence.plan
        reached = plan.first_key - (sequence.given.stop - bank.key.shape[1])
        return attend(
            query,
            bank.key[:, reached:],
            bank.value[:, reached:],
            plan.groups,
            bank.memory_key,
            bank.memory_value,
            picks,
            backend=self._attention_backend,
            plain=sequence.plain,
        )

    def _bank(
        self,
        key: Tensor,
        value: Tensor,
        compressed: Compressed | None,
        sequence: BlockInputs,
        cached: BlockCache | None,
    ) -> BlockCache:
        """Keys, values and memory tokens of everything: what was cached, and what is new."""
        new: tuple[Tensor, Tensor, Tensor] | None = None
        if compressed is not None:
            rotary = sequence.memory_rotary
            assert rotary is not None
            cells = compressed.key.shape[2]
            turned = apply_rotary(compressed.key.flatten(1, 2), rotary).unflatten(1, (-1, cells))
            new = turned, compressed.value, compressed.signature
        if cached is None:
            return BlockCache(key, value, *(new or ()))
        return cached.joined(key, value, new)

    def _own_attention(
        self,
        name: str,
        attn: WanAttention,
        hidden_states: Tensor,
        compressed: Compressed | None,
        picks: Tensor | None,
        sequence: BlockInputs,
        cached: BlockCache | None,
    ) -> tuple[Tensor, BlockCache]:
        """A conditioner's own attention ``[b, tokens, dim]`` to the same frames and recalled tokens, and its keys."""
        x = hidden_states.unflatten(1, (sequence.frames, -1))
        query, key, value = (
            part.unflatten(2, (attn.heads, -1)).unflatten(1, (sequence.frames, -1))
            for part in project(attn, x.flatten(1, 2))
        )
        matrices = sequence.matrices[name]
        given = matrices[:, sequence.given.start : sequence.given.stop]
        inverse = torch.linalg.inv(given)
        asked = given[:, sequence.first_query :]
        query = turn(asked.transpose(-1, -2), query[:, sequence.first_query :])
        new = None
        if compressed is not None and sequence.plan.memory is not None:
            first = sequence.plan.memory.sources[sequence.old_tokens :, 0].to(matrices.device)
            by = torch.linalg.inv(matrices[:, first])  # a memory token is seen by the first camera that it covers
            new = turn(by, compressed.key), turn(by, compressed.value), compressed.signature
        key, value = turn(inverse, key), turn(inverse, value)
        bank = BlockCache(key, value, *(new or ())) if cached is None else cached.own[name].joined(key, value, new)
        out = turn(asked, self._attend(query, bank, picks, sequence))
        return out.flatten(3).flatten(1, 2), bank if sequence.keep_from is None else bank.since(sequence.keep_from, {})

    def _project_frames(
        self, attn: WanAttention, hidden_states: Tensor, sequence: BlockInputs
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Turned queries and keys, values ``[b, f, n, heads, d]``, and the queries' signature ``[b, f, s]``."""
        tokens = sequence.layout.tokens_per_frame
        query, key, value = project(attn, hidden_states, sequence.first_query * tokens)
        signature = None
        if sequence.plan.memory is not None and sequence.pose_scores is None:
            with torch.no_grad():
                # picks are indices: no gradient goes through the affinity, in the release either
                signature = self.memory.query_signature(query.unflatten(1, (-1, *sequence.layout.grid)), sequence.plan)
        query, key, value = (part.unflatten(2, (attn.heads, -1)) for part in (query, key, value))
        asked = slice(sequence.first_query, sequence.frames)
        query = apply_rotary(query, sequence.rotary.frames(asked, tokens))
        key = apply_rotary(key, sequence.rotary)
        query, key, value = (part.unflatten(1, (-1, tokens)) for part in (query, key, value))
        return query, key, value, signature

    def _compress(self, attn: WanAttention, hidden_states: Tensor, sequence: BlockInputs) -> Compressed:
        """Memory tokens of the frames, keyed and valued by the block's own projections (hydra.md point 1)."""
        tokens = sequence.plan.memory
        assert tokens is not None
        x = hidden_states.unflatten(1, (-1, *sequence.layout.grid))[:, : tokens.frames - sequence.given.start]
        memory = self.memory.compress(attn.tokenizer, x)
        count, cells = memory.shape[1], tokens.grid[0] * tokens.grid[1]
        _, key, value = project(attn, memory.flatten(1, 3), None)
        with torch.no_grad():
            # picks are indices: no gradient goes through the affinity, in the release either
            signature = self.memory.key_signature(key.unflatten(1, (count, *tokens.grid)))
        key, value = (part.unflatten(2, (attn.heads, -1)).unflatten(1, (count, cells)) for part in (key, value))
        return Compressed(key, value, signature)

    @torch.no_grad()
    def _recall(self, signature: Tensor | None, bank: BlockCache, sequence: BlockInputs) -> Tensor | None:
        """Memory tokens ``[b, f, k]`` that each query frame recalls, best first (points 2 to 4)."""
        plan = sequence.plan
        if plan.memory is None or bank.signature is None:
            if sequence.trace is not None:
                sequence.trace.add(_nothing_recalled(sequence))
            return None
        scores = sequence.pose_scores
        if scores is None:
            assert signature is not None
            scores = signature @ bank.signature.transpose(1, 2)
        allowed = scores.masked_fill(~plan.selectable, float("-inf"))
        picks = allowed.topk(plan.recall, dim=-1).indices
        if sequence.trace is not None:
            rank = torch.arange(plan.recall, device=picks.device)
            shown = picks.masked_fill(rank >= plan.counts[:, None], -1)
            sequence.trace.add(
                Recall(scores, shown, plan.memory.sources, plan.selectable, plan.windows, plan.queries.start)
            )
        return picks


def _nothing_recalled(sequence: BlockInputs) -> Recall:
    plan = sequence.plan
    picks = torch.zeros(len(sequence.layout.poses), len(plan.queries), 0, dtype=torch.long)
    sources = torch.zeros(0, 2, dtype=torch.long)
    return Recall(None, picks, sources, plan.selectable, plan.windows, plan.queries.start)


def project(attn: WanAttention, x: Tensor, first: int | None = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Normed queries of the tokens of ``x [b, tokens, dim]`` from ``first`` on (None: there are none, and what stands
    in their place is not to be read), normed keys and values of all."""
    if getattr(attn, "fused_projections", False):
        query, key, value = attn.to_qkv(x).chunk(3, dim=-1)
        query = query[:, first:]
    else:
        query = x if first is None else attn.to_q(x[:, first:])
        key, value = attn.to_k(x), attn.to_v(x)
    return query if first is None else attn.norm_q(query), attn.norm_k(key), value


class TextAttnProcessor:
    """Cross-attention to text."""

    _attention_backend: Any = None
    _parallel_config: Any = None

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
    ) -> Tensor:
        if getattr(attn, "fused_projections", False):
            key, value = attn.to_kv(encoder_hidden_states).chunk(2, dim=-1)
        else:
            key, value = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        parts = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(key), value
        query, key, value = (part.unflatten(2, (attn.heads, -1)) for part in parts)
        out = dispatch_attention_fn(query, key, value, backend=self._attention_backend)
        return attn.to_out[1](attn.to_out[0](out.flatten(2, 3)))


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: tuple[QueryGroup, ...],
    memory_key: Tensor | None = None,
    memory_value: Tensor | None = None,
    picks: Tensor | None = None,
    *,
    backend: Any = None,
    plain: bool = False,
) -> Tensor:
    """Attention of every query frame to its window and its recalled memory.

    Args:
        query: ``[b, fq, n, heads, d]``, n tokens a frame.
        key, value: ``[b, fk, n, heads, d]``.
        groups: which windows and how many recalled tokens, in frames of query and key.
        memory_key, memory_value: ``[b, t, p, heads, d]``, p tokens in each memory token.
        picks: ``[b, fq, k]`` recalled memory tokens, best first; a group uses its first ``recall``.
        backend: a diffusers attention backend; None is the active one. Backends other than torch's own cannot
            be merged and take the plain path.
        plain: force the plain path.

    Returns:
        ``[b, fq, n, heads, d]``
    """
    merge = not plain and kernels.can_merge(query, backend)
    parts = []
    for group in groups:
        queries = query[:, group.first : group.first + group.frames]
        if merge and products.serves(queries, group, memory_key):
            part = products.attend_together(queries, key, value, group, memory_key, memory_value, picks)
        elif group.recall == 0 and group.step == 0 and not plain:
            part = kernels.one_window(queries, key, value, group, backend)
        elif merge:
            part = kernels.merged(queries, key, value, group, memory_key, memory_value, picks)
        else:
            part = attend_frames(queries, key, value, group, memory_key, memory_value, picks, backend)
        parts.append(part)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def attend_frames(
    queries: Tensor,
    key: Tensor,
    value: Tensor,
    group: QueryGroup,
    memory_key: Tensor | None,
    memory_value: Tensor | None,
    picks: Tensor | None,
    backend: Any,
) -> Tensor:
    """A loop over query frames, keys side by side, through the chosen backend."""
    out = []
    for i in range(group.frames):
        start = group.start + group.step * i
        keys = [key[:, start : start + group.width].flatten(1, 2)]
        values = [value[:, start : start + group.width].flatten(1, 2)]
        if group.recall:
            assert memory_key is not None and memory_value is not None and picks is not None
            chosen = picks[:, group.first + i, : group.recall]
            rows = torch.arange(len(chosen), device=chosen.device)[:, None]
            keys.append(memory_key[rows, chosen].flatten(1, 2))
            values.append(memory_value[rows, chosen].flatten(1, 2))
        out.append(dispatch_attention_fn(queries[:, i], torch.cat(keys, 1), torch.cat(values, 1), backend=backend))
    return torch.stack(out, dim=1)
