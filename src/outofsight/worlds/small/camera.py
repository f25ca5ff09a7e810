"""Where the camera looks and stands: home, away by the cut, and back in the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engine.noise import smoothstep
from .options import SmallWorld

_HOME = 3  # latent frames at least that the camera is at home before it leaves


@dataclass(frozen=True, eq=False)
class CameraScript:
    """A camera's turns, in cells and latent frames.

    yaw: [latents] whole cells, to the right. sign: the side it turns to. leave: when it turns away; back: when it
    begins to come back; there: the yaw that it comes back to; arrive: when it is there.
    """

    yaw: np.ndarray
    sign: int
    leave: int
    back: int
    there: int
    arrive: int


@dataclass(frozen=True, eq=False)
class Turns:
    """What is drawn before it is known where the camera comes back to."""

    sign: int
    away: int
    leave: int
    back: int
    home: int  # latent frames at home after a look aside
    aside: int  # the side of that look
    around: tuple[int, ...]  # cells beyond away, looked at in turn


def draw_turns(world: SmallWorld, rng: np.random.Generator) -> Turns:
    """When and how far a camera turns."""
    sign, aside = (1 if rng.random() < 0.5 else -1 for _ in range(2))
    away = int(rng.integers(world.away[0], world.away[1] + 1))
    leave = max(_HOME, world.context - 1 - int(rng.integers(world.leave[0], world.leave[1] + 1)))
    need = -(-away // world.turn)
    back = max(leave + need, world.context) + int(rng.integers(world.linger[0], world.linger[1] + 1))
    last = world.latents - 1 - -(-(away + world.wander) // world.turn)
    around = world.turn * rng.integers(0, world.wander // world.turn + 1, world.latents)
    home = int(rng.integers(_HOME, _HOME + 3))
    return Turns(sign, away, leave, max(leave + need, min(back, last)), home, aside, tuple(around.tolist()))


def script(world: SmallWorld, turns: Turns, there: int = 0) -> CameraScript:
    """The turns as a path that comes back to the yaw `there`."""
    turn, sign = world.turn, turns.sign
    yaw = [turns.aside * min(world.scan, turn * max(0, turns.leave - turns.home - k)) for k in range(turns.leave + 1)]
    here, goals = 0, [sign * turns.away, *(sign * (turns.away + more) for more in turns.around)]
    while len(yaw) <= turns.back:
        if here == goals[0] and len(goals) > 1:
            goals.pop(0)
        here += int(np.clip(goals[0] - here, -turn, turn))
        yaw.append(here)
    arrive = turns.back + -(-abs(here - there) // turn)
    while len(yaw) < world.latents:
        here += int(np.clip(there - here, -turn, turn))
        yaw.append(here)
    return CameraScript(np.array(yaw[: world.latents]), sign, turns.leave, turns.back, there, arrive)


def waiting(world: SmallWorld, turns: Turns) -> CameraScript:
    """The same look aside, and then the camera stays at home."""
    yaw = script(world, turns).yaw.copy()
    yaw[turns.leave :] = 0
    return CameraScript(yaw, turns.sign, world.latents - 1, world.latents - 1, 0, world.latents - 1)


def frame_yaw(world: SmallWorld, yaw: np.ndarray) -> np.ndarray:
    """Yaw [latents] of latent frames to that of video frames [F], cells.

    The camera turns at ``turn / stride`` cells a video frame and then waits for the next latent frame, so that it
    stands at whole cells at each latent frame, and at each video frame too where ``stride`` divides ``turn``.
    """
    step = np.diff(yaw)
    so_far = np.arange(1, world.stride + 1) * (world.turn / world.stride)
    between = yaw[:-1, None] + np.sign(step)[:, None] * np.minimum(np.abs(step)[:, None], so_far)
    return np.concatenate([yaw[:1].astype(float), between.ravel()])


def draw_places(world: SmallWorld, rng: np.random.Generator) -> np.ndarray:
    """[F,2] x and z of the camera as shares of the drum's radius: from one place to another, slowly."""
    if not world.travel:
        return np.zeros((world.frames, 2))
    way, side = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
    along, across = np.array([np.sin(way), np.cos(way)]), np.array([np.cos(way), -np.sin(way)])
    share = smoothstep(np.linspace(0, 1, world.frames))[:, None]
    start = world.travel * (-0.8 * along + side * across)
    return np.asarray(start + share * 1.6 * world.travel * along)


def poses(world: SmallWorld, yaw: np.ndarray, places: np.ndarray) -> np.ndarray:
    """[F,4,4] camera to world, OpenCV axes; the world is right-handed with y down, its third axis is home."""
    angle = yaw * world.angle
    c2w = np.zeros((len(yaw), 4, 4))
    c2w[:, 0, 0] = c2w[:, 2, 2] = np.cos(angle)
    c2w[:, 0, 2] = np.sin(angle)
    c2w[:, 2, 0] = -c2w[:, 0, 2]
    c2w[:, 1, 1] = c2w[:, 3, 3] = 1.0
    c2w[:, 0, 3], c2w[:, 2, 3] = world.radius_m * places[:, 0], world.radius_m * places[:, 1]
    return c2w


def hit(angle: np.ndarray, places: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Level rays at angles [F,...] from places [F,2] onto a cylinder: azimuth [F,...] and length [F,...] of each.

    Places, radius and length are shares of the drum's radius; the places lie within the cylinder.
    """
    if not places.any():
        return angle, np.full_like(angle, radius)
    x, z = (places[:, axis].reshape(-1, *[1] * (angle.ndim - 1)).astype(angle.dtype) for axis in (0, 1))
    sin, cos = np.sin(angle), np.cos(angle)
    ahead = x * sin + z * cos
    length = np.sqrt(ahead**2 + radius**2 - x**2 - z**2) - ahead
    return np.arctan2(x + length * sin, z + length * cos), length


def bearing(azimuth: np.ndarray, places: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Where azimuths [F] on a cylinder are seen from places [F,2]: angle [F] and level distance [F]."""
    x, z = radius * np.sin(azimuth) - places[:, 0], radius * np.cos(azimuth) - places[:, 1]
    return np.arctan2(x, z), np.hypot(x, z)
