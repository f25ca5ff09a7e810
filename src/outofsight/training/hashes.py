"""Which VAE, text encoder and tokenizer made the latents: hashes of what they compute, not of files.

Weights are hashed as float32, so a part stored in half precision has one hash however it is loaded.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

from ..experiments.rendered import RENDERER


def vae_hash(vae: Any) -> str:
    """SHA-256 of a VAE's weights, its latents' statistics and its strides."""
    config = vae.config
    facts = {
        "mean": [float(value) for value in config.latents_mean],
        "std": [float(value) for value in config.latents_std],
        "temporal": [bool(value) for value in config.temperal_downsample],
        "patch": config.patch_size or 1,
    }
    return _weights_hash(vae, facts)


def text_encoder_hash(text_encoder: Any) -> str:
    """SHA-256 of a text encoder's weights."""
    return _weights_hash(text_encoder, {"heads": text_encoder.config.num_heads})


def finder_hash(finder: Any) -> str:
    """SHA-256 of a subject finder's weights and of what this version renders with them; "" where there is none."""
    if finder is None:
        return ""
    return _weights_hash(finder, {"widths": list(finder.config.widths), "renderer": RENDERER})


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 of a tokenizer's vocabulary and rules (not of its padding, which calls change)."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        rules = {name: value for name, value in rules.items() if name not in ("padding", "truncation")}
    else:
        rules = {"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()}
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


def _weights_hash(module: torch.nn.Module, facts: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        digest.update(values.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
