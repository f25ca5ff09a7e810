"""Latents and pixels: what cannot be a picture is refused, and which frame counts a VAE takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from outofsight.components.codec import VideoGeometry, decode_latents, decode_videos, encode_video
from outofsight.errors import GeometryError, NumericsError
from outofsight.pipeline import WorldModelPipeline
from pipelines import frames, small_pipeline


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_latents_that_are_not_finite(number: float) -> None:
    latents = torch.zeros(2, 16, 2, 4, 6)
    vae = small_pipeline().vae
    with torch.no_grad():
        assert decode_videos(vae, latents).shape == (2, 5, 32, 48, 3)
        latents[1, 3, 1, 2, 2] = number
        assert decode_latents(vae, latents[:1]).dtype == np.uint8
        with pytest.raises(NumericsError, match=r"latents that were sampled hold NaN or infinity.*--dtype float32"):
            decode_videos(vae, latents)


def test_a_decoder_that_overflows() -> None:
    vae = small_pipeline().vae
    next(vae.decoder.parameters()).data.fill_(float("inf"))
    with torch.no_grad(), pytest.raises(NumericsError, match=r"pixels in float32 hold NaN.*--dtype float32"):
        decode_latents(vae, torch.ones(1, 16, 2, 4, 6))


def test_counts_that_the_stride_does_not_divide_are_named() -> None:
    geometry = VideoGeometry(2, (8, 8), (1, 2, 2))
    assert [geometry.latent_frames(count) for count in (1, 3, 5, 39)] == [1, 2, 3, 20]
    with pytest.raises(GeometryError, match=r"38 frames, .*19 or 20 latent frames: nearest are 37 and 39"):
        geometry.latent_frames(38)


def test_every_admitted_count_is_encoded_whole() -> None:
    """diffusers' own call reads 4 frames at a time, whatever the strides: of 39 it would drop two."""
    pipe = WorldModelPipeline.from_pretrained("tiny")
    geometry = VideoGeometry.of(pipe.vae, pipe.transformer)
    assert geometry.frame_stride == 2
    with torch.no_grad():
        for count in (3, 5, 7, 9):
            latents = encode_video(pipe.vae, frames(count, 32, 32), "cpu")
            assert latents.shape[2] == geometry.latent_frames(count)
