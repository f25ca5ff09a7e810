"""A clip to judge predictions by: its truth, its fates, and which frames and pixels matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..clips import Clip
from ..datasets.world_extras import Fates, read_fates
from ..errors import LayoutError
from .fates import returned_frames, subject_region
from .trivial import best_views, hold_last


@dataclass(frozen=True, eq=False)
class HeldOutClip:
    """Everything uint8 or bool, over target frames unless said otherwise.

    context ``[Fc, h, w, 3]``; fates: "true" and, where they were rendered, "vanished" and "frozen" ``[Ft, h, w, 3]``;
    views ``[Ft]``: the context frame of most overlap. visible ``[s, Fc + Ft]`` and returned ``[s, Ft]`` of the
    subjects that matter: those whom the fates befall, else all. hidden ``[Ft]``: nobody has re-entered and someone
    seen before is out of view. inside ``[Ft, h, w]``: pixels of any subject. region ``[Ft, h, w]``: where the fates are
    compared; without fates, pixels of a subject that has re-entered.
    """

    name: str
    fps: float
    context: np.ndarray
    fates: Mapping[str, np.ndarray]
    views: np.ndarray
    visible: np.ndarray
    returned: np.ndarray
    hidden: np.ndarray
    inside: np.ndarray
    region: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        return self.fates["true"]

    @property
    def re_entered(self) -> np.ndarray:
        """bool ``[Ft]``: some subject is back in view."""
        return np.logical_or.reduce(self.returned, axis=0)

    def hold(self) -> np.ndarray:
        """The trivial answer that holds the last context frame."""
        return hold_last(self.context, len(self.truth))

    def best_view(self) -> np.ndarray:
        """The trivial answer that copies the context frame of most overlapping view."""
        return self.context[self.views]


def held_out(clip: Clip, folder: Path) -> HeldOutClip:
    """Read a clip whole; folder: where it lies, for its fates.

    Raises:
        LayoutError: no masks or visible counts, without which there is no phase and no region.
        CameraError, VideoError: cameras or videos that cannot be used.
    """
    context, target = clip.context_video().frames, clip.target_video().frames
    fates = read_fates(folder)
    ids = clip.load_masks()
    cut = len(context)
    if len(ids) != cut + len(target):
        raise LayoutError(f'clip "{clip.name}": its masks cover {len(ids)} of {cut + len(target)} frames')
    numbers = _subject_numbers(clip, fates)
    seen = [clip.subjects[number - 1].visible() for number in numbers]
    visible = np.stack(seen) if seen else np.zeros((0, len(ids)), bool)
    back = {number: returned_frames(track, cut) for number, track in zip(numbers, seen, strict=True)}
    true_ids = ids[cut:]
    videos = {"true": target}
    frozen_ids = np.zeros_like(true_ids)
    if fates is not None:
        videos |= {"vanished": fates.vanished.load().frames, "frozen": fates.frozen.load().frames}
        frozen_ids = fates.frozen_ids()
    shapes = {name: video.shape for name, video in videos.items()} | {"frozen ids": (*frozen_ids.shape, 3)}
    if len(set(shapes.values())) > 1:
        raise LayoutError(f'clip "{clip.name}": target and fates differ in shape: {shapes}')
    region, frames = subject_region(true_ids, frozen_ids, back)
    appeared = np.logical_or.accumulate(visible, axis=1)
    absent = (appeared & ~visible)[:, cut:].any(axis=0)
    return HeldOutClip(
        name=clip.name,
        fps=clip.fps,
        context=context,
        fates=videos,
        views=best_views(clip.context_cameras, clip.target_cameras),
        visible=visible,
        returned=np.stack(list(back.values())) if back else np.zeros((0, len(target)), bool),
        hidden=absent & ~frames,
        inside=true_ids > 0,
        region=region,
    )


def _subject_numbers(clip: Clip, fates: Fates | None) -> list[int]:
    """Ids in the masks of the subjects that matter."""
    names = [subject.id for subject in clip.subjects]
    if fates is None:
        return [number + 1 for number in range(len(names))]
    return [names.index(clip.subject(name).id) + 1 for name in fates.subjects]
