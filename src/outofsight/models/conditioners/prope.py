"""Pose-relative attention beside the rotary one (PRoPE, Li et al. 2025; as WorldPlay uses it: docs/memories.md).

Every 4 channels of a head are one 4-vector. A frame with pose c2w and focal lengths fx, fy (shares of width and
height) has the matrix P = lift(diag(fx, fy, 1)) w2c. Queries become P^T q, keys P^-1 k, values P^-1 v and what is
fetched P out, with the query frame's P: two frames meet through P_query P_key^-1 alone, so that moving the world
changes nothing. The result enters through an output projection of its own that begins at zero.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ...errors import MemoryOptionError
from ...memory import FrameLayout
from .base import Conditioner, ModelShape


class PropeConditioner(Conditioner):
    """A second attention in each block, over the same frames and recalled tokens, turned by cameras alone."""

    name: ClassVar[str] = "prope"
    needs: ClassVar[frozenset[str]] = frozenset({"intrinsics"})

    def __init__(self, shape: ModelShape) -> None:
        super().__init__(shape)
        if shape.head_dim % 4:
            raise MemoryOptionError(
                f"conditioner 'prope' turns groups of 4 channels and the heads have {shape.head_dim}: choose a head "
                "width divisible by 4"
            )

    def attention(self) -> nn.Module:
        projection = nn.Linear(self.shape.dim, self.shape.dim)
        nn.init.zeros_(projection.weight)
        nn.init.zeros_(projection.bias)
        return projection

    def matrices(self, layout: FrameLayout) -> Tensor:
        """``[b, f, 4, 4]`` float32: P of each frame."""
        poses = layout.poses.float().unflatten(-1, (3, 4))
        lens = layout.lens("conditioner 'prope'").to(poses)
        with torch.autocast(poses.device.type, enabled=False):
            turned = poses[..., :3].transpose(-1, -2)
            moved = -(turned @ poses[..., 3:])
            focal = torch.cat([lens[..., :2], torch.ones_like(lens[..., :1])], dim=-1)
            top = focal[..., None] * torch.cat([turned, moved], dim=-1)
            bottom = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*top.shape[:-2], 1, 4)
            return torch.cat([top, bottom], dim=-2)


def turn(matrices: Tensor, x: Tensor) -> Tensor:
    """``matrices [b, f, 4, 4]`` applied to each 4 channels of ``x [b, f, n, heads, d]``; the result has x's dtype."""
    groups = x.unflatten(-1, (-1, 4))
    return torch.einsum("bfij,bfnhcj->bfnhci", matrices.to(x.dtype), groups).flatten(-2)
