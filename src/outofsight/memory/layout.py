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
        poses: ``[b, f, 12]`` camera-to-world in the anchor camera's axes, 3x4 row-major, metres.
        intrinsics: ``[b, f, 4]`` fx, fy, cx, cy as shares of the picture's size, or None where nothing needs them.
        anchor: which frame poses and the clock are relative to: "first_target" or "session" (its first frame, time 0).
    """

    grid: tuple[int, int]
    context_frames: int
    times: Tensor
    timesteps: Tensor
    poses: Tensor
    intrinsics: Tensor | None = None
    anchor: str = "first_target"

    @property
    def anchor_time(self) -> Tensor:
        """``[1|b, 1]`` time index of the anchor frame."""
        if self.anchor == "session":
            return self.times.new_zeros(1, 1)
        return self.times[:, self.context_frames :][:, :1]

    def lens(self, user: str) -> Tensor:
        """The intrinsics ``[b, f, 4]``, for a part of the model that cannot do without.

        Raises:
            GeometryError: there are none.
        """
        if self.intrinsics is None:
            raise GeometryError(
                f"{user} of this model needs the cameras' intrinsics (a horizontal field of view is enough): pass "
                "conditions=Conditions(intrinsics=square_intrinsics(degrees, ...)) with the poses"
            )
        return self.intrinsics

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
            poses=take_frames(self.poses, frames),
            intrinsics=None if self.intrinsics is None else take_frames(self.intrinsics, frames),
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
    intrinsics: Tensor | None = None,
    *,
    anchor: str = "first_target",
    first_time: int = 0,
) -> FrameLayout:
    """Layout of a clip whose target follows its context without a gap.

    ``context_poses [b, fc, 12]``, ``target_poses [b, ft, 12]``, ``timesteps [b, fc+ft]``, ``intrinsics [b, fc+ft, 4]``;
    ``first_time``: the first frame's number in the session.

    Raises:
        GeometryError: poses of another batch or width, or timesteps or intrinsics of another length.
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
    if intrinsics is not None and intrinsics.shape != (batch, frames, 4):
        raise GeometryError(
            f"intrinsics have shape {tuple(intrinsics.shape)}, expected [{batch}, {frames}, 4]: fx, fy, cx, cy of "
            f"{context_frames} context and {frames - context_frames} target frames; square_intrinsics makes them"
        )
    poses = torch.cat([context_poses, target_poses], dim=1)
    times = torch.arange(first_time, first_time + frames)[None]
    intrinsics = None if intrinsics is None else intrinsics.to(poses.device)
    return FrameLayout(grid, context_frames, times, timesteps, poses, intrinsics, anchor)


def horizontal_degrees(intrinsics: Tensor) -> Tensor:
    """``[b]`` degrees: the horizontal field of view of each clip's first frame, of ``intrinsics [b, f, 4]``."""
    return torch.rad2deg(2 * torch.atan(0.5 / intrinsics[:, 0, 0].float()))


def take_frames(x: Tensor, frames: Tensor) -> Tensor:
    """``x [b, f, ...]`` at ``frames [b, k]``."""
    return x[torch.arange(len(x), device=x.device)[:, None], frames]


def put_frames(x: Tensor, frames: Tensor, total: int) -> Tensor:
    """The inverse of :func:`take_frames`: ``total`` frames, zeros where none was taken."""
    out = x.new_zeros(x.shape[0], total, *x.shape[2:])
    return out.index_put((torch.arange(len(x), device=x.device)[:, None], frames), x)
