"""Trained parts put together into a folder that loads, samples by its preset, and refuses parts that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from outofsight import WorldModelPipeline
from outofsight.errors import CheckpointError
from outofsight.models.presets import PRESETS
from outofsight.training.assemble import assemble
from pipelines import small_pipeline


def test_a_folder_that_loads_and_samples_as_its_preset_says(tmp_path: Path) -> None:
    whole = small_pipeline(context_timestep="clean", context_attention="context_only")
    whole.save_pretrained(tmp_path / "whole")
    parts, model, out = str(tmp_path / "whole"), tmp_path / "whole" / "transformer", tmp_path / "out"
    for _ in range(2):  # the second takes the first one's place
        assemble(parts, model, out, "tiny")
    made, preset = WorldModelPipeline.from_pretrained(out, torch_dtype=torch.float32), PRESETS["tiny"]
    assert made.config.num_inference_steps == preset.steps and made.config.shift == preset.shift
    assert made.config.guidance_scale == preset.guidance and made.config.negative_prompt == ""
    assert json.loads((out / "transformer" / "config.json").read_text())["_name_or_path"] == "tiny"  # no place of ours
    assert made.config.max_text_tokens == whole.config.max_text_tokens
    for ours, theirs in zip(made.vae.parameters(), whole.vae.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(made.transformer.parameters(), whole.transformer.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)  # stored in float16


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    small_pipeline().save_pretrained(tmp_path / "whole")
    small_pipeline(text_dim=8).transformer.save_pretrained(tmp_path / "other")
    parts = str(tmp_path / "whole")
    with pytest.raises(CheckpointError, match="takes text of 8 numbers"):
        assemble(parts, tmp_path / "other", tmp_path / "out", "tiny")
    with pytest.raises(CheckpointError, match="no preset 'huge'"):
        assemble(parts, tmp_path / "whole" / "transformer", tmp_path / "out", "huge")
    with pytest.raises(CheckpointError, match="no transformer that can be loaded"):
        assemble(parts, tmp_path, tmp_path / "out", "tiny")
    assert not (tmp_path / "out").exists()
