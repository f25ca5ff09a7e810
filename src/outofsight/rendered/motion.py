"""How who was seen goes on: dead reckoning over the ground, at the likeliest speed and rate of turning."""

from __future__ import annotations

import numpy as np

from .tracks import SubjectPath

# what was seen, as standard deviations in shares of the distance: across the line of sight, and along it
_ACROSS, _ALONG = 0.011, 0.1
_CUT = 7.0  # times worse across, where the picture's border cuts a subject
# what is thought beforehand, as standard deviations in metres a frame, and a frame each frame (at 30 frames a second)
_SPEED, _CHANGE = 0.037, 2e-4
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
    """Where a subject stands in later frames ``[m]``: ``[m, 3]`` metres.

    A place, a velocity and its change are fitted to all sightings at once, as likely as they are: a subject's direction
    is seen well (badly where the border cuts it) and its distance badly, and people go at a walk and nearly straight
    (Gaussian likelihood and prior; what is thought beforehand is meant for 30 frames a second).
    Speed and turning then stay as they are, and so does the height above the ground. Of several things tried this did
    best (docs/tiny.md).

    Args:
        cameras: c2w ``[n, 4, 4]`` of the frames that the path's sightings are counted by.
        up: ``[3]``, the vertical.
    """
    axes = ground_axes(up)
    last = int(path.frames[-1])
    start, velocity, change = _fitted(path, cameras, axes, last)
    speed = float(np.hypot(*velocity))
    turning = float(velocity[0] * change[1] - velocity[1] * change[0]) / max(speed, _SLOWEST) ** 2
    ahead = np.asarray(frames) - last
    angle = np.clip(turning * ahead, -_MOST_TURNED, _MOST_TURNED)
    # an arc: its chord points half the angle aside and is shorter than the way
    chord = speed * ahead * np.sinc(angle / 2 / np.pi)
    heading = np.arctan2(velocity[1], velocity[0]) + angle / 2
    places = start + chord[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return np.asarray(places @ axes + np.mean(path.positions @ up) * up)


def _fitted(path: SubjectPath, cameras: np.ndarray, axes: np.ndarray, last: int) -> np.ndarray:
    """Place, velocity and its change at frame ``last``, each ``[2]`` over the ground."""
    times = (path.frames - last).astype(np.float64)
    seen = path.positions @ axes.T
    sight = seen - cameras[path.frames, :3, 3] @ axes.T
    far = np.maximum(np.linalg.norm(sight, axis=1), 1e-6)
    along = sight / far[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    worse = np.where([body.whole for body in path.bodies], 1.0, _CUT)
    known = _outer(across) / np.square(_ACROSS * worse * far)[:, None, None]
    known += _outer(along) / np.square(_ALONG * far)[:, None, None]
    basis = np.stack([np.ones_like(times), times, 0.5 * times**2], axis=1)
    normal = np.einsum("ni,nj,nab->iajb", basis, basis, known).reshape(6, 6)
    normal += np.diag(np.repeat([0.0, _SPEED**-2, _CHANGE**-2], 2))
    return np.asarray(np.linalg.solve(normal, np.einsum("ni,nab,nb->ia", basis, known, seen).ravel()).reshape(3, 2))


def _outer(directions: np.ndarray) -> np.ndarray:
    return directions[:, :, None] * directions[:, None, :]
