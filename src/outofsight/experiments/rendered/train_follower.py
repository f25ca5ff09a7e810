"""Train a segmenter's follower (``rendered/follower.py``): the segmenter's own weights stay as they are.

    python -m outofsight.experiments.rendered.train_follower --clips worlds \\
        --finder parts/finder --held-out worlds-held-out --out parts

leaves ``parts/finder``, with a follower, and what was measured in ``parts/training-follower/report.json``. Clips need
masks and subjects' positions, which those of ``outofsight worlds`` have. Expected on one CPU core: see docs/tiny.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn

from ...datasets import detect_layout, iterate_clips
from ...errors import DatasetError, TrainingError
from ...progress import counted
from ...training.checkpointing import Checkpoint
from ...training.config import Count, LoopSettings
from ...training.hashes import finder_hash
from ...training.learner import Learner
from ...training.parts import load_finder
from ...training.settings import check_settings
from ...training.small_parts import PartObjective, command, save_part
from .finder import SubjectFinder
from .follower import Followed, Follower, follow_twice
from .motion import carried_on, fitted
from .pursuits import Pursuit, pursuits, varied

_STRAY = 3.0  # degrees of freedom of the errors' Student-t: some are far off
_NEAR, _FAR = 0.25, 8.0  # of a subject's size in the picture: an error ahead that counts one, and the most that counts
_ASIDE, _WANDER = 0.1, 0.05  # metres, that count one: of a ground point, and of its error less the track's mean one
_MOST = 5.0  # the most that one ground point counts
_WIDTHS = 4  # at most: each halves the windows


@dataclass(frozen=True)
class FollowerConfig:
    """A follower's training.

    Args:
        clips: data folder of clips of one size and length, with masks and positions.
        finder: folder of a trained finder; a follower that it has is replaced, not trained further.
        out: where ``finder/`` and ``training-follower/`` come to lie.
        held_out: data folder of clips to judge by, or None.
        widths: of the follower.
        limit, held_out_limit: take the first so many clips alone.
        batch_size: paths a step.
        jitter: metres, by how much ground points are moved at random.
    """

    clips: Path
    finder: Path
    out: Path
    held_out: Path | None = None
    widths: tuple[int, ...] = (16, 24, 32)
    limit: Annotated[int | None, Ge(1)] = None
    held_out_limit: Count = 48
    batch_size: Count = 8
    jitter: Annotated[float, Ge(0)] = 0.05
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=6000, lr=2e-3))

    def __post_init__(self) -> None:
        check_settings(self)
        if not 1 <= len(self.widths) <= _WIDTHS or any(w < 8 or w % 8 for w in self.widths):
            raise TrainingError(f"widths are {self.widths}, expected 1 to {_WIDTHS} multiples of 8")


def losses(told: Followed, batch: Pursuit) -> dict[str, Tensor]:
    """Errors of ground points (metres, in units), the same less their mean over a track, the negative log-likelihood of
    ground points and depths at the predicted standard deviations, and errors of extrapolated places."""
    count = batch.taught.sum().clamp(min=1)

    def mean(x: Tensor) -> Tensor:
        return (x * batch.taught).sum() / count

    gap, log = batch.gaps - told.aside, batch.farther - told.farther
    each = batch.taught.sum(dim=1, keepdim=True).clamp(min=1)
    wander = gap - (gap * batch.taught).sum(dim=1, keepdim=True) / each
    across, along = told.doubts.unbind(dim=2)
    unlikely = _stray(gap / batch.depths / across) + across.log() + 0.5 * (_stray(log / along) + along.log())
    off, known = missed(told, batch), batch.sizes > 0
    ahead = torch.log1p((off / _NEAR).clamp(max=_FAR) ** 2)
    return {
        "aside": mean((gap.abs() / _ASIDE).clamp(max=_MOST)),
        "wander": mean((wander.abs() / _WANDER).clamp(max=_MOST)),
        "doubt": mean(unlikely),
        "ahead": (ahead * known).sum() / known.sum().clamp(min=1),
    }


def _stray(error: Tensor) -> Tensor:
    """Of errors in standard deviations: their negative log-likelihood, but for a constant."""
    return (_STRAY + 1) / 2 * torch.log1p(error**2 / _STRAY)


def missed(told: Followed, batch: Pursuit) -> Tensor:
    """How far each subject is extrapolated from its true line of sight in each target frame, in its sizes there
    (root of its pixels): ``[b, m]``, 0 where none is seen."""
    ray = batch.places - batch.eyes + batch.rights * told.aside[..., None]
    places = batch.eyes + ray * told.farther.exp()[..., None]
    doubts = told.doubts.masked_fill(batch.seen[..., None] == 0, torch.inf)
    frames = torch.arange(batch.seen.shape[1] + batch.sizes.shape[1]).expand(len(batch.seen), -1)
    last = (batch.seen * frames[:, : batch.seen.shape[1]]).argmax(dim=1, keepdim=True)
    times = (frames - last).double()
    motion = fitted(places.double(), batch.eyes.double(), times[:, : batch.seen.shape[1]], doubts.double())
    thought = carried_on(motion, times[:, batch.seen.shape[1] :]).float() - batch.later_eyes
    true = batch.later_places - batch.later_eyes
    lengths = (thought.norm(dim=2) * true.norm(dim=2)).clamp(min=1e-6)
    sine = (thought[..., 0] * true[..., 1] - thought[..., 1] * true[..., 0]).abs() / lengths
    cosine = (thought * true).sum(dim=2) / lengths
    angle = torch.where(cosine > 0, sine, 2 - sine)
    return torch.where(batch.sizes > 0, angle / batch.sizes.clamp(min=1e-6), 0.0)


class FollowerObjective(PartObjective):
    """Where the subjects that a finder detects are, over all frames at once, and will be.

    Raises CheckpointError where there is no finder; :meth:`build` as :class:`FinderObjective` does.
    """

    name = "follower"
    columns = ("aside", "wander", "doubt", "ahead")

    def __init__(self, config: FollowerConfig) -> None:
        super().__init__(config)
        self.finder, self.follower, self.settings["finder"] = _begun(config)
        self.validates = config.held_out is not None

    def build(self, start: Checkpoint | None) -> Learner:
        config = self.config
        self.data = _read(self.finder, config.clips, config.limit)
        self.held_out: list[Pursuit] = []
        if config.held_out is not None:
            read = _read(self.finder, config.held_out, config.held_out_limit)
            self.held_out = [one for one in read if bool((one.sizes > 0).any())]
            if not self.held_out:
                raise DatasetError(
                    f"nobody whom the finder finds in {config.held_out} is seen later: nothing to judge by"
                )
        # who is seen in the target too teaches most: their way is known there
        weights = np.array([3.0 if bool((one.sizes > 0).any()) else 1.0 for one in self.data])
        self.chances = weights / weights.sum()
        return self.learner(self.follower)

    def batches(self, step: int) -> list[tuple[Pursuit, int]]:
        rng = self.drawn(step)
        drawn = rng.choice(len(self.data), self.config.batch_size, p=self.chances)
        batch = collate([varied(self.data[i], rng, self.config.jitter) for i in drawn])
        return [(batch, int(rng.integers(2**31)))]

    def loss(self, called: nn.Module, batch: tuple[Pursuit, int]) -> tuple[Tensor, Mapping[str, Tensor]]:
        paths, seed = batch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of what is dropped
            told = [losses(answer, paths) for answer in called(*shown(paths))]
        parts = {name: torch.stack([one[name] for one in told]).mean() for name in self.columns}
        loss = 0.2 * parts["aside"] + 0.3 * parts["wander"] + 0.2 * parts["doubt"] + 0.5 * parts["ahead"]
        return loss, {"loss": loss, **parts}

    def validate(self, model: Any, step: int) -> Mapping[str, float]:
        return judge(model, self.held_out)

    def finish(self) -> Mapping[str, float]:
        save_part(self.finder, self.config.out / "finder")
        return {"steps": self.pace.steps, "paths": len(self.data)}


def _begun(config: FollowerConfig) -> tuple[SubjectFinder, Follower, str]:
    """The finder with a new follower, that follower, and the hash of the finder without one."""
    given = load_finder(config.finder)
    own = {name: x for name, x in given.state_dict().items() if not name.startswith("follower.")}
    alone = SubjectFinder(given.config.widths)
    alone.load_state_dict(own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.loop.seed)
        finder = SubjectFinder(given.config.widths, tuple(config.widths))
    finder.load_state_dict(own, strict=False)
    assert finder.follower is not None
    return finder.eval(), finder.follower, finder_hash(alone)


def _read(finder: SubjectFinder, folder: Path, limit: int | None) -> list[Pursuit]:
    count = len(detect_layout(folder).samples)
    clips = islice(iterate_clips(folder), limit)
    found: list[Pursuit] = []
    for clip in counted(clips, f"clips of {folder.name} looked at", min(count, limit or count)):
        more = pursuits(finder, clip)
        if found and any(_shape(one) != _shape(found[0]) for one in more):
            raise DatasetError(f'clip "{clip.name}": it is of another size or length than others: take one kind')
        found += more
    if not found:
        raise DatasetError(f"{folder} holds no clips in which the finder finds anybody whose true place is known")
    return found


def _shape(one: Pursuit) -> tuple[int, ...]:
    return *one.pictures.shape, *one.sizes.shape


def collate(found: list[Pursuit]) -> Pursuit:
    """Several as one, with an axis before all others. Raises DatasetError where they are of several shapes."""
    if len({_shape(one) for one in found}) > 1:
        raise DatasetError("the clips are of several sizes or lengths: train on clips of one")
    return Pursuit(*(torch.stack([getattr(one, part.name) for one in found]) for part in fields(Pursuit)))


def shown(batch: Pursuit) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a follower is given of a batch."""
    pictures = torch.cat([batch.pictures, batch.marks[:, :, None]], dim=2).float() / 255
    return pictures, batch.feet, batch.scale, batch.seen


def judge(follower: Follower, data: list[Pursuit], at_once: int = 16) -> Mapping[str, float]:
    """Of subjects seen in their targets: "ahead", the median of how far their direction is off, in their sizes;
    "quarter", the share within a quarter of it; and both as they would be without a follower ("unfollowed_...")."""
    off: dict[str, list[float]] = {"": [], "unfollowed_": []}
    for i in range(0, len(data), at_once):
        batch = collate(data[i : i + at_once])
        nothing = torch.zeros_like(batch.scale)
        for name, told in (
            ("", follow_twice(follower, *shown(batch))),
            ("unfollowed_", Followed(nothing, nothing, batch.doubts)),
        ):
            seen = (batch.sizes > 0).sum(dim=1)
            off[name] += (missed(told, batch).sum(dim=1) / seen).tolist()
    return {
        name + what: float(value)
        for name, errors in off.items()
        for what, value in (("ahead", np.median(errors)), ("quarter", np.mean(np.array(errors) < _NEAR)))
    }


if __name__ == "__main__":
    command(FollowerConfig, FollowerObjective)
