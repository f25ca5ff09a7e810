"""Model folders with impossible values or numbers that are not finite: refused before anything is computed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from outofsight import WorldModelPipeline
from outofsight.components.hub import check_folder, read_safetensors_header, read_settings
from outofsight.errors import CheckpointError, DatasetError
from outofsight.models.weight_files import read_stored
from outofsight.training.parts import load_parts
from pipelines import small_pipeline


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    small_pipeline().save_pretrained(folder)
    return folder


def with_value(whole: Path, place: Path, file: str, name: str, value: Any) -> Path:
    folder = shutil.copytree(whole, place)
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, name: value}))
    return folder


def refused(folder: Path, words: str) -> None:
    for load in (check_folder, WorldModelPipeline.outline, WorldModelPipeline.from_pretrained):
        with pytest.raises(CheckpointError, match=words):
            load(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("guidance_scale", "5"),
        ("shift", "x"),
        ("shift", 0.0),
        ("negative_prompt", 5),
        ("max_text_tokens", 10**9),
        ("max_text_tokens", 0),
        ("num_inference_steps", 10**9),
        ("num_inference_steps", True),
    ],
)
def test_settings_of_the_pipeline(whole: Path, tmp_path: Path, name: str, value: Any) -> None:
    refused(
        with_value(whole, tmp_path / "m", "model_index.json", name, value), rf"model_index\.json: {name} is {value!r}"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_class_name", None),
        ("_class_name", "StableDiffusionPipeline"),
        ("_class_name", ["evil", "P"]),
        ("vae", ["os", "system"]),
        ("vae", ["diffusersevil", "V"]),
        ("tokenizer", "T5Tokenizer"),
    ],
)
def test_an_index_of_other_classes(whole: Path, tmp_path: Path, name: str, value: Any) -> None:
    folder = with_value(whole, tmp_path / "m", "model_index.json", name, value)
    assert set(check_folder(whole)) == {"text_encoder", "vae", "transformer"}
    refused(folder, rf"model_index\.json: {name} is {re.escape(repr(value))}, expected")


def test_settings_that_are_read(whole: Path) -> None:
    settings = read_settings(whole)
    assert settings["max_text_tokens"] == 64 and settings["num_inference_steps"] == 50
    assert settings.keys() <= {"max_text_tokens", "num_inference_steps", "guidance_scale", "shift", "negative_prompt"}


@pytest.mark.parametrize("text", ["[]", "{", '{"a":' * 50_000])
@pytest.mark.parametrize("file", ["model_index.json", "transformer/config.json", "vae/config.json"])
def test_files_that_are_no_object(whole: Path, tmp_path: Path, file: str, text: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "model")
    (folder / file).write_text(text)
    refused(folder, rf"{file}: (not a JSON file|it holds)")


@pytest.mark.parametrize(
    ("file", "name", "value", "words"),
    [
        ("transformer", "num_attention_heads", 0, "describes no transformer"),
        ("transformer", "attention_head_dim", 7, "describes no transformer"),
        ("transformer", "num_layers", 10**7, "num_layers"),
        ("transformer", "num_layers", 0, "num_layers"),
        ("transformer", "eps", "x", "eps: it holds 'x'"),
        ("vae", "num_res_blocks", 10**9, "num_res_blocks"),
        ("vae", "dim_mult", [], "describes no vae"),
        ("text_encoder", "d_model", "x", "describes no text_encoder"),
    ],
)
def test_configurations_that_make_no_model(
    whole: Path, tmp_path: Path, file: str, name: str, value: Any, words: str
) -> None:
    refused(with_value(whole, tmp_path / "model", f"{file}/config.json", name, value), rf"{file}/config\.json.*{words}")


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite(whole: Path, tmp_path: Path, part: str, number: float) -> None:
    folder = shutil.copytree(whole, tmp_path / "model")
    file = next((folder / part).glob("*.safetensors"))
    tensors = load_file(file)
    name = sorted(tensors)[1]
    tensors[name].view(-1)[0] = number
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(
        CheckpointError, match=rf"{file.name}: tensor {name} holds 1 of {tensors[name].numel()} numbers"
    ):
        check_folder(folder)
    told = rf"{file.name}: tensor {name} holds 1 of {tensors[name].numel()} numbers that are NaN or infinite"
    with pytest.raises(CheckpointError, match=told):
        WorldModelPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    if part != "transformer":
        with pytest.raises(CheckpointError, match=told):
            load_parts(str(folder))


def test_weight_files_are_read_once_when_a_model_is_loaded(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outline reads headers alone; filling it reads each file once, and checks what it read."""
    read: list[Path] = []

    def count(file: Path) -> dict[str, torch.Tensor]:
        read.append(file)
        return read_stored(file)

    monkeypatch.setattr("outofsight.components.hub.read_stored", count)
    WorldModelPipeline.outline(whole)
    assert read == []
    WorldModelPipeline.from_pretrained(whole, torch_dtype=torch.float32)
    assert sorted(file.parent.name for file in read) == ["transformer", "vae"]  # the text encoder is transformers' own


def test_a_header_that_is_nested_too_deeply(tmp_path: Path) -> None:
    text = b'{"a":' * 20_000
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(
        CheckpointError, match=r"x\.safetensors has a header that is not safetensors.*nested too deeply"
    ):
        read_safetensors_header(tmp_path / "x.safetensors")


def test_no_text_tokens_are_not_the_models_own(whole: Path) -> None:
    with pytest.raises(DatasetError, match="--text-tokens 0: expected at least 1"):
        load_parts(str(whole), 0)
    assert load_parts(str(whole)).text_tokens == 64 and load_parts(str(whole), 7).text_tokens == 7
