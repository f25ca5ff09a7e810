"""Pinhole geometry, once: fields of view, rays and projection, for numpy arrays and for tensors.

Intrinsics are ``[..., 4]`` fx, fy, cx, cy as shares of the picture's width (fx, cx) and height (fy, cy), so that pixels
need not be square and scaling a picture changes nothing. Camera axes are OpenCV's: x right, y down, z forward.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import CameraError

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")
SAME_FOV = 1e-6  # degrees: a lens whose field of view differs less does not zoom


def square_intrinsics(horizontal_fov: float, height: float, width: float) -> np.ndarray:
    """``[4]`` of a lens in degrees over square pixels, its principal point in the centre."""
    fx = 0.5 / math.tan(math.radians(horizontal_fov) / 2)
    return np.array([fx, fx * width / height, 0.5, 0.5])


def fov_from_intrinsics(intrinsics: Array) -> Array:
    """Horizontal field of view ``[...]`` in degrees of ``[..., 4]``: what a centred picture of this fx covers."""
    half = 0.5 / intrinsics[..., 0]
    if isinstance(half, np.ndarray | np.floating):
        return np.degrees(2 * np.arctan(half))
    return (2 * half.atan()).rad2deg()


def edge_slopes(intrinsics: Array) -> tuple[Array, Array]:
    """x / z ``[...]`` of the rays through the picture's left and right edge; negative to the left of the axis."""
    fx, cx = intrinsics[..., 0], intrinsics[..., 2]
    return -cx / fx, (1 - cx) / fx


def rays(intrinsics: Array, height: int, width: int) -> Array:
    """Directions ``[..., height, width, 3]`` through the pixels' centres, in the camera's axes, with z = 1."""
    column: Any = (np.arange(width) + 0.5) / width
    row: Any = (np.arange(height)[:, None] + 0.5) / height
    column, row = _like(column, intrinsics), _like(row, intrinsics)
    fx, fy, cx, cy = (intrinsics[..., i, None, None] for i in range(4))
    x = (column - cx) / fx + 0 * row
    y = (row - cy) / fy + 0 * column
    return _stack([x, y, 0 * x + 1])


def project(points: Array, intrinsics: Array) -> tuple[Array, Array]:
    """Where points ``[..., 3]`` in the camera's axes lie in its picture.

    Returns the place ``[..., 2]`` (x, y) as shares of width and height, 0 to 1 inside the picture, and the depth
    ``[...]`` in the points' unit. The place means something where the depth is above 0.
    """
    x, y, depth = points[..., 0], points[..., 1], points[..., 2]
    fx, fy, cx, cy = (intrinsics[..., i] for i in range(4))
    return _stack([fx * x / depth + cx, fy * y / depth + cy]), depth


def checked_intrinsics(given: np.ndarray, frames: int) -> np.ndarray:
    """``[frames, 4]`` float64, read-only; CameraError for another shape and for what is no lens."""
    try:
        intrinsics = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise CameraError(f"intrinsics: expected numbers [F,4] ({cause})") from cause
    if intrinsics.shape == (4,):
        intrinsics = np.tile(intrinsics, (frames, 1))
    if intrinsics.shape != (frames, 4):
        raise CameraError(
            f"intrinsics of shape {list(intrinsics.shape)}: expected [{frames},4] (fx, fy, cx, cy of each pose, as "
            "shares of the picture's width and height), or [4] for all"
        )
    bad = ~np.isfinite(intrinsics).all(axis=1) | (intrinsics[:, :2] <= 0).any(axis=1)
    if bad.any():
        frame = int(np.argmax(bad))
        raise CameraError(
            f"intrinsics of frame {frame} are {intrinsics[frame].tolist()}: expected finite numbers fx, fy, cx, cy, "
            "with fx and fy above 0"
        )
    intrinsics.flags.writeable = False
    return intrinsics


def degrees_in_words(fov: np.ndarray) -> str:
    """One number, or the range of a zoom."""
    low, high = fov.min(), fov.max()
    return f"{low:g}" if high - low <= SAME_FOV else f"{low:g} to {high:g}"


def _stack(parts: list[Any]) -> Any:
    if isinstance(parts[0], np.ndarray | np.floating):
        return np.stack(parts, axis=-1)
    import torch

    return torch.stack(parts, dim=-1)


def _like(values: np.ndarray, other: Any) -> Any:
    """Values as an array or tensor of the other's kind."""
    return values if isinstance(other, np.ndarray) else other.new_tensor(values)
