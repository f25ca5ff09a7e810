"""The clip that predictions are measured by: what is known of it and, decoded when asked for, its videos and masks.

Generated clips know everything. Real ones may lack masks, pixel counts, fates, a field of view or the target itself;
what is missing is listed in notes, and every metric that needs it is skipped with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..cameras import CameraPath
from ..clips import Clip, RedMasks, VideoFile
from ..datasets import detect_layout, iterate_clips
from ..datasets.world_extras import Fates, read_fates
from ..errors import LayoutError
from ..fingerprints import value_hash
from ..io import sha256_file
from .metrics.subject import boxes_from_masks
from .regions import PHASES, Regions, all_returned, fate_region, hidden_frames, in_boxes, phase_words


@dataclass(frozen=True, eq=False)
class EvalClip:
    """A clip to measure predictions by. Videos and masks are decoded when they are first asked for, and kept.

    Args:
        clip: as it was read. fate_files: the target as it would have been, where that was rendered.
        numbers: ids in the masks of the subjects that matter: those whom the fates befall, else all.
        seen: bool ``[s, F]`` of them, over the whole clip; None where the data does not hold it.
        masked: whether the masks show each of them on its own.
        skipped: first context frames that are left out. length: target frames that are kept; None keeps all.

    Raises (whatever decodes): VideoError, LayoutError: files that are broken, or that do not fit one another.
    """

    clip: Clip
    fate_files: Fates | None
    numbers: tuple[int, ...]
    seen: np.ndarray | None
    masked: bool
    notes: tuple[str, ...]
    skipped: int = 0
    length: int | None = None

    def read(self) -> EvalClip:
        """A copy, decoded and checked. What it holds in memory goes when it goes."""
        copy = replace(self)
        _ = copy._arrays
        return copy

    def cut(self, context_frames: int, target_frames: int) -> EvalClip:
        """The clip with its last context frames and its first target frames alone; phases stay those of the whole."""
        return replace(self, skipped=self.clip.context_frames - context_frames, length=target_frames)

    # --- known before anything is decoded -----------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def fps(self) -> float:
        return self.clip.fps

    @property
    def context_frames(self) -> int:
        return self.clip.context_frames - self.skipped

    @property
    def target_frames(self) -> int:
        return self.clip.target_frames if self.length is None else self.length

    @property
    def context_cameras(self) -> CameraPath:
        return self.clip.context_cameras[self.skipped :]

    @property
    def target_cameras(self) -> CameraPath:
        return self.clip.target_cameras[: self.length]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Ids of those that matter."""
        return tuple(self.clip.subjects[number - 1].id for number in self.numbers)

    @property
    def visible(self) -> np.ndarray:
        """bool ``[s, Fc + Ft]``: when those that matter are seen; never, where it is not known."""
        return self._seen[:, self._span]

    @cached_property
    def returned(self) -> np.ndarray:
        """bool ``[s, Ft]``: target frames in which each has re-entered."""
        return all_returned(self._seen, self.clip.context_frames)[:, : self.length]

    @cached_property
    def hidden(self) -> np.ndarray:
        """bool ``[s, Ft]``: target frames in which each, having been seen before, is out of view."""
        return hidden_frames(self._seen, self.clip.context_frames)[:, : self.length]

    @cached_property
    def phase_words(self) -> tuple[str, ...]:
        """The phase of each frame of context and target; empty where visibility is not known."""
        return () if self.seen is None else tuple(phase_words(self.seen, self.clip.context_frames)[self._span].tolist())

    @cached_property
    def phases(self) -> dict[str, np.ndarray]:
        """bool ``[Ft]`` by phase; empty where visibility is not known."""
        words = np.array(self.phase_words[self.context_frames :])
        return {} if self.seen is None else {phase: words == phase for phase in PHASES}

    @property
    def re_entered(self) -> np.ndarray:
        """bool ``[Ft]``: some subject is back in view."""
        return np.logical_or.reduce(self.returned, axis=0)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a measurement reads of the clip."""
        clip = self.clip
        span = f"{self.skipped} {self.target_frames}"
        paths = (clip.context_cameras, clip.target_cameras)
        return value_hash(
            [
                f"{clip.name}\n{clip.fps}\n{self.numbers}\n{self.masked}\n{span}\n",
                *(f"{path.horizontal_fov} {path.frame_stride} {value_hash([path.c2w])}\n" for path in paths),
                *([] if self.seen is None else [value_hash([self.seen])]),
                *(f"{name} {content}\n" for name, content in _files(clip, self.fate_files)),
            ]
        )

    # --- decoded ------------------------------------------------------------------------------------------------

    @property
    def context(self) -> np.ndarray:
        """uint8 ``[Fc, h, w, 3]``."""
        return self._arrays.context[self.skipped :]

    @property
    def truth(self) -> np.ndarray:
        """The true target, uint8 ``[Ft, h, w, 3]``. Raises LayoutError where the data keeps it back."""
        if self._arrays.truth is None:
            raise LayoutError("the data keeps the target back")
        return self._arrays.truth[: self.length]

    @property
    def fates(self) -> dict[str, np.ndarray]:
        """The target by fate ("true", "vanished", "frozen"), as the truth; empty where they were not rendered."""
        return {name: video[: self.length] for name, video in self._arrays.fates.items()}

    @property
    def ids(self) -> np.ndarray | None:
        """uint8 ``[Fc + Ft, h, w]``: instance ids; None without masks that distinguish the subjects."""
        return None if self._arrays.ids is None else self._arrays.ids[self._span]

    @property
    def target_ids(self) -> np.ndarray | None:
        """Of the target alone."""
        return None if self.ids is None else self.ids[self.context_frames :]

    @cached_property
    def region(self) -> np.ndarray | None:
        """bool ``[Ft, h, w]``: where the fates are compared; None without fates."""
        frozen, ids = self._arrays.frozen_ids, self.target_ids
        if frozen is None or ids is None:
            return None
        return fate_region(ids, frozen[: self.length], dict(zip(self.numbers, self.returned, strict=True)))

    @cached_property
    def boxes(self) -> tuple[np.ndarray, np.ndarray]:
        """True boxes ``[s, Fc, 4]`` and ``[s, Ft, 4]``; NaN throughout without masks."""
        cut = self.context_frames
        if self.ids is None:
            found = np.full((len(self.numbers), cut + self.target_frames, 4), np.nan)
        else:
            found = boxes_from_masks(self.ids, self.numbers)
        return found[:, :cut], found[:, cut:]

    @cached_property
    def regions(self) -> Regions:
        """Phases of the target, and the pixels in the true boxes of those that matter."""
        inside = None if self.ids is None else in_boxes(self.boxes[1], *self.context.shape[1:3])
        return Regions(self.phases, inside)

    @property
    def available(self) -> frozenset[str]:
        """What metrics may need of a clip (keys of ``NEEDS``) and this one has."""
        there = {
            "truth": self._arrays.truth is not None, "fates": self.region is not None,
            "visibility": self.seen is not None, "masks": self.ids is not None,
        }  # fmt: skip
        return frozenset(name for name, has in there.items() if has)

    # --- within -------------------------------------------------------------------------------------------------

    @property
    def _span(self) -> slice:
        return slice(self.skipped, self.clip.context_frames + self.target_frames)

    @property
    def _seen(self) -> np.ndarray:
        frames = self.clip.context_frames + self.clip.target_frames
        return np.zeros((len(self.numbers), frames), bool) if self.seen is None else self.seen

    @cached_property
    def _arrays(self) -> _Arrays:
        clip, cut, frames = self.clip, self.clip.context_frames, self.clip.target_frames
        context = clip.context_video().frames
        truth = None if clip.target is None else clip.target_video().frames
        ids = clip.load_masks() if self.masked else None
        read = {"context": (context, cut), "target": (truth, frames), "masks": (ids, cut + frames)}
        fates, frozen_ids = {}, None
        if self.fate_files is not None and truth is not None and ids is not None:
            vanished, frozen = self.fate_files.videos()
            fates, frozen_ids = {"true": truth, "vanished": vanished, "frozen": frozen}, self.fate_files.frozen_ids()
            read |= {"vanished": (vanished, frames), "frozen": (frozen, frames), "frozen masks": (frozen_ids, frames)}
        _check(clip.name, {name: (array, count) for name, (array, count) in read.items() if array is not None})
        return _Arrays(context, truth, fates, ids, frozen_ids)


@dataclass(frozen=True, eq=False)
class _Arrays:
    """What was decoded of a whole clip."""

    context: np.ndarray
    truth: np.ndarray | None
    fates: Mapping[str, np.ndarray]
    ids: np.ndarray | None
    frozen_ids: np.ndarray | None


def eval_clips(folder: Path, horizontal_fov: float | None = None) -> Iterator[EvalClip]:
    """Every clip of a data folder, in the order of the names.

    horizontal_fov: degrees, for cameras without one.

    Raises LayoutError, CameraError, VideoError: a clip that cannot be read.
    """
    root = detect_layout(folder).root
    for clip in iterate_clips(folder):
        yield eval_clip(clip, root / clip.name, horizontal_fov)


def eval_clip(clip: Clip, folder: Path | Fates, horizontal_fov: float | None = None, *, fates: bool = True) -> EvalClip:
    """One clip; folder: where its fates would lie, which are looked for unless ``fates`` is False; or the fates.

    Raises LayoutError: fates that are announced and not there.
    """
    if horizontal_fov is not None:
        cameras = [
            path if path.horizontal_fov is not None else replace(path, horizontal_fov=horizontal_fov)
            for path in (clip.context_cameras, clip.target_cameras)
        ]
        clip = replace(clip, context_cameras=cameras[0], target_cameras=cameras[1])
    files = None
    if fates and clip.target is not None:
        files = folder if isinstance(folder, Fates) else read_fates(folder)
    names = [subject.id for subject in clip.subjects]
    matter = names if files is None else [clip.subject(name).id for name in files.subjects]
    numbers = tuple(names.index(name) + 1 for name in matter)
    seen, told = _seen_by_data(clip, numbers)
    masked, more = _masked(clip, numbers)
    return EvalClip(clip, files, numbers, seen, masked, (*clip.notes, *told, *more))


def _check(name: str, read: Mapping[str, tuple[np.ndarray, int]]) -> None:
    """LayoutError where arrays ``[f, h, w, ...]`` have not one size, or not as many frames as is given beside them."""
    sizes = {array.shape[1:3] for array, _ in read.values()}
    if len(sizes) > 1 or any(len(array) != count for array, count in read.values()):
        found = ", ".join(f"{what} {list(array.shape[:3])}" for what, (array, _) in read.items())
        expected = ", ".join(f"{what} {count}" for what, (_, count) in read.items())
        raise LayoutError(f'clip "{name}": {found} do not fit one another; expected one size, and frames: {expected}')


def _seen_by_data(clip: Clip, numbers: tuple[int, ...]) -> tuple[np.ndarray | None, tuple[str, ...]]:
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
            return False, (f"red masks do not distinguish {len(clip.subjects)} subjects, so there are no true boxes",)
    return bool(numbers), ()


def _files(clip: Clip, fates: Fates | None) -> Iterator[tuple[str, str]]:
    """What a measurement decodes, by name, with its SHA-256."""
    masks = (clip.masks.context, clip.masks.target) if isinstance(clip.masks, RedMasks) else (clip.masks,)
    sources = {"context": clip.context, "target": clip.target, **{f"masks {n}": one for n, one in enumerate(masks)}}
    if fates is not None:
        sources |= {"vanished": fates.vanished, "frozen": fates.frozen, "frozen masks": fates.frozen_masks}
    for name, source in sources.items():
        if isinstance(source, np.ndarray):
            yield name, value_hash([source])
        elif source is not None:
            indices = source.indices if isinstance(source, VideoFile) else None
            yield name, f"{sha256_file(source.path)} {None if indices is None else indices.tolist()}"
