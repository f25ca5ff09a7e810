"""Rotary positions of tokens, computed once for all blocks, for whole and half positions alike."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

THETA = 10000.0
# radians per unit of a point's coordinates: from a turn over the whole sphere to one within a few degrees
SLOWEST, FASTEST = 1.5, 24.0


class Rotary(NamedTuple):
    """``cos`` and signed ``sin``, ``[1|b, tokens, 1|heads, head_dim]`` float32, pairs of channels side by side.

    On the CPU also ``turn``, the same as complex numbers ``[.., head_dim/2]``, which take one pass there.
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
    return _table(torch.cat(spread, dim=-1).flatten(1, 3).unsqueeze(2), device)


def point_rotary(points: Tensor, head_dim: int) -> Rotary:
    """Rotary table of tokens at ``points [b, tokens, heads, 3]``, one place per head, on the points' device.

    Each axis gets a third of the channel pairs, at angles from :data:`SLOWEST` to :data:`FASTEST` radians per unit;
    pairs left over are not turned. With unit vectors as points, two tokens that look the same way are at the same
    place however the cameras are turned, and attention between them depends on the angle between their rays alone.
    """
    pairs = head_dim // 6
    octaves = torch.linspace(math.log(SLOWEST), math.log(FASTEST), pairs, dtype=points.dtype, device=points.device)
    angles = (points[..., None] * octaves.exp()).flatten(-2)
    left = head_dim // 2 - angles.shape[-1]
    return _table(torch.nn.functional.pad(angles, (0, left)), points.device)


def join_heads(first: Rotary, heads: int, second: Rotary) -> Rotary:
    """One table: ``first [.., 1, d]`` for so many heads, then ``second [.., heads, d]``."""

    def join(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a.expand(b.shape[0], -1, heads, -1), b], dim=2)

    turn = None if first.turn is None or second.turn is None else join(first.turn, second.turn)
    return Rotary(join(first.cos, second.cos), join(first.sin, second.sin), turn)


def _table(angle: Tensor, device: torch.device) -> Rotary:
    """``angle [1|b, tokens, 1|heads, head_dim/2]`` in radians."""
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
