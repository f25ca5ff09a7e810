"""One interface for every memory: a bank of past frames, a compressor, a retriever, positions for what returns.

A mechanism is one file. It may act at three places, each optional:

- ``select_frames``: before the first block, which context frames enter at all (memories that go by pose);
- ``plan``: for a clip shape, the window each frame sees whole and the memory tokens there are to recall;
- ``compress`` and the two signatures: inside each block, what the memory tokens are and how a query frame
  scores them. Scores of queries and memory tokens are inner products of their signatures.

The attention itself (``models/attention.py``) is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import MemoryOptionError
from .layout import FrameLayout
from .rotary import Rotary, rotary_table
from .trace import Recall
from .windows import QueryGroup, centred_windows, group_queries, selectable_tokens


@dataclass(frozen=True)
class NoOptions:
    """A mechanism without options."""


@dataclass(frozen=True, eq=False)
class FrameSelection:
    """Context frames that a pose-driven memory lets in: ``indices [b, k]`` ascending, ``scores [b, ft, fc]``."""

    indices: Tensor
    scores: Tensor

    def recall(self, layout: FrameLayout) -> Recall:
        """The choice in the terms of a retrieval: each context frame of ``layout`` is one memory token."""
        cut, target = layout.context_frames, layout.target_frames
        frames = torch.arange(cut)
        return Recall(
            scores=self.scores,
            picks=self.indices[:, None].expand(-1, target, -1),
            sources=torch.stack([frames, frames], dim=1),
            selectable=torch.ones(target, cut, dtype=torch.bool),
            windows=torch.tensor([[cut, layout.frames - 1]]).expand(target, -1),
            first_query=cut,
        )


@dataclass(frozen=True, eq=False)
class MemoryTokens:
    """The memory tokens of a bank: t tokens of ``grid`` sub-tokens each, made from the first ``frames`` frames.

    ``sources [t, 2]``: first and last frame that a token covers, as they really are (repeats not counted). ``times
    [1|b, t]``, ``rows``, ``columns``: rotary positions of their sub-tokens.
    """

    frames: int
    grid: tuple[int, int]
    sources: Tensor
    times: Tensor
    rows: Tensor
    columns: Tensor

    def rotary(self, first: int, head_dim: int, device: torch.device) -> Rotary:
        """The rotary table of the sub-tokens from token ``first`` on."""
        return rotary_table(self.times[:, first:], self.rows, self.columns, head_dim, device)

    @property
    def count(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, eq=False)
class AttentionPlan:
    """What all blocks share for one clip shape.

    Args:
        queries: the query frames (a cached context is not queried).
        first_key: first frame whose keys are needed (later ones all are).
        groups: how queries are served, counted from ``queries.start`` and ``first_key``.
        windows: ``[f, 2]`` first and last frame of each query frame's window.
        rotary: table of the query frames' tokens.
        memory: the memory tokens, or None.
        memory_rotary: table of their sub-tokens, where the queries make all of them, else None.
        selectable: ``[f, t]`` which memory tokens each query frame may recall.
        counts: ``[f]`` how many of them it recalls.
        recall: the largest of the counts.
    """

    queries: range
    first_key: int
    groups: tuple[QueryGroup, ...]
    windows: Tensor
    rotary: Rotary
    memory: MemoryTokens | None
    memory_rotary: Rotary | None
    selectable: Tensor
    counts: Tensor
    recall: int


class Memory:
    """Base of all mechanisms; subclasses override what they do differently.

    Args:
        options: a mapping of the mechanism's options (missing ones take their defaults).
        context_attention: "joint" (context sees the target), "context_only" (it never does) or "causal" (nor later
            pages of the context).
        page_frames: latent frames of a page, for "causal".

    Raises:
        MemoryOptionError: unknown or contradictory options.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions

    @property
    def needs(self) -> frozenset[str]:
        """What it must be given beside poses: of "intrinsics"."""
        return frozenset()

    def __init__(
        self, options: Mapping[str, Any] | None = None, context_attention: str = "joint", page_frames: int = 4
    ) -> None:
        known = {field.name for field in fields(self.Options)}
        unknown = sorted(set(options or {}) - known)
        if unknown:
            raise MemoryOptionError(
                f"memory {self.name!r} has no option {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(sorted(known)) or 'none'}"
            )
        self.context_attention, self.page_frames = context_attention, page_frames
        self.options: Any = self.resolve(self.Options(**(options or {})))

    def resolve(self, options: Any) -> Any:
        """Check the options and fill in those that depend on the model; raises MemoryOptionError."""
        return options

    def config(self) -> dict[str, Any]:
        """The options as plain values for config.json."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self.options).items()
        }

    # --- the bank -------------------------------------------------------------------------------------------

    def select_frames(self, layout: FrameLayout) -> FrameSelection | None:
        """Which context frames enter the sequence; None for all of them."""
        return None

    def compressor(self, dim: int) -> nn.Module | None:
        """The block's own module that makes memory tokens, or None."""
        return None

    def memory_tokens(self, layout: FrameLayout) -> MemoryTokens | None:
        """The memory tokens of the bank, or None where there are none."""
        return None

    def compress(self, compressor: nn.Module, x: Tensor) -> Tensor:
        """``x [b, f, h, w, dim]`` (the bank's frames) -> memory tokens ``[b, t, h', w', dim]``."""
        raise NotImplementedError(f"memory {self.name!r} has no memory tokens")

    def pool(self, x: Tensor) -> Tensor:
        """``x [b, f, h, w, c]`` (the bank's frames), averaged over what each memory token is made from."""
        raise NotImplementedError(f"memory {self.name!r} has no memory tokens")

    # --- who is recalled ------------------------------------------------------------------------------------

    def window_of(self, frames: range, first: int, last: int) -> list[tuple[int, int]]:
        """The whole frames (start, width) that each frame sees within ``first .. last-1``: all of them."""
        return centred_windows(frames, first, last, last - first)

    def recall_of(self, frame: int, context_frames: int, selectable: int) -> int:
        """How many of its ``selectable`` memory tokens a query frame recalls."""
        return 0

    def query_signature(self, query: Tensor, plan: AttentionPlan) -> Tensor:
        """``query [b, f, h, w, dim]`` before rotary -> ``[b, f, s]``."""
        return query.mean(dim=(2, 3))

    def key_signature(self, key: Tensor) -> Tensor:
        """Memory ``key [b, t, h', w', dim]`` before rotary -> ``[b, t, s]``."""
        return key.mean(dim=(2, 3))

    def pose_scores(self, layout: FrameLayout, plan: AttentionPlan) -> Tensor | None:
        """``[b, f, t]`` scores in place of the inner products, where a mechanism goes by pose; once for all blocks."""
        return None

    # --- geometry, once per clip shape ----------------------------------------------------------------------

    def plan(
        self, layout: FrameLayout, head_dim: int, device: torch.device, queries: range | None = None
    ) -> AttentionPlan:
        """Windows, groups, masks and rotary tables for the query frames (all frames by default)."""
        queries = range(layout.frames) if queries is None else queries
        windows = self._windows(layout, queries)
        memory = self.memory_tokens(layout)
        sources = torch.zeros(0, 2, dtype=torch.long) if memory is None else memory.sources
        selectable = selectable_tokens(windows, sources) & self._written(layout, queries, sources)
        counts = selectable.sum(dim=1).tolist()
        recall = [
            self.recall_of(frame, layout.context_frames, count) for frame, count in zip(queries, counts, strict=True)
        ]
        first_key = min((start for start, _ in windows), default=0)
        groups = tuple(group.moved(0, first_key) for group in group_queries(windows, recall))
        rows, columns = (torch.arange(n) for n in layout.grid)
        return AttentionPlan(
            queries=queries,
            first_key=first_key,
            groups=groups,
            windows=torch.tensor([(start, start + width - 1) for start, width in windows]),
            rotary=rotary_table(layout.times[:, queries.start : queries.stop], rows, columns, head_dim, device),
            memory=memory,
            memory_rotary=memory.rotary(0, head_dim, device) if memory is not None and queries.start == 0 else None,
            selectable=selectable.to(device),
            counts=torch.tensor(recall, device=device),
            recall=max(recall, default=0),
        )

    def _windows(self, layout: FrameLayout, queries: range) -> list[tuple[int, int]]:
        if self.context_attention == "joint":
            return self.window_of(queries, 0, layout.frames)
        cut = layout.context_frames
        windows: list[tuple[int, int]] = []
        for end in self._page_ends(queries, cut):
            first = queries.start + len(windows)
            windows += self.window_of(range(first, min(end, queries.stop)), 0, end)
        target = range(max(queries.start, cut), queries.stop)
        return [*windows, *self.window_of(target, 0, layout.frames)]

    def _page_ends(self, queries: range, cut: int) -> list[int]:
        """Where what the context frames among the queries may see ends, page by page: the whole context is one page, or
        "causal" context sees its own page and those before."""
        context = range(queries.start, min(queries.stop, cut))
        if self.context_attention != "causal":
            return [cut] if context else []
        pages = dict.fromkeys(frame // self.page_frames for frame in context)
        return [min((page + 1) * self.page_frames, cut) for page in pages]

    def _written(self, layout: FrameLayout, queries: range, sources: Tensor) -> Tensor:
        """``[f, t]`` False where a token covers frames of later pages than the query frame's."""
        ends = torch.full((len(queries), 1), layout.frames)
        if self.context_attention == "causal":
            for row, frame in enumerate(queries):
                if frame < layout.context_frames:
                    ends[row] = min((frame // self.page_frames + 1) * self.page_frames, layout.context_frames)
        return sources[None, :, 1] < ends

    @property
    def reach(self) -> int | None:
        """How many frames behind a frame its window may begin, at the most; None: all the way back."""
        return None
