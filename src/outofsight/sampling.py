"""Flow-matching sampling as pure functions: the schedule, guidance, and the loop over steps.

Source: docs/hydra.md, rows "sampler" and "guidance". The model predicts the velocity v = noise - clean, so that
x_sigma = (1 - sigma) clean + sigma noise and x <- x + v (sigma_next - sigma).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .cameras import rebase_poses
from .errors import GeometryError

if TYPE_CHECKING:
    from .memory import RetrievalTrace
    from .models.cache import ContextCache
    from .models.conditioners import Conditions

TIMESTEPS = 1000.0  # timestep = 1000 sigma


@dataclass(frozen=True, eq=False)
class DenoiseStep:
    """A step just finished: number ``step`` (from 0) of ``steps``, from ``sigma`` to ``next_sigma``.

    ``latents [b, c, ft, h, w]`` after the step; ``clean_estimate`` is what the model takes the clean target for.
    """

    step: int
    steps: int
    sigma: float
    next_sigma: float
    latents: Tensor
    clean_estimate: Tensor


class DenoisingInterrupted(KeyboardInterrupt):
    """Ctrl-C during sampling: ``step`` steps are done, ``latents`` can be resumed from with ``start_step``."""

    def __init__(self, step: int, latents: Tensor, clean_estimate: Tensor | None) -> None:
        super().__init__(f"sampling interrupted after {step} steps")
        self.step = step
        self.latents = latents
        self.clean_estimate = clean_estimate


def flow_sigmas(steps: int, shift: float = 5.0) -> Tensor:
    """``[steps]`` float32 noise levels from 1 downwards; the step after the last goes to 0.

    s = linspace(1, 0, steps+1)[:-1], then shift s / (1 + (shift - 1) s).

    Raises:
        GeometryError: fewer than one step or a shift that is not positive.
    """
    if steps < 1 or shift <= 0:
        raise GeometryError(f"steps is {steps} and shift is {shift}; steps must be at least 1, shift above 0")
    s = torch.linspace(1.0, 0.0, steps + 1)[:-1]
    # rounding may lift the first one above 1
    return (shift * s / (1 + (shift - 1) * s)).clamp(max=1.0)


def guided(negative: Tensor, positive: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``negative + scale (positive - negative)``."""
    return negative + scale * (positive - negative)


@torch.no_grad()
def denoise(
    model: Any,
    source_latents: Tensor,
    noise: Tensor,
    text: Tensor,
    negative_text: Tensor | None,
    context_poses: Tensor,
    target_poses: Tensor,
    *,
    steps: int = 50,
    guidance: float = 5.0,
    shift: float = 5.0,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    batched_guidance: bool = False,
    numerics: str = "accurate",
    cache_context: bool | None = None,
    conditions: Conditions | None = None,
    start_step: int = 0,
    callback: Callable[[DenoiseStep], None] | None = None,
    trace: RetrievalTrace | None = None,
    progress: bool = False,
    plain: bool = False,
) -> Tensor:
    """Sample the target latents that follow a context.

    Args:
        model: a ``WorldTransformer3DModel``.
        source_latents: ``[b, c, fc, h, w]`` clean context latents; given anew to every step.
        noise: ``[b, c, ft, h, w]``; with ``start_step`` the latents to resume from.
        text, negative_text: ``[b, l, text_dim]``; the negative one may be None when guidance is 1.
        context_poses, target_poses: ``[b, fc, 12]``, ``[b, ft, 12]``.
        steps, shift: of :func:`flow_sigmas`.
        guidance: scale; 1 runs the positive branch alone.
        guidance_interval: sigmas (from, to) in which guidance is applied; outside it the positive branch runs
            alone (Kynkaanniemi et al. 2024).
        batched_guidance: both branches in one call of the model rather than one after the other.
        numerics: "accurate" (latents and steps in float32 or wider) or "reference" (all in the model's dtype, timesteps
            too, as the release runs in bf16).
        cache_context: encode the context once for all steps and branches; None does so where the model allows it.
        conditions: intrinsics and further inputs, for conditioners and memories that need them.
        start_step: steps already done.
        callback: called after every step.
        trace: collects what was recalled by the positive branch.
        progress: show a progress bar.
        plain: take the plain attention path.

    Returns:
        ``[b, c, ft, h, w]`` clean target latents, in the dtype that numerics names.

    Raises:
        GeometryError: settings that do not fit one another.
        DenoisingInterrupted: Ctrl-C; carries the latents so far.
    """
    sigmas = flow_sigmas(steps, shift)
    _check_settings(model, text, negative_text, guidance, guidance_interval, numerics, steps, start_step)
    _check_frames(source_latents, noise, context_poses, target_poses)
    dtype = model.dtype if numerics == "reference" else torch.promote_types(model.dtype, torch.float32)
    device = model.device
    source, latents = (x.to(device=device, dtype=dtype) for x in (source_latents, noise))
    poses = context_poses.to(device), target_poses.to(device)
    if model.config.anchor == "session":
        poses = rebase_poses(*poses)
    text = text.to(device)
    negative_text = None if negative_text is None or guidance == 1 else negative_text.to(device)
    if conditions is not None:
        conditions = conditions.map(lambda x: x.to(device))
        conditions = replace(conditions, extra={name: x.to(dtype) for name, x in conditions.extra.items()})
    extra = {"conditions": conditions, "numerics": numerics, "plain": plain}
    if cache_context is None:
        cache_context = model.cacheable and not getattr(model, "is_cache_enabled", False)
    cache = model.encode_context(source, *poses, **extra) if cache_context else None
    predict = _Predictor(model, source, poses, cache, extra)
    if trace is not None:
        trace.samples = len(source)

    levels = [*sigmas.tolist(), 0.0]
    estimate: Tensor | None = None
    done = start_step
    try:
        for step in _progress(range(start_step, steps), steps, progress):
            sigma, next_sigma = levels[step], levels[step + 1]
            if trace is not None:
                trace.begin_step(sigma)
            inside = guidance_interval[0] <= sigma <= guidance_interval[1]
            timestep = (sigmas[step] * TIMESTEPS).to(device=device, dtype=dtype)
            unwanted = negative_text if inside else None
            velocity = predict(latents, timestep, text, unwanted, guidance, batched_guidance, trace)
            estimate = latents - velocity * sigma
            # the difference is taken in float32, as the release's scheduler does
            latents = latents + velocity * float(torch.tensor(next_sigma) - sigmas[step])
            done = step + 1
            if callback is not None:
                callback(DenoiseStep(step, steps, sigma, next_sigma, latents, estimate))
    except KeyboardInterrupt as stop:
        raise DenoisingInterrupted(done, latents, estimate) from stop
    return latents


class _Predictor:
    """One guided velocity of the target frames, whichever way context and branches are run."""

    def __init__(
        self,
        model: Any,
        source: Tensor,
        poses: tuple[Tensor, Tensor],
        cache: ContextCache | None,
        extra: dict[str, Any],
    ) -> None:
        self.model, self.extra = model, extra
        # what a call needs for one branch, and for two side by side
        self.inputs = {1: (source, *poses, cache)}

    def __call__(
        self,
        latents: Tensor,
        timestep: Tensor,
        text: Tensor,
        negative_text: Tensor | None,
        guidance: float,
        batched: bool,
        trace: RetrievalTrace | None,
    ) -> Tensor:
        if negative_text is None:
            return self._velocity("positive", latents, timestep, text, trace)
        if not batched:
            positive = self._velocity("positive", latents, timestep, text, trace)
            return guided(self._velocity("negative", latents, timestep, negative_text), positive, guidance)
        both = torch.cat([text, negative_text])
        velocity = self._velocity("both", latents.repeat(2, 1, 1, 1, 1), timestep, both, trace)
        positive, negative = velocity.chunk(2)
        return guided(negative, positive, guidance)

    def _velocity(
        self, name: str, latents: Tensor, timestep: Tensor, text: Tensor, trace: RetrievalTrace | None = None
    ) -> Tensor:
        """One call of the model; diffusers' step caches keep their state by the call's name."""
        source, context, target, cache = self._repeated(len(latents) // len(self.inputs[1][0]))
        inputs = latents if cache is not None else torch.cat([source, latents], dim=2)
        conditions = self.extra["conditions"]
        if conditions is not None and len(latents) != len(self.inputs[1][0]):
            conditions = conditions.repeat(len(latents) // len(self.inputs[1][0]))
        with _call_name(self.model, name):
            out = self.model(
                inputs,
                timestep.expand(len(latents)),
                text,
                context,
                target,
                context_cache=cache,
                trace=trace,
                target_only=True,
                **{**self.extra, "conditions": conditions},
            )
        return out.sample.to(latents.dtype)

    def _repeated(self, branches: int) -> tuple[Tensor, Tensor, Tensor, ContextCache | None]:
        """Source, poses and cache for so many branches, made once."""
        if branches not in self.inputs:
            source, context, target, cache = self.inputs[1]
            source = source.repeat(branches, 1, 1, 1, 1)
            if cache is None:
                context, target = (pose.repeat(branches, 1, 1) for pose in (context, target))
            else:
                cache = cache.repeat(branches)
                context, target = cache.context_poses, cache.target_poses
            self.inputs[branches] = (source, context, target, cache)
        return self.inputs[branches]


def _check_frames(source: Tensor, noise: Tensor, context_poses: Tensor, target_poses: Tensor) -> None:
    for what, latents, poses in (("source", source, context_poses), ("noise", noise, target_poses)):
        if latents.ndim != 5 or poses.ndim != 3 or (len(latents), latents.shape[2]) != tuple(poses.shape[:2]):
            raise GeometryError(
                f"{what} latents are {list(latents.shape)} and their poses {list(poses.shape)}: expected "
                "[batch, channels, frames, height, width] and [batch, frames, 12] of one batch and frame count"
            )


def _check_settings(
    model: Any,
    text: Tensor,
    negative_text: Tensor | None,
    guidance: float,
    interval: tuple[float, float],
    numerics: str,
    steps: int,
    start_step: int,
) -> None:
    if guidance != 1 and negative_text is None:
        raise GeometryError(f"guidance {guidance} needs negative_text; pass it, or guidance=1")
    if guidance != 1 and negative_text is not None and negative_text.shape != text.shape:
        raise GeometryError(
            f"text {tuple(text.shape)} and negative_text {tuple(negative_text.shape)} must have one shape: "
            "pad both to the same number of tokens"
        )
    if not 0 <= interval[0] <= interval[1] <= 1:
        raise GeometryError(f"guidance_interval is {interval}, expected 0 <= from <= to <= 1 (sigmas)")
    if numerics not in ("accurate", "reference"):
        raise GeometryError(f"numerics is {numerics!r}, expected 'accurate' or 'reference'")
    if not 0 <= start_step <= steps:
        raise GeometryError(f"start_step is {start_step}, expected 0 .. {steps} (the number of steps)")
    dtypes = {p.dtype for p in model.parameters()}
    if numerics == "reference" and len(dtypes) > 1:
        raise GeometryError(
            f"numerics 'reference' needs the whole model in one dtype, it has {sorted(map(str, dtypes))}; "
            "call model.to(torch.bfloat16) first"
        )


def _progress(steps: range, total: int, show: bool) -> Iterator[int]:
    if not show:
        yield from steps
        return
    from tqdm.auto import tqdm

    yield from tqdm(steps, desc="denoising", unit="step", initial=steps.start, total=total, leave=False)


@contextmanager
def _call_name(model: Any, name: str) -> Iterator[None]:
    context = getattr(model, "cache_context", None)
    if context is None:
        yield
        return
    with context(name):
        yield
