"""What each row of a table answers to a clip: a model's video, a floor (to be beaten) or a ceiling (not to be beaten).

Floors and ceilings are made from the clip itself, so where the subjects are in them is known exactly: boxes come from
their masks. In a model's video, and in one that a VAE has rebuilt, only a detector can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import LayoutError
from .cases import Case, KnownClip
from .metrics.failures import Staged, portrait, wrong_identity
from .networks import Networks
from .trivial import best_views, hold_last

PREDICTION, FLOOR, CEILING = "prediction", "floor", "ceiling"
HOLD, BEST_VIEW, SHUFFLED = FLOORS = ("hold last frame", "copy best view", "shuffled identity")
TRUTH, REBUILT = CEILINGS = ("ground truth", "VAE reconstruction")
WORDS: Mapping[str, str] = {
    HOLD: "the last context frame, held",
    BEST_VIEW: "of each target frame, the context frame whose view overlaps most with it",
    SHUFFLED: "the true target with each subject painted with another clip's: place, outline and timing are right",
    TRUTH: "the true target itself",
    REBUILT: "the true target, encoded and decoded by the VAE",
}


@dataclass(frozen=True, eq=False)
class Answer:
    """A video uint8 ``[Ft, h, w, 3]``; ids ``[Ft, h, w]`` of its own frames where they are known exactly; its trace."""

    frames: np.ndarray
    ids: np.ndarray | None = None
    trace: Path | None = None


@dataclass(frozen=True)
class Stranger:
    """Somebody else, to paint a clip's subjects with: a clip, and the subject's number in its masks."""

    known: KnownClip
    number: int

    @property
    def id(self) -> str:
        """Of the subject."""
        return self.known.clip.subjects[self.number - 1].id


def kind_of(row: str) -> str:
    """Prediction, floor or ceiling."""
    return FLOOR if row in FLOORS else CEILING if row in CEILINGS else PREDICTION


def made(row: str, case: Case, stranger: Stranger | None, networks: Networks) -> Answer:
    """The answer of a floor or ceiling.

    Raises OutOfSightError where this clip does not allow it, with the reason.
    """
    makers: dict[str, Callable[[], Answer]] = {
        HOLD: lambda: _hold(case),
        BEST_VIEW: lambda: _best_view(case),
        SHUFFLED: lambda: _shuffled(case, stranger),
        TRUTH: lambda: Answer(_truth(case), _target_ids(case)),
        REBUILT: lambda: _rebuilt(case, networks),
    }
    return makers[row]()


def choose_strangers(clips: Sequence[KnownClip]) -> dict[str, Stranger | None]:
    """For each clip the next one, after the last the first, in whose context somebody is seen.

    One of another id than the clip's own subjects is looked for first; where all have one id, the next clip's serves.
    """
    candidates = [_portrayable(known) for known in clips]
    found: dict[str, Stranger | None] = {}
    for place, known in enumerate(clips):
        order = [(place + step) % len(clips) for step in range(1, len(clips))]
        own = set(known.subjects)
        foreign = (one for one in _in_order(clips, candidates, order) if one.id not in own)
        found[known.name] = next(foreign, None) or next(_in_order(clips, candidates, order), None)
    return found


def _in_order(clips: Sequence[KnownClip], candidates: list[list[int]], order: list[int]) -> Iterator[Stranger]:
    for place in order:
        for number in candidates[place]:
            yield Stranger(clips[place], number)


def _portrayable(known: KnownClip) -> list[int]:
    """Numbers of the subjects that the context shows."""
    if not known.masked or known.visible is None:
        return []
    cut = known.clip.context_frames
    return [number for number, track in zip(known.numbers, known.visible, strict=True) if track[:cut].any()]


def _truth(case: Case) -> np.ndarray:
    if case.truth is None:
        raise LayoutError("the data keeps the target back")
    return case.truth


def _target_ids(case: Case) -> np.ndarray | None:
    return None if case.ids is None else case.ids[len(case.context) :]


def _hold(case: Case) -> Answer:
    ids = None if case.ids is None else case.ids[: len(case.context)]
    last = None if ids is None else np.repeat(ids[-1:], case.frames, axis=0)
    return Answer(hold_last(case.context, case.frames), last)


def _best_view(case: Case) -> Answer:
    views = best_views(case.known.clip.context_cameras, case.known.clip.target_cameras)
    return Answer(case.context[views], None if case.ids is None else case.ids[views])


def _shuffled(case: Case, stranger: Stranger | None) -> Answer:
    ids = _target_ids(case)
    if ids is None:
        raise LayoutError("no masks that show each subject on its own")
    if stranger is None:
        raise LayoutError("no other clip whose context shows somebody")
    if not np.isin(ids, case.known.numbers).any():
        raise LayoutError("no subject is seen in the target")
    clip = stranger.known.clip
    context = clip.context_video().frames
    picture = portrait(Staged(context, clip.load_masks()[: len(context)]), stranger.number)
    return Answer(wrong_identity(Staged(_truth(case), ids), case.known.numbers, picture).frames, ids)


def _rebuilt(case: Case, networks: Networks) -> Answer:
    if networks.vae is None:
        raise LayoutError("no VAE was named")
    return Answer(networks.vae.rebuilt(_truth(case)))
