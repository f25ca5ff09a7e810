"""All conditioners of a model as one module, called at the places where they act."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...memory import AttentionPlan, FrameLayout, Memory
from ...memory.rotary import Rotary
from .base import Conditioner, Conditions


class Conditioning(nn.ModuleDict):
    """A model's conditioners by name. What they act on is described at :class:`Conditioner`."""

    def __init__(self, made: Mapping[str, Conditioner]) -> None:
        super().__init__(made)
        self._kinds = dict(made)  # the same, as what they are

    def prepare(
        self,
        latents: Tensor | None,
        layout: FrameLayout,
        conditions: Conditions,
        done: Mapping[str, Tensor],
        needing: str | None = None,
    ) -> dict[str, Tensor]:
        """What conditioners make for the target, by name: what is ``done`` already, and the rest of what is given.

        ``latents [b, c, fc, h, w]`` of the context; ``needing``: only of conditioners that have this need.
        """
        prepared = dict(done)
        for name, kind in self._kinds.items():
            if name in prepared or (needing is not None and needing not in kind.needs):
                continue
            made = kind.prepare(latents if "context_latents" in kind.needs else None, layout, conditions)
            if made is not None:
                prepared[name] = made
        return prepared

    def add_tokens(self, x: Tensor, prepared: Mapping[str, Tensor], conditions: Conditions) -> Tensor:
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

    def features(self, layout: FrameLayout, frames: range, like: Tensor) -> dict[str, Tensor]:
        """``[1|b, f, 1|n, k]`` by name, of some frames, for the blocks' modules; device and dtype of ``like``."""
        found = {}
        for name, kind in self._kinds.items():
            if (made := kind.features(layout, frames)) is not None:
                made = made if made.ndim == 4 else made.unsqueeze(2)
                found[name] = made.to(device=like.device, dtype=like.dtype)
        return found

    def matrices(self, layout: FrameLayout) -> dict[str, Tensor]:
        """``[b, f, 4, 4]`` by name, of conditioners that have an attention of their own."""
        found = {name: kind.matrices(layout) for name, kind in self._kinds.items()}
        return {name: matrices for name, matrices in found.items() if matrices is not None}

    def rotary(
        self, layout: FrameLayout, plan: AttentionPlan, memory: Memory, head_dim: int, device: torch.device
    ) -> tuple[Rotary, Rotary | None, int]:
        """Rotary tables of the query frames' tokens and of the memory tokens that they make (None: they make none), and
        how many memory tokens were made before."""
        tokens, first = plan.memory, plan.queries.start
        table, made, old = plan.rotary, None, 0
        if tokens is not None and first < tokens.frames:
            old = int((tokens.sources[:, 1] < first).sum())
            made = plan.memory_rotary if old == 0 else tokens.rotary(old, head_dim, device)
        for kind in self._kinds.values():
            table = kind.rotary(table, layout, plan.queries, None)
            if made is not None and tokens is not None:
                made = kind.rotary(made, layout, range(first, tokens.frames), memory.pool)
        return table, made, old

    def start(self, sample: Tensor, noisy: Tensor, prepared: Mapping[str, Tensor], layout: FrameLayout) -> Tensor:
        """The velocities ``sample [b, c, f, h, w]``, from where conditioners say that they begin."""
        frames = layout.target_frames
        for name, kind in self._kinds.items():
            if name in prepared:
                target = kind.start(
                    sample[:, :, -frames:], noisy[:, :, -frames:], prepared[name], layout.timesteps[:, -frames:]
                )
                sample = torch.cat([sample[:, :, :-frames], target], dim=2) if sample.shape[2] > frames else target
        return sample
