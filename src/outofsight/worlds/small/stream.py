"""Clips for training, drawn as it goes: an endless stream in which none comes twice, resumed exactly from a number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...errors import WorldsError
from .clip import SmallClip, draw_clip
from .options import SmallWorld


class SmallBatch(NamedTuple):
    """b clips as arrays.

    frames: uint8 [b,f,h,w,3], context then target (``world.context_frames`` of them are the context). poses: float64
    [b,f,4,4] camera to world, one a video frame; latent frame k has that of frame ``stride * k``. intrinsics: float64
    [b,f,4], shares of the picture's size. share: float32 [b,latents,rows,columns] of each cell that subjects cover.
    numbers: int64 [b], which clips of the stream they are.
    """

    frames: np.ndarray
    poses: np.ndarray
    intrinsics: np.ndarray
    share: np.ndarray
    numbers: np.ndarray


def stream(world: SmallWorld, seed: int, start: int = 0) -> Iterator[SmallClip]:
    """Clips ``start``, ``start + 1``, ... without end."""
    number = start
    while True:
        yield draw_clip(world, seed, number)
        number += 1


def judged(world: SmallWorld, seed: int, start: int = 0) -> Iterator[SmallClip]:
    """The clips of the stream that tell the fates apart (`SmallClip.is_judged`): what scores are counted on."""
    return (clip for clip in stream(world, seed, start) if clip.is_judged)


def draw_batch(world: SmallWorld, seed: int, start: int, size: int) -> SmallBatch:
    """Clips ``start`` to ``start + size - 1``. Raises WorldsError for a size below 1."""
    if size < 1:
        raise WorldsError(f"a batch of {size} clips: expected at least 1")
    return collated([draw_clip(world, seed, number) for number in range(start, start + size)])


def batches(world: SmallWorld, seed: int, size: int, start: int = 0) -> Iterator[SmallBatch]:
    """Batches without end; `start` counts clips, so that a run of n batches goes on from ``start + n * size``."""
    number = start
    while True:
        yield draw_batch(world, seed, number, size)
        number += size


def collated(clips: list[SmallClip]) -> SmallBatch:
    """Clips of one world as a batch."""
    world = clips[0].world
    lens = np.broadcast_to(world.intrinsics(), (len(clips), world.frames, 4))
    return SmallBatch(
        np.stack([clip.frames for clip in clips]),
        np.stack([clip.c2w for clip in clips]),
        lens.copy(),
        np.stack([clip.share() for clip in clips]),
        np.array([clip.number for clip in clips], dtype=np.int64),
    )


class SmallBatches:
    """The same batches by number, for a DataLoader with workers: ``DataLoader(SmallBatches(...), batch_size=None)``.

    Batch i holds clips ``start + i * size`` and on; len is ``count``.
    """

    def __init__(self, world: SmallWorld, seed: int, size: int, count: int, start: int = 0) -> None:
        self.world, self.seed, self.size, self.count, self.start = world, seed, size, count, start

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> SmallBatch:
        if not 0 <= index < self.count:
            raise IndexError(f"batch {index} of {self.count}")
        return draw_batch(self.world, self.seed, self.start + index * self.size, self.size)
