"""Data sets on disk <-> `Clip`: one reader a layout, told apart by what lies in the folder."""

from __future__ import annotations

from . import hm_world  # noqa: F401  (its readers are registered)
from .base import READERS, LayoutReport, Reader, detect_layout, iterate_clips, read_clip, register_reader
from .hm_world_write import write_clip

__all__ = [
    "READERS",
    "LayoutReport",
    "Reader",
    "detect_layout",
    "iterate_clips",
    "read_clip",
    "register_reader",
    "write_clip",
]
