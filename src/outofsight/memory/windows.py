"""Which frames a query frame sees whole, and how many memory tokens it may recall beside them.

Everything here follows from geometry alone: it is worked out once per clip shape, not per block or step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class QueryGroup:
    """Consecutive query frames that are served by one call.

    Query frames ``first .. first+frames-1`` see ``width`` whole key frames each, the first query's window
    starting at key frame ``start`` and moving by ``step`` (0 or 1) from query to query; each recalls ``recall``
    memory tokens.
    """

    first: int
    frames: int
    start: int
    step: int
    width: int
    recall: int

    def pieces(self, frames: int) -> Iterator[QueryGroup]:
        """The same group cut into groups of at most so many query frames."""
        for i in range(0, self.frames, frames):
            count = min(frames, self.frames - i)
            start = self.start + self.step * i
            yield QueryGroup(self.first + i, count, start, self.step, self.width, self.recall)

    def moved(self, first: int, keys: int) -> QueryGroup:
        """The same group counted from query frame ``first`` and key frame ``keys``."""
        return QueryGroup(self.first - first, self.frames, self.start - keys, self.step, self.width, self.recall)


def centred_windows(frames: range, first: int, last: int, width: int) -> list[tuple[int, int]]:
    """``(start, width)`` of each frame's window: centred, clamped to ``first .. last-1``, never wider than that.

    A window longer than the stretch of frames it may see is the whole stretch (HyDRA's clamp, hydra.md point 3,
    extended to short clips).
    """
    width = min(width, last - first)
    return [(min(max(frame - width // 2, first), last - width), width) for frame in frames]


def selectable_tokens(windows: list[tuple[int, int]], sources: Tensor) -> Tensor:
    """``[f, t]`` True where memory token t (covering frames ``sources [t, 2]``) is not wholly inside f's window."""
    start = torch.tensor([w[0] for w in windows])[:, None]
    stop = start + torch.tensor([w[1] for w in windows])[:, None]
    inside = (sources[None, :, 0] >= start) & (sources[None, :, 1] < stop)
    return ~inside


def group_queries(windows: list[tuple[int, int]], recall: list[int]) -> tuple[QueryGroup, ...]:
    """Cut the query frames into the longest runs that one call can serve."""
    groups: list[QueryGroup] = []
    for frame, ((start, width), count) in enumerate(zip(windows, recall, strict=True)):
        last = groups[-1] if groups else None
        if last and last.width == width and last.recall == count:
            move = start - (last.start + last.step * (last.frames - 1))
            if last.frames == 1 and move in (0, 1):
                groups[-1] = QueryGroup(last.first, 2, last.start, move, width, count)
                continue
            if last.frames > 1 and move == last.step:
                groups[-1] = QueryGroup(last.first, last.frames + 1, last.start, last.step, width, count)
                continue
        groups.append(QueryGroup(frame, 1, start, 0, width, count))
    return tuple(groups)
