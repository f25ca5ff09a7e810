"""What a follower learns from: tracks that a finder detected in clips, and the ground truth of their subjects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...clips import Clip
from ...training.prepare import naming
from .finder import SubjectFinder
from .follower import as_told
from .motion import ground_axes, world_up
from .renderer import look
from .sweep import half_width
from .target import check_cameras
from .tracks import LEAST_PIXELS, SubjectPath, paths_in, project
from .truth import NEAREST, Truth

_OWNED = 0.3  # of a path's marked pixels, that must show one subject
_LEAST_SIGHTINGS = 8  # of a path, some of which may be forgotten


@dataclass(frozen=True, eq=False)
class Pursuit:
    """A path over n context frames, and m target frames. pictures uint8 ``[n, 3, h, w]``; marks uint8 ``[n, h, w]``.

    As found: feet ``[n, 2]``, ground points in pixels, scale ``[n]`` pixels a metre, seen ``[n]`` 0 or 1, depths
    ``[n]`` metres; places, eyes, rights ``[n, 2]`` over the ground: the subject, the camera, and its right-hand
    axis; doubts ``[n, 2]``, standard deviations. In truth: gaps ``[n]`` metres to the right from ground point to true
    ground point; farther ``[n]`` natural logarithm of true over found depth; taught ``[n]``, where these count.
    later_eyes, later_places ``[m, 2]`` over the ground; sizes ``[m]``, root of the pixels that show the subject in
    radians, 0 where none does.
    """

    pictures: Tensor
    marks: Tensor
    feet: Tensor
    scale: Tensor
    seen: Tensor
    depths: Tensor
    places: Tensor
    eyes: Tensor
    rights: Tensor
    doubts: Tensor
    gaps: Tensor
    farther: Tensor
    taught: Tensor
    later_eyes: Tensor
    later_places: Tensor
    sizes: Tensor


def pursuits(finder: SubjectFinder, clip: Clip) -> list[Pursuit]:
    """The paths that a finder finds in a clip's context, of subjects that are there.

    Raises CameraError, DatasetError, LayoutError or VideoError where the clip does not hold enough."""
    fov = clip.target_cameras.horizontal_fov
    with naming(clip):
        check_cameras(clip.context_cameras, clip.target_cameras, fov)
        video = clip.context_video().frames
        truth = Truth.of(clip, (video.shape[1], video.shape[2]))
    assert fov is not None
    first = np.linalg.inv(clip.target_cameras.c2w[0])
    near, far = first @ clip.context_cameras.c2w, first @ clip.target_cameras.c2w
    pictures = torch.from_numpy(video.copy()).permute(0, 3, 1, 2)
    sighting = look(finder, pictures.float() / 255, clip.context_cameras.c2w, fov)
    half, up = half_width(fov), world_up(near)
    found = []
    for path in paths_in(sighting, near, half, up):
        number = _owner(path, truth.ids)
        if number is not None:
            at = truth.seen_from(first).positions[number]
            shown = (truth.ids[len(near) :] == number + 1).sum(axis=(1, 2))
            found.append(_pursuit(path, pictures, near, far, half, ground_axes(up), at, shown))
    return found


def _owner(path: SubjectPath, ids: np.ndarray) -> int | None:
    """The subject that most of a path's marked pixels show, if it is one."""
    marked = np.concatenate([ids[body.frame][body.pixels > 0] for body in path.bodies])
    counts = np.bincount(marked)[1:]
    return int(counts.argmax()) if counts.sum() and counts.max() > _OWNED * len(marked) else None


def _pursuit(
    path: SubjectPath,
    pictures: Tensor,
    near: np.ndarray,
    far: np.ndarray,
    half: float,
    axes: np.ndarray,
    at: np.ndarray,
    shown: np.ndarray,
) -> Pursuit:
    count, _, height, width = pictures.shape
    marks, *told = as_told(path, count, half)
    eyes = near[:, :3, 3] @ axes.T
    places, doubts, depths = eyes + 1.0, np.ones((count, 2)), np.ones(count)  # of frames that do not show it: nothing
    gaps, farther, taught = np.zeros(count), np.zeros(count), np.zeros(count)
    for body in path.bodies:
        i = body.frame
        places[i], doubts[i], depths[i] = body.position @ axes.T, body.doubt, body.depth
        true, away = project(near[i], at[i], (height, width), half)
        if away > NEAREST and abs(true[0] - body.foot[0]) < width / 4:
            gaps[i] = (true[0] - body.foot[0]) / float(told[1][i])
            farther[i], taught[i] = np.log(away / body.depth), 1
    sizes = np.sqrt(shown) * 2 * half / width * (shown > LEAST_PIXELS * height * width)
    ground = depths, places, eyes, near[:, :3, 0] @ axes.T, doubts, gaps, farther, taught
    later = far[:, :3, 3] @ axes.T, at[count:] @ axes.T, sizes
    rest = (torch.from_numpy(np.float32(x)) for x in (*ground, *later))
    return Pursuit(pictures, (255 * marks).round().byte(), *told, *rest)


def mirrored(one: Pursuit) -> Pursuit:
    """The same in a mirror."""
    feet = one.feet.clone()
    feet[:, 0] = one.pictures.shape[-1] - feet[:, 0]
    other = torch.tensor([1.0, -1.0])
    ground = {name: getattr(one, name) * other for name in ("places", "eyes", "later_eyes", "later_places")}
    flipped = {"pictures": one.pictures.flip(-1), "marks": one.marks.flip(-1), "feet": feet, "gaps": -one.gaps}
    return replace(one, **ground, **flipped, rights=-one.rights * other)


def varied(one: Pursuit, rng: np.random.Generator, jitter: float) -> Pursuit:
    """The same with other colours, and ground points moved by about ``jitter`` metres; perhaps in a mirror, perhaps
    without its first or last frames."""
    tint = rng.uniform(0.75, 1.25, 3) * rng.uniform(0.95, 1.05, (len(one.seen), 1))
    order = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    tints = torch.from_numpy(tint.astype(np.float32))[..., None, None]
    pictures = (one.pictures[:, order].float() * tints).clamp(max=255).byte()
    marks = (one.marks.float() * float(rng.uniform(0.7, 1.2))).clamp(max=255).byte()
    t = np.linspace(-1, 1, len(one.seen))
    slow = rng.normal(0, [jitter, 1.5 * jitter, jitter]) @ np.stack([np.ones_like(t), t, t**2 - 0.3])
    each = rng.normal(0, jitter, len(t)) * rng.choice([0, 0.5, 1])
    aside = torch.from_numpy(((slow + each) * rng.choice([0, 1, 1])).astype(np.float32)) * one.seen
    feet = one.feet.clone()
    feet[:, 0] += aside * one.scale
    moved = replace(
        _forgotten(one, rng),
        pictures=pictures,
        marks=marks,
        feet=feet,
        places=one.places + one.rights * aside[:, None],
        gaps=one.gaps - aside,
    )
    return mirrored(moved) if rng.random() < 0.5 else moved


def _forgotten(one: Pursuit, rng: np.random.Generator) -> Pursuit:
    """Half of the time, without some of its first or of its last frames."""
    frames = one.seen.nonzero()[:, 0]
    if len(frames) < _LEAST_SIGHTINGS or rng.random() < 0.5:
        return one
    some, first = int(rng.integers(1, len(frames) // 2)), rng.random() < 0.5
    kept = torch.zeros_like(one.seen)
    kept[frames[some:] if first else frames[:-some]] = 1
    # without its last frames it would be judged by guesses that are farther ahead
    return replace(one, seen=one.seen * kept, taught=one.taught * kept, sizes=one.sizes * float(first))
