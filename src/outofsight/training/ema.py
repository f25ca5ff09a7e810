"""A running mean of the trained weights (EMA), exact over a resume.

diffusers' EMAModel keeps its mean by position in a list and cannot hold sharded parameters; this one goes by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from .sharding import like_parameter, whole


class Ema:
    """mean <- mean + (1 - d) (weight - mean), d = min(decay, (1 + n) / (10 + n)) at the n-th update (from 1).

    Args:
        named: the trained parameters; their means start as they are.
        decay: the largest d.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], decay: float) -> None:
        self.named, self.decay, self.updates = dict(named), decay, 0
        self.means = {name: p.detach().clone() for name, p in self.named.items()}

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = [p.detach() for p in self.named.values()]
        torch._foreach_lerp_(list(self.means.values()), weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model computes with the means inside this block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, parameter in self.named.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.means[name])
            self.means[name].copy_(kept)

    def state(self) -> dict[str, Tensor]:
        """Means by name, whole tensors on the CPU."""
        return {name: whole(mean) for name, mean in self.means.items()}

    def load_state(self, means: Mapping[str, Tensor], updates: int) -> None:
        """The inverse of :meth:`state`; names beyond the trained ones are left alone."""
        if missing := sorted(self.means.keys() - means.keys()):
            raise CheckpointError(f"the EMA weights lack {len(missing)} of the trained names, such as {missing[0]}")
        self.updates = updates
        for name, parameter in self.named.items():
            self.means[name] = like_parameter(name, means[name].to(parameter.dtype), parameter)
