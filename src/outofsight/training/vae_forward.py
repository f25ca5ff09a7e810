"""AutoencoderKLWan over all frames of a clip at once: what diffusers computes chunk by chunk, for training.

diffusers codes a clip frame by frame and carries the last frames of every convolution along. That saves memory, and
costs time where pictures are small: many small convolutions and copies. Here each convolution sees the whole clip,
padded with zeros before its first frame. The results are the same (tests hold them equal, backward too).

Two layers treat the first frame apart from the rest, and so does this file: halving in time leaves it alone, and
doubling in time does not repeat it and hides it from the frames after it.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample, patchify, unpatchify
from torch import Tensor


def encode_whole(vae: Any, pixels: Tensor) -> Tensor:
    """Mean and log-variance ``[b, 2z, f, h, w]`` of ``pixels [b, 3, F, H, W]`` in [-1, 1], F = 4n + 1."""
    encoder = vae.encoder
    x = encoder.conv_in(patchify(pixels, vae.config.patch_size or 1))
    for layer in encoder.down_blocks:
        if hasattr(layer, "avg_shortcut"):
            x = _sequence(layer.resnets, layer.downsampler, x) + layer.avg_shortcut(x)
        else:
            x = _resample(layer, x) if isinstance(layer, WanResample) else layer(x)
    x = encoder.mid_block(x)
    x = encoder.conv_out(encoder.nonlinearity(encoder.norm_out(x)))
    moments: Tensor = vae.quant_conv(x)
    return moments


def decode_whole(vae: Any, latents: Tensor) -> Tensor:
    """Pixels ``[b, 3, F, H, W]`` of ``latents [b, z, f, h, w]``, not clamped, so that gradients pass everywhere."""
    decoder = vae.decoder
    x = decoder.mid_block(decoder.conv_in(vae.post_quant_conv(latents)))
    for block in decoder.up_blocks:
        if hasattr(block, "avg_shortcut"):
            inside = _sequence(block.resnets, block.upsampler, x)
            x = inside if block.avg_shortcut is None else inside + block.avg_shortcut(x, first_chunk=True)
        else:
            x = _sequence(block.resnets, block.upsamplers[0] if block.upsamplers is not None else None, x)
    x = decoder.conv_out(decoder.nonlinearity(decoder.norm_out(x)))
    return unpatchify(x, vae.config.patch_size or 1)


def _sequence(resnets: Any, resample: Any, x: Tensor) -> Tensor:
    for resnet in resnets:
        x = resnet(x)
    return x if resample is None else _resample(resample, x)


def _resample(layer: Any, x: Tensor) -> Tensor:
    """``[b, c, f, h, w]`` at half or twice the size, and where the layer does so also in time."""
    if layer.mode == "upsample3d" and x.shape[2] > 1:
        pairs = layer.time_conv(x[:, :, 1:]).unflatten(1, (2, -1))  # [b, 2, c, f-1, h, w]
        x = torch.cat([x[:, :, :1], pairs.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)], dim=2)
    frames = x.shape[2]
    x = layer.resample(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (-1, frames)).transpose(1, 2)
    if layer.mode == "downsample3d" and frames > 1:
        x = torch.cat([x[:, :, :1], layer.time_conv(x)], dim=2)
    return x
