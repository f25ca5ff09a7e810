"""The training objective, as released: flow matching on the target half, weighted by noise level.

Source: docs/hydra.md, "Training as released".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..errors import GeometryError
from ..sampling import TIMESTEPS, flow_sigmas

GRID_STEPS = int(TIMESTEPS)


@lru_cache(maxsize=8)
def training_schedule(shift: float = 5.0) -> tuple[Tensor, Tensor, Tensor]:
    """Sigmas, timesteps and loss weights ``[1000]`` of the training grid, from noise to clean.

    w(t) is proportional to exp(-2 ((t - 500) / 1000)^2) less its minimum over the grid, and has mean 1.
    """
    sigmas = flow_sigmas(GRID_STEPS, shift)
    timesteps = sigmas * TIMESTEPS
    bell = torch.exp(-2 * ((timesteps - GRID_STEPS / 2) / GRID_STEPS) ** 2)
    raised = bell - bell.min()
    return sigmas, timesteps, raised * (GRID_STEPS / raised.sum())


def training_loss(
    model: Any,
    latents: Tensor,
    noise: Tensor,
    timestep_index: int,
    text: Tensor,
    context_poses: Tensor,
    target_poses: Tensor,
    *,
    shift: float = 5.0,
    **model_inputs: Any,
) -> Tensor:
    """Loss of one batch at one grid index; the caller draws it uniformly from the 1000 indices.

    Args:
        model: a ``WorldTransformer3DModel``.
        latents: ``[b, c, fc+ft, h, w]`` clean, context first; noise is put on the target half only.
        noise: the same shape; its context half is not used.
        timestep_index: 0 (pure noise) to 999 (nearly clean), one for the batch.
        text: ``[b, l, text_dim]``.
        context_poses, target_poses: ``[b, fc, 12]``, ``[b, ft, 12]``.
        shift: of the grid.
        model_inputs: passed on (horizontal_fov, numerics).

    Returns:
        scalar: w(t) times the mean squared error of the velocity over the target half.

    Raises:
        GeometryError: latents and noise of different shapes, or an index outside the grid.
    """
    if latents.shape != noise.shape:
        raise GeometryError(f"latents {tuple(latents.shape)} and noise {tuple(noise.shape)} must have one shape")
    if not 0 <= timestep_index < GRID_STEPS:
        raise GeometryError(f"timestep_index is {timestep_index}, expected 0 .. {GRID_STEPS - 1}")
    sigmas, timesteps, weights = training_schedule(shift)
    cut = context_poses.shape[1]
    sigma = float(sigmas[timestep_index])
    noisy = (1 - sigma) * latents[:, :, cut:] + sigma * noise[:, :, cut:]
    timestep = timesteps[timestep_index].to(latents).expand(len(latents))
    velocity = model(
        torch.cat([latents[:, :, :cut], noisy], dim=2),
        timestep,
        text,
        context_poses,
        target_poses,
        **model_inputs,
    ).sample[:, :, cut:]
    target = (noise - latents)[:, :, cut:]
    error = torch.nn.functional.mse_loss(velocity.float(), target.float())
    return error * float(weights[timestep_index])
