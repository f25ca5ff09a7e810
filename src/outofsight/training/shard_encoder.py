"""One shard of encoded clips, made or found whole."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..clips import Clip
from ..errors import DatasetError
from .parts import Parts, load_parts
from .prepare import PreparedClip, naming
from .shards import ClipEntry, EncodedClip, LatentSettings, read_shard, write_shard
from .sources import Source, clip_digest, read_sources, world_kind

Job = tuple[str, tuple[Source, ...]]  # a shard's file and its clips

_VIDEOS_AT_ONCE = {"cpu": 2, "cuda": 16}  # on a CPU two cost little more than one, and four no less than two twos


@dataclass(frozen=True)
class EncodeOptions:
    """How clips are encoded.

    Args:
        model: see :func:`training.parts.load_parts`.
        size: (height, width) that frames are fitted to; None keeps theirs.
        text_tokens: what captions are padded to; None takes the model's own.
        stored: dtype of latents and text on disk. precision: what the networks compute in.
        device: where. videos_at_once: through the VAE; None takes what is fast on the device.
        clips_per_shard: None takes as many as make some 32 MB, at most 32.
        render: also render targets, where the model has a finder; for transformers conditioned on them.
        true_places: render subjects at their ground-truth places. For clips to learn from, with positions and a mask of
            each subject; never for clips to judge by.
    """

    model: str
    size: tuple[int, int] | None = None
    text_tokens: int | None = None
    stored: str = "float16"
    precision: str = "float32"
    device: str = "cpu"
    videos_at_once: int | None = None
    clips_per_shard: int | None = None
    render: bool = True
    true_places: bool = False

    def load_parts(self) -> Parts:
        """The parts of its model, without a finder where nothing is to be rendered."""
        parts = load_parts(self.model, self.text_tokens)
        if not self.render:
            parts.finder = None
        return parts


@dataclass(frozen=True)
class ShardDone:
    """One shard is there: its clips, and whether they were there before."""

    name: str
    clips: int
    kept: bool
    unannotated: int


class ShardEncoder:
    """Makes one shard after another; loads the networks when the first one is needed."""

    def __init__(self, out: Path, options: EncodeOptions, settings: LatentSettings, parts: Parts | None) -> None:
        self.out, self.options, self.settings = out, options, settings
        self._parts = parts
        self._ready = False

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            self._parts = self.options.load_parts()
        if not self._ready:
            self._parts.compute_in(self.options.precision, self.options.device)
            self._ready = True
        return self._parts

    def __call__(self, job: Job) -> ShardDone:
        name, sources = job
        clips = list(read_sources(sources))
        digests = [clip_digest(clip) for clip in clips]
        there = _entries_there(self.out / name, self.settings)
        if [(entry.name, entry.digest) for entry in there] == [
            (clip.name, digest) for clip, digest in zip(clips, digests, strict=True)
        ]:
            return ShardDone(name, len(clips), True, sum(not entry.annotated for entry in there))
        made = list(self._encode_all(clips))
        entries = [
            ClipEntry(
                name=clip.name,
                shard=name,
                context_frames=encoded.context_frames,
                frames=encoded.latents.shape[1],
                kind=world_kind(source),
                caption=clip.caption,
                fps=clip.fps,
                horizontal_fov=encoded.horizontal_fov,
                annotated=annotated,
                digest=digest,
            )
            for source, clip, digest, (encoded, annotated) in zip(sources, clips, digests, made, strict=True)
        ]
        write_shard(self.out, name, [clip for clip, _ in made], entries, self.settings, self.parts.text(""))
        return ShardDone(name, len(clips), False, sum(not entry.annotated for entry in entries))

    def _encode_all(self, clips: Sequence[Clip]) -> Iterator[tuple[EncodedClip, bool]]:
        """Clip after clip, a few of them through the VAE at a time."""
        together = max(1, (self.options.videos_at_once or _VIDEOS_AT_ONCE.get(self.options.device, 16)) // 2)
        for start in range(0, len(clips), together):
            part = clips[start : start + together]
            prepared = []
            for clip in part:
                with naming(clip):
                    prepared.append(PreparedClip.of(clip, self.parts, self.settings, self.options.size))
            latents = self._latents([video for one in prepared for video in one.videos])
            for one, context, target in zip(prepared, latents[::2], latents[1::2], strict=True):
                with naming(one.clip):
                    both = torch.cat([context, target], dim=1)
                    yield one.encoded(both, self.parts, self.settings.true_places), one.annotated

    def _latents(self, videos: list[np.ndarray]) -> list[Tensor]:
        """``[c, f, h, w]`` of each video ``[f, h, w, 3]``; those of one shape go through the VAE together."""
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for number, video in enumerate(videos):
            alike[video.shape].append(number)
        found: dict[int, Tensor] = {}
        for numbers in alike.values():
            stack = torch.from_numpy(np.stack([videos[number] for number in numbers]))
            found |= dict(zip(numbers, self.parts.latents(stack), strict=True))
        return [found[number] for number in range(len(videos))]


def _entries_there(file: Path, settings: LatentSettings) -> tuple[ClipEntry, ...]:
    """The clips of a shard on disk that is whole; none where it is missing or broken (which is reported)."""
    if not file.is_file():
        return ()
    try:
        theirs, entries = read_shard(file, verify=True)
    except DatasetError as error:
        warnings.warn(f"{error}. It is made again", stacklevel=2)
        return ()
    return entries if theirs == settings else ()
