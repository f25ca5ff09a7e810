"""Camera paths: poses, lens, conventions, files, the pose mini-language, view overlap, and cameras as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .files import LATENT_STRIDE, raw_split
from .overlap import pose_view_overlap, view_overlap
from .path import CameraPath, load_camera_file, rebase_poses, relative_pose_vectors

if TYPE_CHECKING:
    from .tensors import Cameras as Cameras

__all__ = [
    "LATENT_STRIDE",
    "CameraPath",
    "Cameras",
    "load_camera_file",
    "pose_view_overlap",
    "raw_split",
    "rebase_poses",
    "relative_pose_vectors",
    "view_overlap",
]


def __getattr__(name: str) -> Any:
    if name != "Cameras":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    from .tensors import Cameras  # with torch, which plain camera paths do not need

    return Cameras
