"""What the context's pixels say that the target looks like: the still scene swept, and who moves pasted where they are
thought to be by then. A memory that is a picture: nothing in it was generated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .finder import SubjectFinder, finder_inputs, look_twice
from .follower import follow
from .motion import go_on, world_up
from .sighting import Sighting
from .sweep import SweepOptions, Swept, half_width, sweep
from .tracks import Body, SubjectPath, paths_in, project
from .truth import Truth

MAPS = 4  # channels of Rendered.maps
RENDERER = 2  # to be counted up when the same finder's targets come to look otherwise: latents keep them
_LOOKS, _LOOK_STEP = 4, 2  # sightings whose mean a pasted subject is, and every which of the latest
_SOFT = 0.0125  # of a picture's width: by how much a pasted subject is blurred
_FIRM = 3.0  # times, its blurred opacity
_AWAY = 0.02  # of a picture's width, around a marked pixel: not taken for still
_MAYBE = 0.3
_NEAREST = 0.2  # metres


@dataclass(frozen=True, eq=False)
class Rendered:
    """Of t target frames. picture ``[t, 3, h, w]`` in 0..1. maps ``[t, 4, h, w]``: how much the context frames differ
    there, the share of them that sees it, 1 / depth of the still scene, and how opaque a pasted subject is. paths: whom
    the context showed; places: where each is thought to stand in the target frames, ``[t, 3]`` metres."""

    picture: Tensor
    maps: Tensor
    paths: list[SubjectPath]
    places: list[np.ndarray]


@torch.no_grad()
def render(
    finder: SubjectFinder,
    pictures: Tensor,
    cameras: np.ndarray,
    wanted: np.ndarray,
    horizontal_fov: float,
    *,
    step: int = 3,
    options: SweepOptions = SweepOptions(),  # noqa: B008  (frozen)
    truth: Truth | None = None,
) -> Rendered:
    """Render target frames from context frames.

    Args:
        finder: marks who moves; in eval mode.
        pictures: ``[c, 3, h, w]`` in 0..1, of successive context frames.
        cameras, wanted: c2w ``[c, 4, 4]`` and ``[t, 4, 4]``, metres; the first wanted frame follows the last one given.
        horizontal_fov: degrees.
        step: every which context frame the still scene is taken from.
        truth: for training, where subjects truly are; None: they are tracked and extrapolated.
    """
    sighting = look(finder, pictures, cameras, horizontal_fov)
    half = half_width(horizontal_fov)
    origin = np.linalg.inv(wanted[0])
    near, far = origin @ cameras, origin @ wanted  # in float32 only differences of positions may be large
    if truth is not None:
        truth = truth.seen_from(origin)
        sighting = truth.corrected(sighting, near, half)
    up = world_up(near)
    paths = paths_in(sighting, near, half, up, levelled=truth is None)  # true places need no mending
    if truth is None and finder.follower is not None:
        paths = [follow(finder.follower, path, pictures, near, half) for path in paths]
    away = max(1, round(_AWAY * pictures.shape[3]))
    still = 1 - F.max_pool2d((sighting.subject.sigmoid()[:, None] > _MAYBE).float(), 2 * away + 1, 1, away)[:, 0]
    swept = sweep(
        pictures[::step],
        torch.from_numpy(near[::step]).float(),
        torch.from_numpy(far).float(),
        horizontal_fov,
        options,
        weights=still[::step],
    )
    later = len(pictures) + np.arange(len(wanted))
    places = []
    for path in paths:
        known = None if truth is None else truth.places(path, later)
        places.append(go_on(path, near, later, up) if known is None else known)
    return _composed(swept, pictures, paths, places, far, half, origin)


def look(finder: SubjectFinder, pictures: Tensor, cameras: np.ndarray, horizontal_fov: float) -> Sighting:
    """The finder's answer for each of ``pictures [c, 3, h, w]``."""
    poses = torch.from_numpy(np.array(cameras)).float()
    inputs = [finder_inputs(pictures, poses, horizontal_fov, i) for i in range(len(pictures))]
    answers = [look_twice(finder, x[None]) for x in inputs]
    return Sighting(*(torch.cat([getattr(a, name) for a in answers]) for name in ("subject", "foot", "depth")))


def _composed(
    swept: Swept,
    pictures: Tensor,
    paths: list[SubjectPath],
    places: list[np.ndarray],
    wanted: np.ndarray,
    half: float,
    origin: np.ndarray,
) -> Rendered:
    """Paste subjects over the still scene, the nearest last."""
    picture, opaque = swept.picture.clone(), torch.zeros_like(swept.cost)
    size = (picture.shape[2], picture.shape[3])
    looks = [_looks(path) for path in paths]
    for t, c2w in enumerate(wanted):
        standing = [project(c2w, place[t], size, half) for place in places]
        for i in sorted(range(len(paths)), key=lambda i: -standing[i][1]):
            foot, depth = standing[i]
            if depth < _NEAREST:
                continue
            sprite = _sprite(pictures, looks[i], foot, depth)
            if sprite is None:
                continue
            alpha = (_FIRM * sprite[3]).clamp(max=1)
            colour = sprite[:3] / sprite[3].clamp(min=1e-3)
            picture[t] = torch.lerp(picture[t], colour, alpha)
            opaque[t] = torch.maximum(opaque[t], alpha)
    maps = torch.cat([swept.maps(), opaque[:, None]], dim=1)
    home = np.linalg.inv(origin)
    return Rendered(picture, maps, paths, [place @ home[:3, :3].T + home[:3, 3] for place in places])


def _looks(path: SubjectPath) -> list[Body]:
    """The sightings that a subject is pasted from: the latest that show it whole, else the largest."""
    whole = [body for body in path.bodies if body.whole]
    bodies = whole if whole else sorted(path.bodies, key=lambda body: body.area)
    latest = bodies[-1]
    return [body for body in bodies[::-_LOOK_STEP][:_LOOKS] if body.area > 0.5 * latest.area]


def _sprite(pictures: Tensor, looks: list[Body], foot: np.ndarray, depth: float) -> Tensor | None:
    """The mean of a subject's looks, moved and scaled to stand at a pixel and depth; None out of the picture.

    ``[4, h, w]``: colours times opacity, and opacity.
    """
    height, width = pictures.shape[2:]
    taken = []
    for body in looks:
        scale = body.depth / depth
        # the target's pixel x shows the look's pixel foot + (x - foot') / scale; in -1..1 over the picture
        shift = (body.foot - np.array([width, height]) / 2) - (foot - np.array([width, height]) / 2) / scale
        theta = torch.tensor(
            [[1 / scale, 0.0, 2 * shift[0] / width], [0.0, 1 / scale, 2 * shift[1] / height]], dtype=torch.float32
        )
        grid = F.affine_grid(theta[None], [1, 4, height, width], align_corners=False)
        alpha = torch.from_numpy(body.pixels)[None]
        source = torch.cat([pictures[body.frame] * alpha, alpha])
        taken.append(F.grid_sample(source[None], grid, align_corners=False)[0])
    mean = torch.stack(taken).mean(dim=0)
    if not bool((mean[3] > 0).any()):
        return None
    return _blurred(mean, _SOFT * width)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian over ``x [c, h, w]``."""
    radius = max(1, round(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(x[:, None], kernel.view(1, 1, 1, -1), padding=(0, radius))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1), padding=(radius, 0))[:, 0]
