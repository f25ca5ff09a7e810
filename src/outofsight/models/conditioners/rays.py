"""Where each token looks, in the anchor camera's axes: unit ray directions, added beside the poses."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ...memory import FrameLayout
from .base import Conditioner, FeatureLinear


def token_tangents(intrinsics: Tensor, grid: tuple[int, int]) -> Tensor:
    """``[b, f, n, 2]``: x right and y down at depth 1 of each cell's centre; ``intrinsics [b, f, 4]``."""
    rows, columns = grid
    x = (torch.arange(columns, device=intrinsics.device) + 0.5) / columns
    y = (torch.arange(rows, device=intrinsics.device) + 0.5) / rows
    y, x = torch.meshgrid(y, x, indexing="ij")
    places = torch.stack([x.flatten(), y.flatten()], dim=-1)
    return (places - intrinsics[..., None, 2:]) / intrinsics[..., None, :2]


def ray_directions(layout: FrameLayout, frames: range) -> Tensor:
    """Unit ray through the centre of each token of some frames, ``[b, f, n, 3]``, in the anchor camera's axes.

    Raises:
        GeometryError: the cameras have no intrinsics.
    """
    poses = layout.poses[:, frames.start : frames.stop].float()
    intrinsics = layout.lens("ray directions")[:, frames.start : frames.stop].to(poses)
    tangents = token_tangents(intrinsics, layout.grid)
    local = torch.nn.functional.normalize(torch.nn.functional.pad(tangents, (0, 1), value=1.0), dim=-1)
    rotation = poses.unflatten(-1, (3, 4))[..., :3]
    with torch.autocast(poses.device.type, enabled=False):  # rounded to bfloat16 they are off by a quarter of a degree
        return torch.einsum("bfij,bfnj->bfni", rotation, local)


class RayConditioner(Conditioner):
    """Ray directions of tokens."""

    name: ClassVar[str] = "rays"
    needs: ClassVar[frozenset[str]] = frozenset({"intrinsics"})

    def block(self) -> nn.Module:
        return FeatureLinear(3, self.shape.dim)

    def features(self, layout: FrameLayout, frames: range) -> Tensor:
        """``[b, f, n, 3]``"""
        return ray_directions(layout, frames)
