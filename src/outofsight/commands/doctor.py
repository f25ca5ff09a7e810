"""``outofsight doctor``: what is here, and what a model would cost here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import CheckpointError
from .console import quiet_libraries, reports_errors, say

GIB = 2**30
_SPEEDS = (
    ("2 CPU cores", 0.1),
    ("consumer GPU", 80.0),
    ("H100/H200", 450.0),
)  # sustained TFLOP/s, for orientation


def _speed(tflops: float | None) -> float | None:
    if tflops is not None and not (tflops > 0 and math.isfinite(tflops)):
        raise typer.BadParameter(f"{tflops:g} given, expected a finite number above 0, in TFLOP/s")
    return tflops


@reports_errors
def doctor(
    preset: Annotated[str, typer.Option(help="Model sizes to estimate.")] = "hydra-1.3b",
    height: Annotated[int | None, typer.Option(min=1, help="Pixels; the preset's by default.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Pixels; the preset's by default.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Context frames, and as many target frames.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps; the preset's by default.")] = None,
    tflops: Annotated[
        float | None, typer.Option(callback=_speed, help="Sustained speed to compute the time for.")
    ] = None,
    weights: Annotated[list[Path] | None, typer.Option(help="Folder to look for weights in; repeatable.")] = None,
) -> None:
    """Say which devices, versions, attention backends and weights are here, and what a model would cost."""
    quiet_libraries()
    for title, lines in (
        ("Machine", _machine()),
        ("Attention backends", _backends()),
        ("Weights", _weights(weights or [])),
        (
            f"Estimate for {preset} (computed, not measured)",
            _estimate(preset, height, width, frames, steps, tflops),
        ),
    ):
        say(f"\n{title}")
        for line in lines:
            say(f"  {line}")


def _machine() -> Iterator[str]:
    import os

    import torch

    from ..provenance import versions

    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    for name, value in versions(device).items():
        yield f"{name}: {value}"
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        yield f"device: cuda, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    else:
        yield f"device: {device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _backends() -> Iterator[str]:
    from diffusers.models.attention_dispatch import (
        _AttentionBackendRegistry,
        _check_attention_backend_requirements,
    )

    ready, absent = [], []
    for backend in _AttentionBackendRegistry._backends:
        try:
            _check_attention_backend_requirements(backend)
        except (RuntimeError, ImportError):
            absent.append(backend.value)
        else:
            ready.append(backend.value)
    yield f"can be asked for here: {', '.join(ready)}"
    yield f"not installed: {', '.join(absent) or 'none'}"


def _weights(folders: list[Path]) -> Iterator[str]:
    from huggingface_hub.constants import HF_HUB_CACHE

    from ..components.hub import SHIPPED, shipped_models
    from ..models.base_weights import describe_folder

    yield f"shipped with the package ({SHIPPED}): {', '.join(shipped_models()) or 'none in this version'}"
    for folder in folders:
        described = describe_folder(folder)
        yield f"{folder}: {described.layout} layout"
        for part in described.parts.values():
            size = f"{part.bytes / GIB:.2f} GiB" if part.bytes else "small files"
            yield f"  {part.name}: {part.problem or f'{size} in {part.place}'}"
    cache = Path(HF_HUB_CACHE)
    models = sorted(path.name.removeprefix("models--").replace("--", "/") for path in cache.glob("models--*"))
    yield f"Hugging Face cache ({cache}): {', '.join(models) or 'no models'}"
    if not folders:
        yield "look into a folder of yours with --weights FOLDER"


def _estimate(
    name: str,
    height: int | None,
    width: int | None,
    frames: int | None,
    steps: int | None,
    tflops: float | None,
) -> Iterator[str]:
    import torch

    from ..components.codec import VideoGeometry
    from ..components.video_codec import codec_of
    from ..models import PRESETS
    from ..models.cost import ClipSize, count_parameters, sampling_cost

    if name not in PRESETS:
        raise CheckpointError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    parts = _meta_parts(preset)
    transformer, vae = parts["transformer"], parts["vae"]
    geometry = VideoGeometry.of(vae, transformer)
    height, width, frames = height or preset.height, width or preset.width, frames or preset.frames
    rows, columns = geometry.latent_size(height, width, "the estimate's video")
    latents = geometry.latent_frames(frames, "the estimate's video")
    steps = steps or preset.steps
    branches = 1 if preset.guidance == 1 else 2
    clip = ClipSize(latents, latents, rows, columns, preset.max_text_tokens)
    cost = sampling_cost(transformer.config, clip, steps=steps, branches=branches)
    yield f"{frames} + {frames} frames of {height} x {width}: {2 * latents} latents, {cost.tokens} tokens"
    counts = {part: count_parameters(model) for part, model in parts.items()}
    yield "parameters: " + ", ".join(f"{part} {_short(count)}" for part, count in counts.items())
    for dtype in (torch.bfloat16, torch.float32):
        size = torch.empty(0, dtype=dtype).element_size()
        decoding = codec_of(vae).decode_bytes(frames, height, width, size)
        yield f"memory in {str(dtype).removeprefix('torch.')}: " + _memory(counts, cost, size, decoding)
    yield (
        f"one forward, per block: attention {_tera(cost.attention)}, feed-forward "
        f"{_tera(cost.feed_forward)}, "
        f"the rest {_tera(cost.rest)} TFLOP; {cost.blocks} blocks"
    )
    branch = "one branch" if branches == 1 else f"{branches} guidance branches"
    yield f"{steps} steps, {branch}: {cost.total / 1e15:.4g} PFLOP"
    for machine, speed in [("your machine", tflops)] if tflops else _SPEEDS:
        yield f"at {speed:g} TFLOP/s ({machine}): {_duration(cost.total / (speed * 1e12))}, VAE and text apart"


def _meta_parts(preset: Any) -> dict[str, Any]:
    import torch

    from ..models.codecs import build_codec

    with torch.device("meta"):
        text = {"text_encoder": preset.build_text_encoder()} if preset.text_encoder else {}
        return {"transformer": preset.build_transformer(), "vae": build_codec(preset.vae), **text}


def _memory(counts: dict[str, int], cost: Any, size: int, decoding: int) -> str:
    weights = {part: count * size for part, count in counts.items()}
    working = cost.activation_bytes * size // 2 + cost.cache_bytes * size // 2
    resident = sum(weights.values()) + max(working, decoding)
    offloaded = max(weights["transformer"] + working, weights["vae"] + decoding, weights.get("text_encoder", 0))
    return (
        f"weights {sum(weights.values()) / GIB:.2f} GiB, sampling {working / GIB:.2f}, decoding "
        f"{decoding / GIB:.2f}; "
        f"peak {resident / GIB:.2f} GiB, with --offload model {offloaded / GIB:.2f} GiB"
    )


def _tera(operations: float) -> str:
    return f"{operations / 1e12:.3g}"


def _short(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
