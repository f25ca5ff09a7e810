"""A transformer block of Wan with HyDRA's additions: conditioners in, memory attention, projector out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor, nn

from ..memory import Memory
from .attention import BlockInputs, MemoryAttnProcessor, TextAttnProcessor
from .cache import BlockCache
from .conditioners import Conditioner


class WorldTransformerBlock(WanTransformerBlock):
    """Wan's block; docs/hydra.md, "What each block adds to Wan". A CPU's :meth:`project_out` is in models/cpu.py.

    Args:
        dim, wan: as in Wan: dim, ffn_dim, num_heads, qk_norm, cross_attn_norm, eps.
        memory: the mechanism that its self-attention goes through.
        conditioners: what is added to its tokens, each by a module of the block's own.
    """

    def __init__(self, dim: int, *wan: Any, memory: Memory, conditioners: Mapping[str, Conditioner]) -> None:
        super().__init__(dim, *wan)
        modules = {name: module for name, kind in conditioners.items() if (module := kind.block()) is not None}
        self.conditioners = nn.ModuleDict(modules)
        self.projector = nn.Linear(dim, dim)
        nn.init.eye_(self.projector.weight)  # as the release begins: what Wan does not have changes nothing
        nn.init.zeros_(self.projector.bias)
        compressor = memory.compressor(dim)
        if compressor is not None:
            self.attn1.tokenizer = compressor
        own = {name: module for name, kind in conditioners.items() if (module := kind.attention()) is not None}
        if own:
            self.attn1.conditioners = nn.ModuleDict(own)
        self.attn1.set_processor(MemoryAttnProcessor(memory))
        self.attn2.set_processor(TextAttnProcessor())

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        sequence: BlockInputs,
        cached: BlockCache | None = None,
    ) -> Tensor | tuple[Tensor, BlockCache]:
        """One block over the query tokens.

        Args:
            hidden_states: ``[b, f*n, dim]`` tokens of the block's frames.
            encoder_hidden_states: ``[b, l, dim]`` embedded text.
            temb: ``[b, 1|f, 6, dim]`` modulation by noise level, per frame, not per token.
            sequence: geometry, cameras and memory plan, the same for all blocks.
            cached: this block's cache of the context, when the queries are target frames only.

        Returns:
            ``[b, f*n, dim]`` of the frames from ``sequence.first_query`` on; with ``keep_from``, the block's cache too.
        """
        first, silent = sequence.first_query, max(0, sequence.text_frames - sequence.first_query)
        x = hidden_states.unflatten(1, (sequence.frames, -1))
        table = self.scale_shift_table.to(sequence.wide).unsqueeze(1) + temb.to(sequence.wide)
        shift, scale, *rest = table.unsqueeze(3).unbind(dim=2)  # each [b, 1|f, 1, dim]
        for name, module in self.conditioners.items():
            shift = shift + module(sequence.features[name], sequence.context_queries)  # [b, f, 1|n, dim]
        normed = _modulate(self.norm1(x.to(sequence.wide)), shift, scale, x.dtype)
        attended, added, kept = self.attn1(normed.flatten(1, 2), sequence=sequence, cached=cached)

        gate, ffn_shift, ffn_scale, ffn_gate = (m if m.shape[1] == 1 else m[:, first:] for m in rest)
        projected = self.project_out(attended) if added is None else self.project_out(attended) + added
        x = _residual(x[:, first:], projected, gate)
        x = self._read(x, encoder_hidden_states, silent, sequence.wide)
        normed = _modulate(self.norm3(x.to(sequence.wide)), ffn_shift, ffn_scale, x.dtype)
        x = _residual(x, self.ffn(normed), ffn_gate).flatten(1, 2)
        return (x, kept) if kept is not None else x

    def project_out(self, attended: Tensor) -> Tensor:
        """The attention's output projection and the projector behind it: ``[b, tokens, dim]``, two linear maps."""
        return self.projector(self.attn1.to_out[1](self.attn1.to_out[0](attended)))

    def _read(self, x: Tensor, text: Tensor, silent: int, wide: torch.dtype) -> Tensor:
        """``x [b, f, n, dim]`` and what its frames take from the text: all but the first ``silent``."""
        if silent >= x.shape[1]:
            return x
        if silent:
            return torch.cat([x[:, :silent], self._read(x[:, silent:], text, 0, wide)], dim=1)
        normed = self.norm2(x.to(wide)).to(x.dtype)
        return x + self.attn2(normed.flatten(1, 2), text).view_as(x)


def _modulate(normed: Tensor, shift: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.addcmul(shift, normed, 1 + scale).to(dtype)


def _residual(x: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    """``x + gate y`` of ``x [b, f, n, dim]``, summed in the gate's dtype."""
    return torch.addcmul(x.to(gate.dtype), y.view_as(x).to(gate.dtype), gate).to(x.dtype)
