"""A whole pipeline small enough to run in a fraction of a second, with the VAE's real strides."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from transformers import ByT5Tokenizer, UMT5Config, UMT5EncoderModel

from outofsight.cameras import CameraPath
from outofsight.clips import Clip
from outofsight.datasets import write_clip
from outofsight.models import WorldTransformer3DModel
from outofsight.models.patch_codec import PatchCodec
from outofsight.pipeline import WorldModelPipeline
from outofsight.video import write_video

FRAMES, HEIGHT, WIDTH, FPS = 9, 32, 48, 8.0
TEXT_DIM = 16
NEGATIVE = "static, blurred"


def small_pipeline(seed: int = 0, max_text_tokens: int = 64, vae: Any = None, **transformer: Any) -> WorldModelPipeline:
    """Two blocks of width 24; every parameter random, so that cameras, projector and text all matter.

    vae: in place of a small AutoencoderKLWan.
    """
    sizes = {
        "num_attention_heads": 2, "attention_head_dim": 12, "text_dim": TEXT_DIM, "freq_dim": 16, "ffn_dim": 32,
        "num_layers": 2, "memory_options": {"top_k": 1, "window": 2},
    }  # fmt: skip
    text = UMT5Config(
        vocab_size=384, d_model=TEXT_DIM, d_kv=8, d_ff=32, num_layers=1, num_heads=2, is_encoder_decoder=False,
        dropout_rate=0.0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WorldTransformer3DModel(**{**sizes, **transformer})
        for parameter in model.parameters():
            parameter.data = torch.randn(parameter.shape) * 0.2
        return WorldModelPipeline(
            tokenizer=ByT5Tokenizer(),
            text_encoder=UMT5EncoderModel(text).eval(),
            vae=vae or AutoencoderKLWan(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval(),
            transformer=model.eval(),
            max_text_tokens=max_text_tokens,
        )


def patch_pipeline(codec: PatchCodec | None = None, **transformer: Any) -> WorldModelPipeline:
    """A small pipeline that works on patches of pixels: one token for each of them."""
    codec = codec or PatchCodec()
    sizes = {"in_channels": codec.channels, "out_channels": codec.channels, "patch_size": (1, 1, 1)}
    return small_pipeline(vae=codec.eval(), **{**sizes, **transformer})


@functools.cache
def shared_pipeline() -> WorldModelPipeline:
    """One pipeline for all tests that only call it."""
    return small_pipeline()


def frames(count: int = FRAMES, height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    """Smooth moving colours: they survive video coding, unlike noise."""
    t, y, x = np.meshgrid(np.arange(count), np.arange(height), np.arange(width), indexing="ij")
    waves = [np.sin(0.2 * x + 0.3 * t + seed), np.cos(0.25 * y - 0.2 * t), np.sin(0.1 * (x + y) + 0.1 * t)]
    return (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def cameras(count: int = FRAMES) -> tuple[CameraPath, CameraPath]:
    """Context and target cameras of ``count`` frames each."""
    latents = (count - 1) // 4 + 1
    context = CameraPath.from_string(f"wait-{latents}", fps=FPS)
    return context, CameraPath.from_string(f"forward+right-{latents}", start=context)


def run_inputs(count: int = FRAMES) -> dict[str, Any]:
    """Arguments of a quick call."""
    context, target = cameras(count)
    return {
        "context_video": frames(count), "context_cameras": context, "target_cameras": target, "prompt": "a dog walks",
        "negative_prompt": NEGATIVE, "num_inference_steps": 3, "progress": False,
    }  # fmt: skip


def camera_json(count: int = FRAMES) -> dict[str, Any]:
    """A camera file's content for :func:`cameras`."""
    halves = zip(("cond_cam", "tgt_cam"), cameras(count), strict=True)
    return {name: {str(i): m for i, m in enumerate(path.to_unreal().tolist())} for name, path in halves}


def write_inputs(folder: Path, count: int = FRAMES) -> list[str]:
    """Write clip.mp4 and cam.json; returns the options that name them, with few steps."""
    write_video(folder / "clip.mp4", frames(count), FPS)
    (folder / "cam.json").write_text(json.dumps(camera_json(count)))
    return [
        "--context", str(folder / "clip.mp4"), "--cameras", str(folder / "cam.json"), "--prompt", "a dog walks",
        "--negative-prompt", NEGATIVE, "--steps", "3", "--device", "cpu",
    ]  # fmt: skip


def write_sample(root: Path, name: str, seed: int = 0) -> Path:
    """A clip in HM-World's released layout."""
    context, target = cameras()
    return write_clip(
        Clip(name, f"caption of {name}", context, target, frames(seed=seed), frames(seed=seed + 9), fps=FPS),
        root,
    )
