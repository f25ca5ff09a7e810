"""Base Wan 2.1 folders: what is in them, and the parts read into diffusers' and transformers' own classes.

Two layouts are known, told apart by what they hold: the original one (``Wan2.1_VAE.pth``,
``models_t5_umt5-xxl-enc-bf16.pth``, ``diffusion_pytorch_model*.safetensors``, ``google/umt5-xxl/``) and diffusers'
(``vae/``, ``text_encoder/``, ``transformer/``, ``tokenizer/``). Sizes are read from the tensors.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from .naming import TEXT_ENCODER_NAMES, TRANSFORMER_NAMES, vae_names
from .weight_files import assign_tensors, cast_tensors, read_tensors

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan
    from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

PARTS = ("transformer", "vae", "text_encoder", "tokenizer")
_ORIGINAL = {
    "transformer": ("", "diffusion_pytorch_model"),
    "vae": ("", "Wan2.1_VAE"),
    "text_encoder": ("", "models_t5_umt5-xxl-enc-bf16"),
    "tokenizer": ("google/umt5-xxl", ""),
}
_DIFFUSERS = {
    "transformer": ("transformer", "diffusion_pytorch_model"),
    "vae": ("vae", "diffusion_pytorch_model"),
    "text_encoder": ("text_encoder", "model"),
    "tokenizer": ("tokenizer", ""),
}
_TOKENIZER_FILES = ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model")
# per-channel statistics of the latents are in the VAE's config, never in its tensors; Wan 2.1 published these 16,
# and diffusers has them as defaults
_PUBLISHED_LATENT_CHANNELS = 16


@dataclass(frozen=True)
class Part:
    """One part of a model folder: its files and their size in bytes; ``problem`` says why it cannot be used."""

    name: str
    place: Path
    files: tuple[Path, ...]
    bytes: int
    problem: str | None = None


@dataclass(frozen=True)
class FolderDescription:
    """``layout`` is "original", "diffusers" or "unknown"; ``parts`` by name in the order of ``PARTS``."""

    folder: Path
    layout: str
    parts: dict[str, Part]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the parts that cannot be used."""
        return tuple(name for name, part in self.parts.items() if part.problem)


def describe_folder(folder: str | os.PathLike[str]) -> FolderDescription:
    """What a Wan or converted folder holds, without reading weights.

    Raises:
        CheckpointError: the folder is not there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder; expected one that holds a Wan model")
    original, diffusers = (
        {name: _find_part(name, folder / place, stem, places is _DIFFUSERS) for name, (place, stem) in places.items()}
        for places in (_ORIGINAL, _DIFFUSERS)
    )
    if (folder / "model_index.json").is_file() or any(part.files for part in diffusers.values()):
        return FolderDescription(folder, "diffusers", diffusers)
    layout = "original" if any(part.files for part in original.values()) else "unknown"
    return FolderDescription(folder, layout, original)


def _find_part(name: str, place: Path, stem: str, with_config: bool) -> Part:
    if name == "tokenizer":
        files = sorted(path for path in place.glob("*") if path.is_file())
        if not any(path.name in _TOKENIZER_FILES for path in files):
            return Part(name, place, (), 0, f"no {' or '.join(_TOKENIZER_FILES[:2])} in {place}")
        return Part(name, place, tuple(files), _size(files))
    single = [path for suffix in (".safetensors", ".pth") if (path := place / f"{stem}{suffix}").is_file()]
    shards = sorted(place.glob(f"{stem}-*-of-*.safetensors"))
    files = single[:1] or shards
    problem = None
    if not files:
        expected = ".safetensors" if name == "transformer" or with_config else ".pth"
        problem = f"no {stem}{expected} in {place}"
    elif not single and (lost := _lost_shards(shards)):
        problem = f"{place} lacks {', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}"
    elif with_config and not (place / "config.json").is_file():
        problem = f"no config.json in {place}"
    return Part(name, place, tuple(files), _size(files), problem)


def _lost_shards(shards: list[Path]) -> list[str]:
    match = re.fullmatch(r"(.+)-(\d+)-of-(\d+)(\..+)", shards[0].name)
    if match is None:
        return []
    stem, number, count, suffix = match.groups()
    expected = [f"{stem}-{i + 1:0{len(number)}}-of-{count}{suffix}" for i in range(int(count))]
    return sorted(set(expected) - {path.name for path in shards})


def _size(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files)


@dataclass(frozen=True)
class BaseWeights:
    """A base Wan folder whose parts can be loaded one by one; nothing is fetched and nothing read before."""

    description: FolderDescription

    def part(self, name: str) -> Part:
        """Raises CheckpointError where the part is missing."""
        part = self.description.parts[name]
        if part.problem:
            raise CheckpointError(f"{self.description.folder}: {name} is missing: {part.problem}")
        return part

    @property
    def original(self) -> bool:
        return self.description.layout == "original"

    def transformer_tensors(self) -> dict[str, Tensor]:
        """The base transformer's state dict in diffusers names."""
        tensors: dict[str, Tensor] = {}
        for file in self.part("transformer").files:
            tensors |= read_tensors(file)
        if not self.original:
            return tensors
        return {TRANSFORMER_NAMES.to_diffusers(name): value for name, value in tensors.items()}

    def attention_heads(self) -> int | None:
        """Heads of the base transformer as its config.json says, or None where there is no such file."""
        path = self.description.parts["transformer"].place / "config.json"
        if not path.is_file():
            return None
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            heads = config["num_heads" if self.original else "num_attention_heads"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} does not say how many attention heads there are: {error!r}") from error
        if not isinstance(heads, int):
            raise CheckpointError(f"{path}: the number of attention heads is {heads!r}, expected an integer")
        return heads

    def load_vae(self, config: Mapping[str, Any] | None = None) -> AutoencoderKLWan:
        """The VAE in its stored dtype; ``config`` as in :func:`vae_from_tensors`."""
        from diffusers import AutoencoderKLWan

        part = self.part("vae")
        if self.original:
            return vae_from_tensors(read_tensors(part.files[0]), part.files[0], config)
        try:
            return AutoencoderKLWan.from_pretrained(part.place, local_files_only=True)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"the VAE in {part.place} cannot be loaded: {error}") from error

    def load_text_encoder(self, dtype: torch.dtype | None = None) -> UMT5EncoderModel:
        """The text encoder, in its stored dtype unless another is given."""
        from transformers import UMT5EncoderModel

        part = self.part("text_encoder")
        if self.original:
            tensors = cast_tensors(read_tensors(part.files[0]), dtype)
            return text_encoder_from_tensors(tensors, part.files[0])
        try:
            return UMT5EncoderModel.from_pretrained(part.place, local_files_only=True, dtype=dtype or "auto")
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"the text encoder in {part.place} cannot be loaded: {error}") from error

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, from local files only."""
        from transformers import AutoTokenizer

        place = self.part("tokenizer").place
        try:
            return AutoTokenizer.from_pretrained(place, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"the tokenizer in {place} cannot be loaded: {error}") from error


def read_base_folder(folder: str | os.PathLike[str]) -> BaseWeights:
    """A base Wan folder in either layout; parts may be missing until they are asked for.

    Raises:
        CheckpointError: the folder is not there or holds no part of Wan.
    """
    found = describe_folder(folder)
    if found.layout == "unknown":
        inside = [path for path in sorted(found.folder.iterdir()) if path.is_dir()]
        near = next((path for path in inside if describe_folder(path).layout != "unknown"), None)
        raise CheckpointError(
            f"{folder} holds no Wan model: neither the original files "
            f"({', '.join(part.problem or '' for part in found.parts.values())}) nor diffusers' folders "
            f"({', '.join(f'{name}/' for name in PARTS)})"
            + (f"; did you mean {near}?" if near else "; get Wan2.1-T2V-1.3B from where its authors publish it")
        )
    return BaseWeights(found)


# --- sizes from tensors -------------------------------------------------------------------------------------------


def vae_config(tensors: Mapping[str, Tensor], source: str | os.PathLike[str]) -> dict[str, Any]:
    """Constructor arguments of ``AutoencoderKLWan`` for a VAE in the original naming, latent statistics apart.

    Raises:
        CheckpointError: it is no Wan 2.1 VAE.
    """
    try:
        base, in_channels = tensors["encoder.conv1.weight"].shape[:2]
        widths, temporal, blocks = _encoder_levels(tensors)
        bottom = tensors["decoder.conv1.weight"].shape[0]
        config = {
            "base_dim": base,
            "decoder_base_dim": bottom * base // widths[-1],
            "z_dim": tensors["conv2.weight"].shape[0],
            "dim_mult": [width // base for width in widths],
            "num_res_blocks": blocks,
            "temperal_downsample": temporal,
            "in_channels": in_channels,
            "out_channels": tensors["decoder.head.2.weight"].shape[0],
            "scale_factor_temporal": 2 ** sum(temporal),
            "scale_factor_spatial": 2 ** len(temporal),
        }
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{source} is not a Wan 2.1 VAE: {len(tensors)} tensors such as {next(iter(tensors))}, and no usable "
            f"{error.args[0] if isinstance(error, KeyError) else 'sizes'}"
        ) from error
    return config


def _encoder_levels(tensors: Mapping[str, Tensor]) -> tuple[list[int], list[bool], int]:
    """Width of each level, whether the step below it halves time, and residual blocks per level."""
    count = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("encoder.downsamples."))
    widths: list[int] = []
    temporal: list[bool] = []
    last = tensors["encoder.conv1.weight"].shape[0]
    for i in range(count):
        name = f"encoder.downsamples.{i}"
        if f"{name}.residual.6.weight" in tensors:
            last = tensors[f"{name}.residual.6.weight"].shape[0]
        else:
            tensors[f"{name}.resample.1.weight"]
            widths.append(last)
            temporal.append(f"{name}.time_conv.weight" in tensors)
    levels = len(widths) + 1
    return [*widths, last], temporal, (count - len(widths)) // levels


def vae_from_tensors(
    tensors: Mapping[str, Tensor], source: str | os.PathLike[str], config: Mapping[str, Any] | None = None
) -> AutoencoderKLWan:
    """``AutoencoderKLWan`` of a state dict in the original naming, bit-equal.

    Args:
        config: constructor arguments over the inferred ones; ``latents_mean`` and ``latents_std`` must be here
            for any other latent than Wan 2.1's 16 channels, whose published statistics are known.

    Raises:
        CheckpointError: no Wan 2.1 VAE, or its latent statistics are not known.
    """
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKLWan

    settings = vae_config(tensors, source) | dict(config or {})
    if settings["z_dim"] != _PUBLISHED_LATENT_CHANNELS and not {"latents_mean", "latents_std"} <= settings.keys():
        raise CheckpointError(
            f"{source} has {settings['z_dim']} latent channels; mean and standard deviation of latents are only "
            f"known for Wan 2.1's {_PUBLISHED_LATENT_CHANNELS}: give latents_mean and latents_std in its config"
        )
    names = vae_names(len(settings["dim_mult"]), settings["num_res_blocks"])
    with init_empty_weights(include_buffers=False):
        vae = AutoencoderKLWan(**settings)
    renamed = {names.to_diffusers(name): value for name, value in tensors.items()}
    assign_tensors(vae, renamed, source, shown_as=names.to_released)
    return vae.eval()


def text_encoder_config(tensors: Mapping[str, Tensor], source: str | os.PathLike[str]) -> dict[str, Any]:
    """``UMT5Config`` arguments for a text encoder in the original Wan naming.

    Raises:
        CheckpointError: it is no umT5 encoder.
    """
    try:
        vocabulary, dim = tensors["token_embedding.weight"].shape
        buckets, heads = tensors["blocks.0.pos_embedding.embedding.weight"].shape
        inner = tensors["blocks.0.attn.q.weight"].shape[0]
        hidden = tensors["blocks.0.ffn.fc1.weight"].shape[0]
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{source} is not Wan's umT5 encoder: {len(tensors)} tensors such as {next(iter(tensors))}, and no "
            f"usable {error.args[0]}"
        ) from error
    if inner % heads:
        raise CheckpointError(f"{source}: attention is {inner} wide, which {heads} heads do not divide")
    return {
        "vocab_size": vocabulary,
        "d_model": dim,
        "d_kv": inner // heads,
        "d_ff": hidden,
        "num_layers": 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks.")),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }


def text_encoder_from_tensors(tensors: Mapping[str, Tensor], source: str | os.PathLike[str]) -> UMT5EncoderModel:
    """``UMT5EncoderModel`` of a state dict in the original Wan naming, bit-equal.

    Raises:
        CheckpointError: it is no umT5 encoder.
    """
    from accelerate import init_empty_weights
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(**text_encoder_config(tensors, source))
    renamed = {TEXT_ENCODER_NAMES.to_diffusers(name): value for name, value in tensors.items()}
    # transformers has the token embedding under two names
    renamed["encoder.embed_tokens.weight"] = renamed["shared.weight"]
    with init_empty_weights(include_buffers=False):
        encoder = UMT5EncoderModel(config)
    assign_tensors(encoder, renamed, source, shown_as=TEXT_ENCODER_NAMES.to_released)
    encoder.tie_weights()
    return encoder.eval()
