"""What a follower learns from: paths that a finder found in clips, and where their subjects truly were and went."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..clips import Clip
from ..errors import CameraError
from ..rendered.finder import SubjectFinder
from ..rendered.follower import pixels_a_metre
from ..rendered.motion import ground_axes, world_up
from ..rendered.renderer import look
from ..rendered.sweep import half_width
from ..rendered.tracks import SubjectPath, paths_in, project
from ..rendered.truth import Truth
from .prepare import naming

_OWNED = 0.3  # of a path's marked pixels, that must show one subject
_LEAST_SEEN = 20  # pixels, of a subject that comes back
_LEAST_DEPTH = 0.3  # metres
_LEAST_SIGHTINGS = 8  # of a path, some of which may be forgotten


@dataclass(frozen=True, eq=False)
class Pursuit:
    """A path over n context frames, and m target frames. pictures uint8 ``[n, 3, h, w]``; marks uint8 ``[n, h, w]``.

    As found: feet ``[n, 2]`` pixels, scale ``[n]`` pixels a metre, depths ``[n]`` metres, seen ``[n]`` 0 or 1; places,
    eyes, rights ``[n, 2]`` over the ground: the subject, the camera, and where its right points; doubts ``[n, 2]``.
    In truth: gaps ``[n]`` metres from foot to true foot, to the right; farther ``[n]`` natural logarithm of true over
    found depth; taught ``[n]``, where these count. later_eyes, later_places ``[m, 2]`` over the ground; sizes ``[m]``,
    root of the pixels that show the subject in radians, 0 where none does.
    """

    pictures: Tensor
    marks: Tensor
    feet: Tensor
    scale: Tensor
    depths: Tensor
    seen: Tensor
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

    Raises CameraError or DatasetError where the clip does not say enough."""
    fov = clip.target_cameras.horizontal_fov
    if fov is None:
        raise CameraError(f'clip "{clip.name}": a follower needs the cameras\' field of view, and they have none')
    with naming(clip):
        truth = Truth.of(clip)
    first = np.linalg.inv(clip.target_cameras.c2w[0])
    near, far = first @ clip.context_cameras.c2w, first @ clip.target_cameras.c2w
    pictures = torch.from_numpy(clip.context_video().frames.copy()).permute(0, 3, 1, 2)
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
    blank = np.zeros(count, np.float32)
    marks, feet, depths = np.zeros((count, height, width), np.uint8), np.zeros((count, 2)), blank + 1
    seen, gaps, farther, taught = blank.copy(), blank.copy(), blank.copy(), blank.copy()
    places, doubts = near[:, :3, 3] @ axes.T + 1.0, np.ones((count, 2))
    for body in path.bodies:
        i = body.frame
        marks[i], feet[i], depths[i], seen[i] = np.round(255 * body.pixels), body.foot, body.depth, 1
        places[i], doubts[i] = body.position @ axes.T, body.doubt
        true, away = project(near[i], at[i], (height, width), half)
        gap = (true[0] - body.foot[0]) / pixels_a_metre(body.depth, width, half)
        if away > _LEAST_DEPTH and abs(true[0] - body.foot[0]) < width / 4:
            gaps[i], farther[i], taught[i] = gap, np.log(away / body.depth), 1
    sizes = np.sqrt(shown) * 2 * half / width * (shown > _LEAST_SEEN)
    ground = (feet, pixels_a_metre(1.0, width, half) / depths, depths, seen, places, near[:, :3, 3] @ axes.T)
    later = far[:, :3, 3] @ axes.T, at[count:] @ axes.T, sizes
    rest = (*ground, near[:, :3, 0] @ axes.T, doubts, gaps, farther, taught, *later)
    return Pursuit(pictures, torch.from_numpy(marks), *(torch.from_numpy(np.float32(x)) for x in rest))


def mirrored(one: Pursuit) -> Pursuit:
    """The same in a mirror."""
    feet = one.feet.clone()
    feet[:, 0] = one.pictures.shape[-1] - feet[:, 0]
    other = torch.tensor([1.0, -1.0])
    ground = {name: getattr(one, name) * other for name in ("places", "eyes", "later_eyes", "later_places")}
    flipped = {"pictures": one.pictures.flip(-1), "marks": one.marks.flip(-1), "feet": feet, "gaps": -one.gaps}
    return replace(one, **ground, **flipped, rights=-one.rights * other)


def varied(one: Pursuit, rng: np.random.Generator, jitter: float) -> Pursuit:
    """The same with other colours, and feet moved by about ``jitter`` metres; perhaps in a mirror, perhaps without its
    first or last frames."""
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
