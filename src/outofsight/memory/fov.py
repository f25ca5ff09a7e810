"""Context-as-Memory: the context frames whose view overlaps most with what is about to be seen.

Source: Context-as-Memory (SIGGRAPH Asia 2025), see docs/memories.md. Frames are scored by the horizontal overlap
of the camera frusta, thinned so that a run of near-equal neighbours gives one frame, and the last context frame
is always kept. Frames that are not selected leave the sequence before the first block; the selected ones keep
their own time positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..cameras import pose_view_overlap
from ..errors import MemoryOptionError
from .base import FrameSelection
from .full import FullMemory
from .layout import FrameLayout, horizontal_degrees


@dataclass(frozen=True)
class FovOptions:
    """Options of the frustum-overlap memory.

    Args:
        top_k: context frames kept, the last one included; all of them where there are no more.
        run: latent frames in a run of neighbours, of which the best one is kept first (1: no thinning).
        near, far: metres between which two views are compared along their rays.
    """

    top_k: int = 10
    run: int = 2
    near: float = 0.5
    far: float = 20.0


class FovMemory(FullMemory):
    """Frustum overlap at the door, full attention behind it."""

    name = "fov"
    Options = FovOptions

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"intrinsics"})

    def resolve(self, options: Any) -> FovOptions:
        if options.top_k < 1 or options.run < 1 or not 0 < options.near < options.far:
            raise MemoryOptionError(
                f"memory 'fov' was given {options}; it needs top_k >= 1, run >= 1 and 0 < near < far"
            )
        return options

    def select_frames(self, layout: FrameLayout) -> FrameSelection | None:
        """The ``top_k`` context frames of most overlap with any target frame, one per run, last always kept."""
        cut = layout.context_frames
        if cut == 0:
            return None
        scores = pose_view_overlap(
            layout.poses[:, cut:],
            layout.poses[:, :cut],
            horizontal_degrees(layout.lens("memory 'fov'")),
            near=self.options.near,
            far=self.options.far,
        )
        order = _thinned_order(scores.amax(dim=1), self.options.run)
        keep = order[:, : min(self.options.top_k, cut)]
        return FrameSelection(keep.sort(dim=1).values, scores)


def _thinned_order(score: Tensor, run: int) -> Tensor:
    """Context frames ``[b, fc]`` in the order they are taken: last frame, best of each run, then the rest."""
    frames = score.shape[1]
    padded = torch.nn.functional.pad(score, (0, -frames % run), value=-1.0).unflatten(1, (-1, run))
    best = padded == padded.amax(dim=-1, keepdim=True)
    first_best = best & (best.cumsum(dim=-1) == 1)
    # overlap lies in [0, 1]: whole numbers above it rank the classes
    rank = score + 2.0 * first_best.flatten(1)[:, :frames]
    rank[:, -1] = 9.0
    return rank.argsort(dim=1, descending=True, stable=True)
