"""Feet followed over frames: a finder sees each frame for itself, and its feet wander by a pixel or two from frame to
frame, as much as a subject walks. Seen together, the frames say better where in each the same body stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import conv
from .tracks import ACROSS, ALONG, Body, SubjectPath

# a window around a subject: samples up and across, metres between them, and below its foot
_UP, _ACROSS, _STEP, _BELOW = 48, 32, 0.05, 0.3
_ASIDE, _FARTHER = 0.2, 0.1  # metres, and of a logarithm, that an answer of 1 means
_LEAST, _MOST = -3.0, 4.0  # of the logarithm of a doubt, in units of the finder's
_PLAIN = 5.0  # times, that what was corrected already is told again
_SHIFTS = 6  # samples to either side, by which a window is tried against the mean one
_SUMMARY = 16  # numbers that a window's looks come to
_SOME, _VARIES = 0.05, 0.003  # frames that mark a sample at least, and a variance of its colours that halves its weight


@dataclass(frozen=True, eq=False)
class Followed:
    """Of b paths over n frames. aside ``[b, n]``: metres to the camera's right, from the foot found to the true one.
    farther ``[b, n]``: natural logarithm of true depth over depth found. doubts ``[b, n, 2]``: as ``Body.doubt``."""

    aside: Tensor
    farther: Tensor
    doubts: Tensor


class Follower(nn.Module):
    """Args: widths: channels at 1/2, 1/4, ... of a window, multiples of 8. channels: inside."""

    def __init__(self, widths: tuple[int, ...] = (16, 24, 32), channels: int = 64) -> None:
        super().__init__()
        inputs, shrunk = (9, *widths), 2 ** len(widths)
        self.look = nn.Sequential(*(conv(inputs[i], width, stride=2) for i, width in enumerate(widths)))
        self.sum_up = nn.Linear(widths[-1] * (_UP // shrunk) * (_ACROSS // shrunk), _SUMMARY)
        self.forget = nn.Dropout(0.3)  # looks are learned by heart sooner than where bodies fit best
        self.begin = nn.Conv1d(_SUMMARY + 2 * (2 * _SHIFTS + 1) + 2 + 2, channels, 5, padding=2)
        self.near = nn.Conv1d(channels, channels, 5, padding=2)
        self.wide = nn.Conv1d(channels, channels, 5, padding=4, dilation=2)
        self.say = nn.Linear(channels, 4)
        nn.init.zeros_(self.say.weight)
        nn.init.zeros_(self.say.bias)

    def forward(self, pictures: Tensor, feet: Tensor, scale: Tensor, seen: Tensor, passes: int = 2) -> list[Followed]:
        """Look, and look again from where the feet are thought to be then; an answer for each pass.

        Args:
            pictures: ``[b, n, 4, h, w]``, colours in 0..1 and how surely a pixel shows the subject.
            feet: ``[b, n, 2]`` pixels, as found. scale: ``[b, n]``, pixels that a metre there is.
            seen: ``[b, n]``, 1 in frames in which the subject was found, else 0.
        """
        aside = torch.zeros_like(scale)
        answers = []
        for _ in range(passes):
            aside = aside.detach()
            shown, inside = _windows(pictures, feet + F.pad((aside * scale)[..., None], (0, 1)), scale)
            mean, steady = _template(shown, seen)
            told = torch.cat([shown[:, :, :3] - 0.5, shown[:, :, 3:], inside, (shown - mean) * inside], dim=2)
            each = F.silu(self.sum_up(self.look(told.flatten(0, 1)).flatten(1))).unflatten(0, seen.shape)
            known = torch.stack([_PLAIN * aside, torch.ones_like(aside)], dim=-1)
            x = torch.cat([self.forget(each), _fits(shown, inside, mean, steady), known], dim=-1).transpose(1, 2)
            x = F.silu(self.begin(x * seen[:, None])) * seen[:, None]
            x = (x + F.silu(self.near(x))) * seen[:, None]
            said = self.say((x + F.silu(self.wide(x))).transpose(1, 2))
            aside = aside + _ASIDE * said[..., 0]
            doubts = said[..., 2:].clamp(_LEAST, _MOST).exp() * said.new_tensor([ACROSS, ALONG])
            answers.append(Followed(aside, _FARTHER * said[..., 1], doubts))
        return answers


def _windows(pictures: Tensor, feet: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Colours and marks around each foot, ``[b, n, 4, up, across]``, and whether that lies in the picture."""
    up = torch.arange(_UP).to(feet) - (_UP - 1) + _BELOW / _STEP
    across = torch.arange(_ACROSS).to(feet) - (_ACROSS - 1) / 2
    grid = torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1) * _STEP
    at = feet[:, :, None, None] + grid * scale[:, :, None, None, None]
    at = at / feet.new_tensor([pictures.shape[4], pictures.shape[3]]) * 2 - 1
    shown = F.grid_sample(pictures.flatten(0, 1), at.flatten(0, 1), align_corners=False)
    return shown.unflatten(0, scale.shape), (at.abs() < 1).all(dim=-1)[:, :, None].to(shown)


def _template(shown: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """What a path's windows show on average, ``[b, 1, 4, up, across]``, and how much each sample tells of where a body
    stands: marked often, and of one colour in all frames, as chests are and legs are not."""
    sure = shown[:, :, 3:] * seen[:, :, None, None, None]
    weight = sure.sum(dim=1, keepdim=True)
    colours = (shown[:, :, :3] * sure).sum(dim=1, keepdim=True) / weight.clamp(min=_SOME)
    varies = ((shown[:, :, :3] - colours) ** 2 * sure).sum(dim=1, keepdim=True).mean(dim=2, keepdim=True)
    often = weight / seen.sum(dim=1).clamp(min=1)[:, None, None, None, None]
    return torch.cat([colours, often], dim=2), often / (1 + varies / weight.clamp(min=_SOME) / _VARIES)


@torch.no_grad()
def _fits(shown: Tensor, inside: Tensor, mean: Tensor, steady: Tensor) -> Tensor:
    """How ill each window fits the mean one if it is moved aside by -6 ... 6 samples, by its colours and by its marks,
    over the mean of those; and the logarithms of both means: ``[b, n, 28]``."""
    colours, marks = [], []
    for shift in range(-_SHIFTS, _SHIFTS + 1):
        here = slice(max(0, shift), _ACROSS + min(0, shift))
        there = slice(max(0, -shift), _ACROSS + min(0, -shift))
        off, counts = (shown[..., here] - mean[..., there]) ** 2, inside[..., here]
        weight, often = steady[..., there] * counts, mean[:, :, 3:, :, there] * counts
        total, marked = weight.sum(dim=(2, 3, 4)), often.sum(dim=(2, 3, 4))
        colours.append((off[:, :, :3] * weight).sum(dim=(2, 3, 4)) / total.clamp(min=1e-3))
        marks.append((off[:, :, 3:] * counts).sum(dim=(2, 3, 4)) / marked.clamp(min=1))
    found = []
    for errors, least in ((torch.stack(colours, dim=2), 1e-5), (torch.stack(marks, dim=2), 1e-4)):
        level = errors.mean(dim=2, keepdim=True)
        found += [errors / level.clamp(min=least) - 1, (level + 10 * least).log() / 3 + 2]
    return torch.cat(found, dim=2)


@torch.no_grad()
def follow_twice(follower: Follower, pictures: Tensor, feet: Tensor, scale: Tensor, seen: Tensor) -> Followed:
    """The mean of what a follower in eval mode says (its last word) of paths and of their mirror images; arguments as
    its own."""
    plain = follower(pictures, feet, scale, seen)[-1]
    across = feet.clone()
    across[..., 0] = pictures.shape[-1] - feet[..., 0]
    other = follower(pictures.flip(-1), across, scale, seen)[-1]
    return Followed(
        aside=(plain.aside - other.aside) / 2,
        farther=(plain.farther + other.farther) / 2,
        doubts=(plain.doubts * other.doubts).sqrt(),
    )


def follow(
    follower: Follower, path: SubjectPath, pictures: Tensor, cameras: np.ndarray, half_width: float
) -> SubjectPath:
    """The same path with its feet, depths and doubts corrected.

    Args:
        pictures: ``[n, 3, h, w]`` in 0..1, the frames that the path's sightings are counted by.
        cameras: c2w ``[n, 4, 4]`` of them.
        half_width: tangent of half the field of view.
    """
    marks, feet, scale, seen = as_told(path, len(pictures), half_width)
    told = follow_twice(
        follower, torch.cat([pictures, marks[:, None]], dim=1)[None], feet[None], scale[None], seen[None]
    )
    return SubjectPath(
        [
            _corrected(
                body,
                cameras[body.frame],
                float(told.aside[0, body.frame]),
                float(told.farther[0, body.frame]),
                told.doubts[0, body.frame].numpy(),
                float(scale[body.frame]),
            )
            for body in path.bodies
        ]
    )


def as_told(path: SubjectPath, count: int, half_width: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A path over ``count`` frames as a follower is told of it: marks ``[count, h, w]`` in 0..1, and feet, scale and
    seen as in :meth:`Follower.forward`."""
    height, width = path.bodies[0].pixels.shape
    marks, feet = torch.zeros(count, height, width), torch.zeros(count, 2)
    scale, seen = torch.ones(count), torch.zeros(count)
    for body in path.bodies:
        marks[body.frame] = torch.from_numpy(body.pixels)
        feet[body.frame] = torch.from_numpy(body.foot)
        scale[body.frame] = pixels_a_metre(body.depth, width, half_width)
        seen[body.frame] = 1
    return marks, feet, scale, seen


def pixels_a_metre(depth: float, width: int, half_width: float) -> float:
    """What a metre across the line of sight is in a picture that wide."""
    return width / 2 / half_width / depth


def _corrected(body: Body, c2w: np.ndarray, aside: float, farther: float, doubts: np.ndarray, scale: float) -> Body:
    ray = body.position - c2w[:3, 3] + c2w[:3, 0] * aside
    return replace(
        body,
        foot=body.foot + np.array([aside * scale, 0.0]),
        depth=body.depth * float(np.exp(farther)),
        position=c2w[:3, 3] + ray * float(np.exp(farther)),
        doubt=(float(doubts[0]), float(doubts[1])),
    )
