"""A first picture of the target, painted from what was read of the context: convolutions over cells.

Readings (models/reprojection.py, models/motion.py) say for every cell of the target what the past showed there and
who may have come there. Putting that together is local work, which a small convolutional network learns in a tenth
of the steps that a transformer over patches of cells needs (docs/tiny.md). What it paints is added to the
transformer's answer, and the tokens are told of it, so that blocks and memory add what it cannot know.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..memory import FrameLayout
from .clock import CLOCK_NUMBERS, clock_numbers
from .reprojection import tell_target

# of each layer: dilation over rows and columns, and whether it sees the frames before and after
_LAYERS = ((1, False), (2, False), (1, True), (3, False), (1, True), (1, False))


@dataclass(frozen=True, eq=False)
class Painting:
    """What a painter made of a batch of targets.

    picture: ``[b, c, ft, h, w]``, to be taken from the velocity (noise minus clean latents). tokens:
    ``[b, dim, ft, rows, columns]``, to be added to the target's. presence: ``[b, ft, h, w]`` logits, to be added to
    those that tokens tell (models/presence.py).
    """

    picture: Tensor
    tokens: Tensor
    presence: Tensor

    def tell(self, x: Tensor) -> Tensor:
        """Tokens ``[b, f, n, dim]``, the last of which, the target's, have been told of the picture."""
        return tell_target(x, self.tokens)

    def onto(self, velocity: Tensor) -> Tensor:
        """Velocities ``[b, c, f, h, w]``, from the last frames of which the picture has been taken."""
        before = velocity.shape[2] - self.picture.shape[2]
        painted = velocity[:, :, before:] - self.picture.to(velocity.dtype)
        return torch.cat([velocity[:, :, :before], painted], dim=2)


def painter_products(channels: int, width: int, out_channels: int, dim: int) -> int:
    """Multiplications of a :class:`Painter` for each cell of the target."""
    kernels = sum((27 if over_time else 9) + 1 for _, over_time in _LAYERS)
    return width * (channels + 2 + CLOCK_NUMBERS + kernels * width + out_channels + dim + 1)


class Painter(nn.Module):
    """Paints the target's cells from readings of the context; it begins by painting and telling nothing.

    Args:
        channels: of all readings together. width: of its layers. out_channels: of latents. dim: width of tokens.
        patch_size: cells of a token.
    """

    def __init__(self, channels: int, width: int, out_channels: int, dim: int, patch_size: tuple[int, ...]) -> None:
        super().__init__()
        self.readings = nn.Conv3d(channels, width, 1)
        self.places = nn.Linear(2 + CLOCK_NUMBERS, width)
        self.layers = nn.Sequential(*(_Layer(width, *how) for how in _LAYERS))
        self.norm = nn.GroupNorm(1, width)
        patch = (patch_size[0], patch_size[1], patch_size[2])
        self.tokens = nn.Conv3d(width, dim, kernel_size=patch, stride=patch)
        self.paint = nn.Conv3d(width, out_channels, 1)
        self.presence = nn.Conv3d(width, 1, 1)
        for last in (self.tokens, self.paint, self.presence):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, readings: Tensor, layout: FrameLayout) -> Painting:
        """``readings [b, c, ft, h, w]`` of a layout's target frames."""
        dtype = self.readings.weight.dtype
        places = self.places(_places(readings, layout).to(dtype))
        x = self.readings(readings.to(dtype)) + places.permute(0, 4, 1, 2, 3)
        x = nn.functional.silu(self.norm(self.layers(x)))
        return Painting(self.paint(x), self.tokens(x), self.presence(x)[:, 0].float())


def join_readings(reprojected: Tensor | None, motions: Tensor | None, reprojections_kept: Tensor | None) -> Tensor:
    """What a painter is given: all readings ``[b, c, ft, h, w]`` side by side; reprojections only of clips
    ``reprojections_kept [b]`` (None: all)."""
    if reprojected is not None and reprojections_kept is not None:
        reprojected = reprojected * reprojections_kept[:, None, None, None, None].to(reprojected)
    return torch.cat([reading for reading in (reprojected, motions) if reading is not None], dim=1)


class _Layer(nn.Module):
    """x + a convolution of it, normalised over the whole clip."""

    def __init__(self, width: int, dilation: int, over_time: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.look = nn.Conv3d(
            width,
            width,
            (3 if over_time else 1, 3, 3),
            padding=(1 if over_time else 0, dilation, dilation),
            dilation=(1, dilation, dilation),
        )
        self.add = nn.Conv3d(width, width, 1)
        for parameter in self.add.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.add(nn.functional.silu(self.look(self.norm(x))))
        return x + added


def _places(readings: Tensor, layout: FrameLayout) -> Tensor:
    """``[b, ft, h, w, 2 + CLOCK_NUMBERS]``: row and column from -1 to 1, and the time since the cut."""
    batch, _, frames, height, width = readings.shape
    clock = clock_numbers(layout, range(layout.context_frames, layout.frames), readings.device)
    rows = torch.linspace(-1, 1, height, device=readings.device).view(1, 1, height, 1, 1)
    columns = torch.linspace(-1, 1, width, device=readings.device).view(1, 1, 1, width, 1)
    shape = (batch, frames, height, width, -1)
    return torch.cat([rows.expand(shape), columns.expand(shape), clock[:, :, None, None].expand(shape)], dim=-1)
