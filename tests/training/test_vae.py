"""Training of the small VAE: the whole-clip pass equals diffusers', runs resume exactly, bad input is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file

from killing import Killed, kill_at
from limits import file_size_limit
from outofsight.clips import Clip
from outofsight.components.codec import encode_video
from outofsight.datasets import write_clip
from outofsight.errors import DatasetError, GeometryError, LayoutError, OutputError, TrainingError
from outofsight.training import TrainingInterrupted
from outofsight.training.config import LoopSettings
from outofsight.training.frames import cache_frames
from outofsight.training.trainer import run_training
from outofsight.training.vae import TINY_VAE, VaeConfig, VaeObjective, build_vae, judge
from outofsight.training.vae_forward import decode_whole, encode_whole
from pipelines import FPS, cameras, frames

NARROW: dict[str, Any] = {**TINY_VAE, "base_dim": 8, "decoder_base_dim": 8, "z_dim": 4}
PLAIN = {"base_dim": 4, "z_dim": 4, "num_res_blocks": 1, "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
KINDS = {
    "the tiny one": {**NARROW, "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4},
    "Wan2.1's": {**PLAIN, "dim_mult": [1, 2, 2], "temperal_downsample": [True, True]},
    "patches and three levels": {
        **PLAIN, "dim_mult": [1, 2, 4], "temperal_downsample": [False, True], "patch_size": 2, "in_channels": 12,
        "out_channels": 12,
    },
    "Wan2.2's": {**PLAIN, "dim_mult": [1, 2, 2], "temperal_downsample": [True, True], "is_residual": True},
}  # fmt: skip


def clip(name: str, seed: int, count: int = 9, height: int = 32, width: int = 48) -> Clip:
    context, target = cameras(count)
    halves = [frames(count, height, width, seed=seed + part) for part in (0, 9)]
    return Clip(name, f"caption of {name}", context, target, *halves, fps=FPS)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(3):
        write_clip(clip(f"clip-{number}", number), folder)
    return folder


def train_vae(asked: VaeConfig, **how: Any) -> Mapping[str, float]:
    return run_training(VaeObjective(asked), **how).results


def config(clips: Path, out: Path, **settings: Any) -> VaeConfig:
    loop = {"steps": 6, "warmup": 1, "checkpoint_every": 2, "log_every": 1, **settings.pop("loop", {})}
    usual: dict[str, Any] = {
        "model": NARROW,
        "batch_size": 2,
        "crop": (16, 24),
        "finish_frames": 9,
        "loop": LoopSettings(**loop),
    }
    return VaeConfig(clips, out, **{**usual, **settings})


def weights(out: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(out / "vae" / "diffusion_pytorch_model.safetensors")
    return tensors


def curve(out: Path) -> list[list[str]]:
    """metrics.csv without its column of time."""
    return [row[:-1] for row in csv.reader((out / "training-vae" / "metrics.csv").read_text().splitlines())]


# --- the pass over whole clips --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 9])
def test_whole_clips_are_coded_as_diffusers_codes_them_chunk_by_chunk(kind: str, count: int) -> None:
    vae = AutoencoderKLWan(**KINDS[kind])
    for parameter in vae.parameters():
        parameter.data = torch.randn(parameter.shape) * 0.15
    pixels = torch.randn(2, 3, count, 16, 24, requires_grad=True)
    distribution = vae.encode(pixels).latent_dist
    moments = encode_whole(vae, pixels)
    torch.testing.assert_close(moments, distribution.parameters, atol=1e-5, rtol=1e-4)
    latents = distribution.mean.detach()
    torch.testing.assert_close(
        decode_whole(vae, latents).clamp(-1, 1), vae.decode(latents).sample, atol=1e-5, rtol=1e-4
    )

    def gradients(made: torch.Tensor) -> list[torch.Tensor]:
        weight = torch.linspace(-1, 1, made.numel()).view(made.shape)
        found = torch.autograd.grad((made * weight).sum(), [pixels, *vae.parameters()], allow_unused=True)
        return [torch.zeros(1) if gradient is None else gradient for gradient in found]

    whole = gradients(decode_whole(vae, encode_whole(vae, pixels)[:, : vae.z_dim]) * 0.01)
    chunks = gradients(vae.decode(vae.encode(pixels).latent_dist.mean).sample.clamp(-1, 1) * 0.01)
    inside = vae.decode(vae.encode(pixels).latent_dist.mean).sample.abs() < 1
    if bool(inside.all()):  # diffusers clamps, which stops gradients
        for one, two in zip(whole, chunks, strict=True):
            torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-3)


def test_the_tiny_vae_makes_of_25_frames_13_latents_an_eighth_the_size() -> None:
    vae = build_vae({**NARROW, "z_dim": 16}, seed=0)
    latents = encode_video(vae, frames(25, 96, 160), "cpu")
    assert latents.shape == (1, 16, 13, 12, 20)
    assert vae.decode(latents).sample.shape == (1, 3, 25, 96, 160)


# --- runs -----------------------------------------------------------------------------------------------------


def test_a_run_leaves_a_vae_with_its_statistics_and_what_was_measured(clips: Path, tmp_path: Path) -> None:
    results = train_vae(config(clips, tmp_path, held_out=clips, held_out_limit=2))
    vae = AutoencoderKLWan.from_pretrained(tmp_path / "vae")
    assert vae.config.patch_size == 4 and len(vae.config.latents_mean) == 4
    coded = torch.cat([encode_video(vae, half.load().frames, "cpu").flatten(2) for half in halves(clips)], dim=2)
    assert coded.mean(dim=2).abs().max() < 1e-3 and (coded.std(dim=2) - 1).abs().max() < 1e-2
    report = json.loads((tmp_path / "training-vae" / "report.json").read_text())
    assert report == results and report["clips"] == 3 and report["steps"] == 6
    kept = cache_frames(clips, tmp_path / "elsewhere", limit=2)
    assert report["psnr"] == pytest.approx(judge(vae, kept)["psnr"], abs=1e-3)
    judged = (tmp_path / "training-vae" / "validation.csv").read_text().splitlines()
    assert judged[0].startswith("step,psnr") and judged[1].startswith("6,") and len(judged) == 2
    assert vae.config.latents_mean != [0.0] * 4


def halves(clips: Path) -> list[Any]:
    from outofsight.datasets import iterate_clips

    return [half for one in iterate_clips(clips) for half in (one.context, one.target)]


def test_the_loss_falls(clips: Path, tmp_path: Path) -> None:
    asked = config(
        clips, tmp_path, held_out=clips, model={**NARROW, "z_dim": 8}, batch_size=1, crop=(0, 0),
        loop={"steps": 60, "lr": 0.03, "log_every": 15, "checkpoint_every": 60},
    )  # fmt: skip
    results = train_vae(asked)
    losses = [float(row[1]) for row in curve(tmp_path)[1:]]
    assert len(losses) == 4 and losses[-1] < 0.4 * losses[0]
    untrained = judge(build_vae(asked.model, 0).eval(), cache_frames(clips, tmp_path / "training-vae" / "frames"))
    assert results["psnr"] > untrained["psnr"] + 5


def test_a_killed_run_goes_on_to_the_same_weights_and_curve(clips: Path, tmp_path: Path) -> None:
    whole, cut = config(clips, tmp_path / "whole"), config(clips, tmp_path / "cut")
    train_vae(whole)

    with pytest.raises(Killed):
        train_vae(cut, report=kill_at(5))  # one step after the checkpoint
    assert len(curve(cut.out)) == 6
    seen: list[int] = []
    train_vae(cut, resume=True, report=lambda step, *_: seen.append(step))
    assert seen == [5, 6]
    one, two = weights(whole.out), weights(cut.out)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert curve(whole.out) == curve(cut.out)


def test_ctrl_c_finishes_the_step_and_says_how_to_go_on(clips: Path, tmp_path: Path) -> None:
    def interrupt(step: int, *_: Any) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match=r"3 of 6 steps are done.*--resume"):
        train_vae(config(clips, tmp_path), report=interrupt)
    seen: list[int] = []
    train_vae(config(clips, tmp_path), resume=True, report=lambda step, *_: seen.append(step))
    assert seen == [4, 5, 6]


def test_a_full_disk_keeps_the_last_checkpoint(clips: Path, tmp_path: Path) -> None:
    with ExitStack() as limits:

        def fill(step: int, *_: Any) -> None:
            if step == 3:
                limits.enter_context(file_size_limit(20_000))

        with pytest.raises(OutputError, match="the checkpoint step-0000002 stays"):
            train_vae(config(clips, tmp_path), report=fill)
    train_vae(config(clips, tmp_path), resume=True)
    assert (tmp_path / "vae" / "config.json").is_file()


def test_a_loss_that_is_not_finite_stops_the_run(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step 1: the loss is not finite.*no weight was changed.*lower lr"):
        train_vae(config(clips, tmp_path, kl=float(np.finfo(np.float32).max) * 10))


def test_frames_are_decoded_once_and_anew_where_a_clip_changed(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    for number in range(2):
        write_clip(clip(f"clip-{number}", number), data)
    first = cache_frames(data, cache)
    assert len(first) == 4 and first.frames.shape == (36, 32, 48, 3)
    np.testing.assert_array_equal(first.video(1), halves(data)[1].load().frames)
    written = (cache / "frames.u8").stat().st_ino
    cache_frames(data, cache)
    assert (cache / "frames.u8").stat().st_ino == written
    write_clip(clip("clip-2", 5), data)
    assert len(cache_frames(data, cache)) == 6
    (cache / "frames.u8").write_bytes(b"broken off")
    assert len(cache_frames(data, cache, limit=1)) == 2


def test_pieces_are_cut_anywhere_and_half_of_them_mirrored(clips: Path, tmp_path: Path) -> None:
    data = cache_frames(clips, tmp_path)
    pieces = [data.piece(np.random.default_rng(seed), 5, (16, 24)) for seed in range(40)]
    assert {piece.shape for piece in pieces} == {(5, 16, 24, 3)} and len({piece.tobytes() for piece in pieces}) == 40
    whole = [data.piece(np.random.default_rng(seed), 9, (32, 48)) for seed in range(40)]
    videos = [data.video(index) for index in range(len(data))]
    straight = sum(any(np.array_equal(piece, video) for video in videos) for piece in whole)
    mirrored = sum(any(np.array_equal(piece[:, :, ::-1], video) for video in videos) for piece in whole)
    assert straight + mirrored == 40 and min(straight, mirrored) > 8


def test_the_finish_is_on_long_whole_pictures(clips: Path, tmp_path: Path) -> None:
    settings = config(clips, tmp_path, finish=0.5)
    objective = VaeObjective(settings)
    rng = np.random.default_rng(0)
    assert objective._pieces(rng, last=False).shape == (2, 3, 5, 16, 24)
    assert objective._pieces(rng, last=True).shape[1:] == (3, 9, *objective.whole)
    drawn = []
    objective._pieces = lambda rng, *, last: drawn.append(last) or torch.zeros(1, 3, 5, 16, 24)  # type: ignore
    for step in range(6):
        objective.batches(step)
    assert drawn == [False] * 3 + [True] * 3


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frames": 6}, r"frames is 6, expected 4 n \+ 1"),
        ({"finish_frames": 8}, r"finish_frames is 8, expected 4 n \+ 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"finish": 1.5}, "finish is 1.5, expected at least 0 and at most 1"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"loop": {"steps": 0}}, "steps is 0"),
        ({"loop": {"lr": -1.0}}, r"lr is -1\.0, expected above 0"),
        ({"loop": {"warmup": 6}}, "warmup below the 6 steps"),
        ({"model": {**NARROW, "dim_mult": [1, 2]}}, "no AutoencoderKLWan can be made"),
        ({"model": {**NARROW, "width": 3}}, "no AutoencoderKLWan can be made"),
    ],
)
def test_settings_that_cannot_be(clips: Path, tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        train_vae(config(clips, tmp_path, **settings))


def test_data_that_cannot_be(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match="no known layout"):
        train_vae(config(tmp_path / "empty", tmp_path / "out"))
    with pytest.raises(DatasetError, match=r"pieces of 13 frames of 16 x 24.*shortest video has 9 frames"):
        train_vae(config(clips, tmp_path / "out", frames=13))
    with pytest.raises(DatasetError, match="do not fit in the clips"):
        train_vae(config(clips, tmp_path / "out", crop=(64, 48)))
    with pytest.raises(GeometryError, match="a piece is 20 x 24"):
        train_vae(config(clips, tmp_path / "out", crop=(20, 24)))
    write_clip(clip("odd", 1, height=36), tmp_path / "odd")
    with pytest.raises(GeometryError, match="a whole picture is 36 x 48"):
        train_vae(config(tmp_path / "odd", tmp_path / "out2"))
    write_clip(clip("other", 1, height=64), tmp_path / "odd")
    with pytest.raises(DatasetError, match='clip "other" is 64 x 48, those before it 36 x 48'):
        train_vae(config(tmp_path / "odd", tmp_path / "out3"))


def test_a_folder_with_a_run_is_not_written_over(clips: Path, tmp_path: Path) -> None:
    asked = config(clips, tmp_path)
    train_vae(asked)
    with pytest.raises(TrainingError, match="holds a run of 6 steps"):
        train_vae(asked)
    with pytest.raises(TrainingError, match=r"kl: 1e-06 then, 0\.5 now"):
        train_vae(replace(asked, kl=0.5), resume=True)
    with pytest.raises(TrainingError, match=r"data\.|data: "):
        train_vae(replace(asked, limit=2), resume=True)


def test_a_run_of_the_loop_before_is_refused_and_left_as_it_is(clips: Path, tmp_path: Path) -> None:
    asked = config(clips, tmp_path)
    train_vae(asked)
    file = tmp_path / "training-vae" / "config.json"
    settings = json.loads(file.read_text())["settings"]
    file.write_text(json.dumps(settings))  # as it was written then
    with pytest.raises(TrainingError, match=r"config\.json was written by an earlier version.*train again in another"):
        train_vae(asked, resume=True)
    assert json.loads(file.read_text()) == settings
