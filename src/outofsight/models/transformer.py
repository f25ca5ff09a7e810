"""WorldTransformer3DModel: Wan's video transformer with conditioners and a memory.

Read next: ``memory/hydra.py`` (what is remembered and recalled) and ``models/block.py`` (where it enters).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict, register_to_config
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers looks for it here when loading)
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.utils import apply_lora_scale
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from ..errors import GeometryError, MemoryOptionError
from ..memory import AttentionPlan, FrameLayout, FrameSelection, Memory, RetrievalTrace, make_layout, make_memory
from ..memory.layout import put_frames, take_frames
from ..memory.rotary import Rotary
from . import cpu
from .attention import BlockInputs
from .block import WorldTransformerBlock
from .cache import ContextCache
from .conditioners import Conditions, ModelShape, make_conditioners
from .conditioners.pose import POSE_NUMBERS

TransformerBlockRegistry.register(
    WorldTransformerBlock,
    TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=None),
)
_NO_CONDITIONS = Conditions()


@dataclass
class WorldTransformerOutput(Transformer2DModelOutput):
    """``sample``: velocities. ``auxiliary``: what auxiliary heads say, by name (training/auxiliary.py)."""

    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)


class WorldTransformer3DModel(WanTransformer3DModel):
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
        conditioners: Mapping[str, Mapping[str, Any]] | Sequence[str] = ("pose",),
    ) -> None:
        _check_choices(context_timestep, context_attention, anchor, page_frames)
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
        self.conditioning = nn.ModuleDict(made)
        self._kinds = made  # the same, as what they are
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
        self._plans: dict[tuple[Any, ...], AttentionPlan] = {}
        self.for_cpu: bool | None = None  # whether models/cpu.py is enabled; None: the first forward on a CPU does it

    def _settle_config(self, **settled: Any) -> None:
        """Save what was settled here, and drop Wan's image arguments, which this model does not take."""
        foreign = ("image_dim", "added_kv_proj_dim", "pos_embed_seq_len")
        kept = {name: value for name, value in self.config.items() if name not in foreign}
        self._internal_dict = FrozenDict({**kept, **settled})

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

    def use_memory(self, memory: Memory) -> Memory:
        """Recall by another mechanism with the same parameters (an ablation); returns the one before.

        Contexts encoded before hold what the other one compressed, so encode them again.
        """
        before, self.memory = self.memory, memory
        blocks: Any = self.blocks
        for block in blocks:
            block.attn1.processor.memory = memory
        self._plans.clear()
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
        conditions = conditions or _NO_CONDITIONS
        cut = 0 if context_cache is not None else context_poses.shape[1]
        self._check_geometry(hidden_states, cut, target_poses, encoder_hidden_states)
        if context_cache is not None:
            context_cache.check(context_poses, target_poses, hidden_states.shape)
        layout = self._layout(hidden_states, timestep, context_poses, target_poses, conditions)
        x = self._patchify(hidden_states)
        selection = context_cache.selection if context_cache else self.memory.select_frames(layout)
        if trace is not None:
            trace.context_frames, trace.target_frames = layout.context_frames, layout.target_frames
        if selection is not None:
            if trace is not None:
                trace.add(selection.recall(layout))
            whole, layout = layout, layout.keep_context(selection.indices)
            if context_cache is None:
                x = take_frames(x, whole.kept_frames(selection.indices))
        latents = None if context_cache else _context_latents(hidden_states[:, :, :cut], selection)
        prepared = self._prepare(latents, layout, conditions, context_cache)
        x = self._add_tokens(x, prepared, conditions)
        queries = range(layout.context_frames if context_cache else 0, layout.frames)
        sequence = self._sequence(layout, queries, x, numerics, None if selection else trace, plain)
        text, temb, modulation = self._condition(layout, queries, encoder_hidden_states)

        # diffusers' step caches want every block to return as many tokens as it was given
        spare = target_only and trace is None and queries.start == 0 and not self.auxiliary
        spare = spare and not (torch.is_grad_enabled() or self.is_cache_enabled)
        taps: dict[int, Tensor] = {}
        x = x.flatten(1, 2)
        for i, block in enumerate(self.blocks):
            cached = context_cache.blocks[i] if context_cache else None
            if spare and i == len(self.blocks) - 1:
                sequence = self._last_sequence(sequence)
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
        sample = self._start(self._unpatchify(x, hidden_states.shape), hidden_states, prepared, layout)
        if not return_dict:
            return (sample,)
        kept = None if selection is None else (selection.indices, context_poses.shape[1])
        earlier = context_cache.taps if context_cache else taps
        heads = {name: head(earlier, taps, layout, kept) for name, head in self.auxiliary.items()}
        return WorldTransformerOutput(sample=sample, auxiliary=heads)

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
        self._check_geometry(context_latents, context_poses.shape[1], target_poses[:, :0], empty)
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
        conditions = conditions or _NO_CONDITIONS
        batch, target = latents.shape[0], target_poses.shape[1]
        clean = torch.zeros(batch, device=latents.device, dtype=latents.dtype)
        layout = self._layout(latents, clean, context_poses, target_poses, conditions)
        x = self._patchify(latents)
        selection = self.memory.select_frames(layout)
        if selection is not None:
            layout = layout.keep_context(selection.indices)
            x = take_frames(x, selection.indices)
        cut = layout.context_frames
        sequence = self._sequence(layout, range(cut), x, numerics, None, plain)
        sequence.keep_from = self._plan(layout, range(cut, cut + target), x.device).first_key
        blocks, taps = self._encode(x, latents, sequence)
        prepared = self._prepare(
            _context_latents(latents, selection), layout, conditions, None, needing="context_latents"
        )
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
        conditions = conditions or _NO_CONDITIONS
        before = 0 if past is None else past.context_poses.shape[1]
        if not self.streams or before % self.config.page_frames:
            raise GeometryError(
                f"this model's context cannot be appended to after {before} frames: that needs context_attention "
                f"'causal' (it is {self.config.context_attention!r}), anchor 'session' ({self.config.anchor!r}), a "
                f"memory that leaves no frames out, and whole pages of {self.config.page_frames} frames before"
            )
        empty = latents.new_zeros(len(latents), 0, self.config.text_dim)
        self._check_geometry(latents, poses.shape[1], poses[:, :0], empty)
        intrinsics = conditions.intrinsics
        if past is not None:
            poses = torch.cat([past.context_poses, poses], dim=1)
            if intrinsics is not None and past.intrinsics is not None:
                intrinsics = torch.cat([past.intrinsics, intrinsics], dim=1)
        clean = torch.zeros(len(latents), device=latents.device, dtype=latents.dtype)
        layout = self._layout(latents, clean, poses, poses[:, :0], replace(conditions, intrinsics=intrinsics))
        x = self._patchify(latents)
        sequence = self._sequence(layout, range(before, layout.frames), x, numerics, None, plain)
        reach = self.memory.reach
        held = len(sequence.given) + (0 if past is None else past.blocks[0].key.shape[1])
        sequence.keep_from = 0 if reach is None else max(0, held - reach)
        blocks, _ = self._encode(x, latents, sequence, past)
        return ContextCache(blocks, poses, None, latents.shape[3:], None, intrinsics=intrinsics)

    # --- parts of the forward pass --------------------------------------------------------------------------

    def _encode(
        self, x: Tensor, latents: Tensor, sequence: BlockInputs, past: ContextCache | None = None
    ) -> tuple[tuple[Any, ...], dict[int, Tensor]]:
        """Run all blocks over context tokens ``x [b, f, n, dim]``; returns the blocks' caches, and their outputs."""
        empty = latents.new_zeros(len(latents), 0, self.config.text_dim)
        _, _, modulation = self._condition(sequence.layout, sequence.plan.queries, empty)
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

    def _prepare(
        self,
        latents: Tensor | None,
        layout: FrameLayout,
        conditions: Conditions,
        cache: ContextCache | None,
        needing: str | None = None,
    ) -> dict[str, Tensor]:
        """What conditioners make for the target: from the cache what was made with it, else from what is given.

        ``needing``: only of conditioners that have this need.
        """
        prepared = dict(cache.prepared) if cache is not None else {}
        for name, kind in self._kinds.items():
            if name in prepared or (needing is not None and needing not in kind.needs):
                continue
            made = kind.prepare(latents if "context_latents" in kind.needs else None, layout, conditions)
            if made is not None:
                prepared[name] = made
        return prepared

    def _add_tokens(self, x: Tensor, prepared: Mapping[str, Tensor], conditions: Conditions) -> Tensor:
        """``x [b, f, n, dim]``, to whose last frames, the target's, conditioners have added theirs."""
        for name, kind in self._kinds.items():
            added = kind.tokens(prepared[name]) if name in prepared else None
            if added is None:
                continue
            added = added.to(x.dtype)
            if name in conditions.dropped:
                added = added * ~conditions.dropped[name][:, None, None, None].to(x.device)
            x = torch.cat([x[:, : -added.shape[1]], x[:, -added.shape[1] :] + added], dim=1)
        return x

    def _start(self, sample: Tensor, noisy: Tensor, prepared: Mapping[str, Tensor], layout: FrameLayout) -> Tensor:
        """The velocities, from where conditioners say that they begin."""
        frames = layout.target_frames
        for name, kind in self._kinds.items():
            if name in prepared:
                target = kind.start(
                    sample[:, :, -frames:], noisy[:, :, -frames:], prepared[name], layout.timesteps[:, -frames:]
                )
                sample = torch.cat([sample[:, :, :-frames], target], dim=2) if sample.shape[2] > frames else target
        return sample

    def _check_geometry(self, latents: Tensor, context: int, target_poses: Tensor, text: Tensor) -> None:
        frames = context + target_poses.shape[1]
        if latents.ndim != 5 or latents.shape[2] != frames or latents.shape[1] != self.config.in_channels:
            raise GeometryError(
                f"latents have shape {tuple(latents.shape)}, expected [batch, {self.config.in_channels}, "
                f"{frames}, height, width]: {context} context and {target_poses.shape[1]} target frames "
                "by the pose vectors"
            )
        patch = self.config.patch_size
        if any(size % p for size, p in zip(latents.shape[2:], patch, strict=True)):
            raise GeometryError(
                f"latents of (frames, height, width) {tuple(latents.shape[2:])} do not divide into patches of "
                f"{tuple(patch)}; choose a resolution whose latents do"
            )
        if target_poses.shape[-1] != POSE_NUMBERS:
            raise GeometryError(
                f"pose vectors have {target_poses.shape[-1]} numbers, expected {POSE_NUMBERS} (a 3x4 matrix); "
                "make them with outofsight.cameras.relative_pose_vectors"
            )
        if text.ndim != 3 or text.shape[0] != latents.shape[0] or text.shape[2] != self.config.text_dim:
            raise GeometryError(
                f"text embeddings have shape {tuple(text.shape)}, expected "
                f"[{latents.shape[0]}, tokens, {self.config.text_dim}]"
            )

    def _layout(
        self,
        latents: Tensor,
        timestep: Tensor,
        context_poses: Tensor,
        target_poses: Tensor,
        conditions: Conditions,
    ) -> FrameLayout:
        frames = context_poses.shape[1] + target_poses.shape[1]
        if timestep.ndim == 1:
            timestep = timestep.expand(latents.shape[0])[:, None].expand(-1, frames)
        if self.config.context_timestep == "clean":
            cut = context_poses.shape[1]
            timestep = torch.cat([torch.zeros_like(timestep[:, :cut]), timestep[:, cut:]], dim=1)
        _, p_h, p_w = self.config.patch_size
        grid = (latents.shape[3] // p_h, latents.shape[4] // p_w)
        return make_layout(
            grid, context_poses, target_poses, timestep, conditions.intrinsics, anchor=self.config.anchor
        )

    def _patchify(self, latents: Tensor) -> Tensor:
        """``[b, c, f, h, w] -> [b, f, n, dim]``"""
        if self.for_cpu is None and latents.device.type == "cpu" and not torch.compiler.is_compiling():
            cpu.enable(self)
        x = self.patch_embedding(latents.to(self.patch_embedding.weight.dtype))
        return x.flatten(3).permute(0, 2, 3, 1).contiguous()

    def _sequence(
        self,
        layout: FrameLayout,
        queries: range,
        x: Tensor,
        numerics: str,
        trace: RetrievalTrace | None,
        plain: bool,
    ) -> BlockInputs:
        if numerics not in ("accurate", "reference"):
            raise GeometryError(f"numerics is {numerics!r}, expected 'accurate' or 'reference'")
        plan = self._plan(layout, queries, x.device)
        features, matrices = {}, {}
        for name, kind in self._kinds.items():
            if (made := kind.features(layout, queries)) is not None:
                made = made if made.ndim == 4 else made.unsqueeze(2)
                features[name] = made.to(device=x.device, dtype=x.dtype)
            if (made := kind.matrices(layout)) is not None:
                matrices[name] = made
        rotary, memory_rotary, old_tokens = self._rotary(layout, plan, x.device)
        apart = self.config.context_attention != "joint"
        return BlockInputs(
            layout=layout,
            given=queries,
            plan=plan,
            rotary=rotary,
            memory_rotary=memory_rotary,
            old_tokens=old_tokens,
            features=features,
            matrices=matrices,
            wide=x.dtype if numerics == "reference" else torch.promote_types(x.dtype, torch.float32),
            text_frames=max(0, min(layout.context_frames, queries.stop) - queries.start) if apart else 0,
            pose_scores=self.memory.pose_scores(layout, plan),
            trace=trace,
            plain=plain,
        )

    def _rotary(
        self, layout: FrameLayout, plan: AttentionPlan, device: torch.device
    ) -> tuple[Rotary, Rotary | None, int]:
        """Rotary tables of the query frames' tokens and of the memory tokens that they make (None: they make none), and
        how many memory tokens were made before."""
        memory, first = plan.memory, plan.queries.start
        table, made, old = plan.rotary, None, 0
        if memory is not None and first < memory.frames:
            old = int((memory.sources[:, 1] < first).sum())
            made = plan.memory_rotary if old == 0 else memory.rotary(old, self.config.attention_head_dim, device)
        for kind in self._kinds.values():
            table = kind.rotary(table, layout, plan.queries, None)
            if made is not None and memory is not None:
                made = kind.rotary(made, layout, range(first, memory.frames), self.memory.pool)
        return table, made, old

    def _last_sequence(self, sequence: BlockInputs) -> BlockInputs:
        """For a last block of which only the target frames are wanted: context frames give keys and no more."""
        layout = sequence.layout
        cut = layout.context_frames
        plan = self._plan(layout, range(cut, layout.frames), sequence.rotary.cos.device)
        return replace(sequence, plan=plan, first_query=cut, pose_scores=self.memory.pose_scores(layout, plan))

    def _plan(self, layout: FrameLayout, queries: range, device: torch.device) -> AttentionPlan:
        """The plan of a clip shape, made once and reused over blocks, steps and guidance branches."""
        times = tuple(map(tuple, layout.times.tolist()))
        key = (layout.grid, layout.context_frames, times, queries, device)
        if key not in self._plans:
            while len(self._plans) >= 4:
                self._plans.pop(next(iter(self._plans)))
            # plans outlive the call: made under inference_mode they could not serve training later
            with torch.inference_mode(False):
                self._plans[key] = self.memory.plan(layout, self.config.attention_head_dim, device, queries)
        return self._plans[key]

    def _condition(self, layout: FrameLayout, queries: range, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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


def _context_latents(latents: Tensor, selection: FrameSelection | None) -> Tensor:
    """``[b, c, k, h, w]``: the context frames that the memory let in."""
    if selection is None:
        return latents
    return take_frames(latents.transpose(1, 2), selection.indices).transpose(1, 2)


def _check_choices(context_timestep: str, context_attention: str, anchor: str, page_frames: int) -> None:
    for name, value, choices in (
        ("context_timestep", context_timestep, ("shared", "clean")),
        ("context_attention", context_attention, ("joint", "context_only", "causal")),
        ("anchor", anchor, ("first_target", "session")),
    ):
        if value not in choices:
            raise MemoryOptionError(f"{name} is {value!r}, expected one of {choices}")
    if page_frames < 1:
        raise MemoryOptionError(f"page_frames is {page_frames}, expected at least 1")
