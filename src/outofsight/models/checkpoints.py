"""HyDRA's released checkpoints: read into :class:`WorldTransformer3DModel` and written back, bit by bit.

The released file is a state dict in the original Wan naming plus the additions (docs/hydra.md, "Checkpoint").
All sizes are read from the tensors; how many heads the width is divided into is not written in them.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from .naming import TRANSFORMER_NAMES
from .weight_files import assign_tensors, cast_tensors, read_tensors, write_tensors

if TYPE_CHECKING:
    from .transformer import WorldTransformer3DModel

_WAN_HEAD_WIDTH = 128
_ADDITIONS = re.compile(
    r"(conditioning|auxiliary)\.|blocks\.\d+\.(conditioners|projector|attn1\.(tokenizer|conditioners))\."
)
_IMAGE_INPUTS = re.compile(r"condition_embedder\.image_embedder\.|img_emb\.|\.(add_k_proj|k_img)\.")
# the fields that say what kind of model computes with the tensors, as the release has them
_RELEASED_KIND = {
    "memory": "hydra",
    "context_timestep": "shared",
    "context_attention": "joint",
    "conditioners": {"pose": {}},
}


def released_to_diffusers(name: str) -> str:
    """``blocks.0.self_attn.q.bias -> blocks.0.attn1.to_q.bias``; inverse of :func:`diffusers_to_released`."""
    return TRANSFORMER_NAMES.to_diffusers(name)


def diffusers_to_released(name: str) -> str:
    """``blocks.0.attn1.to_q.bias -> blocks.0.self_attn.q.bias``; inverse of :func:`released_to_diffusers`."""
    return TRANSFORMER_NAMES.to_released(name)


def has_additions(names: Iterable[str]) -> bool:
    """Whether any of these diffusers names is one of HyDRA's, which base Wan does not have."""
    return any(_ADDITIONS.match(name) for name in names)


def transformer_sizes(tensors: Mapping[str, Tensor], source: str | os.PathLike[str]) -> dict[str, Any]:
    """Constructor arguments of the transformer that a state dict in diffusers names belongs to, heads apart.

    Raises:
        CheckpointError: it is no Wan text-to-video transformer.
    """
    image_inputs = next((name for name in tensors if _IMAGE_INPUTS.search(name)), None)
    if image_inputs is not None:
        raise CheckpointError(
            f"{source} is an image-to-video model ({diffusers_to_released(image_inputs)}); HyDRA stands on "
            "Wan 2.1 text-to-video"
        )
    try:
        patch = tensors["patch_embedding.weight"]
        dim, in_channels, *patch_size = patch.shape
        sizes: dict[str, Any] = {
            "dim": dim,
            "in_channels": in_channels,
            "patch_size": tuple(patch_size),
            "out_channels": tensors["proj_out.weight"].shape[0] // math.prod(patch_size),
            "text_dim": tensors["condition_embedder.text_embedder.linear_1.weight"].shape[1],
            "freq_dim": tensors["condition_embedder.time_embedder.linear_1.weight"].shape[1],
            "ffn_dim": tensors["blocks.0.ffn.net.0.proj.weight"].shape[0],
            "num_layers": 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks.")),
        }
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        lacking = diffusers_to_released(error.args[0]) if isinstance(error, KeyError) else "sizes"
        raise CheckpointError(
            f"{source} is not a Wan transformer: it holds {len(tensors)} tensors such as "
            f"{next(iter(tensors))}, and no usable {lacking}"
        ) from error
    if sizes["num_layers"] > len(tensors):
        raise CheckpointError(f"{source} numbers its blocks up to {sizes['num_layers'] - 1} and lacks most of them")
    sizes["cross_attn_norm"] = "blocks.0.norm2.weight" in tensors
    kinds = dict.fromkeys(name.split(".")[3] for name in tensors if name.startswith("blocks.0.conditioners."))
    if len(kinds) > 1:  # the tensors do not tell the options of others than these, which take theirs by default
        sizes["conditioners"] = {name: {} for name in kinds}
    return sizes


def transformer_arguments(tensors: Mapping[str, Tensor], heads: int, source: str | os.PathLike[str]) -> dict[str, Any]:
    """:func:`transformer_sizes` with the width divided into heads; warns where 12 is an unlikely number.

    Raises:
        CheckpointError: no Wan transformer, or heads that do not divide its width.
    """
    arguments = transformer_sizes(tensors, source)
    width = _head_width(arguments.pop("dim"), heads, source)
    if heads == 12 and width != _WAN_HEAD_WIDTH:
        warnings.warn(
            f"{source}: 12 heads of width {width} are assumed, where Wan's heads are {_WAN_HEAD_WIDTH} wide "
            "and the tensors do not tell; if that is wrong, pass num_attention_heads",
            stacklevel=3,
        )
    return arguments | {"num_attention_heads": heads, "attention_head_dim": width}


def _head_width(dim: int, heads: int, source: str | os.PathLike[str]) -> int:
    if heads < 1 or dim % heads or (dim // heads) % 2:
        fitting = [n for n in range(1, dim + 1) if dim % n == 0 and dim // n % 2 == 0]
        raise CheckpointError(
            f"{source}: num_attention_heads is {heads}, but must divide the width {dim} into heads of even "
            f"width; expected one of {', '.join(map(str, fitting))}"
        )
    return dim // heads


def _read_released(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    released = read_tensors(path)
    if any(name.startswith("condition_embedder.") for name in released):
        raise CheckpointError(
            f"{path} is in diffusers' naming, expected the released one; load its folder (with config.json) "
            "by WorldTransformer3DModel.from_pretrained"
        )
    return {released_to_diffusers(name): value for name, value in released.items()}


def load_hydra_checkpoint(
    path: str | os.PathLike[str],
    *,
    num_attention_heads: int = 12,
    top_k: int | None = 10,
    torch_dtype: torch.dtype | None = None,
    memory_options: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> WorldTransformer3DModel:
    """The model of a released checkpoint, on the CPU, in evaluation mode; tensors bit-equal to the file's.

    Args:
        path: ``.ckpt``, ``.pth``, ``.pt`` or ``.safetensors`` in the released naming.
        num_attention_heads: heads the width is divided into; the tensors do not tell.
        top_k: memory tokens that a frame recalls; the tensors do not tell.
        torch_dtype: cast as ``from_pretrained`` does (norms and time embedder stay float32); None keeps the
            file's dtypes.
        memory_options: further options of the memory ("window", "affinity", "bank", "queries", ...).
        overrides: further arguments of :class:`WorldTransformer3DModel`, over what is read from the tensors.

    Raises:
        CheckpointError: missing, damaged or unsafe file; base Wan without HyDRA's tensors; names missing or
            unexpected; sizes or heads that do not fit.
    """
    tensors = _read_released(path)
    transformer_sizes(tensors, path)
    if not has_additions(tensors):
        raise CheckpointError(
            f"{path} is base Wan without HyDRA's tensors (no camera encoders, projector or tokenizer in its "
            f"{len(tensors)} names). To start a model from it: outofsight convert --base WAN_FOLDER --out OUT"
        )
    arguments = transformer_arguments(tensors, num_attention_heads, path) | overrides
    arguments["memory_options"] = dict(memory_options or {})
    conv, hint = tensors.get("blocks.0.attn1.tokenizer.conv.weight"), ""
    if arguments.setdefault("memory", "hydra") == "hydra":
        kernel = {} if conv is None else {"kernel": tuple(conv.shape[2:])}
        arguments["memory_options"] = {**kernel, "top_k": top_k} | arguments["memory_options"]
        hint = "" if conv is not None else ". If it was trained with another memory, pass memory=..."
    from accelerate import init_empty_weights

    from .transformer import WorldTransformer3DModel

    # parameters without memory of their own, to be replaced by the file's; buffers stay real
    with init_empty_weights(include_buffers=False):
        model = WorldTransformer3DModel(**arguments)
    keep = tuple(model._keep_in_fp32_modules or ())
    assign_tensors(
        model,
        cast_tensors(tensors, torch_dtype, keep),
        path,
        shown_as=diffusers_to_released,
        hint=hint,
    )
    return model.eval()


def save_released_checkpoint(model: WorldTransformer3DModel, path: str | os.PathLike[str]) -> Path:
    """Write a model's tensors in the released naming, as a plain state dict; loadable by the released code.

    Only tensors are kept. A model of another kind than the released one is written with a warning that names
    what the file cannot say.

    Raises:
        OutputError: the place cannot be written to.
    """
    fields = {key: model.config[key] for key in _RELEASED_KIND}
    other = {key: value for key, value in fields.items() if _plain(value) != _RELEASED_KIND[key]}
    if other:
        told = ", ".join(f"{key}={value!r}" for key, value in other.items())
        warnings.warn(
            f"{path} keeps the tensors only: the released code does not compute with {told}, and "
            "load_hydra_checkpoint must be given it again",
            stacklevel=2,
        )
    tensors = {diffusers_to_released(name): value for name, value in model.state_dict().items()}
    return write_tensors(tensors, path)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
