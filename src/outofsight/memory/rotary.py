"""Rotary positions of tokens, computed once for all blocks, for whole and half positions alike."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

THETA = 10000.0


class Rotary(NamedTuple):
    """``cos`` and signed ``sin``, ``[1|b, tokens, 1, head_dim]`` float32, pairs of channels side by side.

    On the CPU also ``turn``, the same as complex numbers ``[1|b, tokens, 1, head_dim/2]``, which take one pass there.
    """

    cos: Tensor
    sin: Tensor
    turn: Tensor | None

    def frames(self, frames: slice, tokens: int) -> Rotary:
        """The part of some frames of so many tokens each."""
        rows = slice(frames.start * tokens, frames.stop * tokens)
        turn = None if self.turn is None else self.turn[:, rows]
        return Rotary(self.cos[:, rows], self.sin[:, rows], turn)


def axis_channels(head_dim: int) -> tuple[int, int, int]:
    """Channels of a head given to time, height and width, as Wan divides them."""
    space = 2 * (head_dim // 6)
    return head_dim - 2 * space, space, space


def rotary_table(times: Tensor, rows: Tensor, columns: Tensor, head_dim: int, device: torch.device) -> Rotary:
    """Rotary table of frames at ``times [1|b, f]`` with tokens at ``rows [h]`` and ``columns [w]`` (all on the CPU).

    Angles are taken in float64 and stored in float32 (Wan's are complex128; the difference is 1e-7). The sign
    of the pairwise rotation is folded into ``sin`` so that applying it takes two passes.
    """
    angles = [
        _angles(position, channels)
        for position, channels in zip((times, rows, columns), axis_channels(head_dim), strict=True)
    ]
    batch, frames = times.shape
    shape = (batch, frames, len(rows), len(columns))
    spread = [
        angles[0][:, :, None, None].expand(*shape, -1),
        angles[1][None, None, :, None].expand(*shape, -1),
        angles[2][None, None, None, :].expand(*shape, -1),
    ]
    angle = torch.cat(spread, dim=-1).flatten(1, 3).unsqueeze(2)
    cos, sin = angle.cos().float(), angle.sin().float()
    turn = torch.complex(cos, sin) if torch.device(device).type == "cpu" else None
    return Rotary(
        torch.stack((cos, cos), dim=-1).flatten(-2).to(device),
        torch.stack((-sin, sin), dim=-1).flatten(-2).to(device),
        turn,
    )


def _angles(positions: Tensor, channels: int) -> Tensor:
    # float64 does not exist on every device; these are tiny and stay on the CPU
    exponent = torch.arange(0, channels, 2, dtype=torch.float64) / channels
    return positions.double()[..., None] * THETA**-exponent


def apply_rotary(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotate ``x [b, tokens, heads, head_dim]``; the result has x's dtype."""
    if rotary.turn is not None and x.dtype == torch.float32 and not _recorded():
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * rotary.turn).flatten(-2)
    swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(x * rotary.cos, swapped, rotary.sin).to(x.dtype)


def _recorded() -> bool:
    """Complex numbers are kept from autograd and from the compiler, which serve them poorly."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling()
