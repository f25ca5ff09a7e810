"""Latents and pixels: what cannot be a picture is refused, and frame counts that the VAE would cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from outofsight.errors import GeometryError, NumericsError
from outofsight.generation.codec import VideoGeometry, decode_latents, decode_videos, encode_video
from outofsight.models.presets import PRESETS
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


def test_frame_counts_that_the_vae_would_cut() -> None:
    """diffusers' VAE reads 1 + 4 n frames, whatever its strides: of 39 it would drop two."""
    geometry = VideoGeometry(2, 8, (1, 2, 2))
    assert [geometry.latent_frames(count) for count in (1, 5, 37, 41)] == [1, 3, 19, 21]
    with pytest.raises(
        GeometryError, match=r"39 frames, 20 latent frames; .*19 or 21 latent frames: nearest are 37 and 41"
    ):
        geometry.latent_frames(39)
    with pytest.raises(GeometryError, match="nearest are 1 and 5"):
        geometry.latent_frames(3)


def test_every_admitted_count_is_encoded_whole() -> None:
    pipe = WorldModelPipeline.from_pretrained("tiny")
    assert PRESETS["tiny"].name == "tiny"
    geometry = VideoGeometry.of(pipe.vae, pipe.transformer)
    assert geometry.frame_stride == 2
    with torch.no_grad():
        for count in (5, 9):
            latents = encode_video(pipe.vae, frames(count, 32, 32), "cpu")
            assert latents.shape[2] == geometry.latent_frames(count)
        for count in (3, 7):  # the VAE cuts these, so they are refused
            with pytest.raises(GeometryError):
                geometry.latent_frames(count)
            with pytest.raises(GeometryError, match="the VAE made"):
                encode_video(pipe.vae, frames(count, 32, 32), "cpu")
