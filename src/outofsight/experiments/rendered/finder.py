"""SubjectFinder: which pixels of a context frame belong to who moves, where they stand and how far away.

A small U-Net that looks at each frame beside what the other frames say that its still background looks like
(``sweep.py``, the frame itself left out), and beside a frame before and one after it, turned to look the same way; so
that what moved stands out whatever it looks like.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from ...clips import Clip
from ...models.conditioners import Seen
from .follower import Follower
from .layers import conv
from .sighting import Sighting
from .sweep import SweepOptions, look_up, sweep, tangents

_FOOT_UNIT = 0.1  # of a picture's width, per unit of a foot vote
_INPUTS = 3 + 3 + 3 + 2 * 3 + 2
_APART = 4  # frames, between a frame and those before and after that are shown beside it
_LOG_DEPTHS = -2.0, 5.0  # natural logarithm of metres, that a depth can have
_SELF_SWEEP = SweepOptions(around=3, coarse=1)


class SubjectFinder(ModelMixin, ConfigMixin):
    """Args: widths: channels at 1/2, 1/4, 1/8 and 1/16 of the picture, multiples of 8. follower_widths: of the
    :class:`Follower` that mends what was found over all frames, or None without one."""

    @register_to_config
    def __init__(
        self, widths: tuple[int, ...] = (24, 48, 80, 112), follower_widths: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.follower = None if follower_widths is None else Follower(tuple(follower_widths))
        steps = range(len(widths) - 1)
        self.stem = conv(_INPUTS, widths[0], stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(conv(widths[i], widths[i + 1], stride=2), conv(widths[i + 1], widths[i + 1])) for i in steps
        )
        self.middle = nn.Sequential(conv(widths[-1], widths[-1]), conv(widths[-1], widths[-1]))
        self.up = nn.ModuleList(conv(widths[i] + widths[i + 1], widths[i]) for i in reversed(steps))
        self.coarse = nn.Conv2d(widths[0], 4, 3, padding=1)
        self.fine = nn.Sequential(conv(widths[0] + 3, 16), nn.Conv2d(16, 1, 3, padding=1))

    @property
    def version(self) -> int:
        """Counted up when the same weights' targets come to look otherwise."""
        from .renderer import RENDERER

        return RENDERER

    def target(self, seen: Seen, encode: Callable[[Tensor], Tensor], clip: Clip | None = None) -> Tensor:
        """The rendered target ``[c + 4, ft, h, w]``; ``clip``: for training, one whose subjects' positions are used.

        Raises:
            CameraError: a path without a pose for each frame, or no field of view.
            DatasetError: a clip without positions.
        """
        from .target import rendered_target
        from .truth import Truth

        height, width = seen.frames.shape[1:3]
        return rendered_target(self, encode, seen, None if clip is None else Truth.of(clip, (height, width)))

    def forward(self, inputs: Tensor) -> Sighting:
        """``inputs [n, 17, h, w]`` of :func:`finder_inputs`."""
        height, width = inputs.shape[2:]
        kept = [self.stem(inputs)]
        for down in self.down:
            kept.append(down(kept[-1]))
        x = self.middle(kept.pop())
        for up in self.up:
            side = kept.pop()
            x = up(torch.cat([F.interpolate(x, size=side.shape[2:], mode="nearest"), side], dim=1))
        coarse = F.interpolate(self.coarse(x), size=(height, width), mode="bilinear")
        wide = F.interpolate(x, size=(height, width), mode="bilinear")
        fine = self.fine(torch.cat([wide, inputs[:, :3]], dim=1))
        own = torch.stack(torch.meshgrid(torch.arange(width) + 0.5, torch.arange(height) + 0.5, indexing="xy"))
        return Sighting(
            subject=coarse[:, 0] + fine[:, 0],
            foot=own.to(x) + foot_unit(width) * coarse[:, 1:3],
            depth=coarse[:, 3].clamp(*_LOG_DEPTHS).exp(),
        )


def mirrored(inputs: Tensor) -> Tensor:
    """What the finder would see in a mirror: sides change, and where pixels look with them."""
    inputs = inputs.flip(-1).clone()
    inputs[:, -2] *= -1
    return inputs


@torch.no_grad()
def look_twice(finder: SubjectFinder, inputs: Tensor) -> Sighting:
    """The mean of what the finder says of its inputs ``[n, 17, h, w]`` and of their mirror images: steadier feet."""
    plain, other = finder(inputs), finder(mirrored(inputs))
    foot = other.foot.flip(-1).clone()
    foot[:, 0] = inputs.shape[-1] - foot[:, 0]
    return Sighting(
        subject=(plain.subject + other.subject.flip(-1)) / 2,
        foot=(plain.foot + foot) / 2,
        depth=(plain.depth * other.depth.flip(-1)).sqrt(),
    )


def foot_unit(width: int) -> float:
    """Pixels of a picture that wide, that a unit of a foot vote is."""
    return _FOOT_UNIT * width


@torch.no_grad()
def finder_inputs(pictures: Tensor, cameras: Tensor, horizontal_fov: float, frame: int, others: int = 8) -> Tensor:
    """What the finder sees of one frame, ``[17, h, w]``: its colours; how they differ from what up to so many other
    frames, evenly spaced, show there; cost, share and disparity of that; how a frame before and one after it differ,
    turned to look the same way (0 where there is none); and where each pixel looks.

    pictures ``[c, 3, h, w]`` in 0..1, cameras ``[c, 4, 4]`` c2w.
    """
    rest = torch.tensor([i for i in range(len(pictures)) if i != frame])
    rest = rest[torch.linspace(0, len(rest) - 1, min(others, len(rest))).round().long()]
    small = F.avg_pool2d(pictures[rest], 2)
    swept = sweep(small, cameras[rest], cameras[frame : frame + 1], horizontal_fov, _SELF_SWEEP)
    still = torch.cat([swept.picture, swept.maps()], dim=1)
    still = F.interpolate(still, size=pictures.shape[2:], mode="bilinear")[0]
    here = pictures[frame]
    away = (here - still[:3]) * (still[4] > 0)
    rays = tangents(here.shape[1], here.shape[2], horizontal_fov)
    beside = [
        _beside(pictures, cameras, horizontal_fov, frame, other, rays) for other in (frame - _APART, frame + _APART)
    ]
    return torch.cat([here - 0.5, away, still[3:], *beside, rays.permute(2, 0, 1)])


def _beside(pictures: Tensor, cameras: Tensor, fov: float, frame: int, other: int, rays: Tensor) -> Tensor:
    """How another frame differs ``[3, h, w]``, turned to look where this one looks; 0 where it does not see that."""
    here = pictures[frame]
    if not 0 <= other < len(pictures):
        return torch.zeros_like(here)
    far = torch.zeros(1, *rays.shape[:2])
    places = look_up(cameras[other : other + 1], cameras[frame : frame + 1], rays, far, fov)[0]
    turned = F.grid_sample(pictures[other : other + 1], places, padding_mode="border", align_corners=False)[0]
    return (turned - here) * (places[0].abs().amax(dim=-1) < 1)
