"""One clip of the debug preset's sizes, smooth in space and time as latents of video are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from latents import encoded_clip, write_latents
from outofsight.models import PRESETS


def write(folder: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(1, 16, 4, 3, 4, generator=generator)
    latents = torch.nn.functional.interpolate(rough, size=(10, 8, 12), mode="trilinear")[0]
    width = PRESETS["debug"].text_encoder["d_model"]
    clip = replace(
        encoded_clip(0, 5, 5, (4, 6)),
        latents=latents / latents.std(),
        text=torch.randn(5, width, generator=generator),
    )
    return write_latents(folder, made=[clip], text_dim=width)
