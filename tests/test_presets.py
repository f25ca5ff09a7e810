"""Presets are whole: their parts fit one another, and what they claim of themselves holds."""

from __future__ import annotations

import pytest
import torch

from outofsight.components.codec import VideoGeometry
from outofsight.errors import CheckpointError
from outofsight.models import PRESETS


@pytest.mark.parametrize("name", ["tiny", "debug"])
def test_random_presets_build_whole_and_fit_their_own_clip(name: str) -> None:
    preset = PRESETS[name]
    parts = preset.build(seed=3)
    geometry = VideoGeometry.of(parts["vae"], parts["transformer"])
    assert geometry.latent_frames(preset.frames, "the preset's clip") > 1
    assert geometry.latent_size(preset.height, preset.width, "the preset's clip")
    assert parts["text_encoder"].config.d_model == parts["transformer"].config.text_dim
    assert parts["vae"].config.z_dim == parts["transformer"].config.in_channels
    assert len(parts["tokenizer"]) <= parts["text_encoder"].config.vocab_size
    again = preset.build(seed=3)["transformer"].state_dict()
    assert all(torch.equal(value, again[key]) for key, value in parts["transformer"].state_dict().items())


def test_building_does_not_disturb_the_callers_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    PRESETS["debug"].build(seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_small_model_can_cache_its_context_and_the_released_one_cannot() -> None:
    with torch.device("meta"):
        assert PRESETS["tiny"].build_transformer().cacheable
        assert not PRESETS["hydra-1.3b"].build_transformer(num_layers=1).cacheable


def test_the_released_size_is_not_built_from_nothing() -> None:
    with pytest.raises(CheckpointError, match="outofsight convert"):
        PRESETS["hydra-1.3b"].build()
