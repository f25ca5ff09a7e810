"""What ``outofsight train`` leaves is a model: generated from by the name of the run's folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from held_out import write_data
from outofsight import WorldModelPipeline
from outofsight.cli import main
from outofsight.errors import CheckpointError, OutputError
from outofsight.training import model_of_run
from outofsight.training.checkpointing import latest_checkpoint
from pipelines import TEXT_DIM, small_pipeline

MODEL = {
    "in_channels": 16, "out_channels": 16, "text_dim": TEXT_DIM, "freq_dim": 16, "num_layers": 1,
    "memory": "hydra", "memory_options": {"top_k": 1, "window": 2},
}  # fmt: skip


def train(run: Path, latents: Path, steps: int, *more: str) -> int:
    quick = ["batch_size=1", "warmup=0", "cooldown=0", "checkpoint_every=1", "device=cpu", "clips=none"]
    sets = [word for setting in (f"model={json.dumps(MODEL)}", *quick) for word in ("--set", setting)]
    return main(["train", "debug", "--data", str(latents), "--out", str(run), "--steps", str(steps), *sets, *more])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    small_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def latents(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("latents") / "latents"
    assert main(["encode", str(data), "--model", str(base), "--out", str(out), "--workers", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def run(latents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mine"
    assert train(out, latents, 1) == 0
    return out


def test_train_then_generate_by_the_name_of_the_run(
    run: Path, base: Path, data: Path, latents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = shutil.copytree(run, tmp_path / "mine")
    made = ["generate", "--model", str(mine), "--clips", str(data), "--steps", "2", "--device", "cpu", "--seed", "3",
            "--negative-prompt", "static"]  # fmt: skip
    assert main([*made, "--out", str(tmp_path / "one")]) == 0
    assert "its newest weights are used" in " ".join(capsys.readouterr().err.split())
    videos = sorted((tmp_path / "one").glob("*.mp4"))
    assert len(videos) == len(list(data.glob("*/tgt.mp4"))) > 0
    pipe, checkpoint = WorldModelPipeline.from_pretrained(model_of_run(mine)), latest_checkpoint(mine)
    assert checkpoint is not None
    state = pipe.transformer.state_dict()
    assert all(torch.equal(state[name], value) for name, value in checkpoint.weights("ema").items())
    theirs = WorldModelPipeline.from_pretrained(base)
    assert all(torch.equal(a, b) for a, b in zip(pipe.vae.parameters(), theirs.vae.parameters(), strict=True))
    assert pipe.config.num_inference_steps == theirs.config.num_inference_steps
    # trained further, the same name means the newer weights
    assert train(mine, latents, 2, "--resume", "--accept-changes") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert f"next: outofsight generate --model {mine} --clips CLIPS" in told
    newest = latest_checkpoint(mine)
    assert newest is not None and newest.step == 2
    newer = WorldModelPipeline.from_pretrained(model_of_run(mine)).transformer.state_dict()
    assert all(torch.equal(newer[name], value) for name, value in newest.weights("ema").items())
    assert any(not torch.equal(newer[name], state[name]) for name in state)


def test_made_once(run: Path) -> None:
    folder = model_of_run(run)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert model_of_run(run) == folder == run / "model"
    assert before == {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def test_runs_that_make_no_model(run: Path, tmp_path: Path) -> None:
    mine = shutil.copytree(run, tmp_path / "mine", ignore=shutil.ignore_patterns("model"))
    (mine / "model").mkdir()
    with pytest.raises(OutputError, match="was not made by outofsight"):
        model_of_run(mine)
    (mine / "model").rmdir()
    config = json.loads((mine / "config.json").read_text())
    assert config["encoded_with"] == json.loads((Path(config["settings"]["data"]) / "index.json").read_text())["model"]
    (mine / "config.json").write_text(json.dumps({**config, "encoded_with": None}))
    with pytest.raises(CheckpointError, match=r"not known which model.*--resume --set parts=MODEL_FOLDER"):
        model_of_run(mine)
    (mine / "config.json").write_text(json.dumps({**config, "encoded_with": "tiny"}))
    with pytest.raises(CheckpointError, match=r"encoded with another VAE .* than tiny has"):
        model_of_run(mine)
    with pytest.raises(CheckpointError, match=r"is a training run, not a model folder.*model_of_run"):
        WorldModelPipeline.from_pretrained(mine)
    shutil.rmtree(mine / "checkpoints" / "step-0000001")
    with pytest.raises(CheckpointError, match="without a checkpoint yet"):
        model_of_run(mine)
