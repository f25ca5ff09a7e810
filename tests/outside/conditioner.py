"""A conditioner from outside of the package."""

from __future__ import annotations

from torch import Tensor, nn

from outofsight.memory import FrameLayout
from outofsight.models.conditioners import Conditioner, FeatureLinear, register_conditioner


@register_conditioner
class Parity(Conditioner):
    """Whether a frame's number is even, added in every block."""

    name = "parity"

    def block(self) -> nn.Module:
        return FeatureLinear(1, self.shape.dim)

    def features(self, layout: FrameLayout, frames: range) -> Tensor:
        return (layout.times[:, frames.start : frames.stop] % 2)[..., None].float()
