"""A guidance from outside of the package."""

from __future__ import annotations

from torch import Tensor

from outofsight.sampling import Branch, SamplingOptions, register_guidance


def halved(options: SamplingOptions, text: Tensor, negative_text: Tensor | None) -> list[Branch]:
    """The text against the same text at half its size; no negative one is read."""
    return [Branch("whole", options.guidance, text), Branch("half", 1 - options.guidance, text * 0.5)]


register_guidance("halved", halved)
