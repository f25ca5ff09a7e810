"""What really followed: the target of the clip that a run continued, and what is known of its subjects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..cameras import CameraPath
from ..clips import Clip, SubjectTrack, VideoFile
from ..datasets import detect_layout, read_clip
from ..datasets.world_extras import read_fates
from ..errors import LayoutError, OutOfSightError, VideoError
from ..evaluation.fates import returned_frames
from ..evaluation.held_out import HeldOutClip, held_out
from ..evaluation.trivial import best_views
from ..generation.runs import Sources
from ..video import probe_video
from .data import Subject
from .ground import ground_track


@dataclass(frozen=True, eq=False)
class Truth:
    """The true target and what judges a prediction of it; None where it is not known.

    frames uint8 ``[Ft, h, w, 3]`` at the prediction's size; fates likewise, by name; held: the clip with masks, cut to
    the frames of the run; subjects over the frames that are known; returned bool ``[s, Ft]`` of those that matter.
    """

    frames: np.ndarray | None = None
    fates: Mapping[str, np.ndarray] = field(default_factory=dict)
    held: HeldOutClip | None = None
    subjects: tuple[Subject, ...] = ()
    phases: tuple[str, ...] = ()
    returned: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def read_truth(sources: Sources, shape: tuple[int, ...], context_frames: int, target: CameraPath) -> Truth:
    """Read the clip of a run again, for its truth.

    Args:
        shape: ``(Ft, h, w, 3)`` of the prediction.
        context_frames: how many the run used, the clip's last ones.
        target: the target cameras that the run went along.

    Raises:
        OutOfSightError, OSError: the clip cannot be read.
    """
    assert sources.clip is not None
    layout = detect_layout(sources.clip)
    clip = read_clip(sources.clip, sources.clip_name)
    folder = layout.root / clip.name
    skipped = clip.context_frames - context_frames
    moved = next((name for name in ("pose", "cameras") if getattr(sources, name) is not None), None)
    elsewhere = any(getattr(sources, name) is not None for name in ("context_cameras", "context_pose", "cameras"))
    part = slice(skipped, clip.context_frames + (0 if moved else shape[0]))
    matter, notes = _matter(clip, folder)
    subjects, told = _subjects(clip, matter, part, None if elsewhere else target)
    seen = _seen_by(clip, matter)[:, : clip.context_frames if moved else None]
    found = phases(seen, clip.context_frames)[part]
    if moved:
        away = (
            f"No truth: the run went along cameras of its own (--{moved}), so the clip's target is not what followed."
        )
        return Truth(subjects=subjects, phases=found, notes=(*notes, *told, away))
    back = [returned_frames(row, clip.context_frames)[: shape[0]] for row in seen]
    frames, fates, held, more = _videos(clip, folder, shape, skipped)
    return Truth(frames, fates, held, subjects, found, np.stack(back) if back else None, (*notes, *told, *more))


# --- subjects ---------------------------------------------------------------------------------------------


def _matter(clip: Clip, folder: Path) -> tuple[set[str], tuple[str, ...]]:
    """Ids of the subjects that phases go by: those whom fates befall, else all."""
    everyone = {subject.id for subject in clip.subjects}
    try:
        fates = read_fates(folder)
    except LayoutError as cause:
        return everyone, (f"Fates left out: {cause}.",)
    return (everyone if fates is None else set(fates.subjects)), ()


def _subjects(
    clip: Clip, matter: set[str], part: slice, target: CameraPath | None
) -> tuple[tuple[Subject, ...], tuple[str, ...]]:
    """The subjects over a part of the clip's frames, and what is not known of them.

    target: cameras of the world in which positions are given; None where the run has another world.
    """
    if not clip.subjects:
        return (), ("No subjects: the clip's annotations name none, so there are no phases and no tracks.",)
    found, unseen = [], []
    for subject in clip.subjects:
        seen = _seen(subject)
        if seen is None:
            unseen.append(subject.id)
            continue
        track = None
        if target is not None and subject.positions is not None:
            track = ground_track(subject.positions[part], target)
        found.append(Subject(
            name=subject.id, label=str(subject.attributes.get("who", subject.id)), matters=subject.id in matter,
            seen=seen[part], share=_share(clip, subject, part), track=track,
        ))  # fmt: skip
    told = (f"Subjects left out, since it is not known when they are seen: {', '.join(unseen)}.",) if unseen else ()
    return tuple(found), told


def _seen_by(clip: Clip, matter: set[str]) -> np.ndarray:
    """bool ``[s, F]`` over the whole clip: when those who matter are in view."""
    rows = [_seen(subject) for subject in clip.subjects if subject.id in matter]
    known = [row for row in rows if row is not None]
    return np.stack(known) if known else np.zeros((0, clip.context_frames + clip.target_frames), bool)


def _seen(subject: SubjectTrack) -> np.ndarray | None:
    return subject.in_frame if subject.visible_pixels is None else subject.visible()


def _share(clip: Clip, subject: SubjectTrack, part: slice) -> np.ndarray | None:
    """Visible pixels as a share of the picture."""
    if subject.visible_pixels is None:
        return None
    height, width = _size(clip)
    return subject.visible_pixels[part] / (height * width)


def _size(clip: Clip) -> tuple[int, int]:
    """Height and width of the context video, as stored."""
    if isinstance(clip.context, VideoFile):
        info = probe_video(clip.context.path)
        return info.height, info.width
    return clip.context_video().size


def phases(seen: np.ndarray, cut: int) -> tuple[str, ...]:
    """The phase of each frame by the rules of evaluation.held_out; seen: bool ``[s, F]``. Empty without subjects.

    re-entered: a subject that was hidden is back, having come back in the target; hidden: no such, and one seen before
    is out of view; visible: no such, and one is in view; unseen: none has been in view yet.
    """
    if len(seen) == 0:
        return ()
    back = np.zeros(seen.shape[1], bool)
    for row in seen:
        back[cut:] |= returned_frames(row, cut)
    absent = (np.logical_or.accumulate(seen, axis=1) & ~seen).any(axis=0)
    words = np.select([back, absent, seen.any(axis=0)], ["re-entered", "hidden", "visible"], "unseen")
    return tuple(words.tolist())


# --- videos -----------------------------------------------------------------------------------------------

_Videos = tuple[np.ndarray | None, Mapping[str, np.ndarray], HeldOutClip | None, tuple[str, ...]]


def _videos(clip: Clip, folder: Path, shape: tuple[int, ...], skipped: int) -> _Videos:
    """True target, fates, the clip to judge by, and what had to be left out."""
    try:
        truth = clip.fitted(shape[1], shape[2]).target_video().frames[: shape[0]]
    except VideoError as cause:
        return None, {}, None, (f"No truth: {cause}.",)
    if truth.shape != shape:
        return None, {}, None, (f"No truth: the clip's target has {len(truth)} frames, the run made {shape[0]}.",)
    try:
        held = held_out(clip, folder)
    except OutOfSightError as cause:
        return truth, {}, None, (f"Fates and scores by phase left out: {cause}.",)
    if held.truth.shape[1:] != shape[1:]:
        stored, made = (f"{size[1]}x{size[0]}" for size in (held.truth.shape[1:3], shape[1:3]))
        told = f"Fates and scores by phase left out: the clip is {stored}, the run made {made}; the truth was scaled."
        return truth, {}, None, (told,)
    held = _cut(held, clip, skipped, shape[0])
    return truth, {name: video for name, video in held.fates.items() if name != "true"}, held, ()


def _cut(held: HeldOutClip, clip: Clip, skipped: int, frames: int) -> HeldOutClip:
    """The clip as the run saw it: without the first context frames, with the first target frames alone."""
    return replace(
        held,
        context=held.context[skipped:],
        fates={name: video[:frames] for name, video in held.fates.items()},
        views=best_views(clip.context_cameras[skipped:], clip.target_cameras[:frames]),
        visible=held.visible[:, skipped : len(held.context) + frames],
        returned=held.returned[:, :frames],
        hidden=held.hidden[:frames],
        inside=held.inside[:frames],
        region=held.region[:frames],
    )
