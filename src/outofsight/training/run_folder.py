"""A run's folder: one run in it, begun once, gone on with under the same settings and on the same clips."""

from __future__ import annotations

import hashlib
import json
import shlex
import warnings
from typing import Any

from ..errors import TrainingError
from ..generation.inputs import fov_users
from ..io import replacing
from .checkpointing import Checkpoint, latest_checkpoint
from .config import TrainConfig
from .dataset import LatentDataset

CONFIG = "config.json"


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
    path = config.out / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings, clips = dict(content["settings"]), content["clips"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}, the settings the run was begun with, cannot be read ({error}); put it back, or begin anew in "
            "another --out"
        ) from error
    changed = config.differences(settings)
    if clips != data_fingerprint(data):
        changed.append(f"the clips in {config.data} are not those the run was begun with")
    return changed


def write_config(config: TrainConfig, data: LatentDataset) -> None:
    """config.json: what a later resume is held against. Raises OutputError."""
    content = {"settings": config.to_json(), "clips": data_fingerprint(data), "versions": _versions()}
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
    if fov_users(model_config) and any(entry.horizontal_fov is None for entry in data.clips):
        raise TrainingError(
            f"the model compares views and clips in {config.data} have no field of view: encode them with it, or "
            'train a model of camera_inputs ["pose"] whose memory does not go by view'
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
    if objective.reprojection_dropout and "reprojections" not in model_config["camera_inputs"]:
        raise TrainingError(
            f"objective.reprojection_dropout is {objective.reprojection_dropout} and the model has no reprojections: "
            '0, or "reprojections" in model_options.camera_inputs'
        )
    if bool(objective.presence_weight) != bool(model_config["presence"]):
        raise TrainingError(
            f"objective.presence_weight is {objective.presence_weight} and the model's presence "
            f"{model_config['presence']}: the one needs the other (--set model_options.presence=true)"
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
