"""Data sets on disk <-> `Clip`: HM-World's layouts, told apart by what lies in the folder."""

from __future__ import annotations

from .hm_world import iterate_clips, read_clip
from .hm_world_layouts import LayoutReport, detect_layout
from .hm_world_write import write_clip

__all__ = ["LayoutReport", "detect_layout", "iterate_clips", "read_clip", "write_clip"]
