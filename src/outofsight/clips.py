"""A clip: context and target video, their cameras, and what is known of the subjects in them.

Everything per frame runs over context and target in one row: frame index i of a track is context frame i, or
target frame i minus the number of context frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .cameras import CameraPath
from .errors import GeometryError, LayoutError, VideoError
from .framing import Framing, framing_note
from .video import Video, read_video

PHASES = ("unseen", "visible", "hidden", "re-entered")
VISIBILITY_SOURCES = ("visible_pixels", "in_frame")


@dataclass(frozen=True, eq=False)
class VideoFile:
    """Frames on disk, decoded when asked for. `indices` [F]: which of its frames, in order (None: all)."""

    path: Path
    indices: np.ndarray | None = None

    def load(self) -> Video:
        """Decode. Raises VideoError where the file has not the frames."""
        if self.indices is None:
            return read_video(self.path)
        video = read_video(self.path, frames=int(self.indices.max()) + 1)
        return replace(video, frames=video.frames[self.indices])


@dataclass(frozen=True, eq=False)
class RedMasks:
    """HM-World's mask videos (subjects in red, not told apart) of the context and, if any, the target."""

    context: VideoFile
    target: VideoFile | None = None

    def load(self) -> np.ndarray:
        """uint8 [F,H,W]: 1 where some subject is seen, else 0."""
        halves = [half.load().frames for half in (self.context, self.target) if half is not None]
        # Halfway between red and black or white: video coding blurs the edges.
        masks = [(half[..., 0] > 127) & (half[..., 1] < 128) & (half[..., 2] < 128) for half in halves]
        return np.concatenate(masks).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class InstanceMasks:
    """Instance ids in an npz file, as `write_clip` keeps them: 0 background, i + 1 for subjects[i]."""

    path: Path

    def load(self) -> np.ndarray:
        """uint8 [F,H,W]. Raises LayoutError for a file that is missing, broken or of another kind."""
        import zipfile
        import zlib

        if not zipfile.is_zipfile(self.path):
            raise LayoutError(f"{self.path}: expected an npz file with the array ids; it is missing or no npz")
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                ids = archive["ids"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as cause:
            raise LayoutError(f"{self.path}: expected an npz file with the array ids ({cause})") from cause
        if ids.dtype != np.uint8 or ids.ndim != 3:
            raise LayoutError(f"{self.path}: ids are {ids.dtype} {list(ids.shape)}, expected uint8 [F,H,W]")
        return ids


@dataclass(frozen=True, eq=False)
class SubjectTrack:
    """One subject over all F frames of a clip (context, then target); None where a data set does not say.

    positions: [F,3] metres, in the world of the clip's cameras. heading: [F] degrees, the direction it faces
    about the world's vertical, 0 along the world's third axis and growing towards the first (right-handed
    worlds). boxes: [F,4] x0, y0, x1, y1 pixels, NaN when unseen. visible_pixels: [F] int. in_frame: [F] bool.
    """

    id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    positions: np.ndarray | None = None
    heading: np.ndarray | None = None
    boxes: np.ndarray | None = None
    visible_pixels: np.ndarray | None = None
    in_frame: np.ndarray | None = None

    def __post_init__(self) -> None:
        kinds: dict[str, tuple[type, tuple[int, ...]]] = {
            "positions": (np.float64, (3,)),
            "heading": (np.float64, ()),
            "boxes": (np.float64, (4,)),
            "visible_pixels": (np.int64, ()),
            "in_frame": (np.bool_, ()),
        }
        for name, (dtype, tail) in kinds.items():
            value = getattr(self, name)
            if value is None:
                continue
            try:
                array: np.ndarray = np.array(value, dtype=dtype)
                if dtype is np.int64 and not np.array_equal(array, np.asarray(value)):
                    raise ValueError("fractions, where whole numbers are counted")
            except (TypeError, ValueError, OverflowError) as cause:
                raise LayoutError(f'subject "{self.id}": {name} does not hold numbers ({cause})') from cause
            if array.ndim != 1 + len(tail) or array.shape[1:] != tail:
                expected = ",".join(["F", *map(str, tail)])
                raise LayoutError(f'subject "{self.id}": {name} is {list(array.shape)}, expected [{expected}]')
            if name in ("positions", "heading") and not np.isfinite(array).all():
                raise LayoutError(f'subject "{self.id}": {name} holds NaN or infinite numbers')
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        given = self.visible_pixels
        if given is not None and (given < 0).any():
            raise LayoutError(f'subject "{self.id}": visible_pixels holds {given.min()}, expected counts of pixels')
        if not isinstance(self.attributes, Mapping):
            kind = type(self.attributes).__name__
            raise LayoutError(f'subject "{self.id}": attributes are a {kind}, expected names with their values')
        if len(self.lengths()) > 1:
            raise LayoutError(f'subject "{self.id}": its tracks differ in length: {sorted(self.lengths())}')

    def fitted(self, framing: Framing, ids: np.ndarray | None, number: int) -> SubjectTrack:
        """The track in pictures that were framed again; ids [F,H,W]: instance ids there, of which this is `number`."""
        boxes = None if self.boxes is None else framing.boxes(self.boxes)
        pixels, in_frame = self.visible_pixels, self.in_frame
        if ids is not None and (pixels is None or len(ids) == len(pixels)):
            pixels = (ids == number).sum(axis=(1, 2))
        elif framing.crops:
            pixels = None
        elif pixels is not None:
            pixels = np.ceil(pixels * (np.prod(framing.size) / np.prod(framing.source))).astype(np.int64)
        if framing.crops and pixels is not None and in_frame is not None:
            in_frame = in_frame & (pixels > 0)
        return replace(self, boxes=boxes, visible_pixels=pixels, in_frame=in_frame)

    def lengths(self) -> set[int]:
        """The frame counts of the arrays that are there (one, in a sound track)."""
        arrays = (self.positions, self.heading, self.boxes, self.visible_pixels, self.in_frame)
        return {len(array) for array in arrays if array is not None}

    def visible(self, *, by: str = "visible_pixels", threshold: int = 1) -> np.ndarray:
        """[F] bool: at least `threshold` visible pixels, or (by="in_frame") the data set's own flag."""
        if by not in VISIBILITY_SOURCES:
            raise LayoutError(f'by="{by}": expected one of {", ".join(VISIBILITY_SOURCES)}')
        values = getattr(self, by)
        if values is None:
            others = [name for name in VISIBILITY_SOURCES if getattr(self, name) is not None]
            hint = f'; by="{others[0]}" is there' if others else ""
            raise LayoutError(f'subject "{self.id}" has no {by}{hint}')
        return values if by == "in_frame" else values >= threshold


@dataclass(frozen=True)
class Event:
    """A subject leaves ("exit") or comes into view ("entry"): `frame` is the first one of the new state.

    `by` names what it was seen by: visible_pixels, or in_frame where there are no pixel counts.
    """

    subject: str
    kind: str
    frame: int
    by: str


@dataclass(frozen=True, eq=False)
class Clip:
    """Two videos, two camera paths, subjects, masks and a caption.

    context, target: uint8 [F,H,W,3], or a VideoFile that is decoded on demand; target is None where a data
    set gives the context half only. masks: uint8 [F,H,W] instance ids over context and target (0 background,
    i + 1 for subjects[i]), or a file that is read on demand. notes: what a reader could not make sense of, in
    words. extras: anything else, by name. Raises LayoutError where lengths do not fit.
    """

    name: str
    caption: str
    context_cameras: CameraPath
    target_cameras: CameraPath
    context: np.ndarray | VideoFile | None = None
    target: np.ndarray | VideoFile | None = None
    subjects: tuple[SubjectTrack, ...] = ()
    masks: np.ndarray | RedMasks | InstanceMasks | None = None
    fps: float = 15.0
    extras: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for half, cameras, video in (
            ("context", self.context_cameras, self.context),
            ("target", self.target_cameras, self.target),
        ):
            _check_video(self.name, half, cameras, video)
        ids = [subject.id for subject in self.subjects]
        if len(set(ids)) < len(ids):
            raise LayoutError(f'clip "{self.name}": two subjects have one id: {", ".join(ids)}')
        total = self.context_frames + self.target_frames
        for subject in self.subjects:
            if subject.lengths() - {total}:
                raise LayoutError(
                    f'clip "{self.name}": subject "{subject.id}" has {subject.lengths().pop()} frames, '
                    f"expected {total} ({self.context_frames} of context and {self.target_frames} of target)"
                )
        if isinstance(self.masks, np.ndarray) and (
            self.masks.dtype != np.uint8 or self.masks.ndim != 3 or len(self.masks) != total
        ):
            raise LayoutError(
                f'clip "{self.name}": masks are {self.masks.dtype} {list(self.masks.shape)}, '
                f"expected uint8 [{total},H,W]"
            )

    @property
    def context_frames(self) -> int:
        """Video frames of the context: the video's where it is known, else what the camera path spans."""
        return _frame_count(self.context_cameras, self.context)

    @property
    def target_frames(self) -> int:
        """Video frames of the target, known from its cameras even where the data set keeps the video back."""
        return _frame_count(self.target_cameras, self.target)

    def context_video(self) -> Video:
        """The context, decoded now, at its own size; `fitted` gives another one."""
        return self._video("context", self.context)

    def target_video(self) -> Video:
        """The target likewise. Raises VideoError where the clip has none."""
        return self._video("target", self.target)

    def _video(self, half: str, source: np.ndarray | VideoFile | None) -> Video:
        if source is None:
            raise VideoError(f'clip "{self.name}" has no {half} video')
        return Video(source, self.fps) if isinstance(source, np.ndarray) else source.load()

    def fitted(self, height: int, width: int) -> Clip:
        """The clip at another size: videos (decoded now) scaled to cover it and cropped; cameras, masks, boxes along.

        A subject's pixels are counted again in masks that tell it apart; after a crop without them their number is not
        known, and in_frame stays what the data says of the whole picture. Notes say what was done. Raises VideoError,
        LayoutError: files that cannot be read; GeometryError: halves of two sizes.
        """
        halves = [self.context, self.target]
        videos = [None if half is None else self._video("", half).frames for half in halves]
        sizes = {(video.shape[1], video.shape[2]) for video in videos if video is not None}
        if len(sizes) != 1:
            raise GeometryError(f'clip "{self.name}": its videos are of {len(sizes)} sizes {sorted(sizes)}, expected 1')
        framing = Framing.cover(sizes.pop(), (height, width))
        if framing.note is None:
            return self
        before = self.context_cameras, self.target_cameras
        after = tuple(framing.cameras(path) for path in before)
        context, target = (
            None if video is None else np.stack([framing.picture(frame) for frame in video]) for video in videos
        )
        notes = [note for note in (framing_note(framing, before, after),) if note]
        apart = not isinstance(self.masks, RedMasks) or len(self.subjects) < 2
        ids = None if self.masks is None or not apart else framing.labels(self.load_masks())
        if not apart:
            notes.append("red masks do not tell subjects apart at another size, so they are left out")
        subjects = tuple(track.fitted(framing, ids, i + 1) for i, track in enumerate(self.subjects))
        return replace(
            self,
            context=context,
            target=target,
            context_cameras=after[0],
            target_cameras=after[1],
            masks=ids,
            subjects=subjects,
            notes=(*self.notes, *notes),
        )

    def load_masks(self) -> np.ndarray:
        """uint8 [F,H,W] over context and target (over the context alone where only its mask is on disk).

        Instance ids (subject + 1), or 1 for every subject in HM-World's red masks. Raises LayoutError without
        masks.
        """
        if self.masks is None:
            raise LayoutError(f'clip "{self.name}" has no masks')
        return self.masks if isinstance(self.masks, np.ndarray) else self.masks.load()

    def subject(self, id: str) -> SubjectTrack:
        """The subject of this id; LayoutError with the ids there are."""
        for subject in self.subjects:
            if subject.id == id:
                return subject
        known = ", ".join(subject.id for subject in self.subjects) or "none"
        raise LayoutError(f'clip "{self.name}" has no subject "{id}"; it has: {known}')

    def phases(self, subject: str | SubjectTrack, *, threshold: int = 1, by: str = "visible_pixels") -> np.ndarray:
        """The phase of a subject in every frame, [F] of the words in PHASES (spec/metrics.md, "Phases").

        unseen: before it first appears; visible: until it first hides; hidden: out of view after it was seen;
        re-entered: in view again after it was hidden. In view means at least `threshold` visible pixels, or
        the data set's flag (by="in_frame").
        """
        track = self.subject(subject) if isinstance(subject, str) else subject
        seen = track.visible(by=by, threshold=threshold)
        appeared = np.logical_or.accumulate(seen)
        has_hidden = np.logical_or.accumulate(appeared & ~seen)
        # indices into PHASES
        return np.array(PHASES)[np.where(seen, np.where(has_hidden, 3, 1), np.where(appeared, 2, 0))]

    @property
    def events(self) -> tuple[Event, ...]:
        """Exits and entries of all subjects in frame order: the frames where visibility changes."""
        found = []
        for track in self.subjects:
            for by in VISIBILITY_SOURCES:
                if getattr(track, by) is not None:
                    seen = track.visible(by=by)
                    changes = np.flatnonzero(seen[1:] != seen[:-1]) + 1
                    found += [Event(track.id, "entry" if seen[i] else "exit", int(i), by) for i in changes]
                    break
        return tuple(sorted(found, key=lambda event: event.frame))


def _frame_count(cameras: CameraPath, video: np.ndarray | VideoFile | None) -> int:
    if isinstance(video, np.ndarray):
        return len(video)
    if isinstance(video, VideoFile) and video.indices is not None:
        return len(video.indices)
    return cameras.frame_stride * (len(cameras) - 1) + 1


def _check_video(name: str, half: str, cameras: CameraPath, video: np.ndarray | VideoFile | None) -> None:
    if isinstance(video, np.ndarray) and (
        video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3 or len(video) == 0
    ):
        raise GeometryError(f'clip "{name}": the {half} is {video.dtype} {list(video.shape)}, expected uint8 [F,H,W,3]')
    frames = _frame_count(cameras, video)
    if len(cameras) != -(-frames // cameras.frame_stride):
        raise LayoutError(
            f'clip "{name}": the {half} has {frames} frames and {len(cameras)} camera poses (one per '
            f"{cameras.frame_stride} frames); expected {-(-frames // cameras.frame_stride)} poses"
        )
