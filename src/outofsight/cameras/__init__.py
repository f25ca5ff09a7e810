"""Camera paths: poses, lens, conventions, files, the pose mini-language and view overlap."""

from __future__ import annotations

from .files import LATENT_STRIDE, raw_split
from .overlap import pose_view_overlap
from .path import CameraPath, load_camera_file, rebase_poses, relative_pose_vectors, view_overlap

__all__ = [
    "LATENT_STRIDE",
    "CameraPath",
    "load_camera_file",
    "pose_view_overlap",
    "raw_split",
    "rebase_poses",
    "relative_pose_vectors",
    "view_overlap",
]
