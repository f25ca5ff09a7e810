"""Cameras and subjects from above, in the axes of the first target camera."""

from __future__ import annotations

import numpy as np

from ..cameras import CameraPath
from .data import Ground

_LEVEL = 1e-6  # length of a heading on the ground below which a camera looks straight up or down


def ground_view(context: CameraPath, target: CameraPath, frames: tuple[int, int]) -> Ground:
    """Both paths from above, a place and a heading for each video frame.

    frames: how many of the context and of the target. A path of one pose per several frames holds each until the next.
    """
    halves = [_each_frame(path, count) for path, count in zip((context, target), frames, strict=True)]
    views = [_right_handed(half, path) for half, path in zip(halves, (context, target), strict=True)]
    origin, heading = _reference(target)
    c2w = np.concatenate(views)
    directions = _turned(_directions(c2w), heading)
    fov = target.horizontal_fov if target.horizontal_fov is not None else context.horizontal_fov
    return Ground(
        places=_turned(c2w[:, [0, 2], 3] - origin, heading),
        headings=np.arctan2(directions[:, 0], directions[:, 1]),
        fov=fov,
    )


def ground_track(positions: np.ndarray, target: CameraPath) -> np.ndarray:
    """Positions ``[n, 3]`` in the world of the cameras, as ``[n, 2]`` on the ground."""
    poses = np.repeat(target.c2w[:1], len(positions), axis=0)
    poses[:, :3, 3] = positions
    origin, heading = _reference(target)
    return _turned(_right_handed(poses, target)[:, [0, 2], 3] - origin, heading)


def _each_frame(path: CameraPath, frames: int) -> np.ndarray:
    return path.c2w[np.minimum(np.arange(frames) // path.frame_stride, len(path) - 1)]


def _right_handed(c2w: np.ndarray, path: CameraPath) -> np.ndarray:
    return CameraPath(c2w, path.horizontal_fov, path.fps).right_handed().c2w


def _reference(target: CameraPath) -> tuple[np.ndarray, np.ndarray]:
    """Place ``[2]`` and unit heading ``[2]`` of the first target camera."""
    first = _right_handed(target.c2w[:1], target)
    return first[0, [0, 2], 3], _directions(first)[0]


def _directions(c2w: np.ndarray) -> np.ndarray:
    """Unit headings ``[n, 2]`` (x, z); of a camera that looks straight down, a quarter turn left of its right."""
    ahead, right = c2w[:, [0, 2], 2], c2w[:, [0, 2], 0]
    sideways = np.stack([-right[:, 1], right[:, 0]], axis=1)
    ahead = np.where(np.linalg.norm(ahead, axis=1, keepdims=True) > _LEVEL, ahead, sideways)
    return ahead / np.linalg.norm(ahead, axis=1, keepdims=True)


def _turned(points: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Points ``[n, 2]`` turned so that ``heading`` is straight ahead."""
    x, z = heading
    return points @ np.array([[z, x], [-x, z]])
