"""Which folder a model name means, and whether the weights in it are whole, before anything is loaded."""

from __future__ import annotations

import functools
import importlib
import re
import struct
import warnings
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import torch
from annotated_types import Gt, Interval
from torch import Tensor
from typing_extensions import TypedDict

from ..errors import CheckpointError
from ..local_code import load_tokenizer, refuse_code
from ..models.codecs import codec_class
from ..models.weight_files import check_finite, read_stored
from ..records import MOST_STEPS, fitted, parse_json, read_object

INDEX = "model_index.json"
# what a model folder is made of: never pickles, and no code
_FETCHED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.md"]
FINDER = "outofsight.experiments.rendered.finder:SubjectFinder"  # what looks at pixels for conditioners that need them
SHIPPED = Path(__file__).parents[1] / "weights"
_PIPELINE, _LIBRARIES = "WorldModelPipeline", ("outofsight", "diffusers", "transformers")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# what building a model of an impossible config raises
_UNFIT = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, ArithmeticError, AssertionError, NameError)
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
        if (folder / "checkpoints").is_dir():
            raise CheckpointError(
                f"{folder} is a training run, not a model folder: 'outofsight generate --model {folder}' takes it; in "
                f"Python, outofsight.training.model_of_run({str(folder)!r}) makes its model folder"
            )
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise CheckpointError(
            f"{folder} holds no {INDEX}, so it is not a pipeline in diffusers' layout (found: {found}). An "
            "original "
            "Wan folder or a hydra.ckpt is made into one by 'outofsight convert'"
        )
    return folder


def _download(name: str, local_files_only: bool, **where: Any) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if not local_files_only:
        warnings.warn(
            f"{name} is no local folder: read as a hub id, and whatever the cache lacks is downloaded now "
            "(local_files_only=True forbids it)",
            stacklevel=4,
        )
    try:
        found = snapshot_download(name, local_files_only=local_files_only, allow_patterns=_FETCHED, **where)
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
            header = parse_json(file.read(length), f"{path} has a header that is not safetensors'", CheckpointError)
            entries = {name: value for name, value in header.items() if name != "__metadata__"}
            end = max((value["data_offsets"][1] for value in entries.values()), default=0)
            shapes = {name: tuple(value["shape"]) for name, value in entries.items()}
        except CheckpointError:
            raise
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise CheckpointError(f"{path} has a header that is not safetensors': fetch it again") from error
    if 8 + length + end != size:
        raise CheckpointError(
            f"{path} has {size} bytes and its header asks for {8 + length + end}: it is truncated, fetch it again"
        )
    return shapes


def check_component(
    folder: Path, expected: dict[str, tuple[int, ...]], tied: frozenset[str] = frozenset(), *, finite: bool = True
) -> None:
    """Hold the tensors of one component's folder against those of the model that its config describes.

    diffusers fills what is missing with random numbers and continues; here that is an error.

    Args:
        expected: name and shape of each tensor of the model.
        tied: names that need not be in the files, being another tensor under a second name.
        finite: also read the tensors and hold them against NaN; False leaves that to :func:`fill` or
            :func:`check_loaded`, so that files are read once.

    Raises:
        CheckpointError: no safetensors where some are expected, a truncated one, or missing, unexpected or differently
            shaped tensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        if not expected:  # a component without weights
            return
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
    for file in files if finite else ():
        facts = file.stat()
        _check_finite(file, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _check_finite(file: Path, _size: int, _modified: int) -> None:
    """Raises CheckpointError where a tensor is not finite; each file is read once in a process."""
    check_finite(read_stored(file), file)


def _check_shards(folder: Path, files: list[Path]) -> None:
    present = {file.name for file in files}
    for index in folder.glob("*.safetensors.index.json"):
        content = read_object(index, CheckpointError, "fetch it again").get("weight_map")
        shards = set(
            fitted(dict[str, str], content, f"{index}: weight_map", CheckpointError, "fetch it again").values()
        )
        if lost := sorted(shards - present):
            raise CheckpointError(f"{index} names shards that are not there: {', '.join(lost)}")


def check_folder(folder: Path, skip: frozenset[str] = frozenset(), *, finite: bool = True) -> dict[str, Any]:
    """Hold every component's weights against its config (see :func:`check_component`); finite False reads headers only.

    Quantised components are left to diffusers, which alone knows their names.

    Returns:
        the components that have weights, empty (on the meta device): :func:`fill` gives them theirs.

    Raises:
        CheckpointError: a component, its config or its weights are missing or do not fit.
    """
    text = takes_text(folder)
    for name in (*(("tokenizer", "text_encoder") if text else ()), "vae", "transformer"):
        if name not in skip and not (folder / name).is_dir():
            raise CheckpointError(f"{folder} has no folder {name!r}: the model is incomplete")
    if (folder / INDEX).is_file():
        read_settings(folder)
        _check_classes(folder)
    if (folder / "tokenizer").is_dir() and "tokenizer" not in skip:
        refuse_code(folder / "tokenizer")
    named = (*(("text_encoder",) if text else ()), "vae", "transformer", *_finder(folder))
    networks = {name: check_network(name, folder / name, finite=finite) for name in named if name not in skip}
    kinds = networks["transformer"].conditioning.values() if "transformer" in networks else ()
    looks = any("pixels" in kind.needs for kind in kinds)
    if looks and not {"finder"} & {*skip, *networks}:
        raise CheckpointError(
            f"{folder} has no folder 'finder', and its transformer is conditioned on what one makes of pixels: "
            "it is incomplete"
        )
    return networks


def check_network(name: str, folder: Path, *, finite: bool = True) -> Any:
    """Hold one component's weights against its config (see :func:`check_component`); returns it, empty.

    Raises CheckpointError.
    """
    config = folder / "config.json"
    settings = read_object(config, CheckpointError)
    refuse_code(folder)
    quantised = "quantization_config" in settings
    if not quantised:
        _check_depth(settings, folder)
    model = _empty(name, settings, config)
    if not quantised:
        shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        tied = frozenset(getattr(model, "all_tied_weights_keys", None) or ())
        check_component(folder, shapes, tied, finite=finite)
    return model


def fill(model: Any, folder: Path, dtype: torch.dtype) -> None:
    """Give an empty component of diffusers' kind the weights of its folder, as its ``from_pretrained`` would.

    Raises:
        CheckpointError: a file is damaged, a tensor is missing, or one is not finite.
    """
    state: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors = read_stored(file)
        check_finite(tensors, file)
        state |= tensors
    wide = set(model._keep_in_fp32_modules or ())
    model.load_state_dict(
        {name: x.to(torch.float32 if wide & set(name.split(".")) else dtype) for name, x in state.items()},
        strict=False,
        assign=True,
    )
    if empty := [name for name, x in (*model.named_parameters(), *model.named_buffers()) if x.is_meta]:
        raise CheckpointError(f"the weights in {folder} lack {', '.join(empty[:4])}")
    model.register_to_config(_name_or_path=str(folder))
    model.requires_grad_(True).eval()


def check_loaded(model: Any, folder: Path) -> None:
    """Raises CheckpointError, as :func:`fill`, where a model that a library loaded from a folder is not finite."""
    places = {name: file for file in sorted(folder.glob("*.safetensors")) for name in read_safetensors_header(file)}
    for name, tensor in model.state_dict().items():
        check_finite({name: tensor}, places.get(name, folder))


class ModelSettings(TypedDict, total=False):
    """What model_index.json may say of the pipeline's arguments."""

    max_text_tokens: Annotated[int, Interval(ge=1, le=1 << 16)]
    num_inference_steps: Annotated[int, Interval(ge=1, le=MOST_STEPS)]
    guidance_scale: float
    shift: Annotated[float, Gt(0)]
    negative_prompt: str


def read_settings(folder: Path) -> ModelSettings:
    """The pipeline's arguments in a folder's model_index.json. Raises CheckpointError for impossible ones."""
    index = read_object(folder / INDEX, CheckpointError)
    return fitted(ModelSettings, index, folder / INDEX, CheckpointError, "correct it, or fetch it again")


def _check_classes(folder: Path) -> None:
    """Refuse an index of another pipeline, or of classes that are not those of the libraries used here."""
    index = read_object(folder / INDEX, CheckpointError)
    if index.get("_class_name") != _PIPELINE:
        raise CheckpointError(
            f"{folder / INDEX}: _class_name is {index.get('_class_name')!r}, expected {_PIPELINE!r}: a Wan folder is "
            "made into one by 'outofsight convert'"
        )
    for name in ("tokenizer", "text_encoder", "vae", "transformer", "finder"):
        entry = index.get(name)
        if entry in (None, [None, None]):  # what is not named is loaded as what it has to be, and a finder may be none
            continue
        library = str(entry[0]).split(".")[0] if isinstance(entry, list) and len(entry) == 2 else None
        if library not in _LIBRARIES:
            raise CheckpointError(f"{folder / INDEX}: {name} is {entry!r}, expected a class of {', '.join(_LIBRARIES)}")


def _check_depth(settings: dict[str, Any], folder: Path) -> None:
    """Refuse a config of more layers than there are tensors, before a model of it is built."""
    tensors = sum(len(read_safetensors_header(file)) for file in folder.glob("*.safetensors"))
    for name in ("num_layers", "num_decoder_layers", "num_res_blocks", "num_blocks"):
        if name in settings and tensors:
            bounds = Annotated[int, Interval(ge=0 if name == "num_decoder_layers" else 1, le=tensors)]
            fitted(bounds, settings[name], f"{folder / 'config.json'}: {name}", CheckpointError)


def takes_text(folder: Path) -> bool:
    """Whether a model folder has a text encoder: its index names none where the model is conditioned on no text."""
    index = read_object(folder / INDEX, CheckpointError) if (folder / INDEX).is_file() else {}
    return index.get("text_encoder", True) != [None, None]


def _finder(folder: Path) -> tuple[str, ...]:
    return ("finder",) if (folder / "finder").is_dir() else ()


def component_class(path: str) -> Any:
    """A class of this package by its path, ``module:Class``."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def is_quantised(folder: Path) -> bool:
    """Whether a component of a model folder holds packed weights, which its library alone can load."""
    return any("quantization_config" in read_object(file, CheckpointError) for file in folder.glob("*/config.json"))


def _empty(name: str, settings: dict[str, Any], config: Path) -> Any:
    """A component of this configuration on the meta device. Raises CheckpointError where it describes none."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        with torch.device("meta"):
            model = _build(name, settings, config)
        _check_numbers(model, settings, config)
    except CheckpointError:
        raise
    except (StrictDataclassError, *_UNFIT) as error:
        told = str(error) or type(error).__name__
        raise CheckpointError(f"{config} describes no {name} of this version of outofsight: {told}") from error
    return model


def _check_numbers(model: Any, settings: dict[str, Any], config: Path) -> None:
    """Hold a config's plain numbers against the constructor, which takes some without looking at them."""
    for name, hint in get_type_hints(type(model).__init__).items():
        if hint in (int, float, bool) and name in settings:
            fitted(hint, settings[name], f"{config}: {name}", CheckpointError)


def _build(name: str, settings: dict[str, Any], config: Path) -> Any:
    if name == "text_encoder":
        from transformers import UMT5Config, UMT5EncoderModel

        return UMT5EncoderModel(UMT5Config(**settings))
    if name == "vae":
        return codec_class(settings, config).from_config(settings)
    if name == "finder":
        return component_class(FINDER).from_config(settings)
    from ..models.transformer import WorldTransformer3DModel

    return WorldTransformer3DModel.from_config(settings)


def outline_parts(folder: Path) -> dict[str, Any]:
    """The components of a model folder without their weights (on the meta device), and its tokenizer.

    Raises:
        CheckpointError: a part is missing or cannot be read.
    """
    parts = check_folder(folder, finite=False)  # they are read when they are filled
    tokenizer = load_tokenizer(folder / "tokenizer") if "text_encoder" in parts else None
    return {"text_encoder": None, **parts, "tokenizer": tokenizer, **read_settings(folder)}
