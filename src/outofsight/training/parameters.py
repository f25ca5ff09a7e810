"""Which model is trained, from which weights, and which of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..components.hub import check_component, check_loaded
from ..errors import CheckpointError, TrainingError
from ..memory import make_layout
from ..models import PRESETS, WorldTransformer3DModel
from ..records import read_object
from .checkpointing import verify_part
from .clip_source import ClipSource
from .config import TrainConfig

LORA_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
ADAPTER = "outofsight"


def build_model(config: TrainConfig) -> WorldTransformer3DModel:
    """The transformer that training starts from, in float32 on the CPU.

    Raises:
        TrainingError: no such preset or folder, or arguments that make no model.
        CheckpointError: the folder's weights do not fit its configuration.
    """
    if isinstance(config.model, Mapping):
        return _fresh({**config.model, **config.model_options}, config.seed)
    if config.model in PRESETS:
        return _fresh({**PRESETS[config.model].transformer, **config.model_options}, config.seed)
    folder = transformer_folder(config.model)
    return _from_folder(folder, config)


def transformer_folder(model: str) -> Path:
    """The transformer's folder in a pipeline folder, or the folder itself. Raises TrainingError where there is none."""
    folder = Path(model).expanduser()
    for candidate in (folder / "transformer", folder):
        if (candidate / "config.json").is_file():
            return candidate
    raise TrainingError(
        f"model is {model!r}: neither a preset ({', '.join(PRESETS)}) nor a model folder (config.json and "
        "safetensors, alone or under transformer/); outofsight convert makes one from released weights"
    )


def pipeline_folder(config: TrainConfig) -> Path | None:
    """The folder whose VAE, text encoder and tokenizer the clips must have been encoded with, if one is known."""
    if config.parts is not None:
        return config.parts
    if isinstance(config.model, str) and config.model not in PRESETS:
        folder = Path(config.model).expanduser()
        if (folder / "model_index.json").is_file():
            return folder
    return None


def _fresh(arguments: dict[str, Any], seed: int) -> WorldTransformer3DModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return WorldTransformer3DModel(**arguments)
        except TypeError as error:
            raise TrainingError(f"the model's arguments {sorted(arguments)} make no transformer: {error}") from error


def _from_folder(folder: Path, config: TrainConfig) -> WorldTransformer3DModel:
    verify_part(folder)
    settings = read_object(folder / "config.json", CheckpointError)
    options = dict(config.model_options)
    with torch.device("meta"):
        outline = WorldTransformer3DModel.from_config({**settings, **options})
    shapes = {name: tuple(tensor.shape) for name, tensor in outline.state_dict().items()}
    check_component(folder, shapes, finite=False)
    model: WorldTransformer3DModel = WorldTransformer3DModel.from_pretrained(
        folder, torch_dtype=torch.float32, **options
    )
    check_loaded(model, folder)
    # norms and the time embedder are kept as they were saved, and training wants all in float32
    return model.float()


def choose_parameters(model: Any, config: TrainConfig) -> dict[str, nn.Parameter]:
    """Freeze what is not trained and add LoRA adapters; returns the trained parameters by name.

    Raises:
        TrainingError: nothing is left to train, a part of a name fits none, or peft is missing.
    """
    parts = config.trained_names
    names = [name for name, _ in model.named_parameters()]
    idle = [part for part in parts if not any(part in name for name in names)]
    if idle and not isinstance(config.trainable, str):
        raise TrainingError(
            f"trainable names {', '.join(idle)}, part of no parameter's name; there are such as {names[-1]}"
        )
    if config.lora is not None:
        _add_lora(model, config.lora, config.seed)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name or any(part in name for part in parts))
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not named:
        raise TrainingError("nothing is to be trained: trainable is 'none' and lora is off")
    return named


def _add_lora(model: Any, rank: int, seed: int) -> None:
    try:
        from peft import LoraConfig
    except ImportError as missing:
        raise TrainingError("lora needs peft, which is not installed: pip install 'outofsight[train]'") from missing
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(LORA_LAYERS), init_lora_weights="gaussian")
        model.add_adapter(adapter, adapter_name=ADAPTER)


def idle_parameters(model: Any, data: ClipSource) -> set[str]:
    """Names of parameters that these clips give no gradient: the memory's, where nothing lies outside a window."""
    entry = data.clips[0]
    patch = model.config.patch_size
    grid = (data.settings.size[0] // patch[1], data.settings.size[1] // patch[2])
    poses = torch.zeros(1, entry.frames, 12)
    cut = entry.context_frames
    layout = make_layout(grid, poses[:, :cut], poses[:, cut:], torch.zeros(1, entry.frames))
    plan = model.memory.plan(layout, model.config.attention_head_dim, torch.device("cpu"), range(entry.frames))
    if plan.memory is not None and plan.recall > 0:
        return set()
    return {name for name, _ in model.named_parameters() if ".tokenizer." in name}


def merged_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A model's tensors with LoRA adapters added into the weights they adapt, under the names without them."""
    merged: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if ".lora_" in name:
            continue
        stem, base, kind = name.partition(".base_layer.")
        if base and kind == "weight":
            # lora_alpha equals the rank, so that the adapters' product counts once
            up, down = (tensors[f"{stem}.lora_{part}.{ADAPTER}.weight"] for part in "BA")
            tensor = tensor + up @ down
        merged[f"{stem}.{kind}" if base else name] = tensor
    return merged
