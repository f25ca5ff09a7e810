"""The settings of a training run, as one frozen dataclass; recipes return it whole. And the loop's, of small parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval

from ..errors import TrainingError
from .objective import ObjectiveOptions
from .settings import check_settings, differences, flat, plain
from .validation_report import ValidationSettings

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Interval(ge=0, le=1)]
# Names of parameters, by substring. "hydra": what the paper trains on top of Wan (docs/hydra.md, "Training as
# released"; self_attn is attn1 in diffusers' naming). "additions": what Wan does not have at all.
TRAINABLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all": ("",),
        "hydra": ("conditioners.pose", "projector", "attn1"),
        "additions": ("conditioning", "conditioners", "projector", "auxiliary", "attn1.tokenizer"),
        "none": (),
    }
)
# What may change when a run is resumed without changing what is computed.
_FREE = frozenset(
    {
        "data",
        "out",
        "parts",
        "checkpoint_every",
        "keep",
        "validate_every",
        "held_out",
        "held_out_clips",
        "validation",
        "log_every",
    }
)


@dataclass(frozen=True)
class TrainConfig:
    """A complete training run.

    Args:
        data: folder of encoded clips (``outofsight encode``), or the name of a small world's preset ("small-easy"), of
            which clips are drawn as training goes, each once.
        out: folder of the run: checkpoints, config.json, metrics.csv.
        model: a preset's name (fresh weights), a model folder (pipeline or transformer; its weights are where
            training starts from), or the transformer's arguments.
        model_options: arguments of the transformer over those of the preset or folder.
        parts: a pipeline folder whose VAE, text encoder and tokenizer the clips must have been encoded with; a
            ``model`` that is a pipeline folder is held against them anyway.
        clips: train on so many of the clips, the first ones; None takes all.
        steps: optimiser steps of the whole run.
        batch_size: clips per step, over all processes and accumulated parts.
        accumulation: parts that each process cuts its share of a step into.
        draws: noisy targets for each clip of a step, which share the pass over its context (cacheable models).
        lr, warmup, schedule, cooldown: learning rate; steps of linear rise; then "constant" or "cosine" (to 0); the
            last ``cooldown`` steps go linearly to 0.
        optimizer: "adamw", "adamw8bit" (bitsandbytes) or "muon" (weights of the blocks, AdamW for the rest).
        adamw_lr: what share of ``lr`` AdamW takes beside Muon.
        betas, weight_decay: of AdamW; decay on the weights of linear and convolution layers alone.
        max_grad_norm: clipping of the gradient's norm; None leaves it.
        ema: decay of the running mean of the weights, or None; early on it is (1 + n) / (10 + n) after n updates.
        precision: "no" (float32) or "bf16" (autocast; weights and optimiser stay float32).
        gradient_checkpointing: keep one activation per block and recompute the rest.
        trainable: "all", "hydra" (the paper's set), "additions", "none", or substrings of parameter names.
        lora: rank of LoRA adapters on the attention projections, or None; ``trainable`` then names what is trained
            whole beside them.
        objective: see :class:`ObjectiveOptions`.
        sharding: "ddp" or "fsdp2", for runs of several processes.
        checkpoint_every, keep: steps between checkpoints; how many are kept.
        validate_every: steps between validation passes, 0 for none; one more comes at the end.
        held_out, held_out_clips, validation: encoded clips to validate on, the folders in which they lie as video, and
            how (see :class:`ValidationSettings`); the VAE is that of ``parts`` or of the model folder.
        log_every: steps that a line of metrics.csv averages.
        seed: of the first weights and of every draw.
        compile: torch.compile for nothing, the repeated "blocks", or the whole "model".
        device: "auto" takes a GPU where there is one.
        world: knobs of the small world that ``data`` names, over those of its preset.
    """

    data: Path
    out: Path
    model: str | Mapping[str, Any] = "tiny"
    model_options: Mapping[str, Any] = field(default_factory=dict)
    parts: Path | None = None
    clips: Annotated[int | None, Ge(1)] = None
    steps: Count = 1000
    batch_size: Count = 8
    accumulation: Count = 1
    draws: Count = 1
    lr: Annotated[float, Gt(0)] = 1e-4
    warmup: Annotated[int, Ge(0)] = 0
    schedule: Literal["constant", "cosine"] = "constant"
    cooldown: Annotated[int, Ge(0)] = 0
    optimizer: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    adamw_lr: Annotated[float, Gt(0)] = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: Annotated[float, Ge(0)] = 0.01
    max_grad_norm: Annotated[float | None, Gt(0)] = 1.0
    ema: Annotated[float | None, Interval(gt=0, lt=1)] = None
    precision: Literal["no", "bf16"] = "no"
    gradient_checkpointing: bool = False
    trainable: str | tuple[str, ...] = "all"
    lora: Annotated[int | None, Ge(1)] = None
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    sharding: Literal["ddp", "fsdp2"] = "ddp"
    checkpoint_every: Count = 500
    keep: Count = 2
    validate_every: Annotated[int, Ge(0)] = 0
    held_out: Path | None = None
    held_out_clips: tuple[Path, ...] = ()
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    log_every: Count = 10
    seed: Annotated[int, Interval(ge=0, lt=1 << 63)] = 0
    compile: Literal["no", "blocks", "model"] = "no"
    device: Literal["auto", "cpu"] = "auto"
    world: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)
        check_settings(self.validation)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise TrainingError(f"betas are {self.betas}, expected numbers of at least 0 and below 1")
        if self.warmup + self.cooldown > self.steps:
            raise TrainingError(
                f"warmup {self.warmup} and cooldown {self.cooldown} do not fit in {self.steps} steps; set them too "
                "(--set warmup=0 --set cooldown=0)"
            )
        if self.lora is not None and self.trainable == "all":
            raise TrainingError(
                "lora trains adapters instead of the weights, so trainable='all' contradicts it: name what is to be "
                "trained whole beside them, trainable='none', 'additions' or parts of names"
            )
        if isinstance(self.trainable, str) and self.trainable not in TRAINABLE:
            raise TrainingError(
                f"trainable is {self.trainable!r}, expected {', '.join(map(repr, TRAINABLE))} or a list of parts of "
                'parameter names, such as ["projector", "attn1"]'
            )

    @property
    def trained_names(self) -> tuple[str, ...]:
        return TRAINABLE[self.trainable] if isinstance(self.trainable, str) else self.trainable

    def learning_rate(self, step: int) -> float:
        """Rate of step ``step`` (from 0), a function of the settings alone, so that resuming cannot shift it."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        fall = min(1.0, (self.steps - step) / self.cooldown) if self.cooldown else 1.0
        return self.lr * rise * fall * (_cosine(self, step) if self.schedule == "cosine" else 1.0)

    def to_json(self) -> dict[str, Any]:
        return dict(plain(asdict(self)))

    def differences(self, earlier: Mapping[str, Any]) -> list[str]:
        """What differs from the settings (``to_json``) that a run was begun with and changes what it computes.

        The number of steps may grow where the learning rate does not depend on it. A setting that was not known then
        counts as its default.
        """
        more = {"steps"} if self.schedule == "constant" and not self.cooldown else set()
        return differences(self.to_json(), with_defaults(flat(earlier)), _FREE | more)


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Flat settings of a run, with the defaults of those that did not exist when it was begun."""
    known = {name.split(".")[0] for name in settings if "." in name}  # mappings that are there count as they are
    defaults = flat(TrainConfig(Path(), Path()).to_json())
    return {**{name: value for name, value in defaults.items() if name not in known}, **settings}


@dataclass(frozen=True)
class LoopSettings:
    """How long, how fast, and what is kept.

    Args:
        steps: of the whole run.
        lr: highest learning rate; it rises over ``warmup`` steps and falls along a cosine to ``final`` times it.
        ema: decay of the running mean of the weights, which are the result.
        max_grad_norm: clipping of the gradient's norm.
        checkpoint_every, judge_every, log_every: in steps; 0 judges at the end alone.
        seed: of the first weights and of every draw.
    """

    steps: Count = 1000
    lr: Annotated[float, Gt(0)] = 4e-3
    warmup: Annotated[int, Ge(0)] = 50
    final: Share = 0.01
    ema: Annotated[float, Interval(gt=0, lt=1)] = 0.998
    max_grad_norm: Annotated[float, Gt(0)] = 1.0
    checkpoint_every: Count = 500
    judge_every: Annotated[int, Ge(0)] = 0
    log_every: Count = 50
    seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        check_settings(self)
        if self.warmup >= self.steps:
            raise TrainingError(f"warmup is {self.warmup}, expected a warmup below the {self.steps} steps")

    @property
    def keep(self) -> int:
        return 2

    @property
    def validate_every(self) -> int:
        return self.judge_every

    def learning_rate(self, step: int) -> float:
        """Rate of step ``step``, from 0."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        return self.lr * rise * (self.final + (1 - self.final) * _cosine(self, step))


def _cosine(pace: TrainConfig | LoopSettings, step: int) -> float:
    """From 1 after the warmup to 0 at the end."""
    done = max(0, step - pace.warmup) / max(1, pace.steps - pace.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
