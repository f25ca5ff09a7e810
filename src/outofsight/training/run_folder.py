"""A run's folder: one run in it, begun once, gone on with under the same settings and on the same clips."""

from __future__ import annotations

import hashlib
import json
import shlex
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..components.inputs import needs_intrinsics
from ..errors import TrainingError
from ..io import replacing
from ..models.conditioners import conditioner_names
from ..records import fitted, read_json
from .checkpointing import Checkpoint, latest_checkpoint
from .config import TrainConfig
from .dataset import LatentDataset
from .shards import LatentSettings

CONFIG = "config.json"


@dataclass(frozen=True)
class BegunRun:
    """config.json of a run: its settings, its clips' fingerprint, and what these were encoded with (since 0.2)."""

    settings: Mapping[str, Any]
    clips: str
    latents: LatentSettings | None = None
    encoded_with: str | None = None


def read_begun(out: Path) -> BegunRun:
    """Raises TrainingError where config.json is missing or damaged."""
    path, remedy = out / CONFIG, "it holds the settings the run was begun with: put it back, or begin anew elsewhere"
    return fitted(BegunRun, read_json(path, TrainingError, remedy), path, TrainingError, remedy)


def data_fingerprint(data: LatentDataset) -> str:
    """SHA-256 of what decides the clips and their order, wherever the folder lies."""
    settings = {name: value for name, value in data.settings.to_json().items() if name != "sources"}
    clips = [(entry.name, entry.digest) for entry in data.clips]
    return hashlib.sha256(json.dumps([settings, clips], sort_keys=True).encode()).hexdigest()


def find_start(config: TrainConfig, data: LatentDataset, *, resume: bool, accept_changes: bool) -> Checkpoint | None:
    """The checkpoint to go on from, or None to begin; nothing is written.

    Raises:
        TrainingError: the folder holds a run and resuming was not asked for, or its settings or clips differ and
            that was not accepted.
    """
    checkpoint = latest_checkpoint(config.out)
    if not resume:
        if checkpoint is not None:
            raise TrainingError(
                f"{config.out} holds a run of {checkpoint.step} steps: go on with it by --resume, or choose another "
                "--out"
            )
        return None
    if checkpoint is None and not (config.out / CONFIG).is_file():
        warnings.warn(f"{config.out} holds no run to resume; a new one is begun", stacklevel=3)
        return None
    changed = _changes(config, data)
    if changed and not accept_changes:
        listed = "\n  ".join(changed)
        raise TrainingError(
            f"{config.out} was begun with other settings:\n  {listed}\nresume with those, choose another --out, or "
            "go on with the new ones by --accept-changes"
        )
    for change in changed:
        warnings.warn(f"resumed with another setting: {change}", stacklevel=3)
    return checkpoint


def _changes(config: TrainConfig, data: LatentDataset) -> list[str]:
    begun = read_begun(config.out)
    changed = config.differences(begun.settings)
    if begun.clips != data_fingerprint(data):
        changed.append(f"the clips in {config.data} are not those the run was begun with")
    return changed


def write_config(config: TrainConfig, data: LatentDataset) -> None:
    """config.json: what a later resume is held against. Raises OutputError."""
    content = {
        "settings": config.to_json(),
        "clips": data_fingerprint(data),
        "latents": data.settings.to_json(),
        "encoded_with": data.model,
        "versions": _versions(),
    }
    with replacing(config.out / CONFIG) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("outofsight", "torch", "diffusers", "accelerate", "numpy")}


def check_data(config: TrainConfig, data: LatentDataset, model_config: Any) -> None:
    """Hold clips, model and objective against one another before anything is computed.

    Raises:
        DatasetError: sizes that do not fit, or clips of several geometries.
        TrainingError: an objective that this model or these clips cannot serve.
    """
    if config.clips is not None and config.clips > len(data):
        raise TrainingError(f"clips is {config.clips}, and {config.data} holds {len(data)}")
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
            f"no clip in {config.data} says where subjects are, so objective.subject_weight and reentry_weight would "
            "weigh nothing: 0 for both, or clips with masks"
        )


def resume_command(config: TrainConfig) -> str:
    """What to say to go on with the run."""
    return f"the same command with --resume (checkpoints are in {shlex.quote(str(config.out))})"
