"""A clip on its way to latents: decoded, held against the model and the other clips, all but coded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..clips import Clip
from ..components.inputs import camera_inputs, field_of_view
from ..errors import DatasetError, OutOfSightError
from ..models.conditioners import Seen
from .cells import cell_shares, frame_phases, highest, subject_masks
from .parts import Parts
from .shards import EncodedClip, LatentSettings


@dataclass(frozen=True, eq=False)
class PreparedClip:
    """All of a clip but its latents.

    videos: uint8 ``[F, H, W, 3]`` of context and target. poses: ``[fc, 12]``, ``[ft, 12]``. subject ``[f, h, w]`` and
    phase ``[f]`` as in :class:`EncodedClip`; annotated: whether there was something to make them from.
    """

    clip: Clip
    videos: tuple[np.ndarray, np.ndarray]
    poses: tuple[Tensor, Tensor]
    horizontal_fov: float | None
    subject: np.ndarray
    phase: np.ndarray
    annotated: bool

    @classmethod
    def of(cls, clip: Clip, parts: Parts, settings: LatentSettings, size: tuple[int, int] | None) -> PreparedClip:
        """Decode a clip and bring what is known of its frames to latent frames; size: fit its frames to it.

        Raises:
            OutOfSightError: it cannot be read, does not fit the model, or is of another size than the others.
        """
        fitted = clip if size is None else clip.fitted(*size)
        videos = fitted.context_video().frames, fitted.target_video().frames
        cameras = fitted.context_cameras, fitted.target_cameras
        geometry = parts.geometry
        height, width = videos[0].shape[1:3]
        if {video.shape[1:3] for video in videos} != {(height, width)} or settings.size != geometry.latent_size(
            height, width
        ):
            rows, columns = settings.pixels
            raise DatasetError(
                f"its frames are {height} x {width}, those of the first clip {rows} x {columns} (height x width): give "
                "--height and --width to fit all of them to one size"
            )
        poses = camera_inputs(*cameras, len(videos[0]), geometry)
        if len(videos[1]) != clip.target_frames:
            raise DatasetError(f"its target has {len(videos[1])} frames and cameras for {clip.target_frames}")
        fov = field_of_view(*cameras, None, parts.transformer)
        cut = len(videos[0])
        first = [*geometry.first_frames(len(poses[0])), *(cut + n for n in geometry.first_frames(len(poses[1])))]
        masks, phases = subject_masks(clip, (height, width)), frame_phases(fitted)
        latent_frames = len(poses[0]) + len(poses[1])
        subject = np.zeros((latent_frames, *settings.size), np.float32)
        if masks is not None:
            subject = cell_shares(masks, first, geometry.pixel_strides)
        phase = np.zeros(latent_frames, np.uint8) if phases is None else highest(phases, first)
        return cls(clip, videos, poses, fov, subject, phase, masks is not None and phases is not None)

    def encoded(self, latents: Tensor, parts: Parts, true_places: bool = False) -> EncodedClip:
        """With its latents, its text, and the rendered target where the parts have a finder; true_places: with subjects
        at their ground-truth places. Raises DatasetError where the clip does not hold them."""
        rendered = None
        if parts.finder is not None:
            frames = parts.geometry.video_frames(len(self.poses[1]))
            starts = tuple(parts.geometry.first_frames(len(self.poses[1])))
            cameras = self.clip.context_cameras, self.clip.target_cameras[:frames]
            seen = Seen(self.videos[0], *cameras, self.horizontal_fov, starts)
            rendered = self._rendered(seen, parts, true_places)
        return EncodedClip(
            name=self.clip.name,
            latents=latents,
            context_frames=len(self.poses[0]),
            text=parts.text(self.clip.caption),
            context_poses=self.poses[0],
            target_poses=self.poses[1],
            horizontal_fov=self.horizontal_fov,
            subject=torch.from_numpy(self.subject),
            phase=torch.from_numpy(self.phase),
            rendered=rendered,
        )

    def _rendered(self, seen: Seen, parts: Parts, true_places: bool) -> Tensor:
        def encode(video: Tensor) -> Tensor:
            return parts.latents(video[None])[0]

        if not true_places:
            return parts.finder.target(seen, encode)
        try:
            return parts.finder.target(seen, encode, self.clip)
        except DatasetError as error:
            raise DatasetError(f"{error} (this is asked by --true-places)") from error


@contextmanager
def naming(clip: Clip) -> Iterator[None]:
    """Errors that name the clip they are of."""
    try:
        yield
    except OutOfSightError as error:
        if str(error).startswith(f'clip "{clip.name}"'):
            raise
        raise type(error)(f'clip "{clip.name}": {error}') from error
