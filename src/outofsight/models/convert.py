"""Make a model folder from a released checkpoint and a base Wan folder, and the released checkpoint from it.

outofsight convert hydra.ckpt --base Wan2.1-T2V-1.3B --out hydra      a folder that generate and train take
outofsight convert --base Wan2.1-T2V-1.3B --out start                 base Wan with fresh additions, to train
outofsight convert hydra --to-released hydra.ckpt                     back into the released naming
"""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import CheckpointError, OutputError
from ..progress import progress as progress_bar
from .base_weights import PARTS, BaseWeights, describe_folder, read_base_folder
from .checkpoints import (
    diffusers_to_released,
    has_additions,
    load_hydra_checkpoint,
    save_released_checkpoint,
    transformer_arguments,
)
from .weight_files import assign_tensors, cast_tensors, check_finite

if TYPE_CHECKING:
    from .transformer import WorldTransformer3DModel

INDEX = "model_index.json"
_PIPELINE = "WorldModelPipeline"
_SHARD = "5GB"


def convert(
    checkpoint: str | os.PathLike[str] | None,
    base: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    num_attention_heads: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
    **overrides: Any,
) -> Path:
    """Write the folder ``out`` in diffusers' layout: transformer, VAE, text encoder, tokenizer, index.

    The folder appears whole or not at all. Tensors keep their values bit by bit unless ``dtype`` is given.

    Args:
        checkpoint: HyDRA's released checkpoint; None starts a model to be trained: the base transformer with
            cameras zero, projectors identity and random tokenizers.
        base: a base Wan folder, original or diffusers' layout; of it a checkpoint replaces the transformer.
        dtype: of transformer and text encoder; norms and time embedder stay float32, the VAE stays as it is.
        num_attention_heads: by default what the base folder's config says, else 12.
        seed: of the random tokenizers, without a checkpoint.
        overwrite: replace a model folder that is already at ``out`` (never a folder of other things).
        progress: draw a bar.
        overrides: further arguments of the transformer, as for :func:`load_hydra_checkpoint`.

    Raises:
        CheckpointError: weights missing, damaged, unsafe, or of sizes that do not fit one another.
        OutputError: ``out`` is not empty, is one of the inputs, or cannot be written.
    """
    weights, out = read_base_folder(base), Path(out)
    _require(weights, PARTS if checkpoint is None else PARTS[1:])
    _check_out(out, overwrite, [Path(base), *([Path(checkpoint)] if checkpoint else [])])
    if num_attention_heads is not None and num_attention_heads < 1:
        raise CheckpointError(f"--heads {num_attention_heads}: expected 1 or more, or nothing for what the base says")
    heads = num_attention_heads or weights.attention_heads() or 12
    if checkpoint is None:
        transformer = start_from_base(weights, num_attention_heads=heads, seed=seed, torch_dtype=dtype, **overrides)
    else:
        transformer = load_hydra_checkpoint(checkpoint, num_attention_heads=heads, torch_dtype=dtype, **overrides)
    sizes = {name: part.bytes for name, part in weights.description.parts.items()}
    sizes["transformer"] = sum(value.nbytes for value in transformer.state_dict().values())
    _check_space(out, sum(sizes.values()))
    loaders: dict[str, Callable[[], Any]] = {
        "transformer": lambda: transformer,
        "vae": weights.load_vae,
        "text_encoder": lambda: weights.load_text_encoder(dtype),
        "tokenizer": weights.load_tokenizer,
    }
    with (
        _staged_folder(out) as stage,
        _quiet(),
        progress_bar("writing", sum(sizes.values()), shown=progress, in_bytes=True) as advance,
    ):
        _write_parts(stage, loaders, sizes, transformer, advance)
    return out


def start_from_base(
    base: BaseWeights,
    *,
    num_attention_heads: int = 12,
    seed: int = 0,
    torch_dtype: torch.dtype | None = None,
    **overrides: Any,
) -> WorldTransformer3DModel:
    """The base transformer with fresh additions as the release begins its training: cameras zero, projectors
    identity, tokenizers random by ``seed``; the additions take the base's dtype.

    Raises:
        CheckpointError: no base transformer there, or one that has HyDRA's tensors already.
    """
    from diffusers import WanTransformer3DModel

    from .transformer import WorldTransformer3DModel

    tensors = base.transformer_tensors()
    source = base.part("transformer").place
    if has_additions(tensors):
        raise CheckpointError(
            f"{source} has HyDRA's tensors already, so it is no base Wan; train from the folder itself"
        )
    arguments = transformer_arguments(tensors, num_attention_heads, source) | overrides
    # what Wan has too is drawn in vain, replaced next, and its memory freed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = WorldTransformer3DModel(**arguments)
    with torch.device("meta"):
        wans = WanTransformer3DModel.from_config(dict(model.config)).state_dict()
    dtype = tensors["patch_embedding.weight"].dtype
    fresh = {name: value.to(dtype) for name, value in model.state_dict().items() if name not in wans}
    keep = tuple(model._keep_in_fp32_modules or ())
    whole = cast_tensors({**tensors, **fresh}, torch_dtype, keep)
    assign_tensors(model, whole, source, shown_as=diffusers_to_released if base.original else str)
    return model.eval()


def export_released(folder: str | os.PathLike[str], path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the transformer of a model folder as a checkpoint in the released naming, in its stored dtypes.

    Raises:
        CheckpointError: the folder holds no transformer of ours, or a damaged one.
        OutputError: ``path`` exists already and is not to be replaced, or cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; give another name or overwrite it (--overwrite)")
    return save_released_checkpoint(_stored_transformer(Path(folder)), path)


def _stored_transformer(folder: Path) -> WorldTransformer3DModel:
    """The folder's transformer in the dtypes stored, which ``from_pretrained`` would make float32."""
    description = describe_folder(folder)
    if description.layout != "diffusers":
        raise CheckpointError(f"{folder} is not a model folder: it has no transformer/config.json")
    from accelerate import init_empty_weights

    from .transformer import WorldTransformer3DModel

    weights = BaseWeights(description)
    tensors = weights.transformer_tensors()
    place = weights.part("transformer").place
    try:
        config = WorldTransformer3DModel.load_config(place, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{place / 'config.json'} cannot be read: {error}") from error
    if config.get("_class_name") != WorldTransformer3DModel.__name__:
        raise CheckpointError(
            f"{place} holds a {config.get('_class_name')}, expected a {WorldTransformer3DModel.__name__}"
        )
    with init_empty_weights(include_buffers=False):
        model = WorldTransformer3DModel.from_config(config)
    assign_tensors(model, tensors, place)
    return model.eval()


# --- writing ----------------------------------------------------------------------------------------------


def _write_parts(
    stage: Path,
    loaders: dict[str, Callable[[], Any]],
    sizes: dict[str, int],
    transformer: WorldTransformer3DModel,
    advance: Callable[[int], None],
) -> None:
    import diffusers

    classes: dict[str, list[str]] = {}
    vocabulary = 0
    for name, load in loaders.items():
        part = load()
        if name != "tokenizer":
            check_finite(part.state_dict(), f"the {name.replace('_', ' ')} that was read or cast")
        if name == "vae":
            _must_equal("the VAE's latent channels", part.config.z_dim, transformer.config.in_channels)
        if name == "text_encoder":
            vocabulary = part.config.vocab_size
            _must_equal("the text encoder's width", part.config.d_model, transformer.config.text_dim)
        if name == "tokenizer":
            if len(part) > vocabulary:
                raise CheckpointError(
                    f"the tokenizer has {len(part)} tokens, the text encoder knows {vocabulary} of them"
                )
            part.save_pretrained(stage / name)
        else:
            part.save_pretrained(stage / name, max_shard_size=_SHARD)
        library = type(part).__module__
        classes[name] = [
            library if library.startswith("outofsight.") else library.split(".")[0],
            type(part).__name__,
        ]
        del part
        gc.collect()
        advance(sizes[name])
    index = {"_class_name": _PIPELINE, "_diffusers_version": diffusers.__version__, **classes}
    (stage / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _must_equal(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise CheckpointError(f"{what}: {found}, but the transformer takes {expected}; give another base")


@contextmanager
def _staged_folder(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place at the end; a failure or Ctrl-C leaves ``out`` alone."""
    stage, old = (out.with_name(f".{out.name}.{os.getpid()}.{kind}") for kind in ("part", "old"))
    try:
        stage.mkdir()
        yield stage
        mode = stage.stat().st_mode & 0o666
        for path in stage.rglob("*"):
            # safetensors makes its files readable by their owner alone
            if path.is_file():
                path.chmod(mode)
        if out.is_dir():
            out.rename(old)
        try:
            stage.rename(out)
        finally:
            if old.is_dir() and not out.exists():
                old.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error}") from error
    finally:
        for folder in (stage, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers' own bars, one per part, are silenced."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


# --- checks before anything is written --------------------------------------------------------------------


def _require(weights: BaseWeights, parts: tuple[str, ...]) -> None:
    missing = [name for name in weights.description.missing if name in parts]
    if missing:
        told = "; ".join(f"{name}: {weights.description.parts[name].problem}" for name in missing)
        raise CheckpointError(f"{weights.description.folder} is incomplete ({told})")


def _check_out(out: Path, overwrite: bool, inputs: list[Path]) -> None:
    target = Path(os.path.realpath(out))
    for path in (Path(os.path.realpath(path)) for path in inputs):
        if target == path or target in path.parents:
            raise OutputError(f"{out} would replace its own input {path}; give another folder")
    if out.is_file():
        raise OutputError(f"{out} is a file, expected a folder to make")
    if not out.parent.is_dir():
        raise OutputError(f"cannot make {out}: {out.parent} is not there; make it first")
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise OutputError(f"{out} is not empty; give another folder or overwrite it (--overwrite)")
        if not (out / INDEX).is_file():
            raise OutputError(f"{out} is no model folder (it has no {INDEX}), so it is not overwritten")


def _check_space(out: Path, needed: int) -> None:
    free = shutil.disk_usage(out.parent).free
    if needed > free:
        raise OutputError(f"{out} needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free there")
