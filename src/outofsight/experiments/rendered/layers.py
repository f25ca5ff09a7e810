"""A layer that the small networks here share."""

from __future__ import annotations

from torch import nn


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, group norm of 8 groups, SiLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.GroupNorm(8, outputs), nn.SiLU()
    )
