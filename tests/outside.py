"""A memory, a conditioner, a reader and a guidance as somebody else would write them, outside of the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outofsight.clips import Clip
from outofsight.datasets import LayoutReport, Reader, read_clip, register_reader
from outofsight.memory import FrameLayout, FrameSelection, FullMemory, register_memory
from outofsight.models.conditioners import Conditioner, FeatureLinear, register_conditioner
from outofsight.sampling import Branch, SamplingOptions, register_guidance


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


@register_conditioner
class Parity(Conditioner):
    """Whether a frame's number is even, added in every block."""

    name = "parity"

    def block(self) -> nn.Module:
        return FeatureLinear(1, self.shape.dim)

    def features(self, layout: FrameLayout, frames: range) -> Tensor:
        return (layout.times[:, frames.start : frames.stop] % 2)[..., None].float()


def doubled(options: SamplingOptions, text: Tensor, negative_text: Tensor | None) -> list[Branch]:
    """The positive branch with its parity, against the one without."""
    return [Branch("with", options.guidance, text), Branch("plain", 1 - options.guidance, text * 0.5)]


register_guidance("doubled", doubled)


def find(root: Path) -> LayoutReport | None:
    names = (root / "list.txt").read_text().splitlines() if (root / "list.txt").is_file() else []
    return LayoutReport("listed", root, tuple(names)) if names else None


def opened(root: Path) -> Callable[[str], Clip]:
    return lambda name: replace(read_clip(root / "elsewhere" / name), caption=f"listed {name}")


register_reader(Reader("listed", "list.txt with the names of clips in elsewhere/", find, opened))


def settings() -> dict[str, Any]:
    """Arguments of a transformer of that memory and conditioner."""
    return {"memory": "every other", "memory_options": {}, "conditioners": ("pose", "parity")}
