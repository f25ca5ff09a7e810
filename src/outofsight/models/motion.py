"""Where those who move should be by now, and what they look like: ways over the ground, swept as depths are.

A reprojection (models/reprojection.py) finds what stood still. Who walked on is somewhere else, and what was seen of
them lies along their way. So each cell of a target frame asks, for a few distances and a few velocities: if a subject
were here now and had come at this velocity, was it seen where it must have been? The velocity under which the context
answers "yes" in most of the frames that could have seen it is the way that leads here (a Hough transform of straight
motion, in the spirit of a plane sweep), and what the context shows along it is what the subject looks like.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..memory import FrameLayout
from .rays import ray_directions
from .reprojection import cells_of, places_in_context

_UNSEEN = 0.1  # of a frame: what a way that no context frame could have seen is divided by
_SURE = 0.05  # of a frame: presence along a way below which what it shows fades out
_LOUD = 5.0  # times shares, so that they are as large as latents
_WIDTH = 48  # of the detector
_RARE = -3.0  # logit that the detector starts from: one cell in twenty


def ground_velocities(speeds: tuple[float, ...], directions: int) -> Tensor:
    """``[1 + len(speeds) * directions, 3]``: standing still, then each speed in directions around the vertical (y)."""
    turns = [2 * math.pi * turn / directions for turn in range(directions)]
    ways = [(speed * math.cos(turn), 0.0, speed * math.sin(turn)) for speed in speeds for turn in turns]
    return torch.tensor([(0.0, 0.0, 0.0), *ways])


def motion_channels(channels: int, distances: int, velocities: int) -> int:
    """Channels of :func:`sweep_motions` for latents of so many channels."""
    return distances * velocities + channels + 1


def detector_products(channels: int) -> int:
    """Multiplications of the detector for each cell of latents of so many channels."""
    return (9 * channels + 2 * 27 * _WIDTH + 9) * _WIDTH


@torch.no_grad()
def sweep_motions(
    context: Tensor, presence: Tensor, layout: FrameLayout, distances: tuple[float, ...], velocities: Tensor
) -> Tensor:
    """What the context tells of subjects that may stand where target cells look.

    Args:
        context: ``[b, c, fc, h, w]`` clean latents of the layout's context frames.
        presence: ``[b, fc, h, w]``, the probability of a subject in each of their cells.
        layout: cameras of context and target frames, with a field of view, and times; its token grid is not used.
        distances: metres along a camera's axis at which a subject may stand.
        velocities: ``[v, 3]`` metres per latent frame, in the axes of the first target camera.

    Returns:
        ``[b, k * v + c + 1, ft, h, w]`` float32: for each of the k distances and v velocities, five times the mean
        presence along that way over the context frames that have it in view; c channels of what the context shows
        along the way of the highest mean, where presence is high; and five times the share of the context frames that
        show presence along it.

    Raises:
        GeometryError: the cameras have no field of view.
    """
    context, presence = context.float(), presence.float()[:, :, None]
    cells = cells_of(layout, context)
    velocities = velocities.to(context)
    with torch.autocast(context.device.type, enabled=False):
        rays = ray_directions(cells, range(cells.context_frames, cells.frames))
        ways = [(distance, velocity) for distance in distances for velocity in velocities]
        votes = torch.stack([_vote(presence, _along(cells, rays, *way)) for way in ways], dim=1)
        best = votes.argmax(dim=1)  # [b, ft, n]
        far = torch.tensor(distances, device=best.device)[best // len(velocities)]
        shown, amount = _shown(context, presence, _along(cells, rays, far, velocities[best % len(velocities)]))
    return torch.cat([_LOUD * votes, shown, _LOUD * amount], dim=1).unflatten(3, context.shape[3:])


class MotionReader(nn.Module):
    """Finds subjects in context latents, and where they may have gone.

    Args:
        channels: of latents. distances, speeds, directions: the ways that are swept (:func:`sweep_motions`).

    ``blind``: take it that nobody was ever seen (an ablation).
    """

    velocities: Tensor
    blind = False

    def __init__(self, channels: int, distances: tuple[float, ...], speeds: tuple[float, ...], directions: int) -> None:
        super().__init__()
        self.distances = distances
        self.register_buffer("velocities", ground_velocities(speeds, directions), persistent=False)
        last = nn.Conv3d(_WIDTH, 1, (1, 3, 3), padding=(0, 1, 1))
        last.bias = nn.Parameter(torch.full((1,), _RARE))
        self.detector = nn.Sequential(
            nn.Conv3d(channels, _WIDTH, (1, 3, 3), padding=(0, 1, 1)),
            nn.SiLU(),
            nn.Conv3d(_WIDTH, _WIDTH, 3, padding=1),
            nn.SiLU(),
            nn.Conv3d(_WIDTH, _WIDTH, 3, padding=(1, 2, 2), dilation=(1, 2, 2)),
            nn.SiLU(),
            last,
        )

    def look(self, context: Tensor) -> Tensor:
        """Logits ``[b, fc, h, w]`` of a subject covering a cell of ``context [b, c, fc, h, w]``, clean latents."""
        logits: Tensor = self.detector(context.to(next(self.detector.parameters()).dtype))
        return logits[:, 0].float()

    def read(self, context: Tensor, logits: Tensor, layout: FrameLayout) -> Tensor:
        """See :func:`sweep_motions`. No gradient: the detector learns from where subjects are (``presence_weight``)."""
        presence = torch.zeros_like(logits) if self.blind else logits.sigmoid()
        return sweep_motions(context, presence, layout, self.distances, self.velocities)


def _along(cells: FrameLayout, rays: Tensor, distance: float | Tensor, velocity: Tensor) -> Tensor:
    """Where whoever is now ``distance`` metres off in a target cell was in each context frame, ``[b, fc, ft, n, 2]``.

    rays ``[b, ft, n, 3]`` of the target cells. distance: metres along the camera's axis, a number or ``[b, ft, n]``;
    velocity ``[3]`` or ``[b, ft, n, 3]``.
    """
    cut = cells.context_frames
    cameras = cells.poses[:, cut:].float().unflatten(-1, (3, 4))
    forward = (rays * cameras[:, :, None, :, 2]).sum(dim=-1)  # of a ray of length 1, along the camera's axis
    here = cameras[:, :, None, :, 3] + rays * (distance / forward)[..., None]  # [b, ft, n, 3]
    ages = (cells.times[:, None, cut:] - cells.times[:, :cut, None]).to(here)  # [b, fc, ft]
    gone = (velocity if velocity.ndim == 1 else velocity[:, None]) * ages[..., None, None]
    return places_in_context(here[:, None] - gone, cells, 1.0)


def _seen(places: Tensor) -> Tensor:
    """1 where places ``[..., 2]`` lie in the picture, else 0: ``[...]`` float32."""
    return (places.abs().amax(dim=-1) < 1).float()


def _sample(values: Tensor, places: Tensor) -> Tensor:
    """``values [b, fc, c, h, w]`` at ``places [b, fc, ft, n, 2]``: ``[b, fc, c, ft, n]``."""
    read = torch.nn.functional.grid_sample(
        values.flatten(0, 1), places.flatten(0, 1), padding_mode="border", align_corners=False
    )
    return read.unflatten(0, values.shape[:2])


def _vote(presence: Tensor, places: Tensor) -> Tensor:
    """Mean of ``presence [b, fc, 1, h, w]`` along one way, ``[b, ft, n]``."""
    seen = _seen(places)
    return (_sample(presence, places)[:, :, 0] * seen).sum(dim=1) / (seen.sum(dim=1) + _UNSEEN)


def _shown(context: Tensor, presence: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """What ``context [b, c, fc, h, w]`` shows along each cell's way ``[b, c, ft, n]``, and the share of its frames that
    show a subject there ``[b, 1, ft, n]``."""
    weight = _sample(presence, places)[:, :, 0] * _seen(places)  # [b, fc, ft, n]
    total = weight.sum(dim=1)
    mean = torch.einsum("bftn,bfctn->bctn", weight, _sample(context.transpose(1, 2), places))
    return mean / (total + _SURE)[:, None], (total / weight.shape[1])[:, None]
