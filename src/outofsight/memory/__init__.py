"""Memory mechanisms by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import MemoryOptionError
from .base import AttentionPlan, FrameSelection, Memory, MemoryTokens
from .fov import FovMemory
from .full import FullMemory
from .hydra import HydraMemory
from .layout import FrameLayout, make_layout
from .trace import Recall, RetrievalTrace

MEMORIES: dict[str, type[Memory]] = {kind.name: kind for kind in (FullMemory, FovMemory, HydraMemory)}


def register_memory(kind: type[Memory]) -> type[Memory]:
    """Make a mechanism known by its name; usable as a decorator. Raises MemoryOptionError where the name is taken."""
    if MEMORIES.get(kind.name, kind) is not kind:
        raise MemoryOptionError(f"a memory named {kind.name!r} is registered already: give yours another name")
    MEMORIES[kind.name] = kind
    return kind


def make_memory(name: str, options: Mapping[str, Any] | None, context_attention: str, page_frames: int = 4) -> Memory:
    """The mechanism of that name; raises MemoryOptionError for an unknown one."""
    if name not in MEMORIES:
        raise MemoryOptionError(f"memory is {name!r}, expected one of {', '.join(sorted(MEMORIES))}")
    return MEMORIES[name](options, context_attention, page_frames)


__all__ = [
    "MEMORIES",
    "AttentionPlan",
    "FovMemory",
    "FrameLayout",
    "FrameSelection",
    "FullMemory",
    "HydraMemory",
    "Memory",
    "MemoryTokens",
    "Recall",
    "RetrievalTrace",
    "make_layout",
    "make_memory",
    "register_memory",
]
