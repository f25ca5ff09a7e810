"""Wan's VAE and text encoder from the original files, as diffusers' and transformers' own classes.

Sizes are read from the tensors, so narrow models of the same make load as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import CheckpointError
from .naming import TEXT_ENCODER_NAMES, vae_names
from .weight_files import assign_tensors

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan
    from transformers import UMT5EncoderModel

# statistics of the latents are in the VAE's config, never in its tensors; Wan 2.1 published those of its 16
# channels, and diffusers has them as defaults
_PUBLISHED_LATENT_CHANNELS = 16


def vae_config(tensors: Mapping[str, Tensor], source: str | os.PathLike[str]) -> dict[str, Any]:
    """Arguments of ``AutoencoderKLWan`` for a VAE in the original naming, latent statistics apart.

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
            f"{source} is not a Wan 2.1 VAE: {len(tensors)} tensors such as {next(iter(tensors))}, and no "
            f"usable {error.args[0] if isinstance(error, KeyError) else 'sizes'}"
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
        config: arguments over the inferred ones; ``latents_mean`` and ``latents_std`` must be among them for
            any other latent than Wan 2.1's 16 channels, whose published statistics are known.

    Raises:
        CheckpointError: no Wan 2.1 VAE, or its latent statistics are not known.
    """
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKLWan

    settings = vae_config(tensors, source) | dict(config or {})
    known = settings["z_dim"] == _PUBLISHED_LATENT_CHANNELS or {"latents_mean", "latents_std"} <= settings.keys()
    if not known:
        raise CheckpointError(
            f"{source} has {settings['z_dim']} latent channels, and mean and deviation of latents are known "
            f"for Wan 2.1's {_PUBLISHED_LATENT_CHANNELS} only: give latents_mean and latents_std as config"
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
            f"{source} is not Wan's umT5 encoder: {len(tensors)} tensors such as {next(iter(tensors))}, and "
            f"no usable {error.args[0]}"
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
