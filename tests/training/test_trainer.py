"""Whole runs in this process: what is written, stopping and going on, and every way in which a run can be refused."""

from __future__ import annotations

import csv
import json
import os
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from latents import CLEAN, NARROW, encoded_clip, write_latents
from limits import file_size_limit
from outofsight.cli import main
from outofsight.errors import CheckpointError, DatasetError, OutOfSightError, OutputError, TrainingError
from outofsight.models import WorldTransformer3DModel
from outofsight.training import ObjectiveOptions, TrainConfig, TrainingInterrupted, TrainResult, train
from outofsight.training.logs import read_metrics
from outofsight.training.transformer import TransformerObjective

WEIGHTS = "diffusion_pytorch_model.safetensors"
BY_VIEW = {**NARROW, "memory": "fov", "memory_options": {}}


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_latents(tmp_path_factory.mktemp("clips") / "latents")


def config(latents: Path, out: Path, **settings: Any) -> TrainConfig:
    usual: dict[str, Any] = {
        "model": {**NARROW, **CLEAN}, "steps": 6, "batch_size": 4, "lr": 3e-3, "ema": 0.9, "checkpoint_every": 2,
        "log_every": 1, "device": "cpu", "objective": ObjectiveOptions(noise="clip"),
    }  # fmt: skip
    return TrainConfig(latents, out, **{**usual, **settings})


def weights(result: TrainResult, part: str = "transformer") -> dict[str, torch.Tensor]:
    assert result.checkpoint is not None
    tensors: dict[str, torch.Tensor] = load_file(result.checkpoint.folder / part / WEIGHTS)
    return tensors


def curve(out: Path) -> list[list[str]]:
    """metrics.csv without its columns of time."""
    rows = list(csv.reader((out / "metrics.csv").read_text().splitlines()))
    assert rows[0][-2:] == ["seconds", "clips_per_second"]
    return [row[:-2] for row in rows]


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


# --- what a run leaves ----------------------------------------------------------------------------------------


def test_a_run_leaves_a_model_folder_its_settings_and_its_metrics(latents: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    result = train(config(latents, tmp_path / "run"), report=lambda step, loss, line: seen.append(step))
    assert result.step == 6 and seen == [1, 2, 3, 4, 5, 6]
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-0000004", "step-0000006"]
    assert result.checkpoint is not None
    for part in ("transformer", "ema"):
        model = WorldTransformer3DModel.from_pretrained(result.checkpoint.folder / part)
        assert same(dict(model.state_dict()), weights(result, part))
        assert model.config.context_timestep == "clean"
    assert not same(weights(result), weights(result, "ema"))
    rows = curve(tmp_path / "run")
    assert [row[0] for row in rows] == ["step", "1", "2", "3", "4", "5", "6"]
    assert result.metrics is not None and float(rows[-1][1]) == result.metrics["loss"]
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert settings["objective"]["noise"] == "clip" and settings["model"]["memory"] == "hydra"


def test_metrics_are_means_over_the_steps_since_the_line_before(latents: Path, tmp_path: Path) -> None:
    train(config(latents, tmp_path / "each", steps=4))
    train(config(latents, tmp_path / "means", steps=4, log_every=2))
    each = [float(row[1]) for row in curve(tmp_path / "each")[1:]]
    means = [float(row[1]) for row in curve(tmp_path / "means")[1:]]
    assert means == pytest.approx([(each[0] + each[1]) / 2, (each[2] + each[3]) / 2], rel=1e-12)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_in_two_halves_equals_one(latents: Path, tmp_path: Path, optimizer: Any) -> None:
    settings = {"optimizer": optimizer, "log_every": 4, "batch_size": 3, "ema": 0.95}
    whole = train(config(latents, tmp_path / "whole", **settings))
    train(config(latents, tmp_path / "halves", **{**settings, "steps": 2}))
    halves = train(config(latents, tmp_path / "halves", **settings), resume=True)
    for part in ("transformer", "ema"):
        assert same(weights(whole, part), weights(halves, part))
    # the first half ended within a line's steps and wrote it; the others are as they would have been
    assert curve(tmp_path / "halves")[-1] == curve(tmp_path / "whole")[-1]


def test_ctrl_c_finishes_the_step_and_resuming_equals_never_having_stopped(latents: Path, tmp_path: Path) -> None:
    def stop(step: int, *_: Any) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    settings = config(latents, tmp_path / "run", checkpoint_every=100, log_every=3)
    with pytest.raises(TrainingInterrupted, match=r"2 of 6 steps are done and kept.*--resume"):
        train(settings, report=stop)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = train(settings, resume=True)
    whole = train(replace(settings, out=tmp_path / "whole"))
    assert same(weights(resumed), weights(whole)) and curve(tmp_path / "run") == curve(tmp_path / "whole")


def test_lines_after_the_checkpoint_are_written_anew(latents: Path, tmp_path: Path) -> None:
    settings = config(latents, tmp_path / "run", steps=2)
    train(settings)
    with (tmp_path / "run" / "metrics.csv").open("a") as file:
        file.write("3,9,9,9,9,9,9,9,9\n4,9,9")  # a run that was killed
    train(replace(settings, steps=4), resume=True)
    assert [row[0] for row in curve(tmp_path / "run")] == ["step", "1", "2", "3", "4"]
    assert all(row[1] != "9" for row in curve(tmp_path / "run"))


def test_a_runs_metrics_read_back(latents: Path, tmp_path: Path) -> None:
    result = train(config(latents, tmp_path / "run"))
    lines = read_metrics(tmp_path / "run" / "metrics.csv")
    assert [line["step"] for line in lines] == list(range(1, 7)) and lines[-1] == result.metrics
    for content in ("step\n1\n", None):
        file = tmp_path / "run" / "metrics.csv"
        file.unlink() if content is None else file.write_text(content)
        with pytest.raises(TrainingError, match=r"metrics\.csv cannot be read"):
            read_metrics(file)


def test_resuming_what_is_done_does_nothing(latents: Path, tmp_path: Path) -> None:
    first = train(config(latents, tmp_path / "run"))
    again = train(config(latents, tmp_path / "run"), resume=True)
    assert again.step == 6 and again.metrics is None and again.checkpoint == first.checkpoint


# --- ways to compute the same ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other", [{"accumulation": 2}, {"accumulation": 4}, {"gradient_checkpointing": True}], ids=lambda o: str(o)
)
def test_accumulation_and_gradient_checkpointing_change_nothing(
    latents: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    first = train(config(latents, tmp_path / "plain", steps=3, draws=2))
    second = train(config(latents, tmp_path / "other", steps=3, draws=2, **other))
    ours, theirs = curve(tmp_path / "plain"), curve(tmp_path / "other")
    for mine, his in zip(ours[1:], theirs[1:], strict=True):
        assert [float(x) for x in mine] == pytest.approx([float(x) for x in his], rel=1e-5)
    for name, tensor in weights(first).items():
        torch.testing.assert_close(tensor, weights(second)[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_bf16_on_the_cpu_follows_float32(latents: Path, tmp_path: Path, optimizer: Any) -> None:
    for precision in ("no", "bf16"):
        result = train(config(latents, tmp_path / precision, precision=precision, optimizer=optimizer, steps=10))
        assert all(tensor.dtype == torch.float32 for tensor in weights(result).values())
    wide, narrow = ([float(row[1]) for row in curve(tmp_path / name)[1:]] for name in ("no", "bf16"))
    assert wide != narrow
    assert narrow == pytest.approx(wide, rel=0.02)


@pytest.mark.parametrize("how", ["no", "blocks", "model"])
def test_compilation_is_of_what_was_asked(latents: Path, tmp_path: Path, how: Any) -> None:
    """Whether the compiled step computes the same takes a minute to find out: benchmarks/training.py --compile."""
    with closing(TransformerObjective(config(latents, tmp_path / "run", compile=how))) as objective:
        model = objective.build(None).model
        assert (model._compiled_call_impl is not None) == (how == "model")
        assert all((block._compiled_call_impl is not None) == (how == "blocks") for block in model.blocks)


# --- what is trained ------------------------------------------------------------------------------------------


def test_the_papers_parameters_alone_are_trained(latents: Path, tmp_path: Path) -> None:
    arguments = {**NARROW, "memory_options": {"top_k": 2, "window": 3}}
    start = train(config(latents, tmp_path / "start", model=arguments, steps=1, lr=1e-9))
    assert start.checkpoint is not None
    begun = str(start.checkpoint.folder / "transformer")
    result = train(config(latents, tmp_path / "run", model=begun, trainable="hydra"))
    before, after = weights(start), weights(result)
    parts = ("conditioners.pose", "projector", "attn1")
    for name in before:
        trained = any(part in name for part in parts)
        assert torch.equal(before[name], after[name]) != trained, name
    assert same(
        {n: t for n, t in weights(result, "ema").items() if not any(part in n for part in parts)},
        {n: t for n, t in before.items() if not any(part in n for part in parts)},
    )


def test_lora_trains_adapters_is_merged_in_checkpoints_and_resumes(latents: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    settings = config(latents, tmp_path / "run", lora=2, trainable="additions", steps=4)
    start = train(config(latents, tmp_path / "start", steps=1, lr=1e-9))
    assert start.checkpoint is not None
    settings = replace(settings, model=str(start.checkpoint.folder))
    whole = train(settings)
    train(replace(settings, out=tmp_path / "halves", steps=2))
    halves = train(replace(settings, out=tmp_path / "halves"), resume=True)
    assert same(weights(whole), weights(halves)) and same(weights(whole, "ema"), weights(halves, "ema"))
    before, after = weights(start), weights(whole)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "blocks.0.attn1.to_q.weight" in changed and "blocks.0.projector.weight" in changed
    assert not any("ffn" in name or "norm" in name or name.endswith("to_q.bias") for name in changed)
    difference = after["blocks.0.attn1.to_q.weight"] - before["blocks.0.attn1.to_q.weight"]
    assert torch.linalg.matrix_rank(difference, rtol=1e-3) == 2
    assert WorldTransformer3DModel.from_pretrained(whole.checkpoint.folder / "transformer") is not None  # type: ignore[union-attr]


def test_validation_judges_the_mean_weights_and_is_written_down(latents: Path, tmp_path: Path) -> None:
    asked: list[tuple[int, str, bool]] = []
    judged: list[dict[str, torch.Tensor]] = []

    def validate(model: Any, step: int, folder: Path) -> dict[str, float]:
        asked.append((step, folder.name, model.training))
        judged.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        torch.rand(3)  # validation may draw numbers; training does not notice
        return {"psnr": 20.0 + step, "subject": 1.5}

    result = train(config(latents, tmp_path / "run", validate_every=4), validate=validate)
    assert asked == [(4, "step-0000004", False), (6, "step-0000006", False)]
    assert same(judged[-1], weights(result, "ema"))
    assert (tmp_path / "run" / "validation.csv").read_text() == "step,psnr,subject\n4,24.0,1.5\n6,26.0,1.5\n"
    without = train(config(latents, tmp_path / "without"))
    assert same(weights(result), weights(without)) and curve(tmp_path / "run") == curve(tmp_path / "without")


# --- refused, and said why ------------------------------------------------------------------------------------


def refused(kind: type[OutOfSightError], words: str, settings: TrainConfig, **how: Any) -> None:
    with pytest.raises(kind, match=words):
        train(settings, **how)


def test_folders_that_hold_no_clips(latents: Path, tmp_path: Path) -> None:
    refused(DatasetError, "no such folder", config(tmp_path / "none", tmp_path / "run"))
    (tmp_path / "empty").mkdir()
    refused(DatasetError, "no encoded clips", config(tmp_path / "empty", tmp_path / "run"))
    half = write_latents(tmp_path / "half")
    (half / "index.json").unlink()
    refused(DatasetError, "half-written", config(half, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": {**NARROW, "in_channels": 8, "out_channels": 8}}, "8 latent channels"),
        ({"model": {**NARROW, "text_dim": 16}}, "text of width 16"),
        ({"model": {**NARROW, "patch_size": (1, 3, 2)}}, "do not divide"),
        ({"model": {**NARROW, "layers": 2}}, "make no transformer"),
        ({"model": "no/such/model"}, "neither a preset"),
        ({"clips": 9}, "holds 5"),
        ({"batch_size": 5, "accumulation": 2}, "choose a multiple of 2"),
        ({"model": NARROW, "objective": ObjectiveOptions(noise="frame")}, "context_timestep 'clean'"),
        ({"model": BY_VIEW, "objective": ObjectiveOptions(camera_dropout=0.1)}, "recalls by"),
        ({"objective": ObjectiveOptions(condition_dropout={"reprojection": 0.5})}, "condition_dropout names"),
        ({"model": NARROW, "draws": 2}, "draws=1"),
        ({"validate_every": 2}, "held_out"),
        ({"trainable": ("no_such_part",)}, "part of no parameter"),
        ({"trainable": "none"}, "nothing is to be trained"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_runs_that_cannot_be(latents: Path, tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    refused(OutOfSightError, words, config(latents, tmp_path / "run", **settings))
    assert not list(tmp_path.rglob("step-*"))


def test_clips_that_the_model_cannot_be_trained_on(tmp_path: Path) -> None:
    lengths = write_latents(tmp_path / "lengths", made=[encoded_clip(0), encoded_clip(1, target=6)])
    refused(TrainingError, r"4 \+ 4, 4 \+ 6", config(lengths, tmp_path / "run"))
    blind = write_latents(tmp_path / "blind", made=[replace(encoded_clip(0), horizontal_fov=None)])
    refused(TrainingError, "no field of view", config(blind, tmp_path / "run"))
    bare = replace(encoded_clip(0), subject=encoded_clip(0).subject * 0)
    plain = write_latents(tmp_path / "bare", made=[bare])
    refused(
        TrainingError, "weigh nothing", config(plain, tmp_path / "run", objective=ObjectiveOptions(subject_weight=1))
    )
    told = ObjectiveOptions(presence_weight=1.0)
    refused(TrainingError, "weigh nothing", config(plain, tmp_path / "run", objective=told))


def test_latents_of_another_vae_are_refused(latents: Path, tmp_path: Path) -> None:
    from pipelines import small_pipeline

    small_pipeline().save_pretrained(tmp_path / "parts")
    refused(DatasetError, "another VAE", config(latents, tmp_path / "run", parts=tmp_path / "parts"))


def test_a_loss_that_is_no_number_names_the_clips_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    clips = [encoded_clip(number) for number in range(4)]
    bad = clips[2]
    bad.latents[0, -1, 0, 0] = float("nan")
    folder = write_latents(tmp_path / "latents", made=clips)
    settings = config(folder, tmp_path / "run", batch_size=1, checkpoint_every=1, clips=None)
    with pytest.raises(TrainingError, match=r"the loss is not finite;.*It is of the clips clip-002:") as told:
        train(settings)
    steps = curve(tmp_path / "run")
    done = len(steps) - 1
    assert f"step {done + 1}:" in str(told.value)
    assert ("no checkpoint yet" in str(told.value)) == (done == 0)
    kept = sorted((tmp_path / "run" / "checkpoints").glob("step-*")) if done else []
    assert all(
        tensor.isfinite().all() for folder in kept for tensor in load_file(folder / "transformer" / WEIGHTS).values()
    )


def test_a_full_disk_keeps_the_old_checkpoint(latents: Path, tmp_path: Path) -> None:
    settings = config(latents, tmp_path / "run", steps=2, keep=1)
    first = train(settings)
    kept = weights(first)
    with file_size_limit(20_000), pytest.raises(OutputError, match=r"step-0000004.*the checkpoint step-0000002 stays"):
        train(replace(settings, steps=4), resume=True)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-0000002"]
    assert same(weights(first), kept)
    resumed = train(replace(settings, steps=4), resume=True)
    assert same(weights(resumed), weights(train(replace(settings, steps=4, out=tmp_path / "whole"))))


def test_changed_settings_are_listed_and_refused_unless_told(latents: Path, tmp_path: Path) -> None:
    settings = config(latents, tmp_path / "run", steps=2)
    train(settings)
    refused(TrainingError, "holds a run of 2 steps", settings)
    changed = replace(settings, lr=1e-4, objective=ObjectiveOptions(noise="clip", shift=2.0), steps=4)
    refused(TrainingError, r"lr: 0.003 then, 0.0001 now\n  objective.shift: 5.0 then, 2.0 now\n", changed, resume=True)
    with pytest.warns(UserWarning, match="lr: 0.003 then"):
        assert train(changed, resume=True, accept_changes=True).step == 4
    assert train(replace(changed, steps=5), resume=True).step == 5  # they are the run's settings from then on
    other = write_latents(tmp_path / "other", clips=6)
    refused(TrainingError, "not those the run was begun with", replace(changed, data=other), resume=True)


def test_damaged_checkpoints_are_named(latents: Path, tmp_path: Path) -> None:
    settings = config(latents, tmp_path / "run", steps=4)
    result = train(settings)
    assert result.checkpoint is not None
    file = result.checkpoint.folder / "ema" / WEIGHTS
    file.write_bytes(file.read_bytes()[:-10])
    refused(CheckpointError, r"ema.*delete this checkpoint's folder", settings, resume=True)
    (tmp_path / "run" / "config.json").write_text("{")
    for path in sorted(result.checkpoint.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    result.checkpoint.folder.rmdir()
    refused(TrainingError, r"config\.json: not a JSON file.*put it back", settings, resume=True)


def test_unfinished_checkpoints_are_not_seen_and_swept_up(latents: Path, tmp_path: Path) -> None:
    settings = config(latents, tmp_path / "run", steps=2)
    train(settings)
    left = tmp_path / "run" / "checkpoints" / ".unfinished-abc"
    left.mkdir()
    (left / "state.pt").write_bytes(b"half")
    assert train(replace(settings, steps=4), resume=True).step == 4
    assert not left.exists()


def test_nothing_to_resume_is_said(latents: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no run to resume"):
        assert train(config(latents, tmp_path / "run", steps=1), resume=True).step == 1


def test_the_command_says_what_is_wrong(latents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["nothing"], "no recipe 'nothing'; there are debug, micro, small, tiny, hydra_1_3b"),
        (["debug", "--data", str(tmp_path / "none")], "no such folder"),
        (["debug", "--data", str(latents), "--set", "objective.shift=0"], "shift"),
        (["debug", "--data", str(latents), "--set", "device=cpu"], "16 latent channels, the latents have 4"),
    ):
        assert main(["train", *arguments]) == 2
        said = capsys.readouterr().err
        assert words in said and "Traceback" not in said
