"""A transformer block of Wan with HyDRA's additions: conditioners in, memory attention, projector out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor, nn

from ..memory import Memory
from .attention import BlockCache, BlockInputs, MemoryAttnProcessor, TextAttnProcessor, frame_cuts
from .conditioners import Conditioner
from .linear import feed_forward, is_plain, is_untouched, product


class WorldTransformerBlock(WanTransformerBlock):
    """Wan's block; see docs/hydra.md, "What each block adds to Wan".

    Args:
        dim, ffn_dim, num_heads, qk_norm, cross_attn_norm, eps: as in Wan.
        memory: the mechanism that its self-attention goes through.
        conditioners: what is added to its tokens, each by a module of the block's own.
    """

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        num_heads: int,
        qk_norm: str,
        cross_attn_norm: bool,
        eps: float,
        *,
        memory: Memory,
        conditioners: Mapping[str, Conditioner],
    ) -> None:
        super().__init__(dim, ffn_dim, num_heads, qk_norm, cross_attn_norm, eps)
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
            ``[b, f*n, dim]`` of the frames from ``sequence.first_query`` on; with the block's cache beside it when
            ``sequence.keep_from`` is set.
        """
        first = sequence.first_query
        x = hidden_states.unflatten(1, (sequence.frames, -1))
        table = self.scale_shift_table.to(sequence.wide).unsqueeze(1)
        # six of [b, 1|f, 1, dim]
        modulation = (table + temb.to(sequence.wide)).unsqueeze(3).unbind(dim=2)
        shift, scale, gate = modulation[:3]

        for name, module in self.conditioners.items():
            features = sequence.features[name]
            if features.ndim == 3:  # of frames; those of tokens are added later, a few frames at a time
                shift = shift + module(features, sequence.context_queries).unsqueeze(2)
        normed = self._enter(x, scale, shift, sequence)
        attended, added, kept = self.attn1(normed.flatten(1, 2), sequence=sequence, cached=cached)

        x = x[:, first:]
        attended = attended.unflatten(1, (x.shape[1], -1))
        added = None if added is None else added.unflatten(1, (x.shape[1], -1))
        text = self.attn2.processor.keys(self.attn2, encoder_hidden_states)
        rest = tuple(m if m.shape[1] == 1 else m[:, first:] for m in (gate, *modulation[3:]))
        out = self._finish_frames(x, attended, added, text, rest, max(0, sequence.text_frames - first))
        return (out, kept) if kept is not None else out

    def _enter(self, x: Tensor, scale: Tensor, shift: Tensor, sequence: BlockInputs) -> Tensor:
        """The attention's input ``[b, f, n, dim]``: normed, modulated, with what it is conditioned on added."""
        cuts = list(frame_cuts(x))
        out = sequence.buffer("normed", tuple(x.shape), x) if len(cuts) > 1 else None
        for frames in cuts:
            part_scale = scale if scale.shape[1] == 1 else scale[:, frames]
            part_shift = shift if shift.shape[1] == 1 else shift[:, frames]
            normed = _modulate(self.norm1(x[:, frames].to(sequence.wide)), part_scale, part_shift, x.dtype)
            for name, module in self.conditioners.items():
                features = sequence.features[name]
                if features.ndim == 4:
                    cut = max(0, min(sequence.context_queries, frames.stop) - frames.start)
                    normed = normed + module(features[:, frames], cut)
            if out is None:
                return normed
            out[:, frames] = normed
        assert out is not None
        return out

    def _finish_frames(
        self,
        x: Tensor,
        attended: Tensor,
        added: Tensor | None,
        text: tuple[Tensor, Tensor],
        modulation: tuple[Tensor, ...],
        text_frames: int,
    ) -> Tensor:
        """All that follows the self-attention, a few frames at a time where that pays."""
        parts = []
        project_out = self._output_projection(x[..., 0].numel())
        # nothing reads the attention output again, so it may hold the result, unless a hook has taken it
        in_place = not torch.is_grad_enabled() and attended.dtype == x.dtype and is_untouched(self.attn1)
        for frames, with_text in _cuts(x, text_frames):
            pieces = [m if m.shape[1] == 1 else m[:, frames] for m in modulation]
            words = text if with_text else None
            projected = project_out(attended[:, frames])
            if added is not None:
                projected = projected + added[:, frames]
            part = self._finish(x[:, frames], projected, words, pieces)
            if in_place:
                attended[:, frames] = part
            else:
                parts.append(part)
        out = attended if in_place else torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return out.flatten(1, 2)

    def _output_projection(self, rows: int) -> Callable[[Tensor], Tensor]:
        """The attention's output projection and the projector behind it: two linear maps, or their product.

        With more rows than channels the product costs less than the second map. Only in float32 or wider is it
        exact enough to take its place, and only plain linear layers (no LoRA, no quantisation) multiply so.
        """
        first, dropout, second = self.attn1.to_out[0], self.attn1.to_out[1], self.projector
        exact = is_plain(first) and is_plain(second) and first.weight.dtype in (torch.float32, torch.float64)
        if torch.is_grad_enabled() or not exact or rows <= first.out_features:
            return lambda x: second(dropout(first(x)))
        weight = second.weight @ first.weight
        bias = torch.addmv(second.bias, second.weight, first.bias)
        return lambda x: product(x, weight, bias)

    def _finish(
        self,
        x: Tensor,
        projected: Tensor,
        text: tuple[Tensor, Tensor] | None,
        modulation: list[Tensor],
    ) -> Tensor:
        """Residual sum, text and feed-forward of some frames ``[b, f, n, dim]``; ``projected``: their attention."""
        gate, ffn_shift, ffn_scale, ffn_gate = modulation
        wide = gate.dtype
        x = torch.addcmul(x.to(wide), projected.to(wide), gate).to(x.dtype)
        if text is not None:
            normed = self.norm2(x.to(wide)).to(x.dtype)
            x = x + self.attn2(normed.flatten(1, 2), keys=text).view_as(x)
        normed = _modulate(self.norm3(x.to(wide)), ffn_scale, ffn_shift, x.dtype)
        return torch.addcmul(x.to(wide), feed_forward(self.ffn, normed).to(wide), ffn_gate).to(x.dtype)


def _modulate(normed: Tensor, scale: Tensor, shift: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.addcmul(shift, normed, 1 + scale).to(dtype)


def _cuts(x: Tensor, text_frames: int) -> Iterator[tuple[slice, bool]]:
    """Frame slices to finish at a time and whether they take text (frames before ``text_frames`` do not)."""
    for with_text, first, last in ((False, 0, text_frames), (True, text_frames, x.shape[1])):
        for frames in frame_cuts(x, first, last):
            yield frames, with_text
