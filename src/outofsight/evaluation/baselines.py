"""Videos that need no model: floors, which a model with memory must beat, and ceilings, which none can.

They are made from the clip itself, so where the subjects are in them is known exactly: boxes come from their masks. In
a model's video, and in one that a VAE has rebuilt, only a detector can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..cameras import CameraPath, pose_view_overlap, relative_pose_vectors
from ..errors import CameraError, LayoutError
from .clip import EvalClip
from .metrics.failures import Staged, portrait, wrong_identity
from .networks import Networks
from .traces import RunTrace

PREDICTION, FLOOR, CEILING = "prediction", "floor", "ceiling"
LAST_FRAME, BEST_VIEW, SHUFFLED = FLOORS = ("last frame held", "best view copied", "shuffled identity")
TRUTH, REBUILT = CEILINGS = ("ground truth", "VAE reconstruction")
WORDS: Mapping[str, str] = {
    LAST_FRAME: "the last context frame, held",
    BEST_VIEW: "of each target frame, the context frame whose view overlaps most with it",
    SHUFFLED: "the true target with each subject painted with another clip's: place, outline and timing are right",
    TRUTH: "the true target itself",
    REBUILT: "the true target, encoded and decoded by the VAE",
}


@dataclass(frozen=True, eq=False)
class Continuation:
    """A video that continues a clip, uint8 ``[Ft, h, w, 3]``.

    ids: uint8 ``[Ft, h, w]`` of its own frames, where they are known exactly. trace: what the model recalled, and the
    row of the batch that this clip was.
    """

    frames: np.ndarray
    ids: np.ndarray | None = None
    trace: RunTrace | None = None
    trace_row: int = 0


@dataclass(frozen=True)
class Stranger:
    """Somebody else, to paint a clip's subjects with: a clip, and the subject's number in its masks."""

    clip: EvalClip
    number: int

    @property
    def id(self) -> str:
        """Of the subject."""
        return self.clip.clip.subjects[self.number - 1].id


def kind_of(row: str) -> str:
    """Prediction, floor or ceiling."""
    return FLOOR if row in FLOORS else CEILING if row in CEILINGS else PREDICTION


def make(row: str, clip: EvalClip, stranger: Stranger | None = None, networks: Networks | None = None) -> Continuation:
    """A floor or ceiling of a clip. Raises OutOfSightError where the clip does not allow it, with the reason."""
    makers: dict[str, Callable[[], Continuation]] = {
        LAST_FRAME: lambda: last_frame_held(clip),
        BEST_VIEW: lambda: best_view_copied(clip),
        SHUFFLED: lambda: _shuffled(clip, stranger),
        TRUTH: lambda: Continuation(clip.truth, clip.target_ids),
        REBUILT: lambda: _rebuilt(clip, networks),
    }
    return makers[row]()


def last_frame_held(clip: EvalClip) -> Continuation:
    """The last context frame, held."""
    ids = None if clip.ids is None else hold_last(clip.ids[: clip.context_frames], clip.target_frames)
    return Continuation(hold_last(clip.context, clip.target_frames), ids)


def hold_last(context: np.ndarray, frames: int) -> np.ndarray:
    """The last context frame, held: ``[F, ...] -> [frames, ...]``."""
    return np.repeat(context[-1:], frames, axis=0)


def best_view_copied(clip: EvalClip) -> Continuation:
    """Of each target frame the context frame of most overlapping view. Raises CameraError (:func:`best_views`)."""
    views = best_views(clip.context_cameras, clip.target_cameras)
    return Continuation(clip.context[views], None if clip.ids is None else clip.ids[views])


def best_views(context: CameraPath, target: CameraPath) -> np.ndarray:
    """For each target frame the context frame whose view overlaps most with it, the latest of equals: int ``[Ft]``.

    Overlap is that of :func:`cameras.pose_view_overlap`. Raises CameraError where the cameras have no field of view or
    not one pose per frame.
    """
    if context.frame_stride != 1 or target.frame_stride != 1:
        raise CameraError("the best view is sought frame by frame: give cameras of one pose per video frame")
    if target.horizontal_fov is None:
        raise CameraError("views cannot be compared without the cameras' horizontal field of view")
    bank, query = relative_pose_vectors(context, target, stride=1)
    with torch.no_grad():
        overlap = pose_view_overlap(query, bank, target.horizontal_fov, bank_fov=context.horizontal_fov)
    # argmax gives the first of equals: of the reversed order, the latest
    return len(bank) - 1 - overlap.flip(1).argmax(dim=1).numpy()


def choose_strangers(clips: Sequence[EvalClip]) -> dict[str, Stranger | None]:
    """For each clip the next one, after the last the first, in whose context somebody is seen.

    One of another id than the clip's own subjects is looked for first; where all have one id, the next clip's serves.
    """
    candidates = [_portrayable(clip) for clip in clips]
    found: dict[str, Stranger | None] = {}
    for place, clip in enumerate(clips):
        order = [(place + step) % len(clips) for step in range(1, len(clips))]
        own = set(clip.subjects)
        foreign = (one for one in _in_order(clips, candidates, order) if one.id not in own)
        found[clip.name] = next(foreign, None) or next(_in_order(clips, candidates, order), None)
    return found


def _in_order(clips: Sequence[EvalClip], candidates: list[list[int]], order: list[int]) -> Iterator[Stranger]:
    for place in order:
        for number in candidates[place]:
            yield Stranger(clips[place], number)


def _portrayable(clip: EvalClip) -> list[int]:
    """Numbers of the subjects that the context shows."""
    if not clip.masked or clip.seen is None:
        return []
    seen = np.logical_or.reduce(clip.visible[:, : clip.context_frames], axis=1)
    return [number for number, there in zip(clip.numbers, seen, strict=True) if there]


def _shuffled(clip: EvalClip, stranger: Stranger | None) -> Continuation:
    ids = clip.target_ids
    if ids is None:
        raise LayoutError("no masks that show each subject on its own")
    if stranger is None:
        raise LayoutError("no other clip whose context shows somebody")
    if not np.isin(ids, clip.numbers).any():
        raise LayoutError("no subject is seen in the target")
    other = stranger.clip.clip
    context = other.context_video().frames
    picture = portrait(Staged(context, other.load_masks()[: len(context)]), stranger.number)
    return Continuation(wrong_identity(Staged(clip.truth, ids), clip.numbers, picture).frames, ids)


def _rebuilt(clip: EvalClip, networks: Networks | None) -> Continuation:
    if networks is None or networks.vae is None:
        raise LayoutError("no VAE was named")
    return Continuation(networks.vae.rebuilt(clip.truth))
