"""Camera poses as HyDRA takes them: one 12-vector a frame, mapped anew by each block (docs/hydra.md)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ...memory import FrameLayout
from .base import Conditioner

POSE_NUMBERS = 12  # a 3x4 camera matrix


class PoseEncoder(nn.Module):
    """Two linear maps, of context poses and of target poses, zero at the start."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.context = nn.Linear(POSE_NUMBERS, dim)
        self.target = nn.Linear(POSE_NUMBERS, dim)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, poses: Tensor, context_frames: int) -> Tensor:
        """``[b, f, 12] -> [b, f, dim]``; the first frames are context."""
        return torch.cat([self.context(poses[:, :context_frames]), self.target(poses[:, context_frames:])], dim=1)


class PoseConditioner(Conditioner):
    """Pose vectors of frames, added beside the modulation's shift."""

    name: ClassVar[str] = "pose"

    def block(self) -> nn.Module:
        return PoseEncoder(self.shape.dim)

    def features(self, layout: FrameLayout, frames: range) -> Tensor:
        """``[b, f, 12]``"""
        return layout.poses[:, frames.start : frames.stop]
