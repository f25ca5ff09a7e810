"""A model that works on pixels, without a VAE: saved, loaded, streamed, and used by every command as any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import outofsight.models
from held_out import write_data
from outofsight.cameras import CameraPath
from outofsight.cli import main
from outofsight.components.codec import decode_latents
from outofsight.datasets import read_clip
from outofsight.errors import OutOfSightError
from outofsight.generation.load import group_offload
from outofsight.models import PRESETS
from outofsight.models.patch_codec import PatchCodec
from outofsight.pipeline import WorldModelPipeline
from outofsight.sampling import SamplingOptions
from outofsight.session import Session
from outofsight.training.dataset import LatentDataset
from outofsight.training.hashes import vae_hash
from outofsight.training.parts import load_parts
from outofsight.video import probe_video, read_video, write_video
from pipelines import FPS, NEGATIVE, frames, patch_pipeline

CAUSAL = {"context_timestep": "clean", "context_attention": "causal", "anchor": "session", "page_frames": 2}
KINDS: dict[str, dict[str, Any]] = {"release": {}, "causal": CAUSAL}
SIZE, COUNT = (24, 36), 9  # 4 x 6 patches; 5 latent frames
Capture = pytest.CaptureFixture[str]


def context_cameras() -> CameraPath:
    return CameraPath.from_string("wait-5", fps=FPS, stride=2)


def begin(pipe: WorldModelPipeline) -> Session:
    options = SamplingOptions(steps=2, guidance=2.0)
    context = frames(COUNT, *SIZE), context_cameras()
    return pipe.session(*context, "a dog walks", options, seed=3, negative_prompt=NEGATIVE)


def extended(session: Session, latents: int, words: str = "right") -> Any:
    path = CameraPath.from_string(f"{words}-{latents + 1}", start=session.context.cameras, stride=2)
    return session.extend(path[: session.frames_of(latents)])


@pytest.fixture(scope="module", params=["release", "causal"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("models") / request.param
    patch_pipeline(**KINDS[request.param]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), 2, SIZE)


@pytest.fixture
def command(model: Path, tmp_path: Path) -> list[str]:
    """A path of 13 video frames in chunks of 3 latent frames."""
    (tmp_path / "in").mkdir()
    clip = tmp_path / "in" / "clip.mp4"
    write_video(clip, frames(COUNT, *SIZE), FPS)
    return [
        "generate", "--model", str(model), "--context", str(clip), "--context-pose", "wait-5",
        "--pose", "right-4, left-3", "--prompt", "a dog walks", "--negative-prompt", NEGATIVE, "--steps", "2",
        "--device", "cpu", "--seed", "5", "--chunk", "3",
    ]  # fmt: skip


def test_a_folder_of_such_a_pipeline_is_a_pipeline_again(model: Path) -> None:
    assert [file.name for file in (model / "vae").iterdir()] == ["config.json"]
    assert json.loads((model / "model_index.json").read_text())["vae"] == [PatchCodec.__module__, "PatchCodec"]
    made = [
        WorldModelPipeline.from_pretrained(model),
        WorldModelPipeline.from_pretrained(model, use_safetensors=True),  # by diffusers' own way
    ]
    runs = [extended(begin(pipe), 3) for pipe in (*made, patch_pipeline(**KINDS[model.name]))]
    for pipe, run in zip(made, runs, strict=False):
        assert isinstance(pipe.vae, PatchCodec) and vae_hash(pipe.vae) == vae_hash(PatchCodec())
        assert pipe.device.type == "cpu" and torch.equal(run.latents, runs[2].latents)
        assert np.array_equal(run.frames, runs[2].frames)
    assert runs[2].frames.shape == (5, *SIZE, 3) and runs[2].latents.shape == (1, 216, 3, 4, 6)


def test_chunks_go_on_from_one_another(model: Path, tmp_path: Path) -> None:
    pipe = WorldModelPipeline.from_pretrained(model)
    session = begin(pipe)
    first = extended(session, 3)
    session.save(tmp_path / "kept")
    fork, loaded = session.fork(), Session.load(pipe, tmp_path / "kept")
    made = [extended(one, 2) for one in (session, fork, loaded)]
    for other in made[1:]:
        assert torch.equal(other.latents, made[0].latents) and np.array_equal(other.frames, made[0].frames)
    assert len(first.frames) == 5 and len(made[0].frames) == (4 if session.streams else 3)
    if session.streams:
        whole = decode_latents(pipe.vae, torch.cat([first.latents, made[0].latents], dim=2))
        assert np.array_equal(whole, np.concatenate([first.frames, made[0].frames]))


@pytest.mark.parametrize("kind", ["model", "group"])
def test_offloading_changes_nothing(kind: str) -> None:
    pipe, expected = patch_pipeline(), extended(begin(patch_pipeline()), 3)
    if kind == "model":
        pipe.enable_model_cpu_offload(device="cpu")
    else:
        group_offload(pipe, torch.device("cpu"))
    assert np.array_equal(extended(begin(pipe), 3).frames, expected.frames)


def test_neither_codec_nor_text_has_weights(tmp_path: Path) -> None:
    pipe = patch_pipeline(context_timestep="clean")
    pipe.register_modules(tokenizer=None, text_encoder=None)
    pipe.save_pretrained(tmp_path / "model")
    loaded = WorldModelPipeline.from_pretrained(tmp_path / "model")
    turn = CameraPath.from_string("right-3", start=context_cameras(), stride=2)
    given = {"num_inference_steps": 1, "guidance_scale": 1.0, "seed": 3, "progress": False}
    made = [one(frames(COUNT, *SIZE), context_cameras(), turn, "", **given) for one in (pipe, loaded)]
    assert np.array_equal(made[0].frames, made[1].frames) and made[0].frames.shape == (5, *SIZE, 3)


def test_reference_numerics_are_in_bfloat16() -> None:
    session = begin(patch_pipeline().to(torch.bfloat16))
    session.options = replace(session.options, numerics="reference")
    made = extended(session, 3)
    assert made.latents.dtype == torch.bfloat16 and made.frames.shape == (5, *SIZE, 3)


def test_a_rollout_is_generated_replayed_and_viewed(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run" / "out.mp4"
    assert main([*command, "--out", str(out), "--trace"]) == 0
    record = json.loads((out.parent / "out.run.json").read_text())
    assert record["outputs"]["video"]["chunks"] == ([5, 6, 2] if "causal" in command[2] else [5, 5, 3])
    assert "vae/config.json" in record["model"]["files"] and probe_video(out).frames == 13
    assert read_video(out).frames.shape == (13, *SIZE, 3)
    again = tmp_path / "again.mp4"
    assert main(["generate", "--replay", str(out.parent / "out.run.json"), "--out", str(again)]) == 0
    assert "every pixel is equal" in capsys.readouterr().out
    assert main(["view", str(out)]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()


def test_tiles_are_refused_before_anything_is_loaded(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    assert main([*command, "--out", str(tmp_path / "out.mp4"), "--vae-tiling"]) == 2
    said = capsys.readouterr().err
    assert "codes each patch for itself" in said and "device: cpu" not in said
    with pytest.raises(OutOfSightError, match="leave tiling"):
        patch_pipeline().enable_vae_tiling()


@pytest.mark.parametrize(("codec", "stride"), [(PatchCodec(), 6), (PatchCodec(2, (4, 6)), [4, 6])])
def test_encoded_clips_are_their_pixels(codec: PatchCodec, stride: Any, data: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "latents"
    patch_pipeline(codec).save_pretrained(model)
    run = ["encode", str(data), "--model", str(model), "--out", str(out), "--workers", "1"]
    assert main(run) == 0
    latents, clip = LatentDataset(out), read_clip(data, "clip-0")
    kept = json.loads((out / "index.json").read_text())["settings"]
    assert kept["pixel_stride"] == stride and (kept["frame_stride"], kept["channels"]) == (2, codec.channels)
    assert latents.settings.pixels == SIZE and latents.settings.vae == vae_hash(codec)
    rows, columns = codec.pixel_strides
    entry = latents[0]
    assert entry.context_frames == 5
    assert entry.latents.shape == (codec.channels, 10, SIZE[0] // rows, SIZE[1] // columns)
    halves = ((entry.latents[None, :, :5], clip.context_video()), (entry.latents[None, :, 5:], clip.target_video()))
    for half, video in halves:
        assert np.array_equal(decode_latents(codec, half), video.frames)
    # the subject is in the left 8 columns, of patches 6 wide, in the first four context frames: 0, 1-2, half of 3-4
    seen = entry.subject[:5, :, :2].amax(dim=1)
    assert torch.allclose(seen, torch.tensor([1.0, 1.0, 0.5, 0, 0])[:, None] * torch.tensor([1, 1 / 3]), atol=1e-2)
    latents.check_parts(load_parts(str(model)).hashes())
    other = tmp_path / "other"
    patch_pipeline(PatchCodec(2, codec.config.patch, scale=2.0)).save_pretrained(other)
    with pytest.raises(OutOfSightError, match="another VAE"):
        latents.check_parts(load_parts(str(other)).hashes())
    assert main(run) == 0  # nothing is made again


def test_generated_clips_are_evaluated_with_a_ceiling_without_loss(
    model: Path, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    made, result = tmp_path / "made", tmp_path / "result.json"
    run = [
        "generate", "--model", str(model), "--clips", str(data), "--out", str(made), "--steps", "1", "--device", "cpu",
        "--negative-prompt", NEGATIVE,
    ]  # fmt: skip
    assert main([*run, "--trace"]) == 0
    assert main(["evaluate", str(made), "--against", str(data), "--vae", str(model), "--out", str(result)]) == 0
    rows = json.loads(result.read_text())["rows"]
    psnr = {name: row["summary"]["psnr"]["mean"] for name, row in rows.items()}
    assert psnr["VAE reconstruction"] == psnr["ground truth"] == 100 > psnr["made"]


def test_doctor_counts_no_codec(model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = PRESETS["debug"]
    sizes = {**usual.transformer, "in_channels": 216, "out_channels": 216, "patch_size": (1, 1, 1)}
    vae = {"_class_name": "PatchCodec"}
    small = replace(usual, name="pixels", transformer=sizes, vae=vae, frames=15, height=24, width=36)
    monkeypatch.setattr(outofsight.models, "PRESETS", {"pixels": small})
    assert isinstance(small.build()["vae"], PatchCodec)
    assert main(["doctor", "--preset", "pixels", "--weights", str(model)]) == 0
    said = capsys.readouterr().out
    assert "15 + 15 frames of 24 x 36: 16 latents, 384 tokens" in said and "vae 0" in said
    assert "vae: small files in" in said and "no diffusion_pytorch_model" not in said
