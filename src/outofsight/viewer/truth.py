"""What really followed: the target of the clip that a run continued, and what is known of its subjects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras import CameraPath
from ..clips import Clip, SubjectTrack, VideoFile
from ..datasets import detect_layout, read_clip
from ..errors import LayoutError, OutOfSightError, VideoError
from ..evaluation.clip import EvalClip, eval_clip
from ..generation.runs import Sources
from ..video import probe_video
from .data import Subject
from .ground import ground_track


@dataclass(frozen=True, eq=False)
class Truth:
    """What really followed; None where it is not known.

    frames uint8 ``[Ft, h, w, 3]`` at the prediction's size; clip: the clip, cut to the frames of the run; None where
    the run went another way. scored: whether the clip's videos are of the prediction's size, so that it is measured by
    them. subjects and phases over the frames that are known.
    """

    frames: np.ndarray | None = None
    clip: EvalClip | None = None
    scored: bool = False
    subjects: tuple[Subject, ...] = ()
    phases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def fates(self) -> dict[str, np.ndarray]:
        """The target as it would have been, by name."""
        known = self.clip.fates if self.clip is not None and self.scored else {}
        return {name: video for name, video in known.items() if name != "true"}


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
    known, notes = _known(clip, layout.root / clip.name)
    moved = next((name for name in ("pose", "cameras") if getattr(sources, name) is not None), None)
    elsewhere = any(getattr(sources, name) is not None for name in ("context_cameras", "context_pose", "cameras"))
    cut = known.cut(context_frames, min(shape[0], clip.target_frames))
    part = slice(cut.skipped, clip.context_frames + (0 if moved else shape[0]))
    subjects, told = _subjects(clip, set(known.subjects), part, None if elsewhere else target)
    if moved:
        away = (
            f"No truth: the run went along cameras of its own (--{moved}), so the clip's target is not what followed."
        )
        return Truth(subjects=subjects, phases=cut.phase_words[:context_frames], notes=(*notes, *told, away))
    frames, scored, more = _frames(cut, shape)
    return Truth(frames, cut, scored, subjects, cut.phase_words, (*notes, *told, *more))


def _known(clip: Clip, folder: Path) -> tuple[EvalClip, tuple[str, ...]]:
    try:
        return eval_clip(clip, folder), ()
    except LayoutError as cause:
        return eval_clip(clip, folder, fates=False), (f"Fates left out: {cause}.",)


# --- subjects ---------------------------------------------------------------------------------------------


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


# --- videos -----------------------------------------------------------------------------------------------


def _frames(cut: EvalClip, shape: tuple[int, ...]) -> tuple[np.ndarray | None, bool, tuple[str, ...]]:
    """The true target at the prediction's size, whether the clip itself is of it, and what had to be left out."""
    try:
        truth = cut.clip.fitted(shape[1], shape[2]).target_video().frames[: shape[0]]
    except VideoError as cause:
        return None, False, (f"No truth: {cause}.",)
    if truth.shape != shape:
        return None, False, (f"No truth: the clip's target has {len(truth)} frames, the run made {shape[0]}.",)
    try:
        stored = cut.truth.shape
    except OutOfSightError as cause:
        return truth, False, (f"Fates and scores by phase left out: {cause}.",)
    if stored[1:] == shape[1:]:
        return truth, True, ()
    sizes = [f"{size[1]}x{size[0]}" for size in (stored[1:3], shape[1:3])]
    told = f"Fates and scores by phase left out: the clip is {sizes[0]}, the run made {sizes[1]}; the truth was scaled."
    return truth, False, (told,)
