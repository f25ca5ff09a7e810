"""Wan's VAE as a codec: diffusers' AutoencoderKLWan at any width, read and called in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..models.cost import vae_decode_bytes
from ..progress import progress as progress_bar
from .stream import VideoDecoderStream, VideoEncoderStream, temporal_stride


@dataclass(frozen=True, eq=False)
class WanCodec:
    """What ``components.video_codec.VideoCodec`` asks, of an AutoencoderKLWan as it is at each moment."""

    vae: Any

    @property
    def frame_stride(self) -> int:
        return temporal_stride(self.vae)

    @property
    def pixel_strides(self) -> tuple[int, int]:
        side = 2 ** len(self.vae.config.temperal_downsample) * (self.vae.config.patch_size or 1)  # diffusers' spelling
        return side, side

    @property
    def channels(self) -> int:
        return int(self.vae.config.z_dim)

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = self.vae.dtype
        return found

    @property
    def statistics(self) -> tuple[Sequence[float], Sequence[float]]:
        return self.vae.config.latents_mean, self.vae.config.latents_std

    @property
    def tiled(self) -> bool:
        return bool(self.vae.use_tiling)

    @property
    def exact(self) -> bool:
        return False

    @property
    def whole(self) -> bool:
        return not (self.vae.use_tiling or self.vae.use_slicing)

    def facts(self) -> Mapping[str, Any]:
        config = self.vae.config
        return {
            "mean": [float(value) for value in config.latents_mean],
            "std": [float(value) for value in config.latents_std],
            "temporal": [bool(value) for value in config.temperal_downsample],
            "patch": config.patch_size or 1,
        }

    def pixels_to_latents(self, pixels: Tensor, *, progress: bool = False) -> Tensor:
        """The posterior's mean, not a sample of it."""
        with _bar(self.vae.encoder, "encoding", (pixels.shape[2] - 1) // self.frame_stride + 1, progress):
            if self.whole:  # diffusers' own call takes counts of 4 n + 1 alone, whatever the VAE's stride
                return self.encoder_stream().encode(pixels)
            mean: Tensor = self.vae.encode(pixels).latent_dist.mode()
            return mean

    def latents_to_pixels(self, latents: Tensor, *, progress: bool = False) -> Tensor:
        with _bar(self.vae.decoder, "decoding", latents.shape[2], progress):
            pixels: Tensor = self.vae.decode(latents).sample
            return pixels

    def encoder_stream(self) -> VideoEncoderStream:
        return VideoEncoderStream(self.vae)

    def decoder_stream(self) -> VideoDecoderStream:
        return VideoDecoderStream(self.vae)

    def enable_tiling(self, **options: Any) -> None:
        self.vae.enable_tiling(**options)

    def decode_bytes(self, frames: int, height: int, width: int, bytes_per_value: int) -> int:
        """Wan's decoder goes through a video one latent frame at a time, so its length does not enter."""
        return vae_decode_bytes(self.vae.config, height, width, bytes_per_value)


@contextmanager
def _bar(part: nn.Module, what: str, frames: int, show: bool) -> Iterator[None]:
    """A progress bar over the latent frames that an encoder or decoder is called for, one by one."""
    if not show:
        yield
        return
    with progress_bar(f"{what} frames", frames) as advance:
        ones = iter([1] * frames)  # tiles make more calls than there are frames: the bar then stays full
        hook = part.register_forward_hook(lambda *_: advance(next(ones, 0)))
        try:
            yield
        finally:
            hook.remove()
