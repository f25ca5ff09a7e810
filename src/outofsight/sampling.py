"""Flow-matching sampling as pure functions: the schedule, guidance, and the loop over steps.

Source: docs/hydra.md, rows "sampler" and "guidance". The model predicts the velocity v = noise - clean, so that
x_sigma = (1 - sigma) clean + sigma noise and x <- x + v (sigma_next - sigma).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .cameras import rebase_poses
from .errors import GeometryError, NumericsError
from .models.conditioners.base import Conditions
from .progress import counted
from .records import MOST_STEPS

if TYPE_CHECKING:
    from .memory import RetrievalTrace
    from .models.cache import ContextCache

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
    if not 1 <= steps <= MOST_STEPS or not 0 < shift < math.inf:
        raise GeometryError(
            f"steps is {steps} and shift is {shift}; steps must be 1 .. {MOST_STEPS}, shift a number above 0"
        )
    s = torch.linspace(1.0, 0.0, steps + 1)[:-1]
    # rounding may lift the first one above 1
    return (shift * s / (1 + (shift - 1) * s)).clamp(max=1.0)


@dataclass(frozen=True)
class SamplingOptions:
    """How target latents are sampled; one object from the command line to the loop.

    Args:
        steps, shift: of :func:`flow_sigmas`.
        guidance: scale; 1 runs the positive branch alone.
        guidance_interval: sigmas (from, to) in which guidance is applied; outside it the positive branch runs alone
            (Kynkaanniemi et al. 2024).
        guidance_kind: name in :data:`GUIDANCES`.
        batched_guidance: all branches in one call of the model rather than one after the other.
        numerics: "accurate" (latents and steps in float32 or wider) or "reference" (all in the model's dtype, timesteps
            too, as the release runs in bf16).
        cache_context: encode the context once for all steps and branches; None does so where the model allows it.
        plain: take the plain attention path.

    Raises:
        GeometryError: options out of their range.
    """

    steps: int = 50
    shift: float = 5.0
    guidance: float = 5.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    guidance_kind: str = "classifier_free"
    batched_guidance: bool = False
    numerics: str = "accurate"
    cache_context: bool | None = None
    plain: bool = False

    def __post_init__(self) -> None:
        flow_sigmas(self.steps, self.shift)
        if not math.isfinite(self.guidance):
            raise GeometryError(f"guidance is {self.guidance}, expected a finite number; 1 is no guidance")
        low, high = self.guidance_interval
        if not 0 <= low <= high <= 1:
            raise GeometryError(f"guidance_interval is {(low, high)}, expected 0 <= from <= to <= 1 (sigmas)")
        if self.numerics not in ("accurate", "reference"):
            raise GeometryError(f"numerics is {self.numerics!r}, expected 'accurate' or 'reference'")
        if self.guidance_kind not in GUIDANCES:
            raise GeometryError(f"no guidance {self.guidance_kind!r}; there are {', '.join(sorted(GUIDANCES))}")


@dataclass(frozen=True, eq=False)
class Branch:
    """One call of the model, and its weight in the velocity.

    ``text [b, l, text_dim]``; ``dropped``: conditioners that this branch goes without. The first branch of a guidance
    is the one that is traced.
    """

    name: str
    weight: float
    text: Tensor
    dropped: tuple[str, ...] = ()


# (options, text, negative text or None) -> branches, whose weights should sum to 1
Guidance = Callable[[SamplingOptions, Tensor, "Tensor | None"], "list[Branch]"]


def classifier_free(options: SamplingOptions, text: Tensor, negative_text: Tensor | None) -> list[Branch]:
    """negative + scale (positive - negative) (Ho and Salimans 2022)."""
    if options.guidance == 1 or negative_text is None:
        return [Branch("positive", 1.0, text)]
    return [
        Branch("positive", options.guidance, text),
        Branch("negative", 1.0 - options.guidance, negative_text),
    ]


GUIDANCES: dict[str, Guidance] = {"classifier_free": classifier_free}


def register_guidance(name: str, guidance: Guidance) -> None:
    """Make a guidance known by its name. Raises GeometryError where the name is taken."""
    if GUIDANCES.get(name, guidance) is not guidance:
        raise GeometryError(f"a guidance named {name!r} is registered already: give yours another name")
    GUIDANCES[name] = guidance


def anchor_of(model: Any) -> str:
    """The frame that a model's poses are relative to: "first_target" or "session"."""
    anchor: str = getattr(getattr(model, "config", None), "anchor", "first_target")
    return anchor


def start_of(model: Any, noise: Tensor) -> Tensor:
    """The target's latents before the first step: ``noise``, or zeros for a model that regresses directly."""
    start = getattr(getattr(model, "config", None), "target_start", "noise")
    return torch.zeros_like(noise) if start == "zeros" else noise


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
    options: SamplingOptions | None = None,
    conditions: Conditions | None = None,
    context_cache: ContextCache | None = None,
    start_step: int = 0,
    callback: Callable[[DenoiseStep], None] | None = None,
    trace: RetrievalTrace | None = None,
    progress: bool = False,
    **further: Any,
) -> Tensor:
    """Sample the target latents that follow a context.

    Args:
        model: a ``WorldTransformer3DModel``.
        source_latents: ``[b, c, fc, h, w]`` clean context latents; given to every step.
        noise: ``[b, c, ft, h, w]``; with ``start_step`` the latents to resume from.
        text, negative_text: ``[b, l, text_dim]``; the negative one may be None when guidance is 1.
        context_poses, target_poses: ``[b, fc, 12]``, ``[b, ft, 12]``.
        steps, guidance, shift, further: fields of :class:`SamplingOptions`.
        options: all of them at once, in their place.
        conditions: intrinsics and further inputs, for conditioners and memories that need them.
        context_cache: the context, encoded before (``append_context``); poses are then in the session's axes, and
            ``source_latents`` are not looked at.
        start_step: steps already done.
        callback: called after every step.
        trace: collects what was recalled by the positive branch.
        progress: show a progress bar.

    Returns:
        ``[b, c, ft, h, w]`` clean target latents, in the dtype that numerics names.

    Raises:
        GeometryError: settings that do not fit one another.
        NumericsError: latents that are no longer finite.
        DenoisingInterrupted: Ctrl-C; carries the latents so far.
    """
    if options is None:
        options = SamplingOptions(steps=steps, guidance=guidance, shift=shift, **further)
    sigmas = flow_sigmas(options.steps, options.shift)
    _check_settings(model, text, negative_text, options, start_step)
    _check_frames(source_latents, noise, context_poses, target_poses, context_cache)
    dtype = model.dtype if options.numerics == "reference" else torch.promote_types(model.dtype, torch.float32)
    device = model.device
    start = noise if start_step else start_of(model, noise)
    source, latents = (x.to(device=device, dtype=dtype) for x in (source_latents, start))
    poses = context_poses.to(device), target_poses.to(device)
    if anchor_of(model) == "session" and context_cache is None:
        poses = rebase_poses(*poses)
    if conditions is not None:
        conditions = conditions.map(lambda x: x.to(device))
        conditions = replace(conditions, extra={name: x.to(dtype) for name, x in conditions.extra.items()})
    extra = {"conditions": conditions, "numerics": options.numerics, "plain": options.plain}
    cached = options.cache_context
    if cached is None:
        cached = model.cacheable and not getattr(model, "is_cache_enabled", False)
    if context_cache is None and cached:
        context_cache = model.encode_context(source, *poses, **extra)
    negative_text = None if negative_text is None else negative_text.to(device)
    branches = {
        inside: GUIDANCES[options.guidance_kind](options, text.to(device), negative_text if inside else None)
        for inside in (True, False)
    }
    predict = _Predictor(model, source, poses, context_cache, extra, options.batched_guidance)
    if trace is not None:
        trace.samples = len(noise)

    levels = [*sigmas.tolist(), 0.0]
    estimate: Tensor | None = None
    done = start_step
    try:
        for step in _progress(range(start_step, options.steps), options.steps, progress):
            sigma, next_sigma = levels[step], levels[step + 1]
            if trace is not None:
                trace.begin_step(sigma)
            inside = options.guidance_interval[0] <= sigma <= options.guidance_interval[1]
            timestep = (sigmas[step] * TIMESTEPS).to(device=device, dtype=dtype)
            velocity = predict(latents, timestep, branches[inside], trace)
            estimate = latents - velocity * sigma
            # the difference is taken in float32, as the release's scheduler does
            latents = latents + velocity * float(torch.tensor(next_sigma) - sigmas[step])
            _check_finite(latents, step, options)
            done = step + 1
            if callback is not None:
                callback(DenoiseStep(step, options.steps, sigma, next_sigma, latents, estimate))
    except KeyboardInterrupt as stop:
        raise DenoisingInterrupted(done, latents, estimate) from stop
    return latents


class _Predictor:
    """The guided velocity of the target frames: a weighted sum of branches, however context and branches are run."""

    def __init__(
        self,
        model: Any,
        source: Tensor,
        poses: tuple[Tensor, Tensor],
        cache: ContextCache | None,
        extra: dict[str, Any],
        batched: bool,
    ) -> None:
        self.model, self.extra, self.batched = model, extra, batched
        # what a call needs for one branch, and for several side by side
        self.inputs = {1: (source, *poses, cache)}

    def __call__(
        self, latents: Tensor, timestep: Tensor, branches: Sequence[Branch], trace: RetrievalTrace | None
    ) -> Tensor:
        if self.batched and len(branches) > 1:
            text = torch.cat([branch.text for branch in branches])
            together = latents.repeat(len(branches), 1, 1, 1, 1)
            name = "+".join(branch.name for branch in branches)
            parts = list(self._velocity(name, together, timestep, text, branches, trace).chunk(len(branches)))
        else:
            parts = [
                self._velocity(branch.name, latents, timestep, branch.text, [branch], None if number else trace)
                for number, branch in enumerate(branches)
            ]
        if len(branches) == 1 and branches[0].weight == 1:
            return parts[0]
        total = parts[0] * branches[0].weight
        for branch, part in zip(branches[1:], parts[1:], strict=True):
            total = total + part * branch.weight
        return total

    def _velocity(
        self,
        name: str,
        latents: Tensor,
        timestep: Tensor,
        text: Tensor,
        branches: Sequence[Branch],
        trace: RetrievalTrace | None,
    ) -> Tensor:
        """One call of the model; diffusers' step caches keep their state by the call's name."""
        source, context, target, cache = self._repeated(len(branches))
        inputs = latents if cache is not None else torch.cat([source, latents], dim=2)
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
                **{**self.extra, "conditions": self._conditions(branches, len(latents))},
            )
        sample: Tensor = out.sample
        return sample.to(latents.dtype)

    def _conditions(self, branches: Sequence[Branch], rows: int) -> Conditions | None:
        conditions: Conditions | None = self.extra["conditions"]
        if conditions is not None and len(branches) > 1:
            conditions = conditions.repeat(len(branches))
        names = {name for branch in branches for name in branch.dropped}
        if not names:
            return conditions
        clips = rows // len(branches)
        dropped = {
            name: torch.tensor([name in branch.dropped for branch in branches]).repeat_interleave(clips)
            for name in names
        }
        return replace(conditions or Conditions(), dropped=dropped)

    def _repeated(self, branches: int) -> tuple[Tensor, Tensor, Tensor, ContextCache | None]:
        """Source, poses and cache for so many branches, made once."""
        if branches not in self.inputs:
            source, context, target, cache = self.inputs[1]
            source = source.repeat(branches, 1, 1, 1, 1)
            target = target.repeat(branches, 1, 1)
            context = context.repeat(branches, 1, 1)
            if cache is not None:
                cache = cache.repeat(branches)
                context = cache.context_poses
                target = target if cache.target_poses is None else cache.target_poses
            self.inputs[branches] = (source, context, target, cache)
        return self.inputs[branches]


def _check_finite(latents: Tensor, step: int, options: SamplingOptions) -> None:
    if not bool(latents.isfinite().all()):
        raise NumericsError(
            f"the latents are not finite after step {step + 1} of {options.steps} (dtype {latents.dtype}): the weights "
            "or the context hold NaN, or numbers grew too large; try torch_dtype=float32 (--dtype float32) and "
            "numerics 'accurate'"
        )


def _check_frames(
    source: Tensor, noise: Tensor, context_poses: Tensor, target_poses: Tensor, cache: ContextCache | None
) -> None:
    given = [("noise", noise, target_poses)]
    if cache is None:
        given.append(("source", source, context_poses))
    for what, latents, poses in given:
        if latents.ndim != 5 or poses.ndim != 3 or (len(latents), latents.shape[2]) != tuple(poses.shape[:2]):
            raise GeometryError(
                f"{what} latents are {list(latents.shape)} and their poses {list(poses.shape)}: expected "
                "[batch, channels, frames, height, width] and [batch, frames, 12] of one batch and frame count"
            )


def _check_settings(
    model: Any, text: Tensor, negative_text: Tensor | None, options: SamplingOptions, start_step: int
) -> None:
    if options.guidance != 1 and negative_text is None and options.guidance_kind == "classifier_free":
        raise GeometryError(f"guidance {options.guidance} needs negative_text; pass it, or guidance=1")
    if options.guidance != 1 and negative_text is not None and negative_text.shape != text.shape:
        raise GeometryError(
            f"text {tuple(text.shape)} and negative_text {tuple(negative_text.shape)} must have one shape: "
            "pad both to the same number of tokens"
        )
    if not 0 <= start_step <= options.steps:
        raise GeometryError(f"start_step is {start_step}, expected 0 .. {options.steps} (the number of steps)")
    dtypes = {p.dtype for p in model.parameters()}
    if options.numerics == "reference" and len(dtypes) > 1:
        raise GeometryError(
            f"numerics 'reference' needs the whole model in one dtype, it has {sorted(map(str, dtypes))}; "
            "call model.to(torch.bfloat16) first"
        )


def _progress(steps: range, total: int, show: bool) -> Iterator[int]:
    yield from counted(steps, "denoising steps", total, initial=steps.start, shown=show)


@contextmanager
def _call_name(model: Any, name: str) -> Iterator[None]:
    context = getattr(model, "cache_context", None)
    if context is None:
        yield
        return
    with context(name):
        yield
