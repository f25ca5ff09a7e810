"""Base Wan 2.1 folders: what is in them, and the parts read into diffusers' and transformers' own classes.

Two layouts are known, told apart by what they hold: the original one (``Wan2.1_VAE.pth``,
``models_t5_umt5-xxl-enc-bf16.pth``, ``diffusion_pytorch_model*.safetensors``, ``google/umt5-xxl/``) and
diffusers' (``vae/``, ``text_encoder/``, ``transformer/``, ``tokenizer/``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from ..errors import CheckpointError
from ..local_code import load_tokenizer, refuse_code
from ..records import fitted, read_object
from .codecs import has_weights
from .naming import TRANSFORMER_NAMES
from .wan_parts import text_encoder_from_tensors, vae_from_tensors
from .weight_files import cast_tensors, read_tensors

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
_VOCABULARIES = ("tokenizer.json", "spiece.model")


@dataclass(frozen=True)
class Part:
    """A part of a model folder: its files, their size in bytes, and in ``problem`` why it cannot be used."""

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
        {name: _find_part(name, folder / place, stem, with_config) for name, (place, stem) in places.items()}
        for places, with_config in ((_ORIGINAL, False), (_DIFFUSERS, True))
    )
    if (folder / "model_index.json").is_file() or any(part.files for part in diffusers.values()):
        return FolderDescription(folder, "diffusers", diffusers)
    layout = "original" if any(part.files for part in original.values()) else "unknown"
    return FolderDescription(folder, layout, original)


def _find_part(name: str, place: Path, stem: str, with_config: bool) -> Part:
    if name == "tokenizer":
        files = sorted(path for path in place.glob("*") if path.is_file())
        # a saved tokenizer that reads bytes has no vocabulary file
        needed = (*_VOCABULARIES, "tokenizer_config.json") if with_config else _VOCABULARIES
        if not any(path.name in needed for path in files):
            return Part(name, place, (), 0, f"no {' or '.join(_VOCABULARIES)} in {place}")
        return Part(name, place, tuple(files), _size(files))
    if name == "vae" and with_config and not has_weights(place):
        return Part(name, place, (place / "config.json",), 0)
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
        config = read_object(path, CheckpointError)
        name = "num_heads" if self.original else "num_attention_heads"
        if name not in config:
            raise CheckpointError(f"{path} does not say how many attention heads: no {name!r}")
        return fitted(Annotated[int, Ge(1)], config[name], f"{path}: {name}", CheckpointError)

    def load_vae(self, config: Mapping[str, Any] | None = None) -> AutoencoderKLWan:
        """The VAE in its stored dtype; ``config`` as in :func:`vae_from_tensors`."""
        from diffusers import AutoencoderKLWan

        part = self.part("vae")
        if self.original:
            return vae_from_tensors(read_tensors(part.files[0]), part.files[0], config)
        refuse_code(part.place)
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
        refuse_code(part.place)
        try:
            return UMT5EncoderModel.from_pretrained(
                part.place, trust_remote_code=False, local_files_only=True, dtype=dtype or "auto"
            )
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"the text encoder in {part.place} cannot be loaded: {error}") from error

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, from local files only."""
        return load_tokenizer(self.part("tokenizer").place)


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
            f"{folder} holds no Wan model: neither original files "
            f"({', '.join(part.problem or '' for part in found.parts.values())}) nor diffusers' folders "
            f"({', '.join(f'{name}/' for name in PARTS)})"
            + (f"; did you mean {near}?" if near else "; get Wan2.1-T2V-1.3B from where Wan is published")
        )
    return BaseWeights(found)
