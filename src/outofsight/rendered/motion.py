"""How who was seen goes on: dead reckoning over the ground, at the latest speed and rate of turning."""

from __future__ import annotations

import numpy as np

from .tracks import SubjectPath

_MEMORY = 15.0  # frames, over which what was seen counts for the latest velocity
_STIFF = 0.08  # ridge on acceleration, as a share of what a whole memory tells of it: who is seen briefly goes straight
_STILL = 0.1  # the same on velocity: keeps the fit of two sightings solvable
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


def go_on(path: SubjectPath, frames: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Where a subject stands in later frames ``[m]``: ``[m, 3]`` metres.

    Speed and turning come from a parabola through the latest places, the later the heavier, and stay as they are; so
    does the height above the ground. Of several things tried this did best (docs/tiny.md).
    """
    axes = ground_axes(up)
    seen, last = path.positions, path.bodies[-1]
    times = (path.frames - last.frame).astype(np.float64)
    weight = np.exp(times / _MEMORY)
    design = np.stack([np.ones_like(times), times, 0.5 * times**2], axis=1)
    ridge = np.diag([0.0, _STILL, _STIFF * weight.sum() * _MEMORY**4])
    normal = design.T @ (design * weight[:, None]) + ridge
    start, velocity, acceleration = np.linalg.solve(normal, design.T @ ((seen @ axes.T) * weight[:, None]))
    speed = float(np.hypot(*velocity))
    turning = float(velocity[0] * acceleration[1] - velocity[1] * acceleration[0]) / max(speed, _SLOWEST) ** 2
    ahead = np.asarray(frames) - last.frame
    angle = np.clip(turning * ahead, -_MOST_TURNED, _MOST_TURNED)
    # an arc: its chord points half the angle aside and is shorter than the way
    chord = speed * ahead * np.sinc(angle / 2 / np.pi)
    heading = np.arctan2(velocity[1], velocity[0]) + angle / 2
    places = start + chord[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    height = float(np.average(seen @ up, weights=weight))
    return np.asarray(places @ axes + height * up)
