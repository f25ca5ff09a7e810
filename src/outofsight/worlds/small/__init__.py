"""The small world: clips in which a small transformer learns hybrid memory, drawn in milliseconds.

world = small_world("small-easy")
for batch in batches(world, seed=1, size=8):  # endless; batch.frames, poses, intrinsics, share
    ...
clip = draw_clip(small_world("small-easy", split="test"), seed=1, number=7)  # clip.frozen, clip.judged, clip.clip
"""

from __future__ import annotations

from .clip import SmallClip, clip_name, draw_clip
from .options import DESCRIPTIONS, PRESETS, SmallWorld, small_world
from .stream import SmallBatch, SmallBatches, batches, draw_batch, judged, stream

__all__ = [
    "DESCRIPTIONS",
    "PRESETS",
    "SmallBatch",
    "SmallBatches",
    "SmallClip",
    "SmallWorld",
    "batches",
    "clip_name",
    "draw_batch",
    "draw_clip",
    "judged",
    "small_world",
    "stream",
]
