"""What geometry reads out of context latents for the target, before any block: once for a clip."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ContextReading:
    """What a model's readers found, where it has them.

    reprojected: what the context showed of the places that target cells look at (models/reprojection.py). motions: what
    it tells of subjects that may stand there by now (models/motion.py). presence: logits ``[b, fc, h, w]`` of where
    subjects are in the context itself.
    """

    reprojected: Tensor | None = None
    motions: Tensor | None = None
    presence: Tensor | None = None

    def repeat(self, times: int) -> ContextReading:
        """The same for a batch of ``times`` copies."""

        def copies(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.repeat(times, *(1,) * (x.ndim - 1))

        return ContextReading(copies(self.reprojected), copies(self.motions), copies(self.presence))
