"""WorldTransformer3DModel: Wan's video transformer with conditioners and a memory.

Read next: ``memory/hydra.py`` (what is remembered and recalled) and ``models/block.py`` (where it enters).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict, register_to_config
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers looks for it here when loading)
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn

from ..memory import FrameLayout, Memory, RetrievalTrace, make_memory
from ..memory.layout import put_frames, take_frames
from . import cpu
from .block import WorldTransformerBlock
from .cache import ContextCache
from .conditioners import NO_CONDITIONS, Conditioning, Conditions, ModelShape, make_conditioners
from .context import ContextEncoding, context_latents
from .sequence import SequenceBuilder, check_config, check_inputs

TransformerBlockRegistry.register(
    WorldTransformerBlock,
    TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=None),
)


@dataclass
class WorldTransformerOutput(Transformer2DModelOutput):
    """``sample``: velocities. ``auxiliary``: what auxiliary heads say, by name (training/auxiliary.py)."""

    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)


class WorldTransformer3DModel(ContextEncoding, WanTransformer3DModel):
    """A Wan transformer over context frames followed by target frames.

    Args:
        patch_size .. rope_max_seq_len: as in diffusers' Wan.
        memory: name of the mechanism (``outofsight.memory.MEMORIES``).
        memory_options: its options; missing ones take their defaults, and all of them are saved.
        context_timestep: "shared" (release: context tokens are modulated by the target's timestep) or "clean"
            (timestep 0).
        context_attention: "joint" (release), "context_only": context frames attend to context alone and take no text,
            so they can be encoded once for all steps and guidance branches (:meth:`encode_context`), or "causal": each
            page of the context attends to itself and earlier pages, so what was encoded stays as it is while the
            context grows (:meth:`append_context`).
        page_frames: latent frames of a page.
        anchor: the frame that poses and clock are relative to: "first_target" (release) or "session", the first frame
            of all. Only the second lets keys outlive a chunk.
        target_start: the target's latents before the first step: "noise" (flow matching, release) or "zeros" (the
            model regresses the target directly: its input at noise level 1 tells nothing).
        conditioners: options by name (``outofsight.models.conditioners``); "pose" is the release's.
    """

    _no_split_modules = ("WorldTransformerBlock",)
    _repeated_blocks = ("WorldTransformerBlock",)
    _cp_plan = None

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, ...] = (1, 2, 2),
        num_attention_heads: int = 12,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 8960,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        qk_norm: str = "rms_norm_across_heads",
        eps: float = 1e-6,
        rope_max_seq_len: int = 1024,
        memory: str = "hydra",
        memory_options: dict[str, Any] | None = None,
        context_timestep: str = "shared",
        context_attention: str = "joint",
        page_frames: int = 4,
        anchor: str = "first_target",
        target_start: str = "noise",
        conditioners: Mapping[str, Mapping[str, Any]] | Sequence[str] = ("pose",),
    ) -> None:
        check_config(self.config)
        super().__init__(
            patch_size=patch_size,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=0,
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            rope_max_seq_len=rope_max_seq_len,
        )
        dim = num_attention_heads * attention_head_dim
        self.memory = make_memory(memory, memory_options, context_attention, page_frames)
        patch = (patch_size[0], patch_size[1], patch_size[2])
        made = make_conditioners(conditioners, ModelShape(dim, num_attention_heads, in_channels, patch))
        self.conditioning = Conditioning(made)
        self._settle_config(
            num_layers=num_layers,
            memory_options=self.memory.config(),
            conditioners={kind.path: kind.config() for kind in made.values()},
        )
        self.blocks = nn.ModuleList(
            WorldTransformerBlock(
                dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps, memory=self.memory, conditioners=made
            )
            for _ in range(num_layers)
        )
        if any(kind.zero_head for kind in made.values()):
            nn.init.zeros_(self.proj_out.weight)
            nn.init.zeros_(self.proj_out.bias)
        # positions come from memory/rotary.py, whole and half ones alike; no table of fixed length is kept
        del self.rope
        self.auxiliary = nn.ModuleDict()  # heads that training adds, and takes off again (training/auxiliary.py)
        self.sequences = SequenceBuilder(self.config, self.memory, self.conditioning)
        self.for_cpu: bool | None = None  # whether models/cpu.py is enabled; None: the first forward on a CPU does it

    def _settle_config(self, **settled: Any) -> None:
        """Save what was settled here, and drop Wan's image arguments, which this model does not take."""
        foreign = ("image_dim", "added_kv_proj_dim", "pos_embed_seq_len")
        kept = {name: value for name, value in self.config.items() if name not in foreign}
        self._internal_dict = FrozenDict({**kept, **settled})

    def use_memory(self, memory: Memory) -> Memory:
        """Recall by another mechanism with the same parameters (an ablation); returns the one before.

        Contexts encoded before hold what the other one compressed, so encode them again.
        """
        before, self.memory = self.memory, memory
        blocks: Any = self.blocks
        for block in blocks:
            block.attn1.processor.memory = memory
        self.sequences = SequenceBuilder(self.config, memory, self.conditioning)
        return before

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        context_poses: Tensor,
        target_poses: Tensor,
        *,
        conditions: Conditions | None = None,
        context_cache: ContextCache | None = None,
        trace: RetrievalTrace | None = None,
        numerics: str = "accurate",
        target_only: bool = False,
        plain: bool = False,
        attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
    ) -> WorldTransformerOutput | tuple[Tensor]:
        """Velocity (noise minus clean latents) of every latent frame.

        Args:
            hidden_states: ``[b, c, f, h, w]`` latents, clean context frames first, noisy target frames after;
                with ``context_cache`` the target frames alone.
            timestep: ``[b]``, or ``[b, f]`` for noise levels of their own (context frames included), 0..1000.
            encoder_hidden_states: ``[b, l, text_dim]``.
            context_poses, target_poses: ``[b, fc, 12]``, ``[b, ft, 12]`` in the anchor frame's axes: from
                ``relative_pose_vectors``, for the anchor "session" moved by ``rebase_poses``.
            conditions: intrinsics and further inputs, where conditioners or the memory need them.
            context_cache: from :meth:`encode_context` or :meth:`append_context`.
            trace: collects what each block recalled.
            numerics: "accurate" (modulation and residual sums in float32) or "reference" (in the model's dtype).
            target_only: return the target frames' velocity alone, which is all that sampling uses. The last block
                then computes nothing else, unless a trace is recorded, gradients are kept or a step cache is on.
            plain: take the plain attention path (slow; what the fast one is held equal to).

        Returns:
            ``.sample`` of the shape of ``hidden_states``, or of its target frames. Context frames that a pose-driven
            memory left out are zero; no context frame's velocity is meaningful for sampling.

        Raises:
            GeometryError: sizes that do not fit one another or the patch size, or conditions that are missing.
        """
        conditions = conditions or NO_CONDITIONS
        cut = 0 if context_cache is not None else context_poses.shape[1]
        check_inputs(self.config, hidden_states, cut, target_poses, encoder_hidden_states)
        if context_cache is not None:
            context_cache.check(context_poses, target_poses, hidden_states.shape)
        layout = self.sequences.layout(hidden_states, timestep, context_poses, target_poses, conditions)
        x = self.patchify(hidden_states)
        selection = context_cache.selection if context_cache else self.memory.select_frames(layout)
        if trace is not None:
            trace.context_frames, trace.target_frames = layout.context_frames, layout.target_frames
        if selection is not None:
            if trace is not None:
                trace.add(selection.recall(layout))
            whole, layout = layout, layout.keep_context(selection.indices)
            if context_cache is None:
                x = take_frames(x, whole.kept_frames(selection.indices))
        latents = None if context_cache else context_latents(hidden_states[:, :, :cut], selection)
        prepared = self.conditioning.prepare(
            latents, layout, conditions, done=context_cache.prepared if context_cache else {}
        )
        x = self.conditioning.add_tokens(x, prepared, conditions)
        queries = range(layout.context_frames if context_cache else 0, layout.frames)
        sequence = self.sequences.inputs(layout, queries, x, numerics, None if selection else trace, plain)
        text, temb, modulation = self.embed_conditions(layout, queries, encoder_hidden_states)

        # diffusers' step caches want every block to return as many tokens as it was given
        spare = target_only and trace is None and queries.start == 0 and not self.auxiliary
        spare = spare and not (torch.is_grad_enabled() or self.is_cache_enabled)
        taps: dict[int, Tensor] = {}
        x = x.flatten(1, 2)
        for i, block in enumerate(self.blocks):
            cached = context_cache.blocks[i] if context_cache else None
            if spare and i == len(self.blocks) - 1:
                sequence = self.sequences.last(sequence)
            if torch.is_grad_enabled() and self.gradient_checkpointing and trace is None:
                x = self._gradient_checkpointing_func(block, x, text, modulation, sequence, cached)
            else:
                x = block(x, text, modulation, sequence, cached)
            if self.auxiliary:
                taps[i] = x
        x = x.unflatten(1, (len(sequence.plan.queries), -1))
        cut = layout.target_frames if target_only else x.shape[1]
        x = self._head(x[:, -cut:], temb if temb.shape[1] == 1 else temb[:, -cut:], sequence.wide)
        if selection is not None and x.shape[1] > layout.target_frames:
            x = put_frames(x, whole.kept_frames(selection.indices), whole.frames)
        sample = self.conditioning.start(self._unpatchify(x, hidden_states.shape), hidden_states, prepared, layout)
        if not return_dict:
            return (sample,)
        kept = None if selection is None else (selection.indices, context_poses.shape[1])
        earlier = context_cache.taps if context_cache else taps
        heads = {name: head(earlier, taps, layout, kept) for name, head in self.auxiliary.items()}
        return WorldTransformerOutput(sample=sample, auxiliary=heads)

    # --- parts of the forward pass --------------------------------------------------------------------------

    def patchify(self, latents: Tensor) -> Tensor:
        """``[b, c, f, h, w] -> [b, f, n, dim]``"""
        if self.for_cpu is None and latents.device.type == "cpu" and not torch.compiler.is_compiling():
            cpu.enable(self)
        x = self.patch_embedding(latents.to(self.patch_embedding.weight.dtype))
        return x.flatten(3).permute(0, 2, 3, 1).contiguous()

    def embed_conditions(self, layout: FrameLayout, queries: range, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embedded text ``[b, l, dim]``, time embedding ``[b, 1|f, dim]`` and modulation ``[b, 1|f, 6, dim]``."""
        text = text.to(self.patch_embedding.weight.dtype)
        timesteps = layout.timesteps[:, queries.start : queries.stop]
        if self.config.context_timestep == "shared" and timesteps.stride(1) == 0:
            timesteps = timesteps[:, :1]  # one level for all frames: modulate once
        temb, modulation, embedded, _ = self.condition_embedder(
            timesteps.flatten(), text, timestep_seq_len=timesteps.shape[1]
        )
        return embedded, temb, modulation.unflatten(2, (6, -1))

    def _head(self, x: Tensor, temb: Tensor, wide: torch.dtype) -> Tensor:
        """``[b, f, n, dim] -> [b, f, n, patch*channels]``"""
        table = self.scale_shift_table.to(wide).unsqueeze(1) + temb.to(wide).unsqueeze(2)
        shift, scale = table.unsqueeze(3).unbind(dim=2)
        normed = torch.addcmul(shift, self.norm_out(x.to(wide)), 1 + scale).to(x.dtype)
        return self.proj_out(normed)

    def _unpatchify(self, x: Tensor, shape: torch.Size) -> Tensor:
        """``[b, f, n, patch*channels] -> [b, c, f, h, w]`` for latents of that height and width."""
        p_t, p_h, p_w = self.config.patch_size
        batch, _, _, height, width = shape
        x = x.reshape(batch, x.shape[1], height // p_h, width // p_w, p_t, p_h, p_w, -1)
        return x.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(batch, -1, x.shape[1] * p_t, height, width)
