"""The training objective: as released (``training_loss``), and with options (``batch_loss``).

Flow matching on the target half, weighted by noise level. Source: docs/hydra.md, "Training as released".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from ..cameras import rebase_poses
from ..errors import GeometryError, TrainingError
from ..models.conditioners import Conditions, square_intrinsics
from ..sampling import TIMESTEPS, anchor_of, flow_sigmas, start_of
from .settings import check_settings

if TYPE_CHECKING:
    from .dataset import Batch
    from .draws import Draws

GRID_STEPS = int(TIMESTEPS)
RE_ENTERED = 3  # phase of a latent frame (see dataset.Batch)


@dataclass(frozen=True)
class ObjectiveOptions:
    """How noise is put on and how errors count; the defaults are the release's.

    Args:
        shift: of the grid of noise levels.
        noise: "shared" (release: one level for the whole step), "clip" (one for each clip; what the release does
            where each process holds one clip), "even" (one for each clip, spread evenly over the step's) or "frame"
            (one for each target frame; diffusion forcing).
        weighting: "release" (w(t), see :func:`training_schedule`) or "none".
        sigma_range: noise levels that are drawn, as (lowest, highest) sigma.
        subject_weight: errors count ``1 + subject_weight * share`` where a subject covers that share of a latent.
        reentry_weight: and ``1 + reentry_weight`` times that in frames where someone who left is back. Weights of a
            clip are scaled to mean 1.
        presence_weight: weight of an auxiliary loss (training/auxiliary.py): cross-entropy of where subjects are, over
            context and target latents, each counted as the velocity's errors are.
        text_dropout: probability of a clip's text being replaced by the embedding of no text, for guidance.
        camera_dropout: probability of its poses being replaced by zeros.
        condition_dropout: by conditioner name, the probability of a clip's target not being conditioned on it, so that
            memory tokens learn what it would give ("reprojection").
    """

    shift: Annotated[float, Gt(0)] = 5.0
    noise: Literal["shared", "clip", "even", "frame"] = "shared"
    weighting: Literal["release", "none"] = "release"
    sigma_range: tuple[float, float] = (0.0, 1.0)
    subject_weight: Annotated[float, Ge(0)] = 0.0
    reentry_weight: Annotated[float, Ge(0)] = 0.0
    presence_weight: Annotated[float, Ge(0)] = 0.0
    text_dropout: Annotated[float, Interval(ge=0, le=1)] = 0.0
    camera_dropout: Annotated[float, Interval(ge=0, le=1)] = 0.0
    condition_dropout: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)
        low, high = self.sigma_range
        if not 0 <= low < high <= 1:
            raise TrainingError(f"sigma_range is {self.sigma_range}, expected 0 <= lowest < highest <= 1")
        if not all(0 <= dropped <= 1 for dropped in self.condition_dropout.values()):
            raise TrainingError(
                f"condition_dropout is {dict(self.condition_dropout)}, expected probabilities from 0 to 1"
            )
        if not len(self.level_indices()):
            raise TrainingError(f"no noise level of shift {self.shift} lies in sigma_range {self.sigma_range}")

    def level_indices(self) -> Tensor:
        """Indices of the training grid that may be drawn."""
        sigmas = training_schedule(self.shift)[0]
        return ((sigmas >= self.sigma_range[0]) & (sigmas <= self.sigma_range[1])).nonzero().flatten()


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


def batch_loss(
    model: Any,
    batch: Batch,
    draws: Draws,
    options: ObjectiveOptions,
    *,
    empty_text: Tensor | None = None,
    **model_inputs: Any,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch of encoded clips, with noise, levels and dropout from ``draws`` (one place per clip).

    With the default options it is :func:`training_loss` at the level index that was drawn.

    Args:
        model: a ``WorldTransformer3DModel``, wrapped or not.
        batch: clips on the model's device.
        draws: the step's random numbers. Where it has several for each clip, the batch is given that often over
            (``SharedContext`` then computes the contexts once), and what is returned has a row for each.
        options: see :class:`ObjectiveOptions`.
        empty_text: ``[l, d]``, the embedding of no text, which takes a dropped caption's place.
        model_inputs: passed on (plain, numerics).

    Returns:
        the scalar mean over the clips, and of each clip ``[b]`` without gradient: "loss"; "error", the mean squared
        error of the velocity, unweighted; the same over the latents that subjects cover, "subject_error", and over
        frames of re-entry, "reentry_error" (NaN where there are none).
    """
    batch = _repeated(batch, draws.copies)
    cut = batch.context_frames
    clean = batch.latents[:, :, cut:]
    frames = clean.shape[2]
    noise = start_of(_bare(model), draws.noise(clean.shape[1:]).to(clean))
    sigmas, timesteps, weights = training_schedule(options.shift)
    allowed = options.level_indices()
    uniform = draws.levels(options.noise, frames)
    index = allowed[(uniform * len(allowed)).long().clamp(max=len(allowed) - 1)]  # [b, ft]
    sigma = sigmas[index].to(clean)[:, None, :, None, None]
    noisy = (1 - sigma) * clean + sigma * noise
    cameras_dropped = draws.dropped_cameras(options.camera_dropout)
    out = model(
        torch.cat([batch.latents[:, :, :cut], noisy], dim=2),
        _timesteps(timesteps[index].to(clean), cut, options.noise),
        _without_text(batch.text, draws.dropped_texts(options.text_dropout), empty_text),
        *(_without(poses, cameras_dropped) for poses in batch_poses(model, batch)),
        conditions=batch_conditions(batch, draws, options),
        **model_inputs,
    )
    velocity = out.sample[:, :, -frames:]
    squared = (velocity.float() - (noise - clean).float()).square().mean(dim=1)  # [b, ft, h, w]
    share, phase = batch.subject[:, cut:], batch.phase[:, cut:]
    counted = squared if options.weighting == "none" else squared * weights[index].to(squared)[:, :, None, None]
    if options.subject_weight or options.reentry_weight:
        counted = counted * cell_weights(share, phase, options)
    losses = counted.mean(dim=(1, 2, 3))
    if options.presence_weight:
        losses = losses + options.presence_weight * presence_loss(out.auxiliary.get("presence"), batch, options)
    return losses.mean(), {"loss": losses.detach(), **_errors(squared.detach(), share, phase)}


def batch_conditions(batch: Batch, draws: Draws | None = None, options: ObjectiveOptions | None = None) -> Conditions:
    """What the clips of a batch are conditioned on beside text and poses, with ``draws`` less what is dropped."""
    dropped = {}
    if draws is not None and options is not None:
        dropped = {
            name: draws.dropped_conditions(name, probability).to(batch.latents.device)
            for name, probability in options.condition_dropout.items()
        }
    intrinsics = None
    if batch.horizontal_fov is not None:
        frames, *size = batch.latents.shape[2:]
        fov, device = batch.horizontal_fov, batch.latents.device
        intrinsics = square_intrinsics(fov, len(fov), frames, (size[0], size[1]), device)
    return Conditions(intrinsics, dict(batch.extra), dropped)


def batch_poses(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Pose vectors of context and target in the axes of the model's anchor frame."""
    if anchor_of(_bare(model)) == "session":
        return rebase_poses(batch.context_poses, batch.target_poses)
    return batch.context_poses, batch.target_poses


def _bare(model: Any) -> Any:
    """A model without what training puts around it."""
    inner = getattr(model, "module", model)
    return getattr(inner, "model", inner)  # SharedContext holds a model


def presence_loss(logits: Tensor | None, batch: Batch, options: ObjectiveOptions) -> Tensor:
    """Cross-entropy ``[b]`` of ``logits [b, f, h, w]`` against subjects' shares; NaN does not count."""
    if logits is None:
        raise TrainingError("presence_weight is set, and the model has no presence head: attach_presence(model) first")
    known = ~logits.isnan()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.nan_to_num(), batch.subject.float(), reduction="none"
    )
    counted = entropy * cell_weights(batch.subject.float(), batch.phase, options) * known
    return counted.sum(dim=(1, 2, 3)) / known.sum(dim=(1, 2, 3))


def cell_weights(share: Tensor, phase: Tensor, options: ObjectiveOptions) -> Tensor:
    """Weights of mean 1 in each clip from the subjects' ``share [b, ft, h, w]`` of latents and ``phase [b, ft]``."""
    weights = (1 + options.subject_weight * share) * (1 + options.reentry_weight * _returned(phase, share))
    return weights / weights.mean(dim=(1, 2, 3), keepdim=True)


def _returned(phase: Tensor, like: Tensor) -> Tensor:
    return (phase == RE_ENTERED).to(like)[:, :, None, None]


def _timesteps(levels: Tensor, cut: int, noise: str) -> Tensor:
    """``[b]`` where a clip has one level; else ``[b, f]``, with 0 for context frames, which a clean model reads so."""
    if noise != "frame":
        return levels[:, 0]
    return torch.cat([levels.new_zeros(len(levels), cut), levels], dim=1)


def _repeated(batch: Batch, copies: int) -> Batch:
    """The clips, then the clips again."""
    if copies == 1:
        return batch

    def again(x: Tensor) -> Tensor:
        return x.repeat(copies, *(1,) * (x.ndim - 1))

    tensors = {f.name: value for f in fields(batch) if isinstance(value := getattr(batch, f.name), Tensor)}
    repeated: dict[str, Any] = {name: again(x) for name, x in tensors.items()}
    extra = {name: again(x) for name, x in batch.extra.items()}
    return replace(batch, names=batch.names * copies, extra=extra, **repeated)


def _without(x: Tensor, dropped: Tensor, instead: Tensor | float = 0.0) -> Tensor:
    """``x [b, n, d]``, replaced where ``dropped [b]``."""
    if not dropped.any():
        return x
    return torch.where(dropped.to(x.device)[:, None, None], torch.as_tensor(instead).to(x), x)


def _without_text(text: Tensor, dropped: Tensor, empty_text: Tensor | None) -> Tensor:
    if dropped.any() and empty_text is None:
        raise TrainingError("text_dropout needs empty_text, what a dropped caption is replaced by")
    return text if empty_text is None else _without(text, dropped, empty_text)


def _errors(squared: Tensor, share: Tensor, phase: Tensor) -> dict[str, Tensor]:
    """Mean squared errors of each clip ``[b]``: over everything, over subjects, over frames of re-entry."""

    def mean(weights: Tensor) -> Tensor:
        weights = weights.expand_as(squared)
        return (squared * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))  # 0/0 is NaN: there is none

    return {
        "error": squared.mean(dim=(1, 2, 3)),
        "subject_error": mean(share),
        "reentry_error": mean(_returned(phase, squared)),
    }
