"""The classes that can stand in a pipeline's place ``vae``, by the name that their config.json has for them.

A further one is one file with what ``components.video_codec.VideoCodec`` asks, and one line in ``CODECS``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from ..errors import CheckpointError
from ..records import read_object

_USUAL = "AutoencoderKLWan"
# class name: the module that it is in. Only these are ever imported, whatever a folder asks for
CODECS: Mapping[str, str] = MappingProxyType({_USUAL: "diffusers", "PatchCodec": "outofsight.models.patch_codec"})


def codec_class(config: Mapping[str, Any], where: str | Path) -> Any:
    """The class that ``config`` is of; Wan's VAE where it names none.

    Raises:
        CheckpointError: a class that is not among ``CODECS``; ``where`` is named.
    """
    name = config.get("_class_name", _USUAL)
    if not isinstance(name, str) or name not in CODECS:
        raise CheckpointError(f"{where}: _class_name is {name!r}, expected one of {', '.join(CODECS)}")
    return getattr(importlib.import_module(CODECS[name]), name)


def build_codec(config: Mapping[str, Any]) -> Any:
    """A codec of these arguments (``_class_name`` among them where it is not Wan's VAE), with fresh weights.

    Raises CheckpointError for an unknown class, GeometryError (a PatchCodec) for arguments out of range.
    """
    kind = codec_class(config, "the codec's configuration")
    return kind(**{name: value for name, value in config.items() if not name.startswith("_")})


def load_codec(folder: Path) -> Any:
    """The codec in a folder, in float32 and ready to use; only safetensors are read.

    Raises:
        CheckpointError: its config.json or its weights are missing, or cannot be loaded.
    """
    config = folder / "config.json"
    kind = codec_class(read_object(config, CheckpointError), config)
    try:
        return kind.from_pretrained(folder, torch_dtype=torch.float32, use_safetensors=True).eval()
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder} cannot be loaded as a {kind.__name__}: {error}") from error


def has_weights(folder: Path) -> bool:
    """Whether the codec in a folder has weights to be there; True too where its config.json cannot be read."""
    try:
        kind = codec_class(read_object(folder / "config.json", CheckpointError), folder)
    except CheckpointError:
        return True
    return bool(getattr(kind, "has_weights", True))
