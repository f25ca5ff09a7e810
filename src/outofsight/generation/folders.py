"""Which folder a model name means, and whether the weights in it are whole, before anything is loaded."""

from __future__ import annotations

import json
import re
import struct
import warnings
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..models.conditioners import conditioner_names

INDEX = "model_index.json"
SHIPPED = Path(__file__).parents[1] / "weights"
# arguments of the pipeline that model_index.json may hold
_PIPELINE_SETTINGS = ("max_text_tokens", "num_inference_steps", "guidance_scale", "shift", "negative_prompt")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_MAX_HEADER = 100_000_000  # the safetensors format's own bound on its header, in bytes


def shipped_models() -> list[str]:
    """Names of the models whose weights are inside the package."""
    return sorted(folder.parent.name for folder in SHIPPED.glob(f"*/{INDEX}"))


def resolve_model(
    model: str | Path,
    *,
    local_files_only: bool = False,
    revision: str | None = None,
    token: Any = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """Folder of a model given as a folder, the short name of a shipped one, or a hub id (``owner/name``).

    A folder comes first, whatever it is called. A hub id is downloaded unless ``local_files_only``, and a
    warning says so before it starts.

    Raises:
        CheckpointError: nothing is there under that name, or it is not a model in diffusers' layout.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _checked(folder)
    name = str(model)
    if folder.is_file():
        raise CheckpointError(
            f"{name} is a file, expected a model folder in diffusers' layout: make one with "
            f"'outofsight convert {name} --base WAN_FOLDER --out FOLDER'"
        )
    if (SHIPPED / name / INDEX).is_file() and "/" not in name:
        return SHIPPED / name
    if _HUB_ID.fullmatch(name) and not folder.parent.is_dir():
        return _download(name, local_files_only, revision=revision, token=token, cache_dir=cache_dir)
    if re.fullmatch(r"[\w.-]+", name):
        raise CheckpointError(
            f"no folder {name!r} here, and this version of outofsight ships no model of that name "
            f"(shipped: {', '.join(shipped_models()) or 'none'}): give a local folder, a hub id as "
            "owner/name, "
            "or try the code path with random weights, --model random:debug"
        )
    raise CheckpointError(f"no such model folder: {name}")


def _checked(folder: Path) -> Path:
    if not (folder / INDEX).is_file():
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise CheckpointError(
            f"{folder} holds no {INDEX}, so it is not a pipeline in diffusers' layout (found: {found}). An "
            "original "
            "Wan folder or a hydra.ckpt is made into one by 'outofsight convert'"
        )
    return folder


def _download(name: str, local_files_only: bool, **where: Any) -> Path:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    from ..pipeline import WorldModelPipeline

    if not local_files_only:
        warnings.warn(
            f"{name} is no local folder: read as a hub id, and whatever the cache lacks is downloaded now "
            "(local_files_only=True forbids it)",
            stacklevel=4,
        )
    try:
        found = WorldModelPipeline.download(name, local_files_only=local_files_only, use_safetensors=True, **where)
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        told = "the local cache has no complete copy of" if local_files_only else "could not get"
        raise CheckpointError(f"{told} {name!r} (no local folder has that name either): {error}") from error
    return Path(found)


def weight_files(folder: Path) -> list[Path]:
    """Every weight file of a model folder, sorted."""
    kinds = {".safetensors", ".bin", ".pt", ".pth", ".ckpt"}
    return sorted(path for path in folder.rglob("*") if path.suffix in kinds and path.is_file())


def read_safetensors_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor, from the file's header alone.

    Raises:
        CheckpointError: the file is no safetensors file, or shorter than its header says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else _MAX_HEADER + 1
        if length > min(_MAX_HEADER, size - 8):
            raise CheckpointError(f"{path} is not a safetensors file or is truncated ({size} bytes): fetch it again")
        try:
            header = json.loads(file.read(length))
            entries = {name: value for name, value in header.items() if name != "__metadata__"}
            end = max((value["data_offsets"][1] for value in entries.values()), default=0)
            shapes = {name: tuple(value["shape"]) for name, value in entries.items()}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise CheckpointError(f"{path} has a header that is not safetensors': fetch it again") from error
    if 8 + length + end != size:
        raise CheckpointError(
            f"{path} has {size} bytes and its header asks for {8 + length + end}: it is truncated, fetch it again"
        )
    return shapes


def check_component(folder: Path, expected: dict[str, tuple[int, ...]], tied: frozenset[str] = frozenset()) -> None:
    """Hold the tensors of one component's folder against those of the model that its config describes.

    diffusers fills what is missing with random numbers and goes on; here that is an error.

    Args:
        expected: name and shape of each tensor of the model.
        tied: names that need not be in the files, being another tensor under a second name.

    Raises:
        CheckpointError: no safetensors, a truncated one, or missing, unexpected or differently shaped tensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} holds no .safetensors weights")
    _check_shards(folder, files)
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        found |= read_safetensors_header(file)
    missing = sorted(expected.keys() - found.keys() - tied)
    unexpected = sorted(found.keys() - expected.keys() - tied)
    shaped = [
        f"{name} {list(found[name])} instead of {list(expected[name])}"
        for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]
    faults = [
        f"{what} {len(names)}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shaped))
        if names
    ]
    if faults:
        raise CheckpointError(
            f"the weights in {folder} do not fit its config.json; {'; '.join(faults)}. Is the config from "
            "another "
            "model, or were the weights saved by another version?"
        )


def _check_shards(folder: Path, files: list[Path]) -> None:
    present = {file.name for file in files}
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{index} is not a readable shard index: fetch it again") from error
        if lost := sorted(shards - present):
            raise CheckpointError(f"{index} names shards that are not there: {', '.join(lost)}")


def check_folder(folder: Path, skip: frozenset[str] = frozenset()) -> None:
    """Hold every component's weights against its config (see :func:`check_component`), reading headers only.

    Quantised components are left to diffusers, which alone knows their names.

    Raises:
        CheckpointError: a component, its config or its weights are missing or do not fit.
    """
    for name in ("tokenizer", "text_encoder", "vae", "transformer"):
        if name not in skip and not (folder / name).is_dir():
            raise CheckpointError(f"{folder} has no folder {name!r}: the model is incomplete")
    for name in _networks(folder):
        if name in skip:
            continue
        settings = check_network(name, folder / name)
        if "rendered" in conditioner_names(settings) and not {"finder"} & {*skip, *_networks(folder)}:
            raise CheckpointError(
                f"{folder} has no folder 'finder', and its transformer is conditioned on rendered targets: it is incomplete"
            )


def check_network(name: str, folder: Path) -> dict[str, Any]:
    """Hold one component's weights against its config, and return that. Raises CheckpointError."""
    config = folder / "config.json"
    settings = read_object(config)
    if "quantization_config" not in settings:
        check_component(folder, *_expected_tensors(name, settings, config))
    return settings


def read_object(file: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises CheckpointError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} holds no JSON object")
    return content


def _networks(folder: Path) -> tuple[str, ...]:
    """The components that have weights."""
    return ("text_encoder", "vae", "transformer", *(("finder",) if (folder / "finder").is_dir() else ()))


def _expected_tensors(
    name: str, settings: dict[str, Any], config: Path
) -> tuple[dict[str, tuple[int, ...]], frozenset[str]]:
    """Names and shapes of the tensors that a config describes, and the names that may be left out."""
    import torch

    try:
        with torch.device("meta"):
            model = _empty_model(name, settings)
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{config} describes no {name} of this version of outofsight: {error}") from error
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    return shapes, frozenset(getattr(model, "all_tied_weights_keys", None) or ())


def _empty_model(name: str, settings: dict[str, Any]) -> Any:
    if name == "text_encoder":
        from transformers import UMT5Config, UMT5EncoderModel

        return UMT5EncoderModel(UMT5Config(**settings))
    if name == "vae":
        from diffusers import AutoencoderKLWan

        return AutoencoderKLWan.from_config(settings)
    if name == "finder":
        from ..experiments.rendered import SubjectFinder

        return SubjectFinder.from_config(settings)
    from ..models.transformer import WorldTransformer3DModel

    return WorldTransformer3DModel.from_config(settings)


def outline_parts(folder: Path) -> dict[str, Any]:
    """The components of a model folder without their weights (on the meta device), and its tokenizer.

    Raises:
        CheckpointError: a part is missing or cannot be read.
    """
    import torch
    from transformers import AutoTokenizer

    check_folder(folder)
    parts: dict[str, Any] = {}
    for name in _networks(folder):
        settings = json.loads((folder / name / "config.json").read_text(encoding="utf-8"))
        with torch.device("meta"):
            parts[name] = _empty_model(name, settings)
    try:
        parts["tokenizer"] = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder / 'tokenizer'} holds no tokenizer that can be read: {error}") from error
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return {**parts, **{name: index[name] for name in _PIPELINE_SETTINGS if name in index}}
