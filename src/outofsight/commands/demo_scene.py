"""A small world for the demo, drawn ray by ray: a painted horizon, and one subject that walks through it.

The camera stands and turns, so every pixel is exact: the background depends on the direction of its ray
alone, the subject is an ellipsoid that the ray meets or does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..cameras import CameraPath
    from ..clips import Clip

HORIZONTAL_FOV = 60.0
CAPTION = "A red figure walks through a wide plain while the camera turns away from it and back."
_RADII = np.array([0.35, 0.9, 0.35])  # metres; y is down


def demo_clip(name: str, latent_frames: int, frame_stride: int, height: int, width: int, fps: float) -> Clip:
    """A clip in which the subject leaves the view before the cut and comes back after it.

    Context and target have ``frame_stride * (latent_frames - 1) + 1`` frames each.
    """
    from ..cameras import CameraPath
    from ..clips import Clip, SubjectTrack

    away = latent_frames // 2
    stay = latent_frames - away
    turn = 60.0 / away  # degrees a latent frame: the whole field of view in the end
    context = CameraPath.from_string(
        f"wait-{stay}, right-{away}@{turn:g}", stride=frame_stride, fps=fps, horizontal_fov=HORIZONTAL_FOV
    )
    target = CameraPath.from_string(f"left-{away}@{turn:g}, wait-{stay}", start=context, stride=frame_stride)
    where = _walk(len(context) + len(target), fps)
    frames, pixels = render(context.concatenate(target), where, height, width)
    track = SubjectTrack("figure", positions=where, visible_pixels=pixels)
    cut = len(context)
    return Clip(name, CAPTION, context, target, frames[:cut], frames[cut:], subjects=(track,), fps=fps)


def _walk(frames: int, fps: float) -> np.ndarray:
    """Positions ``[f, 3]`` in metres: half a metre a second to the right, seven metres ahead."""
    seconds = np.arange(frames) / fps
    return np.stack([-0.6 + 0.5 * seconds, np.full(frames, 0.7), np.full(frames, 7.0)], axis=1)


def render(cameras: CameraPath, subject: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 frames ``[f, h, w, 3]`` and visible pixels ``[f]`` of ``subject [f, 3]`` (metres)."""
    focal = width / 2 / np.tan(np.radians(HORIZONTAL_FOV / 2))
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    rays = np.stack([x / focal, y / focal, np.ones_like(x)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    pictures, counts = [], []
    for pose, position in zip(cameras.c2w, subject, strict=True):
        directions = rays @ pose[:3, :3].T
        hit, shade = _ellipsoid(directions, position - pose[:3, 3])
        colour = np.where(hit[..., None], shade[..., None] * np.array([225, 60, 45]), _horizon(directions))
        pictures.append(colour.clip(0, 255).astype(np.uint8))
        counts.append(int(hit.sum()))
    return np.stack(pictures), np.array(counts)


def _ellipsoid(directions: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays from the origin meet the subject, and how brightly it is lit there."""
    d, c = directions / _RADII, centre / _RADII
    a, b = (d * d).sum(-1), d @ c
    inside = b * b - a * (c @ c - 1)
    hit = (inside > 0) & (b > 0)
    near = (b - np.sqrt(np.maximum(inside, 0))) / a
    normal = (directions * near[..., None] - centre) / _RADII**2
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    light = np.array([-0.5, -0.7, -0.5])
    return hit, 0.45 + 0.55 * np.maximum(normal @ light, 0)


def _horizon(directions: np.ndarray) -> np.ndarray:
    """Colour ``[h, w, 3]`` of the background: sky, hills, and a plain with stripes that tell directions."""
    azimuth = np.arctan2(directions[..., 0], directions[..., 2])
    up = -directions[..., 1]
    hills = 0.05 + 0.04 * np.sin(5 * azimuth + 1) + 0.02 * np.sin(17 * azimuth)
    sky = np.stack([120 + 90 * up, 165 + 60 * up, 215 + 30 * up], axis=-1)
    stripes = 12 * np.sign(np.sin(24 * azimuth))
    hill = np.stack([70 + stripes, 95 + 25 * np.sin(9 * azimuth), 80 + stripes], axis=-1)
    far = 1 / np.maximum(-up, 0.02)
    plain = np.stack([150 - 2 * far + stripes, 140 - 2 * far, 95 - far], axis=-1)
    ground = np.where((up > 0)[..., None], hill, plain)
    return np.where((up > hills)[..., None], sky, ground)
