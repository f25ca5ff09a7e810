"""The settings of a training run, as one frozen dataclass; recipes return it whole. And the loop's, of small parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ..errors import TrainingError
from .objective import ObjectiveOptions
from .settings import check_types, differences, flat, plain
from .validation_report import ValidationSettings

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
        data: folder of encoded clips (``outofsight encode``).
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
    """

    data: Path
    out: Path
    model: str | Mapping[str, Any] = "tiny"
    model_options: Mapping[str, Any] = field(default_factory=dict)
    parts: Path | None = None
    clips: int | None = None
    steps: int = 1000
    batch_size: int = 8
    accumulation: int = 1
    draws: int = 1
    lr: float = 1e-4
    warmup: int = 0
    schedule: Literal["constant", "cosine"] = "constant"
    cooldown: int = 0
    optimizer: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    adamw_lr: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    max_grad_norm: float | None = 1.0
    ema: float | None = None
    precision: Literal["no", "bf16"] = "no"
    gradient_checkpointing: bool = False
    trainable: str | tuple[str, ...] = "all"
    lora: int | None = None
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    sharding: Literal["ddp", "fsdp2"] = "ddp"
    checkpoint_every: int = 500
    keep: int = 2
    validate_every: int = 0
    held_out: Path | None = None
    held_out_clips: tuple[Path, ...] = ()
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    log_every: int = 10
    seed: int = 0
    compile: Literal["no", "blocks", "model"] = "no"
    device: Literal["auto", "cpu"] = "auto"

    def __post_init__(self) -> None:
        check_types(self)
        check_types(self.validation)
        least = {
            "steps": 1,
            "batch_size": 1,
            "accumulation": 1,
            "draws": 1,
            "checkpoint_every": 1,
            "keep": 1,
            "log_every": 1,
        }
        least |= {"warmup": 0, "cooldown": 0, "validate_every": 0, "seed": 0}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected {smallest} or more")
        if not self.lr > 0 or self.weight_decay < 0:
            raise TrainingError(f"lr is {self.lr}, weight_decay {self.weight_decay}: expected above 0, and at least 0")
        if self.warmup + self.cooldown > self.steps:
            raise TrainingError(
                f"warmup {self.warmup} and cooldown {self.cooldown} do not fit in {self.steps} steps; set them too "
                "(--set warmup=0 --set cooldown=0)"
            )
        if not self.adamw_lr > 0:
            raise TrainingError(f"adamw_lr is {self.adamw_lr}, expected a share of lr above 0, such as 0.25")
        if self.ema is not None and not 0 < self.ema < 1:
            raise TrainingError(f"ema is {self.ema}, expected a decay between 0 and 1, such as 0.999, or none")
        if self.max_grad_norm is not None and not self.max_grad_norm > 0:
            raise TrainingError(f"max_grad_norm is {self.max_grad_norm}, expected above 0, or none")
        if self.clips is not None and self.clips < 1:
            raise TrainingError(f"clips is {self.clips}, expected 1 or more, or none for all")
        if self.lora is not None and self.lora < 1:
            raise TrainingError(f"lora is {self.lora}, expected a rank of 1 or more, or none")
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

    steps: int = 1000
    lr: float = 4e-3
    warmup: int = 50
    final: float = 0.01
    ema: float = 0.998
    max_grad_norm: float = 1.0
    checkpoint_every: int = 500
    judge_every: int = 0
    log_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("steps", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.lr <= 0 or not 0 <= self.final <= 1 or not 0 < self.ema < 1 or self.max_grad_norm <= 0:
            raise TrainingError(
                f"lr {self.lr}, final {self.final}, ema {self.ema}, max_grad_norm {self.max_grad_norm}: expected "
                "above 0, 0 to 1, between 0 and 1, above 0"
            )
        if min(self.warmup, self.judge_every, self.seed) < 0 or self.warmup >= self.steps:
            raise TrainingError(f"warmup {self.warmup}, judge_every {self.judge_every}, seed {self.seed}: expected 0 "
                                f"or more, and a warmup below the {self.steps} steps")  # fmt: skip

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
