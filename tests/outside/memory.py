"""A memory from outside of the package."""

from __future__ import annotations

import torch

from outofsight.memory import FrameLayout, FrameSelection, FullMemory, register_memory


@register_memory
class EveryOther(FullMemory):
    """Lets in every other context frame, the last one included."""

    name = "every other"

    def select_frames(self, layout: FrameLayout) -> FrameSelection | None:
        cut = layout.context_frames
        if cut == 0:
            return None
        indices = torch.arange((cut - 1) % 2, cut, 2, device=layout.poses.device).expand(len(layout.poses), -1)
        return FrameSelection(indices, torch.zeros(len(layout.poses), layout.target_frames, cut))
