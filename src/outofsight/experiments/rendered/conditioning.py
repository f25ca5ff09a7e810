"""A rendered target as the transformer is told it: the picture's latents, and the maps in the latents' cells."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from .renderer import MAPS, Rendered

_UNSEEN = (1.0, 0.0, 0.0, 0.0)  # the maps where nothing was seen: all cost, no share, no subject


def condition(rendered: Rendered, encode: Callable[[Tensor], Tensor], first: list[int]) -> Tensor:
    """``[c + 4, f, h, w]`` float32: latents of the rendered picture, then its maps, means over each cell's pixels and
    video frames.

    Args:
        encode: uint8 video ``[t, H, W, 3]`` -> normalised latents ``[c, f, h, w]``.
        first: the first video frame of each latent frame.
    """
    frames = (rendered.picture * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
    latents = encode(frames.contiguous()).float()
    cells = F.adaptive_avg_pool2d(rendered.maps, (latents.shape[2], latents.shape[3]))
    cuts = [*first, len(cells)]
    maps = torch.stack([cells[start:end].mean(dim=0) for start, end in pairwise(cuts)], dim=1)
    return torch.cat([latents, maps])


def nothing_rendered(like: Tensor) -> Tensor:
    """The condition ``[..., c + 4, f, h, w]`` of a context that showed nothing."""
    empty = torch.zeros_like(like)
    empty[..., -MAPS:, :, :, :] = like.new_tensor(_UNSEEN).view(MAPS, 1, 1, 1)
    return empty


__all__ = ["MAPS", "condition", "nothing_rendered"]
