"""Several noisy targets of one clip that share one pass over its context.

Where the context never sees the target (cacheable models), its keys, values and memory tokens are the same for
every noise and level, with gradients too. A step that draws twice for each clip then costs some 1.5 and not 2
passes; the gradient is exactly that of the clips given several times over (docs/training.md has the measurements).
"""

from __future__ import annotations

from typing import Any

from diffusers.models.modeling_outputs import Transformer2DModelOutput
from torch import Tensor, nn

from ..errors import TrainingError
from ..models.conditioners import Conditions


class SharedContext(nn.Module):
    """A cacheable model, called as it is itself, with batches that hold the same clips ``copies`` times over.

    Args:
        model: a ``WorldTransformer3DModel`` of context_timestep "clean" and context_attention "context_only".
        copies: how often; the batch is clips 0 .. n-1, then 0 .. n-1 again, with other noise on their targets.

    Raises:
        TrainingError: the model's context sees the target.
    """

    def __init__(self, model: Any, copies: int) -> None:
        super().__init__()
        if not model.cacheable:
            raise TrainingError(
                f"draws is {copies}, and this model's context sees the target, so draws cannot share it: draws=1, or a "
                "model of context_timestep 'clean' and context_attention 'context_only' or 'causal'"
            )
        self.model, self.copies = model, copies

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        context_poses: Tensor,
        target_poses: Tensor,
        *,
        conditions: Conditions | None = None,
        **inputs: Any,
    ) -> Transformer2DModelOutput:
        """As the model's own; ``.sample [copies*n, c, ft, h, w]`` has the target frames alone."""
        clips, cut = len(hidden_states) // self.copies, context_poses.shape[1]
        cache = self.model.encode_checked(
            hidden_states[:clips, :, :cut],
            context_poses[:clips],
            target_poses[:clips],
            conditions=None if conditions is None else conditions.first(clips),
            **inputs,
        ).repeat(self.copies)
        out: Transformer2DModelOutput = self.model(
            hidden_states[:, :, cut:],
            timestep,
            encoder_hidden_states,
            cache.context_poses,
            cache.target_poses,
            conditions=conditions,
            context_cache=cache,
            **inputs,
        )
        return out
