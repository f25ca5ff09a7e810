"""Narrow models for tests."""

from __future__ import annotations

from typing import Any

import torch

from outofsight.models import WorldTransformer3DModel
from outofsight.models.conditioners import Conditions, square_intrinsics

MECHANISMS: dict[str, dict[str, Any]] = {
    "full": {"memory": "full"},
    "fov": {"memory": "fov", "memory_options": {"top_k": 3}},
    "hydra release": {"memory": "hydra", "memory_options": {"top_k": 2}},
    "hydra paper": {
        "memory": "hydra",
        "memory_options": {
            "kernel": (2, 4, 4), "affinity": "pooled", "bank": "context", "queries": "target",
            "remainder": "repeat", "top_k": 3,
        },
    },
    "hydra all, fov": {
        "memory": "hydra",
        "memory_options": {"kernel": (1, 2, 2), "top_k": None, "affinity": "fov", "window": 3},
    },
}  # fmt: skip
CACHEABLE = {"context_timestep": "clean", "context_attention": "context_only"}


def narrow_model(seed: int = 0, **overrides: Any) -> WorldTransformer3DModel:
    """Two blocks of width 24, every parameter random (so that nothing is the identity by accident)."""
    sizes = {
        "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4,
        "text_dim": 8, "freq_dim": 16, "ffn_dim": 32, "num_layers": 2,
    }  # fmt: skip
    model = WorldTransformer3DModel(**{**sizes, **overrides}).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return model


def lens(fov: float | torch.Tensor, batch: int, frames: int, size: tuple[int, int]) -> Conditions:
    """Square pixels seen through this field of view (degrees); ``size`` rows and columns of the latents."""
    return Conditions(square_intrinsics(fov, batch, frames, size))


def narrow_inputs(
    context: int, target: int, grid: tuple[int, int], batch: int = 1, seed: int = 1, words: int = 5
) -> dict[str, torch.Tensor]:
    """Latents, poses, text and timesteps for :func:`narrow_model`."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    turns = draw(batch, context + target) * 0.5
    poses = torch.zeros(batch, context + target, 3, 4)
    poses[..., 0, 0] = poses[..., 2, 2] = turns.cos()
    poses[..., 0, 2], poses[..., 2, 0] = turns.sin(), -turns.sin()
    poses[..., 1, 1] = 1
    poses[..., 3] = draw(batch, context + target, 3)
    poses = poses.flatten(2)
    return {
        "hidden_states": draw(batch, 4, context + target, 2 * grid[0], 2 * grid[1]),
        "timestep": torch.rand(batch, generator=g) * 1000,
        "encoder_hidden_states": draw(batch, words, 8),
        "context_poses": poses[:, :context],
        "target_poses": poses[:, context:],
        "conditions": Conditions(square_intrinsics(60.0, batch, context + target, (2 * grid[0], 2 * grid[1]))),
    }
