"""One run of the study: trained, judged, and its values left in a file. All of it resumes where it was stopped."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, StudyError, TrainingError
from ..models import WorldTransformer3DModel
from ..models.presets import TINY
from ..provenance import now, versions
from ..training import train
from ..training.checkpointing import verify_part
from ..training.config import TrainConfig
from ..training.dataset import LatentDataset
from ..training.logs import Line, read_metrics
from ..training.parts import load_parts
from ..training.trainer import TrainingInterrupted
from ..training.validate import Validator
from ..training.validation_report import ValidationSettings
from .rows import Run
from .values import Floors, RunValues, read_any, refuse_different, value_file

# the model's mean prediction from pure noise, as the shipped model gives it (logs/tiny.md)
JUDGED = ValidationSettings(steps=TINY.steps, guidance=TINY.guidance, shift=TINY.shift, videos=2, batch=8)

_CURVE = ("error", "reentry_error")


@dataclass(frozen=True)
class Study:
    """Where a study's clips, runs and values are.

    Args:
        latents: training clips, encoded. test_latents, test_clips: held-out ones, encoded and as video with fates.
        components: folder of the VAE, text encoder and tokenizer they were encoded with.
        runs: a folder for each run. values: a file for each finished run.
        settings: changes to the recipe, for all runs alike. clips: judge on the first so many; None takes all.
    """

    latents: Path
    test_latents: Path
    test_clips: Path
    components: Path
    runs: Path
    values: Path
    settings: tuple[str, ...] = ()
    clips: int | None = None

    def config(self, run: Run) -> TrainConfig:
        return run.config(self.latents, self.runs / run.name, self.components, self.settings)

    def data(self) -> dict[str, str]:
        """Fingerprints of the clips, and how runs are judged. Raises DatasetError for folders that hold no clips."""
        test = LatentDataset(self.test_latents).fingerprint()
        judged = f"{test}, first {self.clips}" if self.clips is not None else test
        judging = f"{JUDGED.steps} steps, guidance {JUDGED.guidance:g}, shift {JUDGED.shift:g}, seed {JUDGED.seed}"
        return {"train": LatentDataset(self.latents).fingerprint(), "test": judged, "judging": judging}

    def validator(self) -> Validator:
        """What judges. Raises DatasetError for clips that are missing or not those that were encoded."""
        settings = JUDGED if self.clips is None else replace(JUDGED, clips=self.clips)
        return Validator(
            load_parts(str(self.components)).vae, LatentDataset(self.test_latents), [self.test_clips], settings
        )

    def check(self, runs: Sequence[Run]) -> None:
        """Hold the runs against one another and against the values that are there, before anything is computed.

        Raises:
            StudyError: they do not fit in one table. TrainingError: settings that cannot be.
            DatasetError: clips that are missing, or not those that were encoded.
        """
        self.validator()
        stored, data = read_any(self.values), self.data()
        for run in runs:
            refuse_different(stored, run.row.name, self.config(run).to_json(), data, f"this {run.name}")

    def done(self, run: Run) -> bool:
        """Whether the run's values are there (:meth:`check` decides whether they are of these settings)."""
        return value_file(self.values, run.name).is_file()


def finish(study: Study, run: Run, report: Callable[[str, int, int], None] | None = None) -> RunValues:
    """Train a run to its end, judge its mean weights, write its values.

    report: called with what is being done, and of how much how much is done.

    Raises:
        StudyError: training cannot begin, resume or end well.
        TrainingInterrupted: Ctrl-C; what was done stays, and the same call resumes from there.
    """
    config = study.config(run)
    started = any(config.out.glob("checkpoints/step-*"))

    def trained(step: int, _: float, __: Any) -> None:
        if report is not None:
            report("training", step, config.steps)

    try:
        result = train(config, resume=started, report=trained)
    except TrainingInterrupted as stop:
        raise TrainingInterrupted(f"{run.name} is kept as far as it came; the same command resumes it") from stop
    except (TrainingError, CheckpointError) as error:
        raise StudyError(
            f"{run.name}: {error}\n(in a study: go back to its settings, or remove {config.out} to begin this run anew)"
        ) from error
    if result.checkpoint is None:
        raise StudyError(f"{config.out} has no checkpoint although its training ended; remove it and run again")
    place = result.checkpoint.folder / ("ema" if config.ema is not None else "transformer")
    verify_part(place)
    model = WorldTransformer3DModel.from_pretrained(place, torch_dtype=torch.float32, use_safetensors=True).eval()
    if torch.cuda.is_available() and config.device == "auto":
        model = model.to("cuda")

    def judged(_: str, done: int, total: int) -> None:
        if report is not None:
            report("judging", done, total)

    clips = study.validator().measure(model, folder=config.out / "videos", report=judged)
    lines = read_metrics(config.out / "metrics.csv")
    values = RunValues(
        row=run.row.name,
        seed=run.seed,
        settings=config.to_json(),
        data=study.data(),
        facts={
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "steps": config.steps,
            "seconds": round(_seconds(lines), 1),
            "machine": _machine(model.device),
            "versions": versions(str(model.device)),
            "finished": now(),
        },
        curve=_curve(lines),
        clips=clips,
    )
    values.save(study.values)
    return values


def measure_floors(study: Study, report: Callable[[str, int, int], None] | None = None) -> Floors:
    """The baselines and the VAE's ceiling, measured and written."""
    data = {"test": study.data()["test"]}

    def judged(_: str, done: int, total: int) -> None:
        if report is not None:
            report("baselines", done, total)

    floors = Floors(study.validator().fixed_rows(judged), data)
    floors.save(study.values)
    return floors


def _seconds(lines: Sequence[Line]) -> float:
    """Of the training, on the clock; what checkpoints took is in it, what a stop took is not."""
    before = [0, *(line["step"] for line in lines)]
    return sum(line["seconds"] * (line["step"] - last) for line, last in zip(lines, before, strict=False))


def _curve(lines: Sequence[Line]) -> tuple[tuple[float | None, ...], ...]:
    return tuple(
        (line["step"], *(round(line[name], 4) if math.isfinite(line[name]) else None for name in _CURVE))
        for line in lines
    )


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{torch.get_num_threads()} of {os.cpu_count()} CPUs ({platform.machine()})"
