"""Damaged bytes are named and never trained on: checkpoints, shards, the index of latents."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_trainer import WEIGHTS, config

from latents import write_latents
from outofsight.errors import CheckpointError, DatasetError
from outofsight.training import TrainConfig, train
from outofsight.training.checkpointing import latest_checkpoint, verify_part
from outofsight.training.dataset import LatentDataset
from outofsight.training.run_folder import read_begun


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("begun")
    settings = config(write_latents(folder / "latents"), folder / "run", steps=2)
    train(settings)
    return settings


def copy(begun: TrainConfig, place: Path) -> tuple[TrainConfig, Path]:
    """The run elsewhere, to be gone on with, and its checkpoint."""
    shutil.copytree(begun.out, place)
    settings = replace(begun, out=place, steps=4)
    return settings, place / "checkpoints" / "step-0000002"


def flip(file: Path, count: int = 16) -> None:
    """Other bytes in the middle, of the same number and time."""
    facts, content = file.stat(), bytearray(file.read_bytes())
    middle = len(content) // 2
    for place in range(middle, middle + count):
        content[place] ^= 0xFF
    file.write_bytes(content)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))


@pytest.mark.parametrize("name", ["state.pt", f"ema/{WEIGHTS}", f"transformer/{WEIGHTS}"])
def test_flipped_bytes_of_a_checkpoint(begun: TrainConfig, tmp_path: Path, name: str) -> None:
    settings, checkpoint = copy(begun, tmp_path / "run")
    flip(checkpoint / name)
    with pytest.raises(CheckpointError, match=rf"{name} is damaged: .*SHA-256 differs.*delete this checkpoint"):
        train(settings, resume=True)
    if name != "state.pt":
        with pytest.raises(CheckpointError, match="is damaged"):
            verify_part(checkpoint / name.split("/")[0])


def test_whole_checkpoints_go_on(begun: TrainConfig, tmp_path: Path) -> None:
    settings, checkpoint = copy(begun, tmp_path / "run")
    verify_part(checkpoint / "ema")
    assert train(settings, resume=True).step == 4
    listed = json.loads((checkpoint / "checkpoint.json").read_text())["files"]
    assert len(listed["state.pt"]["sha256"]) == 64 and listed["state.pt"]["bytes"] > 0


def as_before(checkpoint: Path) -> None:
    """Its index as the version before wrote it: sizes alone."""
    index = checkpoint / "checkpoint.json"
    content = json.loads(index.read_text())
    sizes = {name: (checkpoint / name).stat().st_size for name in content["files"]}
    index.write_text(json.dumps({**content, "version": 1, "files": sizes}))


def test_checkpoints_without_checksums_go_on_with_a_word(begun: TrainConfig, tmp_path: Path) -> None:
    settings, checkpoint = copy(begun, tmp_path / "run")
    as_before(checkpoint)
    with pytest.warns(UserWarning, match=r"earlier version of outofsight, which kept no checksums"):
        assert train(settings, resume=True).step == 4


@pytest.mark.filterwarnings("ignore:.*kept no checksums")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "step is missing"),
        ([1, 2], "holds a list"),
        ({"step": "two", "window": [], "optimizer": {}, "ema_updates": 0}, "step is 'two'"),
        ({"step": 2, "window": [["x"]], "optimizer": {}, "ema_updates": 0}, "window.0.0 is 'x'"),
        ({"step": 2, "window": [], "optimizer": 3, "ema_updates": 0}, "optimizer is 3"),
        ({"step": -2, "window": [], "optimizer": {}, "ema_updates": 0}, "step is -2"),
    ],
)
def test_a_state_of_other_content(begun: TrainConfig, tmp_path: Path, content: Any, words: str) -> None:
    settings, checkpoint = copy(begun, tmp_path / "run")
    torch.save(content, checkpoint / "state.pt")
    as_before(checkpoint)
    with pytest.raises(CheckpointError, match=rf"state\.pt.*{words}.*delete this checkpoint"):
        train(settings, resume=True)


@pytest.mark.parametrize("text", ["{" * 100, '{"a":' * 50_000, "[]", '{"version": 2, "files": {"state.pt": "x"}}'])
def test_a_broken_index_of_a_checkpoint(begun: TrainConfig, tmp_path: Path, text: str) -> None:
    settings, checkpoint = copy(begun, tmp_path / "run")
    (checkpoint / "checkpoint.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"checkpoint\.json.*delete this checkpoint"):
        latest_checkpoint(settings.out)


def test_a_flipped_shard_is_not_trained_on(begun: TrainConfig, tmp_path: Path) -> None:
    latents = shutil.copytree(begun.data, tmp_path / "latents")
    settings = replace(begun, data=latents, out=tmp_path / "run")
    shown: list[tuple[str, int]] = []

    class Bar:
        def __init__(self, what: str, total: int) -> None:
            shown.append((what, total))

        def __enter__(self) -> Any:
            return lambda size: shown.append(("read", size))

        def __exit__(self, *_: object) -> None:
            pass

    train(settings, byte_bar=Bar)
    shard = latents / "shard-00000.safetensors"
    assert shown == [(f"checking {latents}", shard.stat().st_size), ("read", shard.stat().st_size)]
    LatentDataset(latents).verify(lambda size: shown.append(("again", size)))
    assert len(shown) == 2  # once for each process
    flip(shard)
    with pytest.raises(DatasetError, match=r"shard-00000\.safetensors is damaged.*encode again"):
        train(replace(settings, out=tmp_path / "other"))
    assert not (tmp_path / "other" / "checkpoints").exists()


def change(index: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    *outer, last = name.split(".")
    place: Any = index
    for part in outer:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[last] = value
    return index


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clips.0.horizontal_fov", "wide"),
        ("clips.0.horizontal_fov", 1e9),
        ("clips.0.frames", -1),
        ("clips.0.frames", 2),
        ("clips.0.fps", 0),
        ("clips.1.annotated", 1),
        ("settings.dtype", "int8"),
        ("settings.frame_stride", 0),
        ("settings.pixel_stride", "x"),
        ("settings.size", [2]),
        ("settings.text_tokens", 0),
        ("settings.colour", 1),
        ("shards.0.sha256", 5),
        ("model", 5),
    ],
)
def test_impossible_values_in_the_index_of_latents(begun: TrainConfig, tmp_path: Path, name: str, value: Any) -> None:
    latents = shutil.copytree(begun.data, tmp_path / "latents")
    index = json.loads((latents / "index.json").read_text())
    (latents / "index.json").write_text(json.dumps(change(index, name, value)))
    shown = "clip-000 has 2 latent frames" if (name, value) == ("clips.0.frames", 2) else name.replace(".", r"\.")
    with pytest.raises(DatasetError, match=rf"index\.json: .*{shown}"):
        LatentDataset(latents)


def test_a_runs_settings_that_are_nested_too_deeply(begun: TrainConfig, tmp_path: Path) -> None:
    settings, _ = copy(begun, tmp_path / "run")
    (settings.out / "config.json").write_text('{"a":' * 50_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_begun(settings.out)
