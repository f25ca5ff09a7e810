"""Extrapolating a subject that was seen: dead reckoning over the ground, at the likeliest speed and rate of turning."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .tracks import SubjectPath

# what is thought beforehand, as standard deviations in metres a frame, and a frame each frame (at 30 frames a second)
_SPEED, _CHANGE = 0.037, 3e-4
_MOST_TURNED = 2.5  # radians, that a path may turn while unseen
_SLOWEST = 0.002  # metres a frame, that turning is reckoned with


def world_up(c2w: np.ndarray) -> np.ndarray:
    """The vertical ``[3]`` of cameras ``[n, 4, 4]`` that do not roll: across all of their right-hand axes, up on their
    average."""
    right, down = c2w[:, :3, 0], c2w[:, :3, 1].mean(axis=0)
    spread = right.T @ right / len(right) - 1e-3 * np.outer(down, down)
    up = np.linalg.eigh(spread)[1][:, 0]
    return np.asarray(up if up @ down < 0 else -up)


def ground_axes(up: np.ndarray) -> np.ndarray:
    """Two directions ``[2, 3]`` across ``up``."""
    first = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(up, first)])


def go_on(path: SubjectPath, cameras: np.ndarray, frames: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Where a subject stands in later frames ``[m]``: ``[m, 3]`` metres; its height above the ground stays as it is.

    Args:
        cameras: c2w ``[n, 4, 4]`` of the frames that the path's sightings are counted by.
        up: ``[3]``, the vertical.
    """
    axes = ground_axes(up)
    last = int(path.frames[-1])
    seen = path.positions @ axes.T, cameras[path.frames, :3, 3] @ axes.T, path.frames - last, path.doubts
    motion = fitted(*(torch.from_numpy(np.asarray(x, np.float64))[None] for x in seen))
    ahead = torch.from_numpy(np.asarray(frames - last, np.float64))[None]
    return np.asarray(carried_on(motion, ahead)[0].numpy() @ axes + np.mean(path.positions @ up) * up)


def fitted(places: Tensor, eyes: Tensor, times: Tensor, doubts: Tensor) -> Tensor:
    """The likeliest place, velocity and its change at time 0 of b paths, ``[b, 3, 2]`` over the ground (float64).

    All sightings count at once, each as its doubts say: a subject's direction is seen well and its distance badly, and
    people go at a walk and nearly straight (Gaussian likelihood and prior; what is thought beforehand is meant for 30
    frames a second). Of several things tried this did best (logs/tiny.md).

    Args:
        places, eyes: ``[b, n, 2]`` metres over the ground: where each was seen, and where from.
        times: ``[b, n]`` frames.
        doubts: ``[b, n, 2]``, as ``Body.doubt``; infinite where nothing was seen.
    """
    sight = places - eyes
    far = sight.norm(dim=2).clamp(min=1e-6)
    along = sight / far[..., None]
    across = torch.stack([-along[..., 1], along[..., 0]], dim=2)
    known = sum(
        direction[..., :, None] * direction[..., None, :] * (doubts[..., i] ** -2 / far**2)[..., None, None]
        for i, direction in enumerate((across, along))
    )
    basis = torch.stack([torch.ones_like(times), times, 0.5 * times**2], dim=2)
    normal = torch.einsum("zni,znj,znab->ziajb", basis, basis, known).flatten(3).flatten(1, 2)
    prior = normal.new_tensor([0.0, _SPEED**-2, _CHANGE**-2]).repeat_interleave(2)
    said = torch.einsum("zni,znab,znb->zia", basis, known, places).flatten(1)
    return torch.linalg.solve(normal + prior.diag(), said).unflatten(1, (3, 2))


def carried_on(motion: Tensor, ahead: Tensor) -> Tensor:
    """Places ``[b, m, 2]`` so many frames ``[b, m]`` later, at the same speed and rate of turning: on an arc, whose
    chord points half of its angle aside and is shorter than the way. motion: of :func:`fitted`."""
    start, velocity, change = motion.unbind(dim=1)
    turning = velocity[:, 0] * change[:, 1] - velocity[:, 1] * change[:, 0]
    turning = turning / velocity.square().sum(dim=1).clamp(min=_SLOWEST**2)
    angle = (turning[:, None] * ahead).clamp(-_MOST_TURNED, _MOST_TURNED)
    way = (ahead * torch.sinc(angle / 2 / math.pi))[..., None] * velocity[:, None]
    cos, sin = (angle / 2).cos(), (angle / 2).sin()
    turned = [cos * way[..., 0] - sin * way[..., 1], sin * way[..., 0] + cos * way[..., 1]]
    return start[:, None] + torch.stack(turned, dim=2)
