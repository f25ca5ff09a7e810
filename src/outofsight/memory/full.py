"""Full context: every frame attends to every frame (the paper's baseline)."""

from __future__ import annotations

from .base import Memory


class FullMemory(Memory):
    """No compression and no choice: all frames are seen whole, at their own positions."""

    name = "full"
