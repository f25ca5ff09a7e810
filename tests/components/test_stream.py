"""A VAE chunk by chunk: bit-equal to one call, on any VAE, and two streams do not mix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan

from outofsight.components.codec import encode_videos
from outofsight.components.stream import VideoDecoderStream, VideoEncoderStream, temporal_stride
from outofsight.errors import GeometryError
from outofsight.models import PRESETS


@pytest.fixture(scope="module", params=["debug", "tiny"])
def vae(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return AutoencoderKLWan(**PRESETS[request.param].vae).eval()


def latents_of(vae: Any, frames: int) -> torch.Tensor:
    return torch.randn(1, vae.config.z_dim, frames, 2, 3, generator=torch.Generator().manual_seed(frames))


@torch.no_grad()
def test_decoding_in_chunks_is_bit_equal_to_one_decode(vae: Any) -> None:
    latents = latents_of(vae, 7)
    whole = vae.decode(latents).sample
    stream, other = VideoDecoderStream(vae), VideoDecoderStream(vae)
    parts = []
    for cut in (slice(0, 3), slice(3, 4), slice(4, 7)):
        parts.append(stream.decode(latents[:, :, cut]))
        other.decode(latents[:, :, cut] + 1)  # a second stream on the same VAE, in between
        vae.decode(latents[:, :, :2])  # and diffusers' own call, which forgets what the VAE keeps
    assert torch.equal(torch.cat(parts, dim=2), whole)
    stride = temporal_stride(vae)
    assert [part.shape[2] for part in parts] == [1 + 2 * stride, stride, 3 * stride]


@torch.no_grad()
def test_a_fork_goes_on_alike_and_apart(vae: Any) -> None:
    latents = latents_of(vae, 4)
    stream = VideoDecoderStream(vae)
    stream.decode(latents[:, :, :2])
    fork = stream.fork()
    rest = stream.decode(latents[:, :, 2:])
    again = VideoDecoderStream(vae)
    again.restore(fork.saved())
    assert torch.equal(fork.decode(latents[:, :, 2:]), rest)
    assert torch.equal(again.decode(latents[:, :, 2:]), rest)


@torch.no_grad()
def test_encoding_in_chunks_is_bit_equal_to_one_encode(vae: Any) -> None:
    size = vae.config.patch_size or 1
    side = size * 2 ** len(vae.config.temperal_downsample) * 2
    pixels = torch.rand(1, 3, 13, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    whole = vae.encode(pixels).latent_dist.mode()
    stream = VideoEncoderStream(vae)
    parts = [stream.encode(pixels[:, :, cut]) for cut in (slice(0, 5), slice(5, 13))]
    assert torch.equal(torch.cat(parts, dim=2), whole)


@torch.no_grad()
def test_every_count_that_the_stride_divides_is_encoded_whole(vae: Any) -> None:
    """diffusers takes 4 frames a call, so that 39 frames of a VAE of stride 2 gave 19 latent frames and not 20."""
    stride, side = temporal_stride(vae), 4 * (vae.config.patch_size or 1) * 2 ** len(vae.config.temperal_downsample)
    for latent_frames in (1, 2, 3, 4):
        frames = torch.randint(0, 256, (1, (latent_frames - 1) * stride + 1, side, side, 3), dtype=torch.uint8)
        assert encode_videos(vae, frames, "cpu").shape[2] == latent_frames
    with pytest.raises(GeometryError, match=f"{stride} n \\+ 1"):
        VideoEncoderStream(vae).encode(torch.zeros(1, 3, stride, side, side))


def test_tiles_are_refused(vae: Any) -> None:
    vae.enable_tiling()
    try:
        with pytest.raises(GeometryError, match="disable_tiling"):
            VideoDecoderStream(vae)
    finally:
        vae.disable_tiling()
