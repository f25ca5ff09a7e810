"""From poses and noise levels to what all blocks of one forward pass share, with the checks that come before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..errors import GeometryError, MemoryOptionError
from ..memory import AttentionPlan, FrameLayout, Memory, RetrievalTrace, make_layout
from .attention import BlockInputs
from .conditioners import Conditioning, Conditions
from .conditioners.pose import POSE_NUMBERS

_PLANS = 4  # clip shapes whose plans are kept
_COUNTS = (
    *("num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "text_dim", "freq_dim"),
    *("ffn_dim", "num_layers", "page_frames"),
)


class SequenceBuilder:
    """Layouts, plans and block inputs of a model.

    Args:
        config: the model's configuration.
        memory, conditioning: the model's.
    """

    def __init__(self, config: Mapping[str, Any], memory: Memory, conditioning: Conditioning) -> None:
        self.memory, self.conditioning = memory, conditioning
        self.patch: tuple[int, int, int] = tuple(config["patch_size"])
        self.head_dim: int = config["attention_head_dim"]
        self.clean = config["context_timestep"] == "clean"
        self.apart = config["context_attention"] != "joint"
        self.anchor: str = config["anchor"]
        self._plans: dict[tuple[Any, ...], AttentionPlan] = {}

    def layout(
        self,
        latents: Tensor,
        timestep: Tensor,
        context_poses: Tensor,
        target_poses: Tensor,
        conditions: Conditions,
    ) -> FrameLayout:
        """Of ``latents [b, c, f, h, w]`` at ``timestep [b]`` or ``[b, fc + ft]``; a clean context is at 0."""
        frames = context_poses.shape[1] + target_poses.shape[1]
        if timestep.ndim == 1:
            timestep = timestep.expand(latents.shape[0])[:, None].expand(-1, frames)
        if self.clean:
            cut = context_poses.shape[1]
            timestep = torch.cat([torch.zeros_like(timestep[:, :cut]), timestep[:, cut:]], dim=1)
        _, rows, columns = self.patch
        grid = (latents.shape[3] // rows, latents.shape[4] // columns)
        return make_layout(grid, context_poses, target_poses, timestep, conditions.intrinsics, anchor=self.anchor)

    def inputs(
        self,
        layout: FrameLayout,
        queries: range,
        x: Tensor,
        numerics: str,
        trace: RetrievalTrace | None,
        plain: bool,
    ) -> BlockInputs:
        """What blocks are given beside the tokens ``x [b, f, n, dim]`` of the query frames.

        Raises:
            GeometryError: unknown numerics.
        """
        if numerics not in ("accurate", "reference"):
            raise GeometryError(f"numerics is {numerics!r}, expected 'accurate' or 'reference'")
        plan = self.plan(layout, queries, x.device)
        rotary, memory_rotary, old = self.conditioning.rotary(layout, plan, self.memory, self.head_dim, x.device)
        return BlockInputs(
            layout=layout,
            given=queries,
            plan=plan,
            rotary=rotary,
            memory_rotary=memory_rotary,
            old_tokens=old,
            features=self.conditioning.features(layout, queries, x),
            matrices=self.conditioning.matrices(layout),
            wide=x.dtype if numerics == "reference" else torch.promote_types(x.dtype, torch.float32),
            text_frames=max(0, min(layout.context_frames, queries.stop) - queries.start) if self.apart else 0,
            pose_scores=self.memory.pose_scores(layout, plan),
            trace=trace,
            plain=plain,
        )

    def last(self, inputs: BlockInputs) -> BlockInputs:
        """For a last block of which only the target frames are wanted: context frames give keys and no more."""
        layout = inputs.layout
        cut = layout.context_frames
        plan = self.plan(layout, range(cut, layout.frames), inputs.rotary.cos.device)
        return replace(inputs, plan=plan, first_query=cut, pose_scores=self.memory.pose_scores(layout, plan))

    def plan(self, layout: FrameLayout, queries: range, device: torch.device) -> AttentionPlan:
        """The plan of a clip shape, made once and reused over blocks, steps and guidance branches."""
        times = tuple(map(tuple, layout.times.tolist()))
        key = (layout.grid, layout.context_frames, times, queries, device)
        if key not in self._plans:
            while len(self._plans) >= _PLANS:
                self._plans.pop(next(iter(self._plans)))
            # plans outlive the call: made under inference_mode they could not serve training later
            with torch.inference_mode(False):
                self._plans[key] = self.memory.plan(layout, self.head_dim, device, queries)
        return self._plans[key]


def check_inputs(config: Mapping[str, Any], latents: Tensor, context: int, target_poses: Tensor, text: Tensor) -> None:
    """Latents, poses and text of a forward pass with so many context frames, against one another and the model.

    Raises:
        GeometryError: they do not fit.
    """
    frames, patch = context + target_poses.shape[1], tuple(config["patch_size"])
    if latents.ndim != 5 or latents.shape[2] != frames or latents.shape[1] != config["in_channels"]:
        raise GeometryError(
            f"latents have shape {tuple(latents.shape)}, expected [batch, {config['in_channels']}, "
            f"{frames}, height, width]: {context} context and {target_poses.shape[1]} target frames "
            "by the pose vectors"
        )
    if any(size % p for size, p in zip(latents.shape[2:], patch, strict=True)):
        raise GeometryError(
            f"latents of (frames, height, width) {tuple(latents.shape[2:])} do not divide into patches of "
            f"{patch}; choose a resolution whose latents do"
        )
    if target_poses.shape[-1] != POSE_NUMBERS:
        raise GeometryError(
            f"pose vectors have {target_poses.shape[-1]} numbers, expected {POSE_NUMBERS} (a 3x4 matrix); "
            "make them with outofsight.cameras.relative_pose_vectors"
        )
    if text.ndim != 3 or text.shape[0] != latents.shape[0] or text.shape[2] != config["text_dim"]:
        raise GeometryError(
            f"text embeddings have shape {tuple(text.shape)}, expected "
            f"[{latents.shape[0]}, tokens, {config['text_dim']}]"
        )


def check_config(config: Mapping[str, Any]) -> None:
    """Options of a transformer that are of its own. Raises MemoryOptionError."""
    for name, choices in (
        ("context_timestep", ("shared", "clean")),
        ("context_attention", ("joint", "context_only", "causal")),
        ("anchor", ("first_target", "session")),
        ("target_start", ("noise", "zeros")),
    ):
        if config[name] not in choices:
            raise MemoryOptionError(f"{name} is {config[name]!r}, expected one of {choices}")
    for name in _COUNTS:
        if type(config[name]) is not int or config[name] < 1:
            raise MemoryOptionError(f"{name} is {config[name]!r}, expected a whole number of at least 1")
    if config["patch_size"][0] != 1:
        raise MemoryOptionError(
            f"patch_size is {tuple(config['patch_size'])}, expected (1, rows, columns): a latent frame has a camera, a "
            "noise level and a place in the memory of its own, so no patch spans several; a VAE of larger temporal "
            "stride makes fewer frames"
        )
