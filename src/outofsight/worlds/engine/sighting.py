"""What a camera sees of a subject, from geometry alone: an upright box against the frustum and the obstacles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .motion import Ground
from .shots import CameraTrack

_NEAREST = 0.4  # metres in front of the camera
# limbs swing beyond the box: a subject counts as out of the frame by a larger box and a larger frame
_WIDER, _TALLER, _FRAME = 1.35, 0.08, 1.06
_FAIR = 0.25  # share of the context, and of what is left of the target at its return, in which a subject is seen
_SHOWN = 0.45  # share of the body's height that must be in the frame for it to count as seen


@dataclass(frozen=True, eq=False)
class Sight:
    """touched: some of the box may be in the frame. seen: the subject is clearly in it. [..., F] bool each.
    distance: [..., F] metres along the camera's axis. shown: [..., F] share of the body's height that the frame's upper
    and lower edges leave (0 or less: none)."""

    touched: np.ndarray
    seen: np.ndarray
    distance: np.ndarray
    shown: np.ndarray


def sight(
    camera: CameraTrack,
    camera_z: np.ndarray,
    fov: np.ndarray,
    aspect: float,
    positions: np.ndarray,
    ground_z: np.ndarray | float,
    radius: float,
    height: float,
) -> Sight:
    """For [..., F] cameras and one subject's positions [F,2]; fov [...] degrees."""
    away = positions - camera.positions
    cos, sin = np.cos(camera.yaw), np.sin(camera.yaw)
    forward = away[..., 0] * cos + away[..., 1] * sin
    left = np.abs(away[..., 1] * cos - away[..., 0] * sin)
    feet = ground_z - camera_z
    head = feet + height
    cosp, sinp = np.cos(camera.pitch), np.sin(camera.pitch)
    depth_feet, depth_head = forward * cosp + feet * sinp, forward * cosp + head * sinp
    low, high = feet * cosp - forward * sinp, head * cosp - forward * sinp
    depth = np.minimum(depth_feet, depth_head)
    half = np.tan(np.radians(np.asarray(fov)) / 2)[..., None]
    wide, tall = np.maximum(depth, 0.0) * half, np.maximum(depth, 0.0) * half / aspect
    far = np.maximum(np.maximum(depth_feet, depth_head), 0.0)
    wide_far, tall_far = far * half, far * half / aspect
    slack = _TALLER * height
    touched = (far > _NEAREST - radius) & (left - _WIDER * radius < _FRAME * wide_far + 0.02)
    touched &= (low - slack < _FRAME * tall_far) & (high + slack > -_FRAME * tall_far)
    shown = np.minimum(high, tall) - np.maximum(low, -tall)
    seen = (depth > _NEAREST) & (left < 0.97 * wide) & (shown > _SHOWN * np.minimum(height, 2 * tall))
    return Sight(touched, seen, forward, shown / height)


def occluded(
    ground: Ground,
    camera: CameraTrack,
    camera_z: np.ndarray,
    positions: np.ndarray,
    ground_z: np.ndarray,
    radius: float,
    height: float,
) -> np.ndarray:
    """[F]: share of nine points of the subject's box that an obstacle's box hides from the camera."""
    ground = ground.between(camera.positions, positions, radius)
    if not len(ground.centres):
        return np.zeros(len(positions))
    aside = np.stack([-np.sin(camera.yaw), np.cos(camera.yaw)], axis=-1)
    points = positions[:, None] + radius * np.array([-1.0, 0.0, 1.0])[:, None] * aside[:, None]
    first, last = np.zeros(1), np.ones(1)
    here, there = ground.local(camera.positions), ground.local(points)
    for axis in (0, 1):
        start = here[axis][:, None]  # F,1,O
        step = there[axis] - start  # F,3,O
        step = np.where(np.abs(step) < 1e-9, 1e-9, step)
        half = ground.halves[:, axis]
        one, two = (-half - start) / step, (half - start) / step
        first, last = np.maximum(first, np.minimum(one, two)), np.minimum(last, np.maximum(one, two))
    enter, leave = first, last
    crosses = enter < leave
    hidden = 0.0
    for share in (0.05, 0.5, 0.95):
        rise = (ground_z + share * height - camera_z)[:, None, None]
        lowest = camera_z[:, None, None] + np.minimum(enter * rise, leave * rise)
        hidden = hidden + (crosses & (lowest < ground.heights)).any(axis=-1).mean(axis=1)
    return np.asarray(hidden) / 3


@dataclass(frozen=True)
class Verdict:
    """One subject's visibility over a clip: counts of frames in which it is clearly visible in each half, and the
    frame of the exit and of the re-entry around the cut (None: there is none)."""

    context_seen: int
    target_seen: int
    left: int | None
    returned: int | None

    @property
    def returns(self) -> bool:
        return self.returned is not None


def verdict(seen: np.ndarray, touched: np.ndarray, cut: int) -> Verdict:
    """One subject's visibility: it re-enters where it was seen in the context, is out of view at or soon after the
    cut for a while, and is clearly visible again in the target."""
    frames = len(seen)
    before, after = int(seen[:cut].sum()), int(seen[cut:].sum())
    window = touched[cut : cut + max(1, round(0.15 * (frames - cut)))]
    least = max(3, round(0.04 * frames))
    if before < max(3, _FAIR * cut) or window.all():
        return Verdict(before, after, None, None)
    gone = cut + int(np.argmin(window))
    present = np.flatnonzero(touched[:gone])
    back = np.flatnonzero(seen[gone:])
    if not len(present) or not len(back):
        return Verdict(before, after, None, None)
    left = int(present[-1]) + 1
    inside = np.flatnonzero(touched[gone:])
    returned = gone + int(inside[0])
    shown_again = int(seen[returned:].sum())
    if returned - left < least or shown_again < max(3, 0.1 * (frames - cut), _FAIR * (frames - returned)):
        return Verdict(before, after, None, None)
    return Verdict(before, after, left, returned)
