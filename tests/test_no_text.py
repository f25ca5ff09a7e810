"""A pipeline that is conditioned on no text has neither text encoder nor tokenizer, from its folder to its videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from outofsight.components.hub import check_folder, takes_text
from outofsight.pipeline import WorldModelPipeline
from outofsight.training.parts import load_parts
from pipelines import cameras, frames, small_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pipe = small_pipeline()
    pipe.register_modules(tokenizer=None, text_encoder=None)
    pipe.save_pretrained(folder := tmp_path_factory.mktemp("model"))
    return folder


def test_it_is_saved_checked_and_loaded_without_them(folder: Path) -> None:
    assert not (folder / "text_encoder").exists() and not takes_text(folder)
    assert "text_encoder" not in check_folder(folder)
    pipe = WorldModelPipeline.from_pretrained(folder)
    assert pipe.text_encoder is None and pipe.tokenizer is None
    embedded = pipe.embedded(pipe.tokens(""), torch.device("cpu"))
    assert embedded.shape == (1, 1, pipe.transformer.config.text_dim) and not embedded.any()


def test_its_prompt_changes_nothing_and_that_is_said(folder: Path) -> None:
    pipe = WorldModelPipeline.from_pretrained(folder)
    context, target = cameras()
    given = {"num_inference_steps": 1, "guidance_scale": 1.0, "seed": 3, "progress": False}
    silent = pipe(frames(), context, target, "", **given).frames
    with pytest.warns(UserWarning, match="conditioned on no text"):
        told = pipe(frames(), context, target, "a dog", **given).frames
    assert np.array_equal(silent, told)


def test_clips_are_coded_for_it_without_text(folder: Path) -> None:
    parts = load_parts(str(folder))
    hashes = parts.hashes()
    assert (hashes["text_encoder"], hashes["tokenizer"], parts.text_tokens) == ("", "", 1)
    assert parts.text("a dog").shape == (1, parts.text_dim) and not parts.text("a dog").any()
