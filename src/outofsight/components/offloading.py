"""Under diffusers' model offload, which part is on the device when: its hooks hang on ``forward`` and know one order.

The context is encoded by the VAE first, which the hooks expect last, and sampling asks the transformer where it is
and has it encode the context by another method. Without model offload, nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn


def _hooks(pipe: Any, module: nn.Module) -> Iterator[Any]:
    return (hook for hook in getattr(pipe, "_all_hooks", []) if hook.model is module)


def fetch(pipe: Any, module: nn.Module) -> None:
    """Bring a part to the device now, and send away the one before it."""
    for hook in _hooks(pipe, module):
        hook.hook.pre_forward(module)


def put_away(pipe: Any, module: nn.Module) -> None:
    """Free the device of a part now."""
    for hook in _hooks(pipe, module):
        hook.offload()
