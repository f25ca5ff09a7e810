"""Train the subject finder (``rendered/finder.py``):

    python -m outofsight.experiments.rendered.train_finder --clips worlds --held-out worlds-held-out --out parts

leaves ``parts/finder`` (a diffusers folder), which ``outofsight encode`` and ``outofsight.training.assemble`` take with
the other parts, and what was measured in ``parts/training-finder/report.json``. Clips need masks and subjects'
positions, which those of ``outofsight worlds`` have. Expected on one CPU core: see docs/tiny.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval
from torch import Tensor, nn

from ...clips import Clip
from ...datasets import iterate_clips
from ...errors import DatasetError, TrainingError
from ...training.checkpointing import Checkpoint
from ...training.config import Count, LoopSettings
from ...training.learner import Learner
from ...training.prepare import naming
from ...training.settings import check_settings
from ...training.small_parts import PartObjective, command, save_part
from .finder import SubjectFinder, finder_inputs, foot_unit, look_twice, mirrored
from .sighting import Sighting
from .sweep import half_width
from .target import check_cameras
from .truth import Truth

_SOME = 20.0  # pixels, added to both sides of an overlap so that empty pictures have one
_FARTHEST = 8.0  # units, that a ground point's error counts to
_ASIDE = 2.0  # times, that its error aside counts one up or down: distance follows from level ground


@dataclass(frozen=True)
class FinderConfig:
    """A finder's training.

    Args:
        clips: data folder of clips of one size, with masks and positions.
        out: where ``finder/`` and ``training-finder/`` come to lie.
        held_out: data folder of clips to judge by, or None.
        widths: of the network.
        limit, held_out_limit: take the first so many clips alone.
        batch_size: frames a step.
        tint: by how much each colour's brightness is changed at random, as a share, so that colours are not learned;
            half of the time they also change places.
    """

    clips: Path
    out: Path
    held_out: Path | None = None
    widths: tuple[int, ...] = (24, 48, 80, 112)
    limit: Annotated[int | None, Ge(1)] = None
    held_out_limit: Count = 16
    batch_size: Count = 8
    tint: Annotated[float, Interval(ge=0, lt=1)] = 0.25
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=6000, lr=4e-3))

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.widths or any(width < 8 or width % 8 for width in self.widths):
            raise TrainingError(f"widths are {self.widths}, expected one or more multiples of 8")


@dataclass(frozen=True, eq=False)
class Lesson:
    """Half a clip. video uint8 ``[f, h, w, 3]``, c2w ``[f, 4, 4]`` from its first camera on, fov degrees, and the
    ground truth of its subjects."""

    video: np.ndarray
    c2w: np.ndarray
    fov: float
    truth: Truth


@dataclass(frozen=True, eq=False)
class Taught:
    """What is to be predicted of n frames: subject ``[n, h, w]`` 0 or 1; foot ``[n, 2, h, w]``, the ground point in
    pixels; depth ``[n, h, w]`` metres; how much these count, weight ``[n, h, w]``: 0 where they are not known, and
    alike for subjects of any size.
    """

    subject: Tensor
    foot: Tensor
    depth: Tensor
    weight: Tensor


def lessons(clip: Clip) -> list[Lesson]:
    """The halves of a clip. Raises CameraError or DatasetError where something is missing."""
    fov, cut = clip.target_cameras.horizontal_fov, clip.context_frames
    with naming(clip):
        check_cameras(clip.context_cameras, clip.target_cameras, fov)
        videos = clip.context_video().frames, clip.target_video().frames
        truth = Truth.of(clip, (videos[0].shape[1], videos[0].shape[2]))
    assert fov is not None
    found = []
    for part, video, cameras in (
        (slice(0, cut), videos[0], clip.context_cameras.c2w),
        (slice(cut, None), videos[1], clip.target_cameras.c2w),
    ):
        first = np.linalg.inv(cameras[0])  # in float32 only differences of positions may be large
        found.append(Lesson(video, first @ cameras, fov, truth.part(part).seen_from(first)))
    return found


def taught(lesson: Lesson, frame: int) -> Taught:
    """What is true of one frame; each ``[1, ...]``."""
    this = slice(frame, frame + 1)
    truth = lesson.truth.part(this)
    ids = torch.from_numpy(truth.ids).long()
    nothing = Sighting((ids > 0).float(), torch.zeros(1, 2, *ids.shape[1:]), torch.zeros(ids.shape))
    said = truth.corrected(nothing, lesson.c2w[this], half_width(lesson.fov))
    known = said.depth > 0
    sizes = ids.flatten().bincount()
    return Taught(said.subject, said.foot, said.depth.where(known, 1), known / (_SOME + sizes[ids]))


def in_a_mirror(inputs: Tensor, truth: Taught) -> tuple[Tensor, Taught]:
    """The same frames seen in a mirror: rays and ground points change sides."""
    foot = truth.foot.flip(-1).clone()
    foot[:, 0] = inputs.shape[-1] - foot[:, 0]
    return mirrored(inputs), Taught(truth.subject.flip(-1), foot, truth.depth.flip(-1), truth.weight.flip(-1))


def losses(sighting: Sighting, truth: Taught) -> dict[str, Tensor]:
    """Cross-entropy of the masks, 1 less their overlap (Dice), errors of ground point (units) and depth (logarithm)."""
    shown = sighting.subject.sigmoid()
    both = (shown * truth.subject).sum(dim=(1, 2))
    sizes = shown.sum(dim=(1, 2)) + truth.subject.sum(dim=(1, 2))
    total = truth.weight.sum().clamp(min=1e-3)
    off = (sighting.foot - truth.foot).abs() / foot_unit(truth.foot.shape[-1])
    foot = ((_ASIDE * off[:, 0] + off[:, 1]) * 2 / (_ASIDE + 1)).clamp(max=_FARTHEST)
    depth = (sighting.depth.log() - truth.depth.log()).abs()
    return {
        "subject": F.binary_cross_entropy_with_logits(sighting.subject, truth.subject),
        "overlap": (1 - (2 * both + _SOME) / (sizes + _SOME)).mean(),
        "foot": (foot * truth.weight).sum() / total,
        "depth": (depth * truth.weight).sum() / total,
    }


class FinderObjective(PartObjective):
    """Masks, ground points and depths of frames drawn at random.

    Raises LayoutError, VideoError, DatasetError, CameraError: no clips, or such as cannot teach.
    """

    name = "finder"
    columns = ("subject", "overlap", "foot", "depth")

    def __init__(self, config: FinderConfig) -> None:
        super().__init__(config)
        self.data = _read(config.clips, config.limit)
        self.held_out = _read(config.held_out, config.held_out_limit) if config.held_out is not None else None
        self.validates = self.held_out is not None
        self.settings["lessons"] = len(self.data)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.loop.seed)
            self.finder = SubjectFinder(tuple(config.widths))

    def build(self, start: Checkpoint | None) -> Learner:
        return self.learner(self.finder)

    def batches(self, step: int) -> list[tuple[Tensor, Taught]]:
        rng = self.drawn(step)
        drawn = [_draw(rng, self.data, self.config.tint) for _ in range(self.config.batch_size)]
        truth = [torch.cat([getattr(t, part.name) for _, t in drawn]) for part in fields(Taught)]
        return [(torch.cat([inputs for inputs, _ in drawn]), Taught(*truth))]

    def loss(self, called: nn.Module, batch: tuple[Tensor, Taught]) -> tuple[Tensor, Mapping[str, Tensor]]:
        parts = losses(called(batch[0]), batch[1])
        loss = 4 * parts["subject"] + parts["overlap"] + parts["foot"] + parts["depth"]
        return loss, {"loss": loss, **parts}

    def validate(self, model: Any, step: int) -> Mapping[str, float]:
        assert self.held_out is not None
        return judge(model, self.held_out)

    def finish(self) -> Mapping[str, float]:
        save_part(self.finder, self.config.out / "finder")
        return {"steps": self.pace.steps, "lessons": len(self.data)}


def _read(folder: Path, limit: int | None) -> list[Lesson]:
    found = [lesson for clip in islice(iterate_clips(folder), limit) for lesson in lessons(clip)]
    if not found:
        raise DatasetError(f"{folder} holds no clips")
    return found


def _inputs(lesson: Lesson, frame: int, tint: Tensor | None = None) -> Tensor:
    pictures = torch.from_numpy(np.ascontiguousarray(lesson.video)).permute(0, 3, 1, 2).float() / 255
    if tint is not None:
        pictures = (pictures * tint[:, None, None]).clamp(max=1)
    return finder_inputs(pictures, torch.from_numpy(lesson.c2w).float(), lesson.fov, frame)[None]


def _draw(rng: np.random.Generator, data: list[Lesson], tint: float) -> tuple[Tensor, Taught]:
    lesson = data[int(rng.integers(len(data)))]
    frame = int(rng.integers(len(lesson.video)))
    tints = torch.from_numpy(rng.uniform(1 - tint, 1 + tint, 3).astype(np.float32))
    order = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    inputs, truth = _inputs(replace(lesson, video=lesson.video[..., order]), frame, tints), taught(lesson, frame)
    return in_a_mirror(inputs, truth) if rng.random() < 0.5 else (inputs, truth)


def judge(finder: SubjectFinder, data: list[Lesson], every: int = 6) -> Mapping[str, float]:
    """Over every so-many-th frame: "overlap", of masks marked and true (intersection over union, over all pixels);
    "foot_pixels" and "depth_ratio", medians over subjects' pixels of the errors of their ground points and depths, as a
    factor."""
    both = either = 0.0
    feet, depths = [], []
    for lesson in data:
        for frame in range(0, len(lesson.video), every):
            told, truth = look_twice(finder, _inputs(lesson, frame)), taught(lesson, frame)
            marked, true, known = told.subject > 0, truth.subject > 0, truth.weight > 0
            both += float((marked & true).sum())
            either += float((marked | true).sum())
            feet.append((told.foot - truth.foot).norm(dim=1)[known])
            depths.append((told.depth.log() - truth.depth.log()).abs()[known])
    foot, depth = torch.cat(feet), torch.cat(depths)
    return {
        "overlap": both / max(either, 1.0),
        "foot_pixels": float(foot.median()) if len(foot) else float("nan"),
        "depth_ratio": float(depth.median().exp()) if len(depth) else float("nan"),
    }


if __name__ == "__main__":
    command(FinderConfig, FinderObjective)
