"""Small folders of encoded clips for tests: what ``outofsight encode`` writes, with made-up contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models import narrow_inputs
from outofsight.training.shards import ClipEntry, EncodedClip, LatentSettings, shard_name, write_index, write_shard

# arguments of the narrowest transformer that these clips fit
NARROW: dict[str, Any] = {
    "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4, "text_dim": 8,
    "freq_dim": 16, "ffn_dim": 32, "num_layers": 2, "memory": "hydra", "memory_options": {"top_k": 2, "window": 3},
}  # fmt: skip
CLEAN = {"context_timestep": "clean", "context_attention": "context_only", "conditioners": ["pose", "rays"]}


def encoded_clip(number: int, context: int = 4, target: int = 4, grid: tuple[int, int] = (2, 3)) -> EncodedClip:
    """Someone covers a column in every other frame and is back in the last two."""
    inputs = narrow_inputs(context, target, grid, seed=100 + number)
    latents = inputs["hidden_states"][0]
    frames, rows, columns = latents.shape[1:]
    subject = torch.zeros(frames, rows, columns)
    subject[::2, :, 1] = 0.6
    phase = torch.ones(frames, dtype=torch.uint8)
    phase[context:] = 2
    phase[-2:] = 3
    return EncodedClip(
        name=f"clip-{number:03d}",
        latents=latents,
        context_frames=context,
        text=inputs["encoder_hidden_states"][0],
        context_poses=inputs["context_poses"][0],
        target_poses=inputs["target_poses"][0],
        horizontal_fov=60.0,
        subject=subject,
        phase=phase,
    )


def settings_of(clip: EncodedClip, **other: Any) -> LatentSettings:
    rows, columns = clip.latents.shape[2:]
    facts: dict[str, Any] = {
        "vae": "a" * 64, "text_encoder": "b" * 64, "tokenizer": "c" * 64, "frame_stride": 4, "pixel_stride": 8,
        "channels": clip.latents.shape[0], "size": (rows, columns), "text_tokens": 6, "text_dim": 8, "dtype": "float32",
    }  # fmt: skip
    return LatentSettings(**{**facts, **other})


def write_latents(folder: Path, clips: int = 5, *, made: list[EncodedClip] | None = None, **settings: Any) -> Path:
    """A whole folder of so many clips, or of these."""
    folder.mkdir(parents=True, exist_ok=True)
    made = made or [encoded_clip(number) for number in range(clips)]
    entries = [
        ClipEntry(
            c.name, shard_name(0), c.context_frames, c.latents.shape[1], None, "a caption", 15.0, c.horizontal_fov,
            bool(c.subject.any()), f"digest of {c.name}",
        )
        for c in made
    ]  # fmt: skip
    facts = settings_of(made[0], **settings)
    write_shard(folder, shard_name(0), made, entries, facts, torch.full((1, facts.text_dim), 0.5))
    write_index(folder, facts, [shard_name(0)])
    return folder
