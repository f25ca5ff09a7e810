"""A model of the small world judged on clips that are drawn and held out: no files, exact pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ..components.video_codec import codec_of
from ..datasets.world_extras import Fates
from ..evaluation.clip import EvalClip, eval_clip
from ..evaluation.scores import Scores
from ..worlds.small import SmallClip, judged
from .shards import EncodedClip
from .validate import Validator
from .validation_report import ValidationSettings
from .world_source import WorldSource

PLACED = "within a cell"
SPLIT, SEED = "test", 1_000_000  # hues (or scenes and subjects) that no training clip has


class SmallJudge(Validator):
    """The first clips of a world's test split that tell the fates apart (``SmallClip.is_judged``).

    Args:
        codec: the model's. text_dim: width of its text.
        name: of the world's preset. options: its knobs, changed.
        settings: see :class:`ValidationSettings`; ``clips`` None takes 256.
        seed: of the stream.

    Raises:
        TrainingError, DatasetError: no such knobs, or a codec that does not fit the world.
    """

    def __init__(
        self,
        codec: Any,
        text_dim: int,
        name: str,
        options: Mapping[str, Any] | None = None,
        settings: ValidationSettings | None = None,
        seed: int = SEED,
    ) -> None:
        self.settings = settings or ValidationSettings(steps=1, clips=256, batch=16)
        self.vae, self.count = codec, self.settings.clips or 256
        source = WorldSource(name, {**(options or {}), "split": SPLIT}, seed, codec_of(codec), text_dim)
        self.latents, self.world, self._fixed = source, source.world, {}
        self._drawn = {clip.name: clip for clip in islice(judged(self.world, seed), self.count)}
        self._coded = [source.encoded(clip) for clip in self._drawn.values()]
        self._clips = {name: _eval_clip(clip) for name, clip in self._drawn.items()}

    def _encoded(self, number: int) -> EncodedClip:
        return self._coded[number]

    def _clip(self, name: str) -> EvalClip:
        return self._clips[name]

    def _generated(self, model: Any, ablation: str | None) -> Iterator[tuple[EvalClip, np.ndarray, Scores]]:
        for clip, video, scores in super()._generated(model, ablation):
            yield clip, video, {**scores, **self.places(clip.name, video)}

    def places(self, name: str, video: np.ndarray) -> dict[str, float | str | None]:
        """``PLACED``: of the clip's subjects, the share of frames of their return in which the spot of their own colour
        lies within one cell of their true middle. Nothing where figures have no one colour.

        ``video``: uint8 ``[Ft, h, w, 3]``. The spot: where a square of the subject's size is nearest to it in the mean.
        """
        if self.world.figures != "shapes":
            return {}
        hits = _places(self._drawn[name], video)
        return {PLACED: float(np.mean(hits)) if hits else None}


def _eval_clip(clip: SmallClip) -> EvalClip:
    subjects = tuple(track.id for track in clip.clip.subjects[: clip.world.subjects])
    return eval_clip(clip.clip, Fates(subjects, clip.vanished, clip.frozen, clip.frozen_ids)).read()


def _places(clip: SmallClip, video: np.ndarray) -> list[bool]:
    from scipy.ndimage import uniform_filter

    world, found = clip.world, []
    width = max(1, round(2 * world.radius * world.cell * 0.75))
    for index in range(world.subjects):
        colour = np.array(clip.plan.figures[index].colour) * 255
        for frame in np.flatnonzero(clip.returned[index, world.context_frames :]):
            x, y = clip.pixels[index, world.context_frames + frame]
            mean = uniform_filter(video[frame].astype(np.float32), size=(width, width, 1), mode="nearest")
            row, column = np.unravel_index(((mean - colour) ** 2).sum(axis=-1).argmin(), mean.shape[:2])
            found.append(bool(np.hypot(column + 0.5 - x, row + 0.5 - y) <= world.cell))
    return found
