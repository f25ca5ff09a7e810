"""Which VAE, text encoder and tokenizer made the latents, and which tensors these are: hashes of values, not of files.

Weights are hashed as float32, so a part stored in half precision has one hash however it is loaded.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..components.video_codec import codec_of
from ..fingerprints import value_hash


def vae_hash(vae: Any) -> str:
    """SHA-256 of a codec's weights, its latents' statistics and its strides."""
    return _weights_hash(vae, dict(codec_of(vae).facts()))


def text_encoder_hash(text_encoder: Any) -> str:
    """SHA-256 of a text encoder's weights; "" for a model without text."""
    if text_encoder is None:
        return ""
    return _weights_hash(text_encoder, {"heads": text_encoder.config.num_heads})


def finder_hash(finder: Any) -> str:
    """SHA-256 of a subject finder's weights and of what this version renders with them; "" where there is none."""
    if finder is None:
        return ""
    return _weights_hash(finder, {"widths": list(finder.config.widths), "renderer": finder.version})


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 of a tokenizer's vocabulary and rules (not of its padding, which calls change); "" if there is none."""
    if tokenizer is None:
        return ""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        rules = {name: value for name, value in rules.items() if name not in ("padding", "truncation")}
    else:
        rules = {"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()}
    return value_hash([rules])


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes."""
    return value_hash(_in_parts(tensors))


def _weights_hash(module: torch.nn.Module, facts: dict[str, Any]) -> str:
    return value_hash(itertools.chain([facts], _in_parts(module.state_dict(), as_float32=True)))


def _in_parts(tensors: Mapping[str, Tensor], as_float32: bool = False) -> Iterator[Any]:
    """Names, dtypes, shapes and bytes, in the order of the names; or floating point as float32, and no dtypes."""
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu()
        values = values.float() if as_float32 and values.is_floating_point() else values
        yield f"{name} {tuple(values.shape)}\n" if as_float32 else f"{name} {values.dtype} {tuple(values.shape)}\n"
        yield values.contiguous().reshape(-1).view(torch.uint8).numpy().data
