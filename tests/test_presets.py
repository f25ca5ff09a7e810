"""Presets are whole: their parts fit one another, and what they claim of themselves holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors import safe_open
from transformers import UMT5Config, UMT5EncoderModel

from outofsight.components.codec import VideoGeometry
from outofsight.components.hub import SHIPPED
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


def test_the_preset_tiny_is_the_shipped_tiny() -> None:
    preset, folder = PRESETS["tiny"], SHIPPED / "tiny"

    def read(name: str, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        values = json.loads((folder / name).read_text())
        return {key: value for key, value in values.items() if key not in ("_name_or_path", *without)}

    with torch.device("meta"):
        parts = {
            "transformer": preset.build_transformer(),
            "vae": AutoencoderKLWan(**preset.vae),
            "text_encoder": UMT5EncoderModel(UMT5Config(**preset.text_encoder)),
        }
    version = ("_diffusers_version",)
    made = json.loads(parts["transformer"].to_json_string())
    assert {k: v for k, v in made.items() if k not in version} == read("transformer/config.json", without=version)
    measured = (*version, "latents_mean", "latents_std")  # of what its trained encoder gives
    made = json.loads(parts["vae"].to_json_string())
    assert {k: v for k, v in made.items() if k not in measured} == read("vae/config.json", without=measured)
    made, shipped = parts["text_encoder"].config.to_dict(), read("text_encoder/config.json")
    for name in ("architectures", "dtype", "transformers_version"):
        del shipped[name]
    assert {name: made[name] for name in shipped} == shipped
    index = read("model_index.json")
    names = ("num_inference_steps", "guidance_scale", "shift", "max_text_tokens")
    assert [index[name] for name in names] == [preset.steps, preset.guidance, preset.shift, preset.max_text_tokens]


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("transformer", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ],
)
def test_the_shipped_weights_fit_the_preset_tiny(part: str, file: str) -> None:
    with safe_open(SHIPPED / "tiny" / part / f"{file}.safetensors", "pt") as weights:
        shipped = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    made = PRESETS["tiny"].build()[part].state_dict()
    assert {name: tuple(made[name].shape) for name in shipped} == shipped
    assert made.keys() - shipped.keys() <= {"encoder.embed_tokens.weight"}  # tied to the shared table


def test_the_preset_small_is_the_shipped_small_hydra() -> None:
    preset, folder = PRESETS["small"], SHIPPED / "small-hydra"
    parts = preset.build()
    for name in ("transformer", "vae"):
        made, shipped = (
            json.loads(parts[name].to_json_string()),
            json.loads((folder / name / "config.json").read_text()),
        )
        for values in (made, shipped):
            for own in ("_diffusers_version", "_name_or_path"):
                values.pop(own, None)
        assert made == shipped
    assert parts["text_encoder"] is None and parts["tokenizer"] is None
    index = json.loads((folder / "model_index.json").read_text())
    names = ("num_inference_steps", "guidance_scale", "shift", "max_text_tokens")
    assert [index[name] for name in names] == [preset.steps, preset.guidance, preset.shift, preset.max_text_tokens]
