"""WorldTransformer3DModel: Wan's video transformer with cameras and a memory.

Read next: ``memory/hydra.py`` (what is remembered and recalled) and ``models/block.py`` (where it enters).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from ..memory.rotary import Rotary, join_heads, point_rotary
from .attention import ContextCache, Sequence
from .block import POSE_NUMBERS, WorldTransformerBlock
from .clock import clock_numbers
from .presence import PresenceHead, whole_presence
from .rays import BY_VIEW, anchor_points, ray_directions
from .rendered_encoder import RenderedEncoder
from .reprojection import ReprojectionEncoder

TransformerBlockRegistry.register(
    WorldTransformerBlock,
    TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=None),
)


@dataclass
class WorldTransformerOutput(Transformer2DModelOutput):
    """``sample``: velocities. presence: logits ``[b, fc + ft, h, w]`` of a subject covering a cell, or None."""

    presence: Tensor | None = None


class WorldTransformer3DModel(WanTransformer3DModel):
    """A Wan transformer over context frames followed by target frames.

    Args:
        patch_size .. rope_max_seq_len: as in diffusers' Wan.
        memory: name of the mechanism: "hydra", "full" or "fov".
        memory_options: its options; missing ones take their defaults, and all of them are saved.
        context_timestep: "shared" (release: context tokens are modulated by the target's timestep) or "clean"
            (timestep 0).
        context_attention: "joint" (release) or "context_only": context frames attend to context alone and take
            no text, so they can be encoded once for all steps and guidance branches (:meth:`encode_context`).
        camera_inputs: "pose" (release: a 12-vector per frame and block) and optionally "rays" (direction of each
            token's ray relative to the first target camera, added beside it), "anchors" (half of the heads get
            rotary positions from where tokens look instead of where they lie in the picture, in the spirit of GTA
            and PRoPE: attention finds what was seen in the same direction before anything is learned) and
            "reprojections" (target tokens also get what the context showed where they look; models/reprojection.py)
            and "clock" (how long before or after the cut each frame is, added beside the pose: rotary positions tell
            attention of time, but not the values that it fetches).
        anchor_disparities: 1/m, of the anchors: 0 for the direction alone, 0.2 for points 5 m away. The heads share
            them in turn.
        reprojection_disparities: 1/m, of the reprojections.
        presence: also tell where subjects are (models/presence.py).
        rendered: target tokens are told what the context's pixels say that the target looks like, and velocities begin
            from there (models/rendered_encoder.py).
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
        camera_inputs: tuple[str, ...] = ("pose",),
        anchor_disparities: tuple[float, ...] = (0.0, 0.1, 0.3),
        reprojection_disparities: tuple[float, ...] = (0.0, 0.06, 0.15, 0.3),
        presence: bool = False,
        rendered: bool = False,
    ) -> None:
        _check_choices(context_timestep, context_attention, camera_inputs)
        _check_disparities(camera_inputs, anchor_disparities, reprojection_disparities, num_attention_heads)
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
        self.memory = make_memory(memory, memory_options, context_attention)
        self._settle_config(num_layers=num_layers, memory_options=self.memory.config())
        dim = num_attention_heads * attention_head_dim
        self.blocks = nn.ModuleList(
            WorldTransformerBlock(
                dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps,
                memory=self.memory, rays="rays" in camera_inputs, clock="clock" in camera_inputs,
            )
            for _ in range(num_layers)
        )  # fmt: skip
        self.reprojection_encoder: ReprojectionEncoder | None = None
        if "reprojections" in camera_inputs:
            self.reprojection_encoder = ReprojectionEncoder(
                in_channels, tuple(reprojection_disparities), dim, patch_size
            )
        self.presence_head = PresenceHead(dim, patch_size, num_layers) if presence else None
        self.rendered_encoder = RenderedEncoder(in_channels, dim, patch_size) if rendered else None
        if rendered:  # the first answer is the rendered picture
            nn.init.zeros_(self.proj_out.weight)
            nn.init.zeros_(self.proj_out.bias)
        # positions come from memory/rotary.py, whole and half ones alike; no table of fixed length is kept
        del self.rope
        self._plans: dict[tuple[Any, ...], AttentionPlan] = {}

    def _settle_config(self, **settled: Any) -> None:
        """Save what was settled here, and drop Wan's image arguments, which this model does not take."""
        foreign = ("image_dim", "added_kv_proj_dim", "pos_embed_seq_len")
        kept = {name: value for name, value in self.config.items() if name not in foreign}
        self._internal_dict = FrozenDict({**kept, **settled})

    @property
    def cacheable(self) -> bool:
        """Whether the context can be encoded once: it is clean and never sees the target."""
        return self.config.context_timestep == "clean" and self.config.context_attention == "context_only"

    def use_memory(self, memory: Memory) -> Memory:
        """Recall by another mechanism with the same parameters (an ablation); returns the one before.

        Contexts encoded before hold what the other one compressed, so encode them anew.
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
        horizontal_fov: float | Tensor | None = None,
        context_cache: ContextCache | None = None,
        trace: RetrievalTrace | None = None,
        numerics: str = "accurate",
        target_only: bool = False,
        plain: bool = False,
        reprojections_kept: Tensor | None = None,
        rendered: Tensor | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
    ) -> WorldTransformerOutput | tuple[Tensor]:
        """Velocity (noise minus clean latents) of every latent frame.

        Args:
            hidden_states: ``[b, c, f, h, w]`` latents, clean context frames first, noisy target frames after;
                with ``context_cache`` the target frames alone.
            timestep: ``[b]``, or ``[b, f]`` for noise levels of their own (context frames included), 0..1000.
            encoder_hidden_states: ``[b, l, text_dim]``.
            context_poses, target_poses: ``[b, fc, 12]``, ``[b, ft, 12]`` from ``relative_pose_vectors``.
            horizontal_fov: degrees, a number or ``[b]``; needed by rays and by memories that compare views.
            context_cache: from :meth:`encode_context`.
            trace: collects what each block recalled.
            numerics: "accurate" (modulation and residual sums in float32) or "reference" (in the model's dtype).
            target_only: return the target frames' velocity alone, which is all that sampling uses. The last block
                then computes nothing else, unless a trace is recorded, gradients are kept or a step cache is on.
            plain: take the plain attention path (slow; what the fast one is held equal to).
            reprojections_kept: bool ``[b]``, clips whose target is told the reprojections (training); None: all.
            rendered: ``[b, c + 4, ft, h, w]`` of ``rendered.condition``, for models of that option.

        Returns:
            ``.sample`` of the shape of ``hidden_states``, or of its target frames. Context frames that a pose-driven
            memory left out are zero; no context frame's velocity is meaningful for sampling. ``.presence`` where the
            model has it and something keeps its gradients or the context is cached.

        Raises:
            GeometryError: sizes that do not fit one another or the patch size.
        """
        cut = 0 if context_cache is not None else context_poses.shape[1]
        self._check_geometry(hidden_states, cut, target_poses, encoder_hidden_states)
        if context_cache is not None:
            context_cache.check(context_poses, target_poses, hidden_states.shape)
        layout = self._layout(hidden_states, timestep, context_poses, target_poses, horizontal_fov)
        x = self._patchify(hidden_states)
        selection = context_cache.selection if context_cache else self.memory.select_frames(layout)
        reprojected = context_cache.reprojected if context_cache else None
        if trace is not None:
            trace.context_frames, trace.target_frames = layout.context_frames, layout.target_frames
        if selection is not None:
            if trace is not None:
                trace.add(selection.recall(layout))
            whole, layout = layout, layout.keep_context(selection.indices)
            if context_cache is None:
                x = take_frames(x, whole.kept_frames(selection.indices))
        if context_cache is None:
            reprojected = self._reprojected(hidden_states, layout, selection)
        if self.reprojection_encoder is not None and reprojected is not None:
            x = self.reprojection_encoder(x, reprojected, reprojections_kept)
        if self.rendered_encoder is not None:
            x = self.rendered_encoder(x, self.rendered_encoder.checked(rendered, hidden_states, layout.target_frames))
        queries = range(layout.context_frames if context_cache else 0, layout.frames)
        sequence = self._sequence(layout, queries, x, numerics, None if selection else trace, plain)
        text, temb, modulation = self._condition(layout, queries, encoder_hidden_states)

        # diffusers' step caches want every block to return as many tokens as it was given
        spare = target_only and trace is None and queries.start == 0
        spare = spare and not (torch.is_grad_enabled() or self.is_cache_enabled)
        seen, expected = context_cache.presence if context_cache else None, None
        x = x.flatten(1, 2)
        for i, block in enumerate(self.blocks):
            cached = context_cache.blocks[i] if context_cache else None
            if spare and i == len(self.blocks) - 1:
                sequence = self._last_sequence(sequence)
            if torch.is_grad_enabled() and self.gradient_checkpointing and trace is None:
                x = self._gradient_checkpointing_func(block, x, text, modulation, sequence, cached)
            else:
                x = block(x, text, modulation, sequence, cached)
            if self.presence_head is not None and not spare:
                seen = seen if context_cache or seen is not None else self.presence_head.of_context(i, x, layout)
                expected = expected if expected is not None else self.presence_head.of_target(i, x, layout)
        x = x.unflatten(1, (len(sequence.plan.queries), -1))
        cut = layout.target_frames if target_only else x.shape[1]
        x = self._head(x[:, -cut:], temb if temb.shape[1] == 1 else temb[:, -cut:], sequence.wide)
        if selection is not None and x.shape[1] > layout.target_frames:
            x = put_frames(x, whole.kept_frames(selection.indices), whole.frames)
        sample = self._unpatchify(x, hidden_states.shape)
        if self.rendered_encoder is not None and rendered is not None:
            sample = self.rendered_encoder.begin(sample, hidden_states, rendered, layout.timesteps)
        kept = None if selection is None else selection.indices
        presence = whole_presence(seen, expected, kept, context_poses.shape[1])
        return WorldTransformerOutput(sample=sample, presence=presence) if return_dict else (sample,)

    @apply_forward_hook
    @torch.no_grad()
    def encode_context(
        self,
        context_latents: Tensor,
        context_poses: Tensor,
        target_poses: Tensor,
        *,
        horizontal_fov: float | Tensor | None = None,
        numerics: str = "accurate",
        plain: bool = False,
    ) -> ContextCache:
        """Run the context once and keep what target frames will ask of it.

        ``context_latents [b, c, fc, h, w]``, poses as in :meth:`forward`. The cache holds for any text and any
        timestep, but for these target poses only: they are the frame of reference and say how many frames follow.

        Raises:
            GeometryError: the model's context sees the target, so it cannot be encoded alone.
        """
        if not self.cacheable:
            raise GeometryError(
                "this model's context cannot be cached: it has context_timestep="
                f"{self.config.context_timestep!r} and context_attention={self.config.context_attention!r}; "
                "caching needs 'clean' and 'context_only'"
            )
        if self.is_cache_enabled:
            raise GeometryError(
                "the context cannot be encoded once while a step cache of diffusers is enabled: its hooks would mix "
                "context and target; call disable_cache(), or sample with cache_context=False"
            )
        empty = context_latents.new_zeros(len(context_latents), 0, self.config.text_dim)
        self._check_geometry(context_latents, context_poses.shape[1], target_poses[:, :0], empty)
        return self.encode_checked(context_latents, context_poses, target_poses, horizontal_fov, numerics, plain)

    def encode_checked(
        self,
        latents: Tensor,
        context_poses: Tensor,
        target_poses: Tensor,
        horizontal_fov: float | Tensor | None,
        numerics: str = "accurate",
        plain: bool = False,
    ) -> ContextCache:
        """:meth:`encode_context` without its checks, and with gradients where they are on."""
        batch, target = latents.shape[0], target_poses.shape[1]
        clean = torch.zeros(batch, device=latents.device, dtype=latents.dtype)
        layout = self._layout(latents, clean, context_poses, target_poses, horizontal_fov)
        x = self._patchify(latents)
        selection = self.memory.select_frames(layout)
        if selection is not None:
            layout = layout.keep_context(selection.indices)
            x = take_frames(x, selection.indices)
        cut = layout.context_frames
        sequence = self._sequence(layout, range(cut), x, numerics, None, plain)
        sequence.keep_from = self._plan(layout, range(cut, cut + target), x.device).first_key
        _, _, modulation = self._condition(layout, range(cut), latents.new_zeros(batch, 0, self.config.text_dim))
        caches, presence = [], None
        x = x.flatten(1, 2)
        no_text = x.new_zeros(batch, 0, x.shape[-1])
        for i, block in enumerate(self.blocks):
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                x, kept = self._gradient_checkpointing_func(block, x, no_text, modulation, sequence)
            else:
                x, kept = block(x, no_text, modulation, sequence)
            caches.append(kept)
            if self.presence_head is not None and presence is None:
                presence = self.presence_head.of_context(i, x, layout)
        shown = self._reprojected(latents, layout, selection)
        size = latents.shape[3:]
        return ContextCache(tuple(caches), context_poses, target_poses, size, selection, shown, presence)

    # --- parts of the forward pass --------------------------------------------------------------------------

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
        horizontal_fov: float | Tensor | None,
    ) -> FrameLayout:
        frames = context_poses.shape[1] + target_poses.shape[1]
        if timestep.ndim == 1:
            timestep = timestep.expand(latents.shape[0])[:, None].expand(-1, frames)
        if self.config.context_timestep == "clean":
            cut = context_poses.shape[1]
            timestep = torch.cat([torch.zeros_like(timestep[:, :cut]), timestep[:, cut:]], dim=1)
        _, p_h, p_w = self.config.patch_size
        grid = (latents.shape[3] // p_h, latents.shape[4] // p_w)
        return make_layout(grid, context_poses, target_poses, timestep, horizontal_fov)

    def _patchify(self, latents: Tensor) -> Tensor:
        """``[b, c, f, h, w] -> [b, f, n, dim]``"""
        x = self.patch_embedding(latents.to(self.patch_embedding.weight.dtype))
        return x.flatten(3).permute(0, 2, 3, 1).contiguous()

    def _reprojected(self, latents: Tensor, layout: FrameLayout, selection: FrameSelection | None) -> Tensor | None:
        """What the context frames that the memory let in show target frames; None where the model takes none."""
        if self.reprojection_encoder is None:
            return None
        context = latents[:, :, : layout.context_frames]
        if selection is not None:
            context = take_frames(latents.transpose(1, 2), selection.indices).transpose(1, 2)
        return self.reprojection_encoder.read(context, layout)

    def _sequence(
        self,
        layout: FrameLayout,
        queries: range,
        x: Tensor,
        numerics: str,
        trace: RetrievalTrace | None,
        plain: bool,
    ) -> Sequence:
        if numerics not in ("accurate", "reference"):
            raise GeometryError(f"numerics is {numerics!r}, expected 'accurate' or 'reference'")
        cut = layout.context_frames
        poses = layout.poses.to(x.dtype)
        rays = ray_directions(layout, queries) if set(self.config.camera_inputs) & {"rays", "anchors"} else None
        clock = clock_numbers(layout, queries, x.device).to(x.dtype) if "clock" in self.config.camera_inputs else None
        plan = self._plan(layout, queries, x.device)
        rotary, memory_rotary = plan.rotary, None if plan.memory is None else plan.memory.rotary
        if "anchors" in self.config.camera_inputs:
            assert rays is not None
            rotary, memory_rotary = self._anchored(layout, plan, rays)
        return Sequence(
            layout=layout,
            frames=len(queries),
            plan=plan,
            rotary=rotary,
            memory_rotary=memory_rotary,
            context_poses=poses[:, queries.start : min(cut, queries.stop)],
            target_poses=poses[:, max(cut, queries.start) : queries.stop],
            rays=None if rays is None else rays.to(x.dtype),
            clock=clock,
            wide=x.dtype if numerics == "reference" else torch.promote_types(x.dtype, torch.float32),
            text_frames=max(0, min(cut, queries.stop) - queries.start)
            if self.config.context_attention == "context_only"
            else 0,
            pose_scores=self.memory.pose_scores(layout, plan),
            trace=trace,
            plain=plain,
        )

    def _anchored(self, layout: FrameLayout, plan: AttentionPlan, rays: Tensor) -> tuple[Rotary, Rotary | None]:
        """Rotary tables of the query frames' tokens and of the memory tokens, half of whose heads go by anchors."""
        heads, head_dim = self.config.num_attention_heads, self.config.attention_head_dim
        by_grid = heads - heads // 2
        disparities = tuple(self.config.anchor_disparities)
        shares = torch.arange(heads // 2, device=rays.device) % len(disparities)

        def turned(points: Tensor, grid: Rotary) -> Rotary:
            return join_heads(grid, by_grid, point_rotary(points[..., shares, :], head_dim))

        points = anchor_points(layout, rays, plan.queries, disparities)
        rotary = turned(points.flatten(1, 2), plan.rotary)
        if plan.memory is None or plan.queries.start > 0:  # the memory of a cached context has been turned already
            return rotary, None
        bank = range(plan.memory.frames)
        points = anchor_points(layout, ray_directions(layout, bank), bank, disparities)
        cells = points.unflatten(2, layout.grid).flatten(4)
        pooled = self.memory.pool(cells).flatten(1, 3).unflatten(-1, (len(disparities), 3))
        return rotary, turned(pooled, plan.memory.rotary)

    def _last_sequence(self, sequence: Sequence) -> Sequence:
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


def _check_choices(
    context_timestep: str,
    context_attention: str,
    camera_inputs: tuple[str, ...],
) -> None:
    for name, value, choices in (
        ("context_timestep", context_timestep, ("shared", "clean")),
        ("context_attention", context_attention, ("joint", "context_only")),
    ):
        if value not in choices:
            raise MemoryOptionError(f"{name} is {value!r}, expected one of {choices}")
    if "pose" not in camera_inputs or set(camera_inputs) - {"pose", "clock", *BY_VIEW}:
        raise MemoryOptionError(
            f"camera_inputs is {tuple(camera_inputs)}, expected ('pose',), perhaps with 'clock', "
            f"{', '.join(map(repr, BY_VIEW))}"
        )


def _check_disparities(
    camera_inputs: tuple[str, ...], anchors: tuple[float, ...], reprojections: tuple[float, ...], heads: int
) -> None:
    if "anchors" in camera_inputs and (heads < 2 or not anchors or min(anchors) < 0):
        raise MemoryOptionError(
            f"anchors with {heads} attention heads and anchor_disparities {tuple(anchors)}: expected at least 2 "
            "heads (half of them go by anchors) and disparities of at least 0 (1/m)"
        )
    if "reprojections" in camera_inputs and (not reprojections or min(reprojections) < 0):
        raise MemoryOptionError(
            f"reprojection_disparities is {tuple(reprojections)}: expected at least one, of at least 0 (1/m)"
        )
