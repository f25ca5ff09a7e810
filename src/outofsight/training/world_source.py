"""Clips of a small world as training takes them: drawn when they are asked for, each once, none stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..cameras import relative_pose_vectors
from ..components.codec import VideoGeometry, encode_videos
from ..errors import DatasetError, TrainingError, WorldsError
from ..fingerprints import value_hash
from ..worlds.small import PRESETS, SmallClip, SmallWorld, clip_name, draw_clip, small_world
from .cells import frame_phases, highest
from .clip_source import ClipSource
from .hashes import vae_hash
from .shards import ClipEntry, EncodedClip, LatentSettings

_VERSION = 1  # of how clips are drawn and coded


def is_small_world(data: Path) -> bool:
    """Whether ``data`` names a small world's preset, and is no folder."""
    return str(data) in PRESETS and not data.is_dir()


class WorldSource(ClipSource):
    """An endless stream: step s, place p of the batch is clip ``s * batch + p`` of the world and the run's seed.

    Args:
        name: of the world's preset. options: its knobs, changed. seed: of the stream.
        codec: a codec without weights, which makes the latents. text_dim: width of the one zero token that stands for
            text.

    Raises:
        TrainingError: knobs that are not there or contradict one another.
        DatasetError: a codec whose strides are not those of the world.
    """

    kept = False

    def __init__(self, name: str, options: Mapping[str, Any], seed: int, codec: Any, text_dim: int) -> None:
        try:
            self.world: SmallWorld = small_world(name, **options)
        except WorldsError as error:
            raise TrainingError(f"data is {name!r}: {error}") from error
        self.where, self.seed, self.codec = f"the small world {name!r}", seed, codec
        self.geometry = VideoGeometry(codec.frame_stride, codec.pixel_strides, (1, 1, 1))
        world, pixels = self.world, codec.pixel_strides
        if (codec.frame_stride, *pixels) != (world.stride, world.cell, world.cell):
            raise DatasetError(
                f"{self.where} has {world.stride} video frames in a latent frame and cells of {world.cell} pixels; the "
                f"model's codec takes {codec.frame_stride} and {list(pixels)}: set the world's stride and cell, or "
                "choose another model"
            )
        self.settings = LatentSettings(
            vae=vae_hash(codec),
            text_encoder="",
            tokenizer="",
            frame_stride=world.stride,
            pixel_stride=world.cell,
            channels=codec.channels,
            size=(world.rows, world.columns),
            text_tokens=1,
            text_dim=text_dim,
            dtype="float32",
        )
        facts = {"version": _VERSION, "seed": seed, **asdict(world)}
        self.clips = (
            ClipEntry(
                name=name,
                shard="",
                context_frames=world.context,
                frames=world.latents,
                kind="re-entry",
                caption="",
                fps=world.fps,
                horizontal_fov=world.fov,
                annotated=True,
                digest=value_hash([facts]),
            ),
        )

    @property
    def empty_text(self) -> Tensor:
        return torch.zeros(1, self.settings.text_dim)

    def numbers(self, seed: int, step: int, places: Sequence[int], batch: int, limit: int | None) -> list[int]:
        found = [step * batch + place for place in places]
        return found if limit is None else [number % limit for number in found]

    def name_of(self, number: int) -> str:
        return clip_name(self.world, self.seed, number)

    def __getitem__(self, number: int) -> EncodedClip:
        return self.encoded(draw_clip(self.world, self.seed, number))

    def encoded(self, clip: SmallClip) -> EncodedClip:
        """A drawn clip as the transformer reads it; context and target are coded apart, as the pipeline does."""
        world, geometry = self.world, self.geometry
        cut = world.context_frames
        halves = (slice(0, cut), slice(cut, world.frames))
        firsts = geometry.first_frames(world.context), geometry.first_frames(world.target)
        latents = [
            encode_videos(self.codec, torch.from_numpy(clip.frames[half])[None], "cpu")[0].float() for half in halves
        ]
        phases = frame_phases(clip.clip)
        assert phases is not None
        context, target = clip.cameras
        poses = relative_pose_vectors(context, target, stride=world.stride)
        return EncodedClip(
            name=clip.name,
            latents=torch.cat(latents, dim=1),
            context_frames=world.context,
            text=torch.zeros(1, self.settings.text_dim),
            context_poses=poses[0],
            target_poses=poses[1],
            horizontal_fov=world.fov,
            subject=torch.from_numpy(clip.share()),
            phase=torch.cat(
                [torch.from_numpy(highest(phases[half], first)) for half, first in zip(halves, firsts, strict=True)]
            ),
        )
