"""The two attentions of a block: self-attention through a memory, and cross-attention to the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor

from ..errors import GeometryError
from ..memory import AttentionPlan, FrameLayout, FrameSelection, Memory, Recall, RetrievalTrace
from ..memory.attention import CPU_ROWS, attend
from ..memory.rotary import Rotary, apply_rotary
from .linear import linear


@dataclass(frozen=True, eq=False)
class BlockCache:
    """What one block keeps of a context that never sees the target.

    ``key``, ``value [b, f, n, heads, d]`` of the context frames that target windows reach, and, where the memory
    has tokens, their ``memory_key``, ``memory_value [b, t, p, heads, d]`` and ``signature [b, t, s]``.
    """

    key: Tensor
    value: Tensor
    memory_key: Tensor | None = None
    memory_value: Tensor | None = None
    signature: Tensor | None = None

    def repeat(self, times: int) -> BlockCache:
        """The same for a batch of ``times`` copies (guidance branches side by side)."""

        def copies(x: Tensor) -> Tensor:
            return x.repeat(times, *(1,) * (x.ndim - 1))

        memory = (self.memory_key, self.memory_value, self.signature)
        return BlockCache(copies(self.key), copies(self.value), *(x if x is None else copies(x) for x in memory))


@dataclass(frozen=True, eq=False)
class ContextCache:
    """A context encoded once: what every block keeps of it, which of its frames were let in, and what they showed of
    the places that target tokens look at (``reprojected``, see models/reprojection.py) and where subjects are in it
    (``presence [b, fc, h, w]``, see models/presence.py), where the model has those.
    """

    blocks: tuple[BlockCache, ...]
    context_poses: Tensor
    target_poses: Tensor
    size: torch.Size
    selection: FrameSelection | None
    reprojected: Tensor | None = None
    presence: Tensor | None = None

    def check(self, context_poses: Tensor, target_poses: Tensor, latents: torch.Size) -> None:
        """Make sure that this is the context of these cameras and target latents ``[b, c, ft, h, w]``.

        Raises:
            GeometryError: it was encoded for others.
        """
        for what, ours, theirs in (
            ("context", self.context_poses, context_poses),
            ("target", self.target_poses, target_poses),
        ):
            if ours is not theirs and not (ours.shape == theirs.shape and torch.equal(ours, theirs)):
                raise GeometryError(
                    f"the cached context was encoded for other {what} poses ({list(ours.shape)}, given are "
                    f"{list(theirs.shape)}); poses are relative to the first target frame: encode the context anew"
                )
        if latents[0] != len(self.context_poses) or latents[3:] != self.size:
            raise GeometryError(
                f"the cached context is a batch of {len(self.context_poses)} of {list(self.size)} latents, the target "
                f"a batch of {latents[0]} of {list(latents[3:])}; encode the context anew, or repeat() the cache"
            )

    def repeat(self, times: int) -> ContextCache:
        """The same for a batch of ``times`` copies (guidance branches side by side)."""
        selection = self.selection
        if selection is not None:
            selection = FrameSelection(selection.indices.repeat(times, 1), selection.scores.repeat(times, 1, 1))
        return ContextCache(
            tuple(block.repeat(times) for block in self.blocks),
            self.context_poses.repeat(times, 1, 1),
            self.target_poses.repeat(times, 1, 1),
            self.size,
            selection,
            None if self.reprojected is None else self.reprojected.repeat(times, 1, 1, 1, 1),
            None if self.presence is None else self.presence.repeat(times, 1, 1, 1),
        )


@dataclass(eq=False)
class Sequence:
    """What every block of one forward pass is told of its tokens.

    Args:
        layout: the clip's frames (after a pose-driven memory has chosen among them).
        frames: how many of them the blocks are given.
        plan: windows and groups of the query frames.
        rotary: table of the block's tokens.
        memory_rotary: table of the memory tokens, or None where there are none.
        context_poses, target_poses: ``[b, f, 12]`` of the block's frames; one of them may be empty.
        rays: ``[b, f, n, 3]`` ray directions of the block's tokens, or None.
        clock: ``[1|b, f, k]`` see models/clock.py, or None.
        wide: dtype of modulation and residual sums.
        text_frames: frames before this one take no text.
        first_query: frames before this one give keys and memory tokens and are not computed further.
        pose_scores: ``[b, f, t]`` scores of the memory tokens where the memory goes by pose, else None.
        trace: where to record what was recalled, or None.
        keep_from: when set, blocks return a :class:`BlockCache` of the frames from this one on.
        plain: take the plain attention path.
        scratch: see :meth:`buffer`.
    """

    layout: FrameLayout
    frames: int
    plan: AttentionPlan
    rotary: Rotary
    context_poses: Tensor
    target_poses: Tensor
    rays: Tensor | None
    wide: torch.dtype
    memory_rotary: Rotary | None = None
    clock: Tensor | None = None
    text_frames: int = 0
    first_query: int = 0
    pose_scores: Tensor | None = None
    trace: RetrievalTrace | None = None
    keep_from: int | None = None
    plain: bool = False
    scratch: dict[str, Tensor] = field(default_factory=dict)

    def buffer(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Scratch memory that the blocks share, so that each need not have its own mapped in anew."""
        buffer = self.scratch.get(name)
        if buffer is None or buffer.shape != shape or buffer.dtype != like.dtype:
            buffer = self.scratch[name] = like.new_empty(shape)
        return buffer


class MemoryAttnProcessor:
    """Self-attention of the query frames to their windows and to what the memory recalls.

    Returns the attention output before the output projection ``[b, tokens, dim]``, and the block's cache when
    the sequence asks for one.
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
        sequence: Sequence,
        cached: BlockCache | None = None,
    ) -> tuple[Tensor, BlockCache | None]:
        plan = sequence.plan
        bank = cached
        if bank is None and plan.memory is not None:
            bank = self._remember(attn, hidden_states, sequence)
        query, key, value, signature = self._project_frames(attn, hidden_states, sequence)
        picks = self._recall(signature, bank, sequence)
        if cached is not None:
            key = torch.cat([cached.key, key], dim=1)
            value = torch.cat([cached.value, value], dim=1)
        reached = plan.first_key if sequence.first_query else 0
        out = attend(
            query,
            key[:, reached:],
            value[:, reached:],
            plan.groups,
            None if bank is None else bank.memory_key,
            None if bank is None else bank.memory_value,
            picks,
            backend=self._attention_backend,
            plain=sequence.plain,
        )
        return out.flatten(3).flatten(1, 2), self._keep(key, value, bank, sequence)

    def _project_frames(
        self, attn: WanAttention, hidden_states: Tensor, sequence: Sequence
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Turned queries and keys, values ``[b, f, n, heads, d]``, and the queries' signature ``[b, f, s]``."""
        first = sequence.first_query
        x = hidden_states.unflatten(1, (sequence.frames, -1))
        cuts = [*frame_cuts(x, 0, first), *frame_cuts(x, first)]
        signatures: list[Tensor] = []
        joined: dict[str, Tensor] = {}
        for frames in cuts:
            parts = self._project_some(attn, x, frames, sequence, signatures)
            if len(cuts) == 1:
                joined = parts
                break
            for name, part in parts.items():
                before = first if name == "query" else 0
                shape = (x.shape[0], x.shape[1] - before, *part.shape[2:])
                joined[name] = sequence.buffer(name, shape, part)
                joined[name][:, frames.start - before : frames.stop - before] = part
        signature = torch.cat(signatures, dim=1) if signatures else None
        return joined["query"], joined["key"], joined["value"], signature

    def _project_some(
        self, attn: WanAttention, x: Tensor, frames: slice, sequence: Sequence, signatures: list[Tensor]
    ) -> dict[str, Tensor]:
        """Keys and values of some frames of ``x [b, f, n, dim]``, and queries where the frames are asked for."""
        tokens = x.shape[2]
        asked = frames.start >= sequence.first_query
        rotary = sequence.rotary.frames(frames, tokens)

        def split(y: Tensor) -> Tensor:
            return y.unflatten(2, (attn.heads, -1))

        query, key, value = project(attn, x[:, frames].flatten(1, 2), queries=asked)
        parts = {"key": apply_rotary(split(key), rotary), "value": split(value)}
        if asked:
            parts["query"] = apply_rotary(split(query), rotary)
            if sequence.plan.memory is not None and sequence.pose_scores is None:
                with torch.no_grad():
                    # picks are indices: no gradient goes through the affinity, in the release either
                    cells = query.unflatten(1, (-1, *sequence.layout.grid))
                    signatures.append(self.memory.query_signature(cells, sequence.plan))
        return {name: part.unflatten(1, (-1, tokens)) for name, part in parts.items()}

    def _remember(self, attn: WanAttention, hidden_states: Tensor, sequence: Sequence) -> BlockCache:
        """Memory tokens of the bank, keyed and valued by the block's own projections (hydra.md point 1)."""
        tokens = sequence.plan.memory
        assert tokens is not None
        grid = sequence.layout.grid
        x = hidden_states.unflatten(1, (-1, *grid))[:, : tokens.frames]
        memory = self.memory.compress(attn.tokenizer, x)
        count, cells = memory.shape[1], tokens.grid[0] * tokens.grid[1]
        _, key, value = project(attn, memory.flatten(1, 3), queries=False)
        with torch.no_grad():
            # picks are indices: no gradient goes through the affinity, in the release either
            signature = self.memory.key_signature(key.unflatten(1, (count, *tokens.grid)))
        assert sequence.memory_rotary is not None
        key = apply_rotary(key.unflatten(2, (attn.heads, -1)), sequence.memory_rotary)
        value = value.unflatten(2, (attn.heads, -1))
        empty = key[:, :0].unflatten(1, (0, cells))
        return BlockCache(empty, empty, key.unflatten(1, (count, cells)), value.unflatten(1, (count, cells)), signature)

    @torch.no_grad()
    def _recall(self, signature: Tensor | None, bank: BlockCache | None, sequence: Sequence) -> Tensor | None:
        """Memory tokens ``[b, f, k]`` that each query frame recalls, best first (points 2 to 4)."""
        plan = sequence.plan
        if plan.memory is None or bank is None or bank.signature is None:
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

    @staticmethod
    def _keep(key: Tensor, value: Tensor, bank: BlockCache | None, sequence: Sequence) -> BlockCache | None:
        if sequence.keep_from is None:
            return None
        key, value = (x[:, sequence.keep_from :].clone() for x in (key, value))
        if bank is None:
            return BlockCache(key, value)
        return BlockCache(key, value, bank.memory_key, bank.memory_value, bank.signature)


def frame_cuts(x: Tensor, first: int = 0, last: int | None = None) -> Iterator[slice]:
    """Slices of the frames of ``x [b, f, n, dim]`` for work that goes row by row.

    On a CPU about 1100 rows at a time stay in the cache and need no large buffers: that took a feed-forward of
    7280 rows from 169 to 139 ms on 2 cores. Elsewhere, and where gradients are kept, all frames go at once.
    """
    last = x.shape[1] if last is None else last
    step = max(1, last - first)
    if x.device.type == "cpu" and not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
        step = max(1, CPU_ROWS // (x.shape[0] * x.shape[2]))
    for start in range(first, last, step):
        yield slice(start, min(start + step, last))


def _nothing_recalled(sequence: Sequence) -> Recall:
    plan = sequence.plan
    picks = torch.zeros(len(sequence.layout.poses), len(plan.queries), 0, dtype=torch.long)
    sources = torch.zeros(0, 2, dtype=torch.long)
    return Recall(None, picks, sources, plan.selectable, plan.windows, plan.queries.start)


def project(attn: WanAttention, x: Tensor, queries: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Normed queries, normed keys and values ``[b, tokens, dim]`` of ``x``; memory tokens need no queries."""
    if getattr(attn, "fused_projections", False):
        query, key, value = attn.to_qkv(x).chunk(3, dim=-1)
    else:
        query = linear(attn.to_q, x) if queries else x
        key, value = linear(attn.to_k, x), linear(attn.to_v, x)
    return attn.norm_q(query) if queries else query, attn.norm_k(key), value


class TextAttnProcessor:
    """Cross-attention to text whose keys and values are made once per block, however the queries are cut."""

    _attention_backend: Any = None
    _parallel_config: Any = None

    @staticmethod
    def keys(attn: WanAttention, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values ``[b, l, heads, d]`` of ``text [b, l, dim]``."""
        if getattr(attn, "fused_projections", False):
            key, value = attn.to_kv(text).chunk(2, dim=-1)
        else:
            key, value = attn.to_k(text), attn.to_v(text)
        return attn.norm_k(key).unflatten(2, (attn.heads, -1)), value.unflatten(2, (attn.heads, -1))

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
        *,
        keys: tuple[Tensor, Tensor],
    ) -> Tensor:
        key, value = keys
        query = attn.norm_q(linear(attn.to_q, hidden_states)).unflatten(2, (attn.heads, -1))
        out = dispatch_attention_fn(query, key, value, backend=self._attention_backend)
        return attn.to_out[1](linear(attn.to_out[0], out.flatten(2, 3)))
