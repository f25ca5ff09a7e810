"""Weights given to an outline: those of diffusers' own from_pretrained, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import UMT5EncoderModel

from outofsight.components.hub import FINDER, SHIPPED, component_class
from outofsight.models import WorldTransformer3DModel
from outofsight.pipeline import WorldModelPipeline
from pipelines import small_pipeline

PARTS: dict[str, Any] = {
    "transformer": WorldTransformer3DModel,
    "vae": AutoencoderKLWan,
    "text_encoder": UMT5EncoderModel,
    "finder": component_class(FINDER),
}


@pytest.fixture(scope="module", params=["shipped", "small"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "shipped":
        return SHIPPED / "tiny"
    place: Path = tmp_path_factory.mktemp("models") / "small"
    small_pipeline().save_pretrained(place)
    return place


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_weights_are_those_of_from_pretrained_bit_for_bit(folder: Path, dtype: torch.dtype) -> None:
    pipe = WorldModelPipeline.outline(folder)
    pipe.load_weights(folder, dtype)
    for name, kind in PARTS.items():
        found = getattr(pipe, name)
        if not (folder / name).is_dir():
            assert name == "finder" and found is None
            continue
        known = kind.from_pretrained(folder / name, torch_dtype=dtype, use_safetensors=True)
        ours, theirs = (dict([*x.state_dict().items(), *x.named_buffers()]) for x in (found, known))
        assert ours.keys() == theirs.keys()
        for key, tensor in theirs.items():
            assert ours[key].dtype == tensor.dtype, (name, key)
            assert torch.equal(ours[key], tensor), (name, key)
        assert found.training == known.training is False and found.dtype == known.dtype
        assert {p.requires_grad for p in found.parameters()} == {p.requires_grad for p in known.parameters()}


def test_a_dtype_for_each_part_is_diffusers_own_affair(tmp_path: Path) -> None:
    small_pipeline().save_pretrained(tmp_path / "m")
    kinds = {"transformer": torch.bfloat16, "default": torch.float32}
    pipe = WorldModelPipeline.from_pretrained(tmp_path / "m", torch_dtype=kinds)
    assert (pipe.transformer.dtype, pipe.vae.dtype) == (torch.bfloat16, torch.float32)
