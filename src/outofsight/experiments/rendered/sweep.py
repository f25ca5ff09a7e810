"""The still part of a scene, seen from another camera: a plane sweep (Collins 1996) over pixels.

A pixel of the wanted picture is looked for in the given pictures at a few depths, and takes what they show at the depth
where they agree best around it. Nothing is learned. What moves is left out where it is told (``weights``), and smeared
where it is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE_WEIGHT = 0.05  # of what a camera sees at its border, against 1 + EDGE_WEIGHT at its centre
BEHIND = 0.05  # directions closer than this to a camera's image plane are not in its view
_AT_ONCE = 1 << 22  # pixels of given pictures times wanted ones, that are looked up at once: some 200 MB
_UNSEEN_COST = 1.0  # at least as bad as any difference of colours in 0..1


@dataclass(frozen=True)
class SweepOptions:
    """How depths are tried.

    planes: how many, evenly spaced in 1/m from 0 to ``nearest``. around: pixels (odd) of the coarse pictures over which
    agreement is averaged. coarse: depths are chosen on pictures smaller by this factor. doubt: by how much one more
    picture is expected to differ, so that a depth at which a single one sees anything is not preferred for having none
    that disagrees.
    """

    planes: int = 12
    nearest: float = 0.45
    around: int = 5
    coarse: int = 2
    doubt: float = 0.05

    @property
    def disparities(self) -> tuple[float, ...]:
        return tuple(self.nearest * i / max(1, self.planes - 1) for i in range(self.planes))


@dataclass(frozen=True, eq=False)
class Swept:
    """Of t wanted pictures.

    picture ``[t, 3, h, w]`` in 0..1, filled from around where nothing is seen. cost ``[t, h, w]``: how much the given
    pictures differ there (standard deviation; 1 where none sees it). share ``[t, h, w]``: of the pictures' weight,
    how much sees it. disparity ``[t, h, w]``: 1/m, of depth.
    """

    picture: Tensor
    cost: Tensor
    share: Tensor
    disparity: Tensor

    def maps(self) -> Tensor:
        """Cost, share and disparity as channels ``[t, 3, h, w]``."""
        return torch.stack([self.cost, self.share, self.disparity], dim=1)


def half_width(horizontal_fov: float) -> float:
    """Half a picture's width at depth 1: the tangent of half the field of view (degrees)."""
    return math.tan(math.radians(horizontal_fov) / 2)


def tangents(height: int, width: int, horizontal_fov: float) -> Tensor:
    """``[h, w, 2]``: where each pixel looks, x right and y down at depth 1."""
    half = half_width(horizontal_fov)
    x = (torch.arange(width, dtype=torch.float32) + 0.5) / width * 2 - 1
    y = (torch.arange(height, dtype=torch.float32) + 0.5) / height * 2 - 1
    grid = torch.stack(torch.meshgrid(y * half * height / width, x * half, indexing="ij"), dim=-1)
    return grid.flip(-1)


@torch.no_grad()
def sweep(
    pictures: Tensor,
    cameras: Tensor,
    wanted: Tensor,
    horizontal_fov: float,
    options: SweepOptions = SweepOptions(),
    weights: Tensor | None = None,
) -> Swept:
    """See what still things look like from other cameras.

    Args:
        pictures: float ``[c, 3, h, w]`` in 0..1.
        cameras, wanted: c2w ``[c, 4, 4]`` and ``[t, 4, 4]``, OpenCV axes, metres, in one world.
        horizontal_fov: degrees, of all of them.
        weights: ``[c, h, w]`` in 0..1, how much each pixel counts; None: all count fully.
    """
    height, width = pictures.shape[2:]
    weights = torch.ones_like(pictures[:, 0]) if weights is None else weights
    together = max(1, _AT_ONCE // (len(pictures) * height * width))
    if len(wanted) > together:
        parts = [sweep(pictures, cameras, part, horizontal_fov, options, weights) for part in wanted.split(together)]
        return Swept(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Swept)))
    small = pictures, weights
    if options.coarse > 1:
        small = F.avg_pool2d(pictures, options.coarse), F.avg_pool2d(weights[:, None], options.coarse)[:, 0]
    rays = tangents(small[0].shape[2], small[0].shape[3], horizontal_fov)
    costs = []
    for tried in options.disparities:
        flat = torch.full((len(wanted), *rays.shape[:2]), tried)
        _, differ, share = _read(*small, cameras, wanted, rays, flat, horizontal_fov)
        seen = (share * len(pictures)).clamp(min=1e-3)
        cost = (differ.square() + options.doubt**2 / seen).sqrt().clamp(max=_UNSEEN_COST)
        costs.append(F.avg_pool2d(cost[:, None], options.around, 1, options.around // 2, count_include_pad=False)[:, 0])
    least = torch.stack(costs).argmin(dim=0)
    disparity = torch.tensor(options.disparities)[least]
    if options.coarse > 1:
        disparity = F.interpolate(disparity[:, None], (height, width), mode="nearest")[:, 0]
    rays = tangents(height, width, horizontal_fov)
    picture, differ, share = _read(pictures, weights, cameras, wanted, rays, disparity, horizontal_fov)
    picture = fill(picture, share > 0)
    return Swept(picture, torch.where(share > 0, differ, _UNSEEN_COST), share, disparity)


def _read(
    pictures: Tensor, weights: Tensor, cameras: Tensor, wanted: Tensor, rays: Tensor, disparity: Tensor, fov: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean ``[t, 3, h, w]``, standard deviation and share ``[t, h, w]`` of what is seen at ``disparity [t, h, w]``."""
    places = look_up(cameras, wanted, rays, disparity, fov)
    channels = torch.cat([pictures * weights[:, None], weights[:, None]], dim=1)
    count, frames = len(pictures), len(wanted)
    flat = places.flatten(1, 2)  # [c, t * h, w, 2]
    seen = F.grid_sample(channels, flat, padding_mode="border", align_corners=False)
    seen = seen.unflatten(2, (frames, -1))  # [c, 4, t, h, w]
    offset = places.abs().amax(dim=-1)
    weight = (offset < 1) * (1 + EDGE_WEIGHT - offset)  # [c, t, h, w]
    total = (weight * seen[:, 3]).sum(dim=0)
    colour = seen[:, :3] / seen[:, 3:].clamp(min=1e-3)
    weight = weight * seen[:, 3]
    mean = (weight[:, None] * colour).sum(dim=0) / total.clamp(min=EDGE_WEIGHT / 2)
    spread = ((colour - mean).square().mean(dim=1) * weight).sum(dim=0) / total.clamp(min=EDGE_WEIGHT / 2)
    share = ((offset < 1) * seen[:, 3]).sum(dim=0) / count
    known = total > EDGE_WEIGHT / 2
    return (mean * known).transpose(0, 1), spread.sqrt(), share * known


def fill(pictures: Tensor, known: Tensor) -> Tensor:
    """Colours for pixels that nothing showed, from those around them: ``pictures [t, 3, h, w]``, known ``[t, h, w]``.

    Known pixels are averaged into ever coarser pictures until all is known, and read back from there (push-pull).
    """
    solid = known.to(pictures.dtype)[:, None]
    if min(pictures.shape[2:]) < 2:
        mean = (pictures * solid).sum(dim=(2, 3), keepdim=True) / solid.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        return torch.where(solid > 0, pictures, mean)
    weight = F.avg_pool2d(solid, 2, ceil_mode=True)
    coarse = F.avg_pool2d(pictures * solid, 2, ceil_mode=True) / weight.clamp(min=1e-6)
    coarse = fill(coarse, weight[:, 0] > 0)
    around = F.interpolate(coarse, pictures.shape[2:], mode="bilinear")
    return torch.where(solid > 0, pictures, around)


def look_up(cameras: Tensor, wanted: Tensor, rays: Tensor, disparity: Tensor, fov: float) -> Tensor:
    """Where what the wanted cameras see lies in the given ones: ``[c, t, h, w, 2]``, -1..1 over a picture.

    rays ``[h, w, 2]`` (:func:`tangents`); disparity ``[t, h, w]``, 1/m. Where a camera does not see it: 2.
    """
    directions = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    rotation = torch.einsum("cji,tjk->ctik", cameras[:, :3, :3], wanted[:, :3, :3])
    shift = torch.einsum("cji,ctj->cti", cameras[:, :3, :3], wanted[None, :, :3, 3] - cameras[:, None, :3, 3])
    local = torch.einsum("ctij,hwj->cthwi", rotation, directions)
    local = local + disparity[None, ..., None] * shift[:, :, None, None]
    depth = local[..., 2:]
    height, width = rays.shape[:2]
    border = half_width(fov) * torch.tensor([1.0, height / width])
    places = local[..., :2] / depth.clamp(min=BEHIND) / border
    return torch.where(depth > BEHIND, places, 2.0).clamp(-2.0, 2.0)
