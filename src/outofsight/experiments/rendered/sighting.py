"""What a finder says of frames."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sighting:
    """Of n frames. subject ``[n, h, w]``: logits of showing a subject. foot ``[n, 2, h, w]``: pixels (x, y), where the
    subject that a pixel belongs to touches the ground. depth ``[n, h, w]``: metres, of that point."""

    subject: Tensor
    foot: Tensor
    depth: Tensor
