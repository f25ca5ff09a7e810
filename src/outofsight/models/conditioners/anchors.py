"""Rotary positions from where tokens look, for half of the attention heads, in the spirit of GTA and PRoPE.

Attention then finds what was seen in the same direction before anything is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...errors import MemoryOptionError
from ...memory import FrameLayout
from ...memory.rotary import Rotary, join_heads, point_rotary
from .base import Conditioner, ModelShape
from .rays import ray_directions


def anchor_points(layout: FrameLayout, frames: range, disparities: tuple[float, ...]) -> Tensor:
    """Points that stand for what tokens look at, one per disparity: ``[b, f, n, len(disparities), 3]``.

    A point at distance 1 / disparity along the ray, in units of that distance: r + disparity * o for a ray r from a
    camera at o. With disparity 0 it is the direction alone, the same for all cameras at all places; with others, tokens
    of different cameras meet where their rays cross at that distance.
    """
    rays = ray_directions(layout, frames)
    places = layout.poses[:, frames.start : frames.stop].float().unflatten(-1, (3, 4))[..., 3]
    scales = torch.tensor(disparities, device=rays.device)
    return rays[..., None, :] + scales[:, None] * places[:, :, None, None, :]


class AnchorConditioner(Conditioner):
    """Half of the heads turn by anchor points.

    Args:
        disparities: 1/m: 0 for the direction alone, 0.2 for points 5 m away. The heads share them in turn.
    """

    name: ClassVar[str] = "anchors"
    needs: ClassVar[frozenset[str]] = frozenset({"intrinsics"})

    def __init__(self, shape: ModelShape, disparities: Sequence[float] = (0.0, 0.1, 0.3)) -> None:
        super().__init__(shape)
        self.disparities = tuple(map(float, disparities))
        if shape.heads < 2 or not self.disparities or min(self.disparities) < 0:
            raise MemoryOptionError(
                f"anchors with {shape.heads} attention heads and disparities {self.disparities}: expected at least 2 "
                "heads (half of them go by anchors) and disparities of at least 0 (1/m)"
            )

    def config(self) -> dict[str, Any]:
        return {"disparities": list(self.disparities)}

    def rotary(
        self, table: Rotary, layout: FrameLayout, frames: range, pool: Callable[[Tensor], Tensor] | None
    ) -> Rotary:
        by_grid = self.shape.heads - self.shape.heads // 2
        points = anchor_points(layout, frames, self.disparities)  # [b, f, n, disparities, 3]
        if pool is None:
            points = points.flatten(1, 2)
        else:
            cells = points.unflatten(2, layout.grid).flatten(4)
            points = pool(cells).flatten(1, 3).unflatten(-1, (len(self.disparities), 3))
        shares = torch.arange(self.shape.heads // 2, device=points.device) % len(self.disparities)
        return join_heads(table, by_grid, point_rotary(points[..., shares, :], self.shape.head_dim))
