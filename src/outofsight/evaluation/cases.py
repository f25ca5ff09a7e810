"""A clip as the benchmark judges by it: what is known of it, and, read whole, its videos, boxes and regions.

Generated clips know everything. Real ones may lack masks, pixel counts, fates, a field of view or the target itself;
what is missing is said in notes, and every metric that needs it is skipped with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..clips import Clip, RedMasks, VideoFile
from ..datasets import detect_layout, iterate_clips
from ..datasets.world_extras import Fates, read_fates
from ..errors import LayoutError
from ..io import sha256_array, sha256_file
from .fates import returned_frames, subject_region
from .metrics.regions import Regions, frame_phases, in_boxes
from .metrics.subject import boxes_from_masks, hidden_frames


@dataclass(frozen=True, eq=False)
class KnownClip:
    """What is known of a clip before a frame is decoded.

    numbers: ids in the masks of the subjects that matter: those whom the fates befall, else all. visible: bool
    ``[s, Fc + Ft]`` of them; None where the data does not say. masked: whether the masks show each of them.
    """

    clip: Clip
    fates: Fates | None
    numbers: tuple[int, ...]
    visible: np.ndarray | None
    masked: bool
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def subjects(self) -> tuple[str, ...]:
        """Ids of those who matter."""
        return tuple(self.clip.subjects[number - 1].id for number in self.numbers)

    @cached_property
    def phases(self) -> dict[str, np.ndarray]:
        """bool ``[Ft]`` by phase (``metrics.regions.PHASES``); empty where visibility is not known."""
        return {} if self.visible is None else frame_phases(self.visible, self.clip.context_frames)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a judgement reads of the clip."""
        clip = self.clip
        digest = hashlib.sha256(f"{clip.name}\n{clip.fps}\n{self.numbers}\n{self.masked}\n".encode())
        for path in (clip.context_cameras, clip.target_cameras):
            digest.update(f"{path.horizontal_fov} {path.frame_stride} {sha256_array(path.c2w)}\n".encode())
        if self.visible is not None:
            digest.update(sha256_array(self.visible).encode())
        for name, content in _files(clip, self.fates):
            digest.update(f"{name} {content}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Case:
    """A clip read whole.

    context uint8 ``[Fc, h, w, 3]``; truth ``[Ft, h, w, 3]``, None where the data keeps it back; fates by their names
    ("true", "vanished", "frozen"), empty where they were not rendered; ids uint8 ``[Fc + Ft, h, w]``, None without
    masks that tell the subjects apart. returned and hidden: bool ``[s, Ft]``. region: bool ``[Ft, h, w]``, where fates
    are compared.
    """

    known: KnownClip
    context: np.ndarray
    truth: np.ndarray | None
    fates: Mapping[str, np.ndarray]
    ids: np.ndarray | None
    returned: np.ndarray
    hidden: np.ndarray
    region: np.ndarray | None

    @property
    def available(self) -> frozenset[str]:
        """What metrics may need of a clip (keys of ``metrics.NEEDS``) and this one has."""
        there = {
            "truth": self.truth is not None, "fates": self.region is not None,
            "visibility": self.known.visible is not None, "masks": self.ids is not None,
        }  # fmt: skip
        return frozenset(name for name, has in there.items() if has)

    @property
    def frames(self) -> int:
        """Of the target."""
        return self.known.clip.target_frames

    @cached_property
    def boxes(self) -> tuple[np.ndarray, np.ndarray]:
        """True boxes ``[s, Fc, 4]`` and ``[s, Ft, 4]``; NaN throughout without masks."""
        cut = len(self.context)
        if self.ids is None:
            found = np.full((len(self.known.numbers), cut + self.frames, 4), np.nan)
        else:
            found = boxes_from_masks(self.ids, self.known.numbers)
        return found[:, :cut], found[:, cut:]

    @cached_property
    def regions(self) -> Regions:
        """Phases of the target, and the pixels in the true boxes of those who matter."""
        inside = None if self.ids is None else in_boxes(self.boxes[1], *self.context.shape[1:3])
        return Regions(self.known.phases, inside)


def known_clips(folder: Path, horizontal_fov: float | None = None) -> Iterator[KnownClip]:
    """Every clip of a data folder, in the order of the names.

    horizontal_fov: degrees, for cameras that do not say.

    Raises LayoutError, CameraError, VideoError: a clip that cannot be read.
    """
    root = detect_layout(folder).root
    for clip in iterate_clips(folder):
        yield know(clip, root / clip.name, horizontal_fov)


def know(clip: Clip, folder: Path, horizontal_fov: float | None = None) -> KnownClip:
    """What is known of one clip; folder: where its fates would lie."""
    if horizontal_fov is not None:
        cameras = [
            path if path.horizontal_fov is not None else replace(path, horizontal_fov=horizontal_fov)
            for path in (clip.context_cameras, clip.target_cameras)
        ]
        clip = replace(clip, context_cameras=cameras[0], target_cameras=cameras[1])
    fates = read_fates(folder) if clip.target is not None else None
    names = [subject.id for subject in clip.subjects]
    matter = names if fates is None else [clip.subject(name).id for name in fates.subjects]
    numbers = tuple(names.index(name) + 1 for name in matter)
    visible, told = _visible(clip, numbers)
    masked, more = _masked(clip, numbers)
    return KnownClip(clip, fates, numbers, visible, masked, (*clip.notes, *told, *more))


def read_case(known: KnownClip) -> Case:
    """Decode a clip. Raises VideoError, LayoutError: files that are broken, or that do not fit one another."""
    clip, cut, frames = known.clip, known.clip.context_frames, known.clip.target_frames
    visible = np.zeros((len(known.numbers), cut + frames), bool) if known.visible is None else known.visible
    back = {number: returned_frames(track, cut) for number, track in zip(known.numbers, visible, strict=True)}
    context = clip.context_video().frames
    truth = None if clip.target is None else clip.target_video().frames
    ids = clip.load_masks() if known.masked else None
    parts = {"context": (context, cut), "target": (truth, frames), "masks": (ids, cut + frames)}
    fates: dict[str, np.ndarray] = {}
    region = None
    if known.fates is not None and truth is not None and ids is not None:
        vanished, frozen = known.fates.vanished.load().frames, known.fates.frozen.load().frames
        frozen_ids = known.fates.frozen_ids()
        fates = {"true": truth, "vanished": vanished, "frozen": frozen}
        parts |= {"vanished": (vanished, frames), "frozen": (frozen, frames), "frozen masks": (frozen_ids, frames)}
    _check(clip.name, {name: (array, count) for name, (array, count) in parts.items() if array is not None})
    if fates and ids is not None:
        region, _ = subject_region(ids[cut:], frozen_ids, back)
    returned = np.stack(list(back.values())) if back else np.zeros((0, frames), bool)
    return Case(known, context, truth, fates, ids, returned, hidden_frames(visible, cut), region)


def _check(name: str, parts: Mapping[str, tuple[np.ndarray, int]]) -> None:
    """LayoutError where arrays ``[f, h, w, ...]`` have not one size, or not as many frames as stands beside them."""
    sizes = {array.shape[1:3] for array, _ in parts.values()}
    if len(sizes) > 1 or any(len(array) != count for array, count in parts.values()):
        found = ", ".join(f"{what} {list(array.shape[:3])}" for what, (array, _) in parts.items())
        expected = ", ".join(f"{what} {count}" for what, (_, count) in parts.items())
        raise LayoutError(f'clip "{name}": {found} do not fit one another; expected one size, and frames: {expected}')


def _visible(clip: Clip, numbers: tuple[int, ...]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """By pixel counts, else by the data's own flags."""
    tracks = [clip.subjects[number - 1] for number in numbers]
    if not tracks:
        return None, ("no subjects are annotated, so there are no phases",)
    if all(track.visible_pixels is not None for track in tracks):
        return np.stack([track.visible() for track in tracks]), ()
    if all(track.in_frame is not None for track in tracks):
        told = "phases go by the data's own in-frame flags, as there are no pixel counts"
        return np.stack([track.visible(by="in_frame") for track in tracks]), (told,)
    return None, ("it is not known when each subject is seen, so there are no phases",)


def _masked(clip: Clip, numbers: tuple[int, ...]) -> tuple[bool, tuple[str, ...]]:
    """Whether masks show each subject of context and target on its own, and why not."""
    if clip.target is None:
        return False, ("the data keeps the target back, so there is no truth and there are no true boxes",)
    if clip.masks is None:
        return False, ("no masks, so no true boxes",)
    if isinstance(clip.masks, RedMasks):
        if clip.masks.target is None:
            return False, ("its masks cover the context alone, so there are no true boxes in the target",)
        if len(clip.subjects) != 1:
            return False, (f"red masks do not tell {len(clip.subjects)} subjects apart, so there are no true boxes",)
    return bool(numbers), ()


def _files(clip: Clip, fates: Fates | None) -> Iterator[tuple[str, str]]:
    """What a judgement decodes, by name, with its SHA-256."""
    masks = (clip.masks.context, clip.masks.target) if isinstance(clip.masks, RedMasks) else (clip.masks,)
    sources = {"context": clip.context, "target": clip.target, **{f"masks {n}": one for n, one in enumerate(masks)}}
    if fates is not None:
        sources |= {"vanished": fates.vanished, "frozen": fates.frozen, "frozen masks": fates.frozen_masks}
    for name, source in sources.items():
        if isinstance(source, np.ndarray):
            yield name, sha256_array(source)
        elif source is not None:
            indices = source.indices if isinstance(source, VideoFile) else None
            yield name, f"{sha256_file(source.path)} {None if indices is None else indices.tolist()}"
