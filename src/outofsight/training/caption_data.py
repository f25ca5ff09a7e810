"""Captions of planned worlds with what they state, nothing rendered: what the small text encoder learns from.

A plan states who is seen, leaves and comes back by geometry; the captions of finished clips do so by pixels. For
the language it makes no difference, and a plan takes hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..worlds.engine.plan import Staging
    from ..worlds.engine.shots import Shot

SPLITS = ("train", "test")
MIX = "re-entry=7,occluded=1,always-visible=1,never-visible=1"
SUBJECTS = 3  # the most that a clip has
NOT_TOLD = -100  # a label that the caption does not state; torch's cross_entropy leaves it out
_HEARD = ("name", "species", "kind", "path", "returns")  # of each subject


@dataclass(frozen=True)
class ToldClip:
    """A caption, and the words for what it states: attribute -> value; attributes that it does not state are absent."""

    caption: str
    told: dict[str, str]


@dataclass(frozen=True)
class Attributes:
    """The values that each attribute takes in training: the classes of the linear probe.

    names: "family", "light", "subjects" (how many are seen), "camera", and for each subject in the order of the
    caption "name 1", "species 1", "kind 1", "path 1", "returns 1", and so on.
    """

    values: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, clips: Sequence[ToldClip]) -> Attributes:
        found: dict[str, set[str]] = {}
        for clip in clips:
            for name, value in clip.told.items():
                found.setdefault(name, set()).add(value)
        return cls({name: tuple(sorted(values)) for name, values in sorted(found.items()) if len(values) > 1})

    def labels(self, clips: Sequence[ToldClip]) -> np.ndarray:
        """int64 ``[clips, attributes]``: class of each, ``NOT_TOLD`` where absent or never seen in training."""
        numbers = [{value: number for number, value in enumerate(values)} for values in self.values.values()]
        return np.array(
            [
                [
                    number.get(clip.told.get(name, ""), NOT_TOLD)
                    for name, number in zip(self.values, numbers, strict=True)
                ]
                for clip in clips
            ],
            dtype=np.int64,
        ).reshape(len(clips), len(numbers))


def told_clips(
    seed: int,
    plans: int,
    *,
    split: str = "train",
    preset: str = "tiny",
    wordings: int = 1,
) -> list[ToldClip]:
    """Captions of ``plans`` planned clips, each worded ``wordings`` times.

    Args:
        seed: of the plans.
        split: whose scene families and subjects they are made of.
        preset: of the worlds.

    Raises:
        WorldsError: no such split or preset.
    """
    from ..worlds.catalogue import CATALOGUE
    from ..worlds.engine.plan import lay_out, plan_clip

    clips = []
    for index in range(plans):
        clips += _worded(lay_out(CATALOGUE, plan_clip(CATALOGUE, seed, index, preset, split, MIX)), wordings)
    return clips


def _worded(staging: Staging, wordings: int) -> list[ToldClip]:
    from ..worlds.engine.annotate import describe

    plan = staging.plan
    seen = np.stack([staging.visibility(index)[0] for index in range(len(staging.specs))])
    # `describe` takes counts of pixels; that some are seen is all it asks of them
    told = _told(staging, seen)
    captions = [
        describe(replace(staging, plan=replace(plan, attempt=number)), seen.astype(int), plan.returning)
        for number in range(wordings)
    ]
    return [ToldClip(caption, told) for caption in dict.fromkeys(captions)]


def _told(staging: Staging, seen: np.ndarray) -> dict[str, str]:
    plan = staging.plan
    # the same bound as `describe` has for being worth a mention
    shown = [index for index in range(len(seen)) if seen[index].sum() > 0.03 * seen.shape[1]]
    told = {
        "family": plan.family,
        "light": staging.layout.words.get("light", staging.layout.light),
        "subjects": str(len(shown)),
        "camera": _camera(staging.shot),
    }
    for place, index in enumerate(shown[:SUBJECTS], start=1):
        spec = staging.specs[index]
        returns = str(index in plan.returning)
        values = (spec.name, spec.species, spec.kind, plan.subjects[index].path.name, returns)
        told |= {f"{what} {place}": value for what, value in zip(_HEARD, values, strict=True)}
    return told


def _camera(shot: Shot) -> str:
    """What words describe of a shot: how it travels and looks, not how far."""
    family = "dolly" if shot.family == "double" else shot.family
    looks = "".join("+" if glance.turn > 0 else "-" for glance in shot.glances)
    return f"{family} {shot.travel:+.0f} {'bent' if shot.bend else 'straight'} {looks or 'ahead'}"
