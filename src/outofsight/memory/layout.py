"""What a model must know of its sequence, so that no shape is ever assumed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import GeometryError


@dataclass(frozen=True, eq=False)
class FrameLayout:
    """The latent frames of one forward pass: context frames first, target frames after.

    Args:
        grid: token rows and columns of a latent frame.
        context_frames: how many of the frames are context; the rest are target.
        times: ``[1|b, f]`` time index of each frame, in latent frames (the rotary time position); on the CPU,
            where plans are made from it.
        timesteps: ``[b, f]`` noise level of each frame, 0 (clean) to 1000 (noise).
        poses: ``[b, f, 12]`` camera-to-world relative to the first target frame, 3x4 row-major, metres.
        horizontal_fov: ``[b]`` degrees, or None where nothing needs it.
    """

    grid: tuple[int, int]
    context_frames: int
    times: Tensor
    timesteps: Tensor
    poses: Tensor
    horizontal_fov: Tensor | None = None

    @property
    def frames(self) -> int:
        return self.times.shape[1]

    @property
    def target_frames(self) -> int:
        return self.frames - self.context_frames

    @property
    def tokens_per_frame(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def roles(self) -> tuple[str, ...]:
        """``"context"`` or ``"target"`` for each frame."""
        return ("context",) * self.context_frames + ("target",) * self.target_frames

    def keep_context(self, indices: Tensor) -> FrameLayout:
        """The same clip with only the context frames ``indices [b, k]`` (ascending), positions as they were."""
        frames = self.kept_frames(indices)
        batch = indices.shape[0]
        return replace(
            self,
            context_frames=indices.shape[1],
            times=self.times.expand(batch, -1).gather(1, frames.cpu()),
            timesteps=self.timesteps.gather(1, frames),
            poses=self.poses.gather(1, frames[..., None].expand(-1, -1, self.poses.shape[-1])),
        )

    def kept_frames(self, indices: Tensor) -> Tensor:
        """``[b, k + target]`` frame numbers that stay when only the context frames ``indices [b, k]`` do."""
        target = torch.arange(self.context_frames, self.frames, device=indices.device)
        return torch.cat([indices, target.expand(indices.shape[0], -1)], dim=1)


def make_layout(
    grid: tuple[int, int],
    context_poses: Tensor,
    target_poses: Tensor,
    timesteps: Tensor,
    horizontal_fov: float | Tensor | None = None,
) -> FrameLayout:
    """Layout of a clip whose target follows its context without a gap.

    ``context_poses [b, fc, 12]``, ``target_poses [b, ft, 12]``, ``timesteps [b, fc+ft]``.

    Raises:
        GeometryError: poses of another batch or width, or timesteps of another length.
    """
    batch, context_frames = context_poses.shape[:2]
    frames = context_frames + target_poses.shape[1]
    if target_poses.shape[0] != batch or context_poses.shape[-1] != target_poses.shape[-1]:
        raise GeometryError(
            f"context poses {tuple(context_poses.shape)} and target poses {tuple(target_poses.shape)} "
            "must have the same batch and 12 numbers a frame"
        )
    if timesteps.shape != (batch, frames):
        raise GeometryError(
            f"timesteps have shape {tuple(timesteps.shape)}, expected [{batch}, {frames}]: "
            f"one for each of {context_frames} context and {frames - context_frames} target frames"
        )
    poses = torch.cat([context_poses, target_poses], dim=1)
    fov = None
    if horizontal_fov is not None:
        fov = torch.as_tensor(horizontal_fov, dtype=torch.float32, device=poses.device)
        if fov.ndim > 1 or fov.numel() not in (1, batch):
            raise GeometryError(f"horizontal_fov has shape {list(fov.shape)}, expected one number or [{batch}]")
        fov = fov.expand(batch)
    times = torch.arange(frames)[None]
    return FrameLayout(grid, context_frames, times, timesteps, poses, fov)


def take_frames(x: Tensor, frames: Tensor) -> Tensor:
    """``x [b, f, n, dim]`` at ``frames [b, k]``."""
    return x[torch.arange(len(x), device=x.device)[:, None], frames]


def put_frames(x: Tensor, frames: Tensor, total: int) -> Tensor:
    """The inverse of :func:`take_frames`: ``total`` frames, zeros where none was taken."""
    out = x.new_zeros(x.shape[0], total, *x.shape[2:])
    return out.index_put((torch.arange(len(x), device=x.device)[:, None], frames), x)
