"""Training of the transformer: its objective for the loop in ``trainer.py``, on one process or many.

What is drawn is a function of (seed, step, place in the batch), whatever the number of processes (``draws.py``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..components.inputs import needs_intrinsics
from ..components.video_codec import codec_of
from ..errors import DatasetError, TrainingError
from ..models.conditioners import conditioner_names
from .auxiliary import attach_presence
from .batches import Part, PartLoader
from .checkpointing import Checkpoint
from .clip_source import ClipSource
from .config import TrainConfig
from .dataset import LatentDataset
from .learner import Learner
from .objective import batch_loss
from .optimizers import transformer_optimizer
from .parameters import build_model, choose_parameters, idle_parameters, pipeline_folder
from .parts import load_parts
from .run_folder import BegunRun, resume_command
from .sharding import distribute, make_accelerator
from .trainer import Objective, Report, TrainResult, run_training
from .world_source import WorldSource, is_small_world

# model (with the weights to be judged), steps done, folder for samples -> named results
SMALL_PARTS = "random:small"  # a codec without a network, and no text

Validate = Callable[[Any, int, Path], Mapping[str, float]]
ByteBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]  # what, bytes -> advances by so many


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    accept_changes: bool = False,
    validate: Validate | None = None,
    report: Report | None = None,
    byte_bar: ByteBar | None = None,
) -> TrainResult:
    """Train by ``config``, or resume the run in its folder.

    Args:
        config: the whole run.
        resume: from the newest checkpoint.
        accept_changes: resume with settings or clips other than those the run was begun with.
        validate: called every ``validate_every`` steps with the model (EMA weights where there are any), the steps
            done and a folder; its results are logged. None continues the config's held-out clips.
        report: called after every step, on the first process, with the steps done, the step's loss and the line of
            metrics if one was logged.
        byte_bar: shows how far the encoded clips, which are read whole and checked first, are read.

    Raises:
        DatasetError, TrainingError, CheckpointError: the run cannot begin, or not be resumed so; a loss that is not
            finite, with the clips of the batch.
        OutputError: nothing can be written; the last checkpoint stays.
        TrainingInterrupted: Ctrl-C; a checkpoint was written.
    """
    verify(open_clips(config), byte_bar)
    if config.validate_every and config.held_out:
        verify(LatentDataset(config.held_out), byte_bar)
    if config.validate_every and validate is None:
        validate = make_validator(config)
    with _quiet(), closing(TransformerObjective(config, validate)) as objective:
        return run_training(objective, resume=resume, accept_changes=accept_changes, report=report)


def verify(data: ClipSource, byte_bar: ByteBar | None) -> None:
    """Compare what clips are read from with its SHA-256. Raises DatasetError where it is damaged."""
    with nullcontext(None) if byte_bar is None else byte_bar(f"checking {data.where}", data.stored_bytes) as on_bytes:
        data.verify(on_bytes)


class TransformerObjective(Objective):
    """Flow matching of encoded clips (``objective.py``) by a ``WorldTransformer3DModel``."""

    columns = ("error", "subject_error", "reentry_error")

    def __init__(self, config: TrainConfig, validator: Validate | None = None) -> None:
        self.config, self.pace, self.out = config, config, config.out
        self.data: ClipSource = open_clips(config)
        self.clips_per_step = config.batch_size
        self.validator, self.validates = validator, validator is not None and config.validate_every > 0
        self.loader: PartLoader | None = None

    def close(self) -> None:
        if self.loader is not None:
            self.loader.close()

    def record(self) -> BegunRun:
        return BegunRun(self.config.to_json(), self.data.fingerprint(), self.data.settings, self.data.model)

    def changes(self, begun: BegunRun) -> list[str]:
        changed = self.config.differences(begun.settings)
        if begun.clips != self.data.fingerprint():
            changed.append(f"the clips in {self.config.data} are not those the run was begun with")
        return changed

    def build(self, start: Checkpoint | None) -> Learner:
        config = self.config
        model = build_model(config)
        check_data(config, self.data, model.config)
        if start is not None and config.lora is None:
            model.load_state_dict(start.weights("transformer"))
        if config.objective.presence_weight:
            attach_presence(model, config.seed)
        named = choose_parameters(model, config)
        idle = idle_parameters(model, self.data)
        accelerator = make_accelerator(config, idle_parameters=bool(idle & named.keys()))
        if accelerator.is_main_process:
            _check_parts(config, self.data, "rendered" in model.conditioning)
        if config.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        if config.compile == "blocks":
            model.compile_repeated_blocks()
        elif config.compile == "model":
            model.compile()
        called = distribute(model, accelerator, config)
        # sharding puts other objects in the parameters' places, so they are listed now
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.loader = PartLoader(config, self.data, accelerator)
        self.device: torch.device = accelerator.device
        self.empty_text = self.data.empty_text.to(self.device) if config.objective.text_dropout else None
        return Learner(
            model,
            transformer_optimizer(config, named, model),
            config.ema,
            called=called,
            processes=accelerator,
            folders=True,
            adapted=config.lora is not None,
        )

    def batches(self, step: int) -> Sequence[Part]:
        assert self.loader is not None
        return self.loader.parts(step)

    def loss(self, called: nn.Module, batch: Part) -> tuple[Tensor, Mapping[str, Tensor]]:
        options, clips = self.config.objective, batch.batch.to(self.device)
        # weights and optimiser stay in float32
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            return batch_loss(called, clips, batch.draws, options, empty_text=self.empty_text)

    def validate(self, model: nn.Module, step: int) -> Mapping[str, float]:
        assert self.validator is not None
        return self.validator(model, step, self.out / "samples" / f"step-{step:07d}")

    def advice(self, step: int, rows: Sequence[int] | None) -> str:
        assert self.loader is not None
        config = self.config
        places = list(range(config.batch_size))
        if rows is not None:
            # rows are gathered part by part, each with its clips as often as is drawn for them
            size = config.batch_size // (self.loader.processes * config.accumulation)
            found = [divmod(row, size * config.draws) for row in rows]
            places = [part * size + row % size for part, row in found]
        numbers = self.data.numbers(config.seed, step, places, config.batch_size, config.clips)
        names = ", ".join(dict.fromkeys(map(self.data.name_of, numbers)))
        return (
            f"It is of the clips {names}: look at those, or resume by {resume_command(self.out)} and a lower lr, a "
            "max_grad_norm or precision=no (--accept-changes)"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's advice on what is meant here: norms in float32 under autocast, blocks that return views."""
    with warnings.catch_warnings():
        for advice in ("Mismatch dtype between input and weight", "FSDP2-wrapped module .* returned a view"):
            warnings.filterwarnings("ignore", message=advice)
        yield


def open_clips(config: TrainConfig) -> ClipSource:
    """The clips that a run learns from: a folder of encoded ones, or the stream of a small world.

    Raises:
        DatasetError, TrainingError: there are none, or not such as the model's codec makes.
    """
    if not is_small_world(config.data):
        if config.world:
            raise TrainingError(
                f"world {dict(config.world)} changes the knobs of a small world, and data is {config.data}: name one, "
                "such as small-easy, or leave world out"
            )
        return LatentDataset(config.data)
    parts = load_parts(str(pipeline_folder(config) or SMALL_PARTS))
    if parts.text_encoder is not None:
        raise TrainingError(
            f"the clips of {config.data} have no text and this model's parts encode some: parts={SMALL_PARTS}, or "
            "outofsight worlds and encode, and their folder as data"
        )
    return WorldSource(str(config.data), config.world, config.seed, codec_of(parts.vae), parts.text_dim)


def check_data(config: TrainConfig, data: ClipSource, model_config: Any) -> None:
    """Hold clips, model and objective against one another before anything is computed.

    Raises:
        DatasetError: sizes that do not fit, or clips of several geometries.
        TrainingError: an objective that this model or these clips cannot serve.
    """
    if config.clips is not None and data.kept and config.clips > len(data.clips):
        raise TrainingError(f"clips is {config.clips}, and {config.data} holds {len(data.clips)}")
    data.check_model(model_config)
    shapes = {(entry.context_frames, entry.frames) for entry in data.clips}
    if len(shapes) > 1:
        shown = ", ".join(f"{context} + {frames - context}" for context, frames in sorted(shapes))
        raise TrainingError(
            f"the clips in {config.data} have different numbers of latent frames ({shown}); a run takes one: encode "
            "each to a folder of its own and train on one after the other"
        )
    if needs_intrinsics(model_config) and any(entry.horizontal_fov is None for entry in data.clips):
        raise TrainingError(
            f"the model compares views and clips in {config.data} have no field of view: encode them with it, or "
            'train a model of conditioners ["pose"] whose memory does not go by view'
        )
    by_pose = model_config["memory"] == "fov" or (model_config["memory_options"] or {}).get("affinity") == "fov"
    objective = config.objective
    if objective.noise == "frame" and model_config["context_timestep"] != "clean":
        raise TrainingError(
            "objective.noise 'frame' gives every target frame a level of its own, and this model's context shares "
            "the target's: noise 'clip', or a model of context_timestep 'clean'"
        )
    if objective.camera_dropout and by_pose:
        raise TrainingError("objective.camera_dropout takes the cameras away that this model's memory recalls by: 0")
    present = conditioner_names(model_config)
    if strange := [name for name in objective.condition_dropout if name not in present]:
        raise TrainingError(
            f"objective.condition_dropout names {', '.join(strange)}, and the model is conditioned on "
            f"{', '.join(present)}: leave them out, or add them to model_options.conditioners"
        )
    if (objective.subject_weight or objective.reentry_weight or objective.presence_weight) and not any(
        entry.annotated for entry in data.clips
    ):
        raise TrainingError(
            f"no clip in {config.data} records where subjects are, so objective.subject_weight and reentry_weight "
            "would weigh nothing: 0 for both, or clips with masks"
        )


def make_validator(config: TrainConfig) -> Validate:
    """What continues the held-out clips and measures the result. Raises TrainingError where something is not named."""
    folder = pipeline_folder(config)
    if config.held_out is None or not config.held_out_clips or folder is None:
        raise TrainingError(
            f"validate_every is {config.validate_every}, which takes held_out (encoded clips), held_out_clips (the "
            "folders in which they lie as video) and parts (a folder with the VAE): set them, or validate_every=0"
        )
    from .validate import Validator

    vae, held_out = load_parts(str(folder)).vae, LatentDataset(config.held_out)
    ours, theirs = (data.settings.finder for data in (open_clips(config), held_out))
    if ours != theirs:
        raise DatasetError(
            f"{config.held_out} was rendered with another finder or renderer than {config.data} (hashes "
            f"{theirs[:12] or 'none'} and {ours[:12] or 'none'}): encode both with the same model"
        )
    return Validator(vae, held_out, list(config.held_out_clips), config.validation)


def _check_parts(config: TrainConfig, data: ClipSource, rendered: bool) -> None:
    """Refuse latents that another VAE, text encoder, tokenizer or finder made than the model's."""
    folder = pipeline_folder(config)
    if folder is None:
        return
    parts = load_parts(str(folder))
    if rendered and parts.finder is None:
        raise DatasetError(
            f"the model is conditioned on rendered targets, and {folder} has no finder/ that would make them later"
        )
    # clips without rendered targets serve other models, and rendered ones those that do not look at them
    data.check_parts(parts.hashes(rendered=bool(data.settings.finder) and parts.finder is not None))
