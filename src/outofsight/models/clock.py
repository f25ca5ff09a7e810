"""How long before or after the cut each frame is, as numbers that a linear map can use."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..memory import FrameLayout

_SCALE = 16.0  # latent frames
_PERIODS = (4.0, 8.0, 16.0, 32.0, 64.0)  # latent frames
CLOCK_NUMBERS = 1 + 2 * len(_PERIODS)


def clock_numbers(layout: FrameLayout, queries: range, device: torch.device) -> Tensor:
    """``[1|b, f, CLOCK_NUMBERS]`` of the query frames: time from the first target frame on, and its waves."""
    times = (layout.times - layout.times[:, layout.context_frames :][:, :1]).double()[:, queries.start : queries.stop]
    angles = times[..., None] * (2 * math.pi / torch.tensor(_PERIODS, dtype=torch.float64))
    return torch.cat([times[..., None] / _SCALE, angles.sin(), angles.cos()], dim=-1).float().to(device)
