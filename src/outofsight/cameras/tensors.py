"""Cameras as models take them: pose vectors and intrinsics in one anchor frame, a row for each latent frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import CameraError
from .geometry import fov_from_intrinsics
from .path import CameraPath, relative_pose_vectors

ANCHORS = ("first_target", "session")


@dataclass(frozen=True, eq=False)
class Cameras:
    """A batch of cameras over time.

    Args:
        poses: ``[b, f, 12]``, the upper 3x4 of camera-to-anchor, row-major, OpenCV axes, metres.
        intrinsics: ``[b, f, 4]`` fx, fy, cx, cy as shares of the picture's width (fx, cx) and height; None where the
            lens is not known.

    Raises:
        CameraError: other shapes.
    """

    poses: Tensor
    intrinsics: Tensor | None = None

    def __post_init__(self) -> None:
        poses, lens = self.poses, self.intrinsics
        if poses.ndim != 3 or poses.shape[2] != 12 or (lens is not None and lens.shape != (*poses.shape[:2], 4)):
            found = "" if lens is None else f" and intrinsics {list(lens.shape)}"
            raise CameraError(f"poses {list(poses.shape)}{found}: expected [b, f, 12] and [b, f, 4]")

    def __len__(self) -> int:
        return self.poses.shape[1]

    @classmethod
    def of(
        cls,
        context: CameraPath,
        target: CameraPath,
        *,
        stride: int,
        size: tuple[int, int],
        anchor: str = "first_target",
    ) -> tuple[Cameras, Cameras]:
        """Context and target cameras, ``[1, fc, ...]`` and ``[1, ft, ...]`` float32, one for every ``stride``-th frame.

        Args:
            stride: video frames per latent frame.
            size: height and width of the pictures, which decide fy where a path knows its horizontal_fov alone.
            anchor: what poses are relative to: the "first_target" camera, in float32 throughout as the release computes
                it, or the "session": the first context camera, differences in float64.

        A path without a lens takes the other one's, where that does not zoom.

        Raises:
            CameraError: an unknown anchor, paths of different worlds or rates, or a lens known for one path alone that
                zooms.
        """
        if anchor not in ANCHORS:
            raise CameraError(f"anchor {anchor!r}: expected one of {', '.join(ANCHORS)}")
        paths = [path.subsample(stride) for path in one_lens(context, target)]
        if anchor == "first_target":
            poses = list(relative_pose_vectors(context, target, stride))
        else:
            based = (path.relative_to(context[0]).c2w[:, :3].reshape(-1, 12) for path in paths)
            poses = [torch.from_numpy(vectors.astype(np.float32)) for vectors in based]
        lenses = [
            torch.from_numpy(path.intrinsics_for(*size).astype(np.float32))[None] if path.has_lens else None
            for path in paths
        ]
        return cls(poses[0][None], lenses[0]), cls(poses[1][None], lenses[1])

    @property
    def horizontal_fov(self) -> Tensor | None:
        """``[b, f]`` degrees: what a centred picture of each fx covers; None where the lens is not known."""
        return None if self.intrinsics is None else fov_from_intrinsics(self.intrinsics)

    def frames(self, which: slice | Tensor) -> Cameras:
        """Some of the frames: a slice, or indices ``[n]``."""
        return Cameras(self.poses[:, which], None if self.intrinsics is None else self.intrinsics[:, which])

    def expand(self, batch: int) -> Cameras:
        """The same cameras for each of a batch, which share their memory."""
        lens = None if self.intrinsics is None else self.intrinsics.expand(batch, -1, -1)
        return Cameras(self.poses.expand(batch, -1, -1), lens)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Cameras:
        """On a device, as numbers of ``dtype`` (None: as they are)."""
        lens = None if self.intrinsics is None else self.intrinsics.to(device, dtype)
        return Cameras(self.poses.to(device, dtype), lens)

    @staticmethod
    def cat(parts: Sequence[Cameras], dim: int = 1) -> Cameras:
        """One after another in time (``dim`` 1) or in the batch (0). Raises CameraError: a lens known for some only."""
        lenses = [part.intrinsics for part in parts if part.intrinsics is not None]
        if lenses and len(lenses) != len(parts):
            raise CameraError("cannot join cameras of which some have intrinsics and some have not")
        return Cameras(torch.cat([part.poses for part in parts], dim), torch.cat(lenses, dim) if lenses else None)


def one_lens(context: CameraPath, target: CameraPath) -> tuple[CameraPath, CameraPath]:
    """Both paths with a lens where one of them has one. Raises CameraError where that one zooms."""
    if context.has_lens == target.has_lens:
        return context, target
    known, other = (context, target) if context.has_lens else (target, context)
    if known.horizontal_fov is None:
        raise CameraError(
            f"the field of view of one camera path changes ({known.lens}) and that of the other is not known: give both"
        )
    if known.intrinsics is None:
        lensed = other.with_fov(known.horizontal_fov)
    else:
        lensed = other.with_intrinsics(known.intrinsics[0])
    return (context, lensed) if known is context else (lensed, target)
