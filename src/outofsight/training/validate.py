"""Held-out clips continued by a model, and measured: against the truth, the baselines and the VAE's own ceiling.

The clips were encoded once (``outofsight encode``); their truth and fates are read from where they lie. With its memory
taken away, the same model is run again from the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..components.codec import channels_last, decode_videos
from ..datasets import iterate_clips
from ..errors import DatasetError
from ..evaluation.ablation import CONTEXT_HIDDEN, ablated, hide_context
from ..evaluation.baselines import BEST_VIEW, LAST_FRAME, REBUILT, Continuation, make
from ..evaluation.clip import EvalClip, eval_clip
from ..evaluation.measure import measure
from ..evaluation.pictures import named_side_by_side
from ..evaluation.scores import Scores
from ..evaluation.traces import RunTrace
from ..fingerprints import value_seed
from ..memory import RetrievalTrace
from ..sampling import denoise
from ..video import write_video
from .clip_source import Batch, ClipSource
from .dataset import LatentDataset
from .hashes import vae_hash
from .objective import batch_conditions
from .shards import EncodedClip
from .sources import clip_digest, list_clips
from .validation_report import MODEL, ValidationResult, ValidationSettings

Progress = Callable[[str, int, int], None]  # row, clips done, clips in all


class Validator:
    """Held-out clips and the VAE, ready to measure one model after another.

    Args:
        vae: decodes; it must be the one that encoded the clips.
        latents: the held-out clips, encoded.
        clips: folders in which the same clips lie, with masks and, for the fates, ``fates/``.
        settings: see :class:`ValidationSettings`.

    Raises:
        DatasetError: another VAE, clips that are missing or not those that were encoded, or such as show a model the
            ground-truth places of subjects.
    """

    def __init__(self, vae: Any, latents: LatentDataset, clips: list[Path], settings: ValidationSettings) -> None:
        latents.check_parts({"vae": vae_hash(vae)})
        if latents.settings.true_places:
            raise DatasetError(
                f"{latents.folder} was encoded with --true-places: its rendered targets give the ground truth away, so "
                "nothing can be judged by them. Encode the clips again without"
            )
        self.vae, self.settings = channels_last(vae), settings
        self.latents: ClipSource = latents
        self.count = len(latents) if settings.clips is None else min(settings.clips, len(latents))
        self._sources = {source.name: source for source in list_clips(clips)}
        missing = [entry.name for entry in latents.clips[: self.count] if entry.name not in self._sources]
        if missing:
            raise DatasetError(
                f"{len(missing)} encoded clips are not in {', '.join(map(str, clips))}: {', '.join(missing[:4])} ..."
            )
        self._digests = {entry.name: entry.digest for entry in latents.clips}
        self._fixed: dict[str, dict[str, Scores]] = {}

    def __call__(self, model: Any, step: int, folder: Path) -> Mapping[str, float]:
        """What the trainer calls: validate, write the result and videos to ``folder``, return means for its log."""
        found = self.run(model, folder)
        found.save(folder)
        return found.flat()

    def run(self, model: Any, folder: Path | None = None, report: Progress | None = None) -> ValidationResult:
        """Continue every clip and measure it; folder: where side-by-side videos go (none are written without)."""
        found = ValidationResult(self.settings)
        for row in (MODEL, *self.settings.ablations):
            found.rows[row] = self.measure(model, None if row == MODEL else row, folder, report)
        found.rows |= self.fixed_rows(report)
        return found

    def measure(
        self, model: Any, ablation: str | None = None, folder: Path | None = None, report: Progress | None = None
    ) -> dict[str, Scores]:
        """One row: every clip continued by the model, its memory taken away or not; clip -> scores."""
        row, found = ablation or MODEL, {}
        for clip, video, scores in self._generated(model, ablation):
            found[clip.name] = scores
            if folder is not None and len(found) <= self.settings.videos:
                self._write(folder, row, clip, video)
            if report is not None:
                report(row, len(found), self.count)
        return found

    def _generated(self, model: Any, ablation: str | None) -> Iterator[tuple[EvalClip, np.ndarray, Scores]]:
        for start in range(0, self.count, self.settings.batch):
            numbers = range(start, min(start + self.settings.batch, self.count))
            batch = self.latents.collate([self._encoded(number) for number in numbers])
            trace = RetrievalTrace() if self.settings.retrieval and ablation != CONTEXT_HIDDEN else None
            with ablated(model, ablation, self.settings.seed + start):
                made = self.generate(model, batch, trace, hidden=ablation == CONTEXT_HIDDEN)
            videos = self._decode(made)
            arrays = None if trace is None or trace.empty else trace.arrays()
            for sample, (name, video) in enumerate(zip(batch.names, videos, strict=True)):
                clip = self._clip(name)
                recalled = None
                if arrays is not None:
                    recalled = RunTrace.of_clip(arrays, (clip.context_frames, clip.target_frames))
                yield clip, video, measure(Continuation(video, trace=recalled, trace_row=sample), clip).flat()

    def generate(self, model: Any, batch: Batch, trace: RetrievalTrace | None, *, hidden: bool = False) -> Tensor:
        """Target latents ``[b, c, ft, h, w]`` that the model makes of a batch's context."""
        cut, settings = batch.context_frames, self.settings
        source, poses, extra = batch.latents[:, :, :cut], batch.context_poses, dict(batch.extra)
        if hidden:
            source, poses = hide_context(source, poses)
            extra = {name: model.conditioning[name].nothing(x) for name, x in extra.items()}
        noise = torch.stack([clip_noise(name, settings.seed, batch.latents[0, :, cut:].shape) for name in batch.names])
        negative = self.latents.empty_text.expand_as(batch.text) if settings.guidance != 1 else None
        conditions = replace(batch_conditions(batch), extra=extra)
        if conditions.intrinsics is not None:
            kept = source.shape[2] + batch.target_poses.shape[1]
            conditions = replace(conditions, intrinsics=conditions.intrinsics[:, -kept:])
        return denoise(
            model,
            source,
            noise,
            batch.text,
            negative,
            poses,
            batch.target_poses,
            steps=settings.steps,
            guidance=settings.guidance,
            shift=settings.shift,
            conditions=conditions,
            trace=trace,
        )

    def _decode(self, latents: Tensor) -> np.ndarray:
        device = self.vae.device
        with torch.no_grad():
            return np.concatenate([decode_videos(self.vae, part.to(device)) for part in latents.split(2)])

    def fixed_rows(self, report: Progress | None = None) -> dict[str, dict[str, Scores]]:
        """The rows that no model changes: baselines and the VAE's ceiling; measured once."""
        for number in range(self.count if not self._fixed else 0):
            encoded = self._encoded(number)
            clip = self._clip(encoded.name)
            rebuilt = self._decode(encoded.latents[None, :, encoded.context_frames :])[0]
            videos = {row: make(row, clip) for row in (LAST_FRAME, BEST_VIEW)} | {REBUILT: Continuation(rebuilt)}
            for row, video in videos.items():
                self._fixed.setdefault(row, {})[clip.name] = measure(video, clip).flat()
            if report is not None:
                report("baselines and ceiling", number + 1, self.count)
        return self._fixed

    def _encoded(self, number: int) -> EncodedClip:
        """Held-out clip ``number``, counted from 0."""
        return self.latents[number]

    def _clip(self, name: str) -> EvalClip:
        source = self._sources[name]
        clip = next(iterate_clips(source.root, [name]))
        if clip_digest(clip) != self._digests[name]:
            raise DatasetError(
                f"{source.folder} is not the clip that was encoded to {self.latents.where}: encode again"
            )
        read = eval_clip(clip, source.folder).read()
        settings = self.latents.settings
        size = settings.pixels
        if read.truth.shape[1:3] != size:
            raise DatasetError(
                f"{source.folder} has frames of {list(read.truth.shape[1:3])} and was encoded at {list(size)}: "
                "validate on clips of the size the model makes"
            )
        return read

    def _write(self, folder: Path, row: str, clip: EvalClip, video: np.ndarray) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shown = {"context": clip.context, "generated" if row == MODEL else row: video, "truth": clip.truth}
        name = clip.name if row == MODEL else f"{clip.name}-{row.replace(' ', '-')}"
        write_video(folder / f"{name}.mp4", named_side_by_side(shown, 2), clip.fps)


def clip_noise(name: str, seed: int, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """A clip's noise: of the seed and its name alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(value_seed(f"{seed}:{name}")))
