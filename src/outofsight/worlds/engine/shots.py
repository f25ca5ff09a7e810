"""How the camera moves: 28 named shots, each a set of parameters of a few generators.

The template is HM-World's (spec/hm_world.md, "The four public examples"): the camera dollies along a straight or
curved line, level and at constant height, and once looks away and back, yaw(f) = A (3u^2 - 2u^3). The others are
its relatives. Times are shares of the clip, so that every length of clip has the same shots.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .noise import smoothstep


@dataclass(frozen=True)
class Glance:
    """One look away and back: it begins at `start`, takes `rise` to get there, stays for `hold`, takes `rise` back.

    turn: +1 to the left (or up), -1 to the right (or down).
    """

    start: float
    rise: float
    hold: float
    turn: float


@dataclass(frozen=True)
class Shot:
    """One of the 28. family: the generator. travel: +1 forward (or left), -1 back (or right), 0 not at all.

    bend: +1 or -1, curved to the left or right. degrees: least and most of the look away. glances: as they are
    without the shift and stretch that a plan adds. tilts: whether it looks up or down instead of aside.
    """

    name: str
    family: str
    travel: float
    bend: float
    degrees: tuple[float, float]
    glances: tuple[Glance, ...]
    tilts: bool = False


_LEFT, _RIGHT = 1.0, -1.0
# raw frames 45 to 67.5 and back to 90, of 0 to 148
_START, _RISE = 45 / 148, 22.5 / 148


def _once(turn: float) -> tuple[Glance, ...]:
    return (Glance(_START, _RISE, 0.0, turn),)


def _twice(first: float, second: float) -> tuple[Glance, ...]:
    return Glance(0.12, 0.09, 0.0, first), Glance(0.38, 0.11, 0.06, second)


def _shots() -> tuple[Shot, ...]:
    shots = []
    for way, travel in (("back", -1.0), ("forward", 1.0)):
        for side, turn in (("left", _LEFT), ("right", _RIGHT)):
            shots.append(Shot(f"dolly-{way}-{side}", "dolly", travel, 0.0, (27.0, 45.0), _once(turn)))
            shots.append(Shot(f"dolly-{way}-{side}-wide", "dolly", travel, 0.0, (45.0, 60.0), _once(turn)))
            shots.append(Shot(f"curve-{way}-{side}", "dolly", travel, turn, (27.0, 50.0), _once(turn)))
    for side, turn in (("left", _LEFT), ("right", _RIGHT)):
        shots += [
            Shot(f"dolly-back-{side}-narrow", "dolly", -1.0, 0.0, (20.0, 30.0), _once(turn)),
            Shot(f"double-{side}", "double", 1.0, 0.0, (30.0, 50.0), _twice(turn, turn)),
            Shot(f"double-{side}-first", "double", -1.0, 0.0, (30.0, 50.0), _twice(turn, -turn)),
            Shot(f"truck-{side}", "truck", turn, 0.0, (27.0, 50.0), _once(turn)),
            Shot(f"orbit-{side}", "orbit", turn, 0.0, (30.0, 50.0), _once(turn)),
            Shot(f"follow-{side}", "follow", 0.0, 0.0, (35.0, 60.0), _once(turn)),
        ]
    shots += [
        Shot("tilt-up", "tilt", 0.0, 0.0, (30.0, 50.0), _once(1.0), tilts=True),
        Shot("tilt-down", "tilt", 0.0, 0.0, (35.0, 60.0), _once(-1.0), tilts=True),
        Shot("hold", "hold", 0.0, 0.0, (0.0, 0.0), ()),
        Shot("hold-glance", "hold", 0.0, 0.0, (30.0, 60.0), _once(_LEFT)),
    ]
    return tuple(shots)


SHOTS = _shots()
SHOTS_BY_NAME = {shot.name: shot for shot in SHOTS}
SHOT_FAMILIES = tuple(dict.fromkeys(shot.family for shot in SHOTS))


@dataclass(frozen=True)
class CameraPlan:
    """One camera's path. x, y (metres): its place at the first frame. yaw: radians, the direction it looks in
    then. height: metres above the ground. fov: horizontal, degrees. degrees: how far it looks away.

    speed: m/s of dolly and truck. bend: radians that a curve turns over the clip. radius: metres of an orbit;
    sweep: radians that it goes around. shift, stretch, hold: of the glances, as shares of the clip. lean: radians
    between a dolly's direction and the first yaw.
    """

    shot: str
    x: float
    y: float
    yaw: float
    height: float
    fov: float
    degrees: float
    speed: float = 0.0
    bend: float = 0.0
    radius: float = 0.0
    sweep: float = 0.0
    shift: float = 0.0
    stretch: float = 1.0
    hold: float = 0.0
    lean: float = 0.0


def glance_angle(
    shot: Shot, u: np.ndarray, degrees: np.ndarray, shift: np.ndarray, stretch: np.ndarray, hold: np.ndarray
) -> np.ndarray:
    """[K,F] radians away from where the camera would look; u [F], the others [K]."""
    total = np.zeros((len(degrees), len(u)))
    for glance in shot.glances:
        rise = (glance.rise * stretch)[:, None]
        start = (glance.start + shift)[:, None]
        back = start + rise + (glance.hold + hold)[:, None]
        total += glance.turn * (smoothstep((u - start) / rise) - smoothstep((u - back) / rise))
    return np.radians(degrees)[:, None] * total


@dataclass(frozen=True, eq=False)
class CameraTrack:
    """positions [...,F,2] metres, yaw and pitch [...,F] radians (left and up are positive)."""

    positions: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray

    def one(self, index: int) -> CameraTrack:
        return CameraTrack(self.positions[index], self.yaw[index], self.pitch[index])


def move(shot: Shot, values: dict[str, np.ndarray], frames: int, fps: float, subject: np.ndarray) -> CameraTrack:
    """K cameras of one shot: `values` holds every number of CameraPlan as [K]; subject: [F,2], the track that
    "follow" keeps to."""
    u = np.arange(frames) / (frames - 1)
    look = glance_angle(shot, u, *(values[name] for name in ("degrees", "shift", "stretch", "hold")))
    yaw = values["yaw"][:, None] + np.zeros_like(u)
    away = np.zeros((len(values["x"]), frames, 2))
    if shot.family == "orbit":
        swept = values["sweep"][:, None] * u
        from_centre = values["yaw"][:, None] + values["lean"][:, None] + np.pi  # from the centre to the camera
        radius = values["radius"][:, None]
        away[..., 0] = radius * (np.cos(from_centre + swept) - np.cos(from_centre))
        away[..., 1] = radius * (np.sin(from_centre + swept) - np.sin(from_centre))
        yaw = yaw + swept
    elif shot.family == "follow":
        smooth = _smoothed(subject)
        away += smooth - smooth[0]
    elif shot.travel:
        turned = values["bend"][:, None] * u
        aside = np.pi / 2 if shot.family == "truck" else 0.0
        direction = values["yaw"][:, None] + values["lean"][:, None] + aside + turned
        pace = (shot.travel * values["speed"])[:, None] / fps
        steps = 0.5 * (direction[:, 1:] + direction[:, :-1])
        away[:, 1:, 0] = np.cumsum(pace * np.cos(steps), axis=1)
        away[:, 1:, 1] = np.cumsum(pace * np.sin(steps), axis=1)
        yaw = yaw + turned
    positions = np.stack([values["x"], values["y"]], axis=-1)[:, None] + away
    pitch = look if shot.tilts else np.zeros_like(look)
    return CameraTrack(positions, yaw if shot.tilts else yaw + look, pitch)


def _smoothed(points: np.ndarray) -> np.ndarray:
    """The path of a camera carried along: a running mean over a fifth of the clip."""
    width = max(1, len(points) // 10)
    padded = np.concatenate([np.repeat(points[:1], width, 0), points, np.repeat(points[-1:], width, 0)])
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    return (sums[2 * width + 1 :] - sums[: -2 * width - 1]) / (2 * width + 1)


_NUMBERS = tuple(each.name for each in fields(CameraPlan) if each.name != "shot")


def run(plan: CameraPlan, frames: int, fps: float, subject: np.ndarray) -> CameraTrack:
    """The track of one planned camera."""
    values = {name: np.array([getattr(plan, name)]) for name in _NUMBERS}
    return move(SHOTS_BY_NAME[plan.shot], values, frames, fps, subject).one(0)


def poses(track: CameraTrack, heights: np.ndarray) -> np.ndarray:
    """[F,4,4] camera-to-world, OpenCV axes in the z-up world; heights [F]: z of the camera."""
    cos, sin = np.cos(track.yaw), np.sin(track.yaw)
    up, forward = np.sin(track.pitch), np.cos(track.pitch)
    c2w = np.zeros((len(track.yaw), 4, 4))
    c2w[:, :3, 0] = np.stack([sin, -cos, np.zeros_like(cos)], axis=-1)
    c2w[:, :3, 2] = np.stack([forward * cos, forward * sin, up], axis=-1)
    c2w[:, :3, 1] = np.cross(c2w[:, :3, 2], c2w[:, :3, 0])
    c2w[:, :2, 3], c2w[:, 2, 3], c2w[:, 3, 3] = track.positions, heights, 1.0
    return c2w
