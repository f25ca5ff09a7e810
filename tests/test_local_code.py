"""A model folder's own code is never run and never asked about."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from outofsight import WorldModelPipeline
from outofsight.cli import main
from outofsight.errors import CheckpointError
from outofsight.evaluation.metrics.extractors import load_clip_images
from outofsight.generation.folders import check_folder
from outofsight.local_code import load_tokenizer
from outofsight.models.base_weights import read_base_folder
from outofsight.training.parts import load_parts
from pipelines import small_pipeline, write_inputs

EVIL = "from pathlib import Path\n\nPath('OWNED').write_text('ran')\n\n\nclass Evil:\n    pass\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    small_pipeline().save_pretrained(folder)
    return folder


def with_code(whole: Path, place: Path, file: str) -> Path:
    """A copy whose configuration ``file`` names a class in a Python file beside it."""
    folder = shutil.copytree(whole, place)
    config = folder / file
    content = json.loads(config.read_text())
    key = "AutoTokenizer" if "tokenizer" in file else "AutoModel"
    content["auto_map"] = {key: ["evil.Evil", None] if "tokenizer" in file else "evil.Evil"}
    config.write_text(json.dumps(content))
    (config.parent / "evil.py").write_text(EVIL)
    return folder


@pytest.mark.parametrize(
    "file",
    ["tokenizer/tokenizer_config.json", "text_encoder/config.json", "vae/config.json", "transformer/config.json"],
)
def test_folders_that_bring_code_are_refused(
    whole: Path, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda words="": asked.append(words) or "y")
    folder = with_code(whole, tmp_path / "model", file)
    words = rf"{file} asks to run code of the model's own \(auto_map: .*outofsight runs none"
    for load in (check_folder, WorldModelPipeline.from_pretrained, WorldModelPipeline.outline):
        with pytest.raises(CheckpointError, match=words):
            load(folder)
    if not file.startswith("transformer"):
        with pytest.raises(CheckpointError, match=words):
            load_parts(str(folder))
    (tmp_path / "given").mkdir()
    given = write_inputs(tmp_path / "given")
    assert main(["generate", "--model", str(folder), "--out", str(tmp_path / "o.mp4"), *given]) == 2
    assert "outofsight runs none" in " ".join(capsys.readouterr().err.split())
    assert asked == [] and not (tmp_path / "OWNED").exists() and not (tmp_path / "o.mp4").exists()


def test_the_base_folders_parts_and_the_metrics_networks(whole: Path, tmp_path: Path) -> None:
    folder = with_code(whole, tmp_path / "model", "tokenizer/tokenizer_config.json")
    with pytest.raises(CheckpointError, match="outofsight runs none"):
        read_base_folder(folder).load_tokenizer()
    network = tmp_path / "clip"
    network.mkdir()
    (network / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Evil"}}))
    with pytest.raises(CheckpointError, match=r"clip/config\.json asks to run code"):
        load_clip_images(network)


def test_a_plain_tokenizer_loads_and_a_deep_one_is_named(whole: Path, tmp_path: Path) -> None:
    assert load_tokenizer(whole / "tokenizer")("ab").input_ids == small_pipeline().tokenizer("ab").input_ids
    place = shutil.copytree(whole / "tokenizer", tmp_path / "tokenizer")
    (place / "tokenizer_config.json").write_text('{"a":' * 50_000)
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: .*nested too deeply"):
        load_tokenizer(place)
