"""What the context showed in the places that target tokens look at: a reading of the past that geometry gives for free.

Each cell of a target frame sends its ray to a few fixed distances; each context camera is asked what it saw there.
That is a plane sweep (Collins 1996) in latent space. It finds where to look, not what is there now: who moves is
smeared or stands where last seen, and the memory must put it right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import MemoryOptionError
from ...memory import FrameLayout
from .anchors import anchor_points
from .base import Conditioner, Conditions, ModelShape

EDGE_WEIGHT = 0.05  # of what a camera sees at its border, against 1 + EDGE_WEIGHT at its centre
BEHIND = 0.05  # directions closer than this to a camera's image plane are not in its view


def reprojection_channels(channels: int, disparities: int) -> int:
    """Channels of :func:`reproject_context` for latents of so many channels."""
    return disparities * (2 * channels + 3)


@torch.no_grad()
def reproject_context(context: Tensor, layout: FrameLayout, disparities: tuple[float, ...]) -> Tensor:
    """The context as the target cameras would see it, were all things 1 / disparity metres away.

    Args:
        context: ``[b, c, fc, h, w]`` clean latents of the layout's context frames.
        layout: cameras of context and target frames, with intrinsics; its token grid is not used.
        disparities: 1/m, at least one; 0 is infinitely far.

    Returns:
        ``[b, k * (2c + 3), ft, h, w]`` float32. For each of the k disparities: c channels of the mean over the context
        frames that have the place in view, the nearer to their centre the more; c channels of the latest of them; how
        much they differ (standard deviation, a mean over channels), which is little where the distance is right and
        nothing moved; the share of context frames that have it in view; the age of the latest, 0 for the last context
        frame to 1 for none. Zeros where no frame has it in view.

    Raises:
        GeometryError: the cameras have no intrinsics.
    """
    context = context.float()
    cells = replace(layout, grid=(context.shape[3], context.shape[4]))
    with torch.autocast(context.device.type, enabled=False):
        targets = range(cells.context_frames, cells.frames)
        parts = []
        for disparity in disparities:
            points = anchor_points(cells, targets, (disparity,))[..., 0, :]
            places = _places_in_context(points, cells, disparity)
            parts.append(_read(context, places, cells.target_frames))
    return torch.cat(parts, dim=1)


class ReprojectionConditioner(Conditioner):
    """Adds to target tokens what the context showed where they look; it begins by adding nothing.

    Args:
        disparities: 1/m, of the planes.
    """

    name: ClassVar[str] = "reprojection"
    needs: ClassVar[frozenset[str]] = frozenset({"intrinsics", "context_latents"})

    def __init__(self, shape: ModelShape, disparities: Sequence[float] = (0.0, 0.06, 0.15, 0.3)) -> None:
        super().__init__(shape)
        self.disparities = tuple(map(float, disparities))
        if not self.disparities or min(self.disparities) < 0:
            raise MemoryOptionError(
                f"reprojection disparities are {self.disparities}: expected at least one, of at least 0 (1/m)"
            )
        channels = reprojection_channels(shape.channels, len(self.disparities))
        self.conv = nn.Conv3d(channels, shape.dim, kernel_size=shape.patch, stride=shape.patch)
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    def config(self) -> dict[str, Any]:
        return {"disparities": list(self.disparities)}

    def prepare(self, latents: Tensor | None, layout: FrameLayout, conditions: Conditions) -> Tensor | None:
        """See :func:`reproject_context`."""
        assert latents is not None
        return reproject_context(latents, layout, self.disparities)

    def tokens(self, prepared: Tensor) -> Tensor:
        return self.conv(prepared.to(self.conv.weight.dtype)).flatten(3).permute(0, 2, 3, 1)


def _places_in_context(points: Tensor, cells: FrameLayout, disparity: float) -> Tensor:
    """Where points ``[b, ft, n, 3]`` lie in the context frames: ``[b, fc, ft, n, 2]``, -1..1 over a picture.

    Points that a camera does not see lie at 2, outside.
    """
    cameras = cells.poses[:, : cells.context_frames].float().unflatten(-1, (3, 4))
    rotation, origin = cameras[..., :3], cameras[..., 3]
    # world to camera is the transpose; points come in units of their distance, so origins are scaled alike
    local = torch.einsum("bcji,btnj->bctni", rotation, points)
    local = local - disparity * torch.einsum("bcji,bcj->bci", rotation, origin)[:, :, None, None]
    lens = cells.lens("reprojection")[:, : cells.context_frames, None, None].to(local)
    depth = local[..., 2:]
    seen = depth > BEHIND
    places = 2 * (local[..., :2] / depth.clamp(min=BEHIND) * lens[..., :2] + lens[..., 2:]) - 1
    return torch.where(seen, places, 2.0).clamp(-2.0, 2.0)


def _read(context: Tensor, places: Tensor, target_frames: int) -> Tensor:
    """See :func:`reproject_context`: ``[b, 2c + 3, ft, h, w]`` of one disparity at ``places [b, fc, ft, n, 2]``."""
    batch, channels, frames, height, width = context.shape
    seen = torch.nn.functional.grid_sample(
        context.transpose(1, 2).flatten(0, 1), places.flatten(0, 1), padding_mode="border", align_corners=False
    ).unflatten(0, (batch, frames))  # [b, fc, c, ft, n]
    offset = places.abs().amax(dim=-1)  # [b, fc, ft, n]
    inside = (offset < 1).to(seen.dtype)
    weight = inside * (1 + EDGE_WEIGHT - offset)
    total = weight.sum(dim=1).clamp(min=EDGE_WEIGHT / 2)
    mean = torch.einsum("bftn,bfctn->bctn", weight, seen) / total[:, None]
    spread = (seen - mean[:, None]).square().mean(dim=2)  # [b, fc, ft, n]
    differ = ((weight * spread).sum(dim=1, keepdim=True) / total[:, None]).sqrt()
    order = torch.arange(1, frames + 1, device=context.device, dtype=seen.dtype)
    last, index = (inside * order[:, None, None]).max(dim=1)  # [b, ft, n]
    latest = seen.gather(1, index[:, None, None].expand(-1, -1, channels, -1, -1))[:, 0] * (last > 0)[:, None]
    share, age = inside.mean(dim=1, keepdim=True), 1 - last[:, None] / frames
    return torch.cat([mean, latest, differ, share, age], dim=1).unflatten(3, (height, width))
