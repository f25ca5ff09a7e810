"""How long before or after the cut each frame is, as numbers that a linear map can use.

Rotary positions tell attention of time, but not the values that it fetches.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...memory import FrameLayout
from .base import Conditioner, FeatureLinear

_SCALE = 16.0  # latent frames
_PERIODS = (4.0, 8.0, 16.0, 32.0, 64.0)  # latent frames
CLOCK_NUMBERS = 1 + 2 * len(_PERIODS)


class ClockConditioner(Conditioner):
    """Time from the anchor frame (the first target frame, or the session's first) on, and its waves."""

    name: ClassVar[str] = "clock"

    def block(self) -> nn.Module:
        return FeatureLinear(CLOCK_NUMBERS, self.shape.dim)

    def features(self, layout: FrameLayout, frames: range) -> Tensor:
        """``[1|b, f, CLOCK_NUMBERS]``"""
        times = (layout.times - layout.anchor_time).double()[:, frames.start : frames.stop]
        angles = times[..., None] * (2 * math.pi / torch.tensor(_PERIODS, dtype=torch.float64))
        return torch.cat([times[..., None] / _SCALE, angles.sin(), angles.cos()], dim=-1).float()
