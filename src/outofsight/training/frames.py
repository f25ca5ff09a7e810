"""Frames of many clips, decoded once into one file of pixels, so that no training step waits for a video decoder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ..clips import Clip, VideoFile
from ..datasets import iterate_clips
from ..errors import DatasetError
from ..io import replacing
from ..records import read_object

INDEX, PIXELS, VERSION = "frames.json", "frames.u8", 1


@dataclass(frozen=True, eq=False)
class FrameCache:
    """Videos in a row.

    Args:
        frames: uint8 ``[n, H, W, 3]``, all videos after one another; mapped from disk.
        starts: ``[videos + 1]`` where each begins, and the end.
        clips: names of the clips; each has one or two videos (context, target).
        listing: name, sizes and times of the files that it was made from.
    """

    frames: np.ndarray
    starts: np.ndarray
    clips: tuple[str, ...]
    listing: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.frames.shape[1], self.frames.shape[2]

    def video(self, index: int) -> np.ndarray:
        """uint8 ``[F, H, W, 3]``."""
        return self.frames[self.starts[index] : self.starts[index + 1]]

    def piece(self, rng: np.random.Generator, frames: int, size: tuple[int, int]) -> np.ndarray:
        """A random piece uint8 ``[frames, height, width, 3]`` of a random video, half of them mirrored."""
        video = self.video(int(rng.integers(len(self))))
        start, top, left = (
            int(rng.integers(whole - part + 1)) for whole, part in zip(video.shape, (frames, *size), strict=False)
        )
        piece = video[start : start + frames, top : top + size[0], left : left + size[1]]
        return piece[:, :, ::-1] if rng.random() < 0.5 else piece

    def check(self, frames: int, size: tuple[int, int]) -> None:
        """Raises DatasetError where pieces of so many frames and of this size cannot be cut from every video."""
        shortest = int(np.diff(self.starts).min())
        if shortest < frames or self.size[0] < size[0] or self.size[1] < size[1]:
            raise DatasetError(
                f"pieces of {frames} frames of {size[0]} x {size[1]} (height x width) do not fit in the clips: the "
                f"shortest video has {shortest} frames, of {self.size[0]} x {self.size[1]}"
            )


def cache_frames(clips: Path, folder: Path, *, limit: int | None = None) -> FrameCache:
    """Decode the clips of a data folder into ``folder``; what was decoded of the same files before is used again.

    Args:
        clips: a folder in one of HM-World's layouts.
        folder: for frames.json and frames.u8 (H * W * 3 bytes a frame).
        limit: take the first so many clips alone.

    Raises:
        LayoutError, VideoError: there is no clip, or one that cannot be read.
        DatasetError: videos of several sizes.
        OutputError: the folder cannot be written to (disk full ...); what was there stays.
    """
    listing = tuple(_describe(clip) for clip in islice(iterate_clips(clips), limit))
    if (found := _open(folder)) is not None and found.listing == listing:
        return found
    (folder / INDEX).unlink(missing_ok=True)  # it must not describe other pixels, not even for a moment
    names, counts, size = list[str](), list[int](), (0, 0)
    with replacing(folder / PIXELS) as beside, beside.open("wb") as file:
        for clip in islice(iterate_clips(clips), limit):
            for video in _videos(clip):
                if counts and video.shape[1:3] != size:
                    raise DatasetError(
                        f'clip "{clip.name}" is {video.shape[1]} x {video.shape[2]}, those before it {size[0]} x '
                        f"{size[1]} (height x width): train on clips of one size"
                    )
                size = video.shape[1:3]
                counts.append(len(video))
                file.write(np.ascontiguousarray(video).data)
            names.append(clip.name)
    content = {"version": VERSION, "size": size, "counts": counts, "clips": names, "listing": listing}
    with replacing(folder / INDEX) as beside:
        beside.write_text(json.dumps(content) + "\n", encoding="utf-8")
    made = _open(folder)
    assert made is not None
    return made


def _videos(clip: Clip) -> list[np.ndarray]:
    halves = [clip.context_video().frames]
    return halves if clip.target is None else [*halves, clip.target_video().frames]


def _describe(clip: Clip) -> str:
    """A clip's name, and its files' sizes and times: another where a file was written again."""
    files = [half.path for half in (clip.context, clip.target) if isinstance(half, VideoFile)]
    facts = [f"{file.name} {(stat := os.stat(file)).st_size} {stat.st_mtime_ns}" for file in files]
    return " ".join([clip.name, *facts])


def _open(folder: Path) -> FrameCache | None:
    """What is cached there, or None where there is nothing or not all of it."""
    try:
        content = read_object(folder / INDEX, DatasetError)
        version, counts = content["version"], [int(count) for count in content["counts"]]
        height, width = map(int, content["size"])
        clips, listing = tuple(content["clips"]), tuple(content["listing"])
        bytes_there = (folder / PIXELS).stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    shape = (sum(counts), height, width, 3)
    if version != VERSION or bytes_there != int(np.prod(shape)):
        return None
    frames = np.memmap(folder / PIXELS, np.uint8, "r", shape=shape)
    return FrameCache(frames, np.cumsum([0, *counts]), clips, listing)
