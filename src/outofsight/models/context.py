"""A context that is encoded once: for all steps and guidance branches of a chunk, or for all chunks of a session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor

from ..errors import GeometryError
from ..memory import FrameSelection, Memory
from ..memory.layout import take_frames
from .attention import BlockInputs
from .cache import ContextCache
from .conditioners import NO_CONDITIONS, Conditioning, Conditions
from .sequence import SequenceBuilder, check_inputs


class ContextEncoding:
    """The part of :class:`WorldTransformer3DModel` that runs over context frames alone."""

    config: Any
    blocks: Any
    memory: Memory
    conditioning: Conditioning
    sequences: SequenceBuilder
    auxiliary: Any
    gradient_checkpointing: bool
    is_cache_enabled: bool
    patchify: Any
    embed_conditions: Any
    _gradient_checkpointing_func: Any

    @property
    def cacheable(self) -> bool:
        """Whether the context can be encoded once: it is clean and never sees the target."""
        return self.config.context_timestep == "clean" and self.config.context_attention != "joint"

    @property
    def streams(self) -> bool:
        """Whether an encoded context can be appended to: nothing of it depends on what follows."""
        chooses = type(self.memory).select_frames is not Memory.select_frames
        apart = self.config.context_attention == "causal" and self.config.anchor == "session"
        return self.cacheable and apart and not chooses

    @apply_forward_hook
    @torch.no_grad()
    def encode_context(
        self,
        context_latents: Tensor,
        context_poses: Tensor,
        target_poses: Tensor,
        *,
        conditions: Conditions | None = None,
        numerics: str = "accurate",
        plain: bool = False,
    ) -> ContextCache:
        """Run the context once and keep what target frames will ask of it.

        ``context_latents [b, c, fc, h, w]``, poses and conditions as in :meth:`forward`. The cache holds for any text
        and timestep, but for these target poses only: they say how many frames follow, and may be the anchor.

        Raises:
            GeometryError: the model's context sees the target, so it cannot be encoded alone.
        """
        self._check_cacheable()
        empty = context_latents.new_zeros(len(context_latents), 0, self.config.text_dim)
        check_inputs(self.config, context_latents, context_poses.shape[1], target_poses[:, :0], empty)
        return self.encode_checked(
            context_latents, context_poses, target_poses, conditions=conditions, numerics=numerics, plain=plain
        )

    def encode_checked(
        self,
        latents: Tensor,
        context_poses: Tensor,
        target_poses: Tensor,
        *,
        conditions: Conditions | None = None,
        numerics: str = "accurate",
        plain: bool = False,
    ) -> ContextCache:
        """:meth:`encode_context` without its checks, and with gradients where they are on."""
        conditions = conditions or NO_CONDITIONS
        batch, target = latents.shape[0], target_poses.shape[1]
        clean = torch.zeros(batch, device=latents.device, dtype=latents.dtype)
        layout = self.sequences.layout(latents, clean, context_poses, target_poses, conditions)
        x = self.patchify(latents)
        selection = self.memory.select_frames(layout)
        if selection is not None:
            layout = layout.keep_context(selection.indices)
            x = take_frames(x, selection.indices)
        cut = layout.context_frames
        sequence = self.sequences.inputs(layout, range(cut), x, numerics, None, plain)
        sequence.keep_from = self.sequences.plan(layout, range(cut, cut + target), x.device).first_key
        blocks, taps = self._encode(x, latents, sequence)
        seen = context_latents(latents, selection)
        prepared = self.conditioning.prepare(seen, layout, conditions, {}, needing="context_latents")
        return ContextCache(blocks, context_poses, target_poses, latents.shape[3:], selection, prepared, taps=taps)

    @apply_forward_hook
    @torch.no_grad()
    def append_context(
        self,
        past: ContextCache | None,
        latents: Tensor,
        poses: Tensor,
        *,
        conditions: Conditions | None = None,
        numerics: str = "accurate",
        plain: bool = False,
    ) -> ContextCache:
        """Encode further context frames and keep them behind what was encoded before, which stays as it is.

        Args:
            past: what was encoded before: whole pages; None at the beginning of a session.
            latents: ``[b, c, f, h, w]`` clean, any number of frames.
            poses: ``[b, f, 12]`` relative to the session's first frame.
            conditions: intrinsics ``[b, f, 4]`` of these frames, where they are needed.

        Returns:
            a cache that holds for any target that follows; it equals one encoding of the whole context.

        Raises:
            GeometryError: the model does not stream (:attr:`streams`), or ``past`` ends within a page.
        """
        self._check_cacheable()
        conditions = conditions or NO_CONDITIONS
        before = 0 if past is None else past.context_poses.shape[1]
        if not self.streams or before % self.config.page_frames:
            raise GeometryError(
                f"this model's context cannot be appended to after {before} frames: that needs context_attention "
                f"'causal' (it is {self.config.context_attention!r}), anchor 'session' ({self.config.anchor!r}), a "
                f"memory that leaves no frames out, and whole pages of {self.config.page_frames} frames before"
            )
        empty = latents.new_zeros(len(latents), 0, self.config.text_dim)
        check_inputs(self.config, latents, poses.shape[1], poses[:, :0], empty)
        intrinsics = conditions.intrinsics
        if past is not None:
            poses = torch.cat([past.context_poses, poses], dim=1)
            if intrinsics is not None and past.intrinsics is not None:
                intrinsics = torch.cat([past.intrinsics, intrinsics], dim=1)
        clean = torch.zeros(len(latents), device=latents.device, dtype=latents.dtype)
        layout = self.sequences.layout(latents, clean, poses, poses[:, :0], replace(conditions, intrinsics=intrinsics))
        x = self.patchify(latents)
        sequence = self.sequences.inputs(layout, range(before, layout.frames), x, numerics, None, plain)
        reach = self.memory.reach
        held = len(sequence.given) + (0 if past is None else past.blocks[0].key.shape[1])
        sequence.keep_from = 0 if reach is None else max(0, held - reach)
        blocks, _ = self._encode(x, latents, sequence, past)
        return ContextCache(blocks, poses, None, latents.shape[3:], None, intrinsics=intrinsics)

    def _encode(
        self, x: Tensor, latents: Tensor, sequence: BlockInputs, past: ContextCache | None = None
    ) -> tuple[tuple[Any, ...], dict[int, Tensor]]:
        """Run all blocks over context tokens ``x [b, f, n, dim]``; returns the blocks' caches, and their outputs."""
        empty = latents.new_zeros(len(latents), 0, self.config.text_dim)
        _, _, modulation = self.embed_conditions(sequence.layout, sequence.plan.queries, empty)
        caches, taps = [], {}
        x = x.flatten(1, 2)
        no_text = x.new_zeros(len(x), 0, x.shape[-1])
        for i, block in enumerate(self.blocks):
            cached = None if past is None else past.blocks[i]
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                x, kept = self._gradient_checkpointing_func(block, x, no_text, modulation, sequence, cached)
            else:
                x, kept = block(x, no_text, modulation, sequence, cached)
            caches.append(kept)
            if self.auxiliary:
                taps[i] = x
        return tuple(caches), taps

    def _check_cacheable(self) -> None:
        if not self.cacheable:
            raise GeometryError(
                "this model's context cannot be cached: it has context_timestep="
                f"{self.config.context_timestep!r} and context_attention={self.config.context_attention!r}; "
                "caching needs 'clean' and 'context_only' or 'causal'"
            )
        if self.is_cache_enabled:
            raise GeometryError(
                "the context cannot be encoded once while a step cache of diffusers is enabled: its hooks would mix "
                "context and target; call disable_cache(), or sample with cache_context=False"
            )


def context_latents(latents: Tensor, selection: FrameSelection | None) -> Tensor:
    """``[b, c, k, h, w]``: of ``latents [b, c, fc, h, w]``, the context frames that the memory let in."""
    if selection is None:
        return latents
    return take_frames(latents.transpose(1, 2), selection.indices).transpose(1, 2)
