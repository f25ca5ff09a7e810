"""Where subjects go: ten kinds of path, each a profile of speed and heading that is integrated over time.

All of it runs over K candidates at once: a path is placed by drawing K starts, integrating them together and
taking the first that meets no obstacle and no other subject; one that meets an obstacle may dodge it by a lane change
(a bump in its heading, so that speed, heading and distance stay of one piece).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from .noise import smoothstep
from .scene import SceneLayout

PATHS = (
    "straight",
    "arc",
    "turn",
    "stop-and-go",
    "circle",
    "crossing",
    "approach",
    "recede",
    "zigzag",
    "pause-and-return",
)
_WHOLE_SECONDS = 8.0  # the least that a whole path takes
_DODGE_SHARE = 0.2  # of the clip: how long a lane change takes
_DODGES = np.array([0.7, -0.7, 1.4, -1.4, 2.2, -2.2])  # metres to the left
_MOST_TURNED = 0.85  # radians that a lane change may turn the heading
_ROOM = 0.25  # metres kept between a body and an obstacle


@dataclass(frozen=True)
class PathPlan:
    """One subject's path: x, y (metres) where the clip begins, heading (radians) of the whole path's beginning, top
    speed (m/s).

    side: +1 or -1, which way it bends. shape, when: the path's free parameters, 0..1. dodge: metres of its lane
    change, to the left; dodge_at: when its middle is, as a share of the clip. phase: where in the gait it starts.
    begin, covers: where in the whole path the clip begins, and how much of it the clip shows, as shares of it.
    """

    name: str
    x: float
    y: float
    heading: float
    speed: float
    side: float = 1.0
    shape: float = 0.5
    when: float = 0.5
    dodge: float = 0.0
    dodge_at: float = 0.5
    phase: float = 0.0
    begin: float = 0.0
    covers: float = 1.0


@dataclass(frozen=True, eq=False)
class Track:
    """A path over F frames, of one subject or of K candidates.

    positions: [..., F, 2] metres. heading: [..., F] radians. speed: [..., F] m/s. distance: [..., F] metres travelled.
    """

    positions: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
    distance: np.ndarray

    def one(self, index: int) -> Track:
        return Track(self.positions[index], self.heading[index], self.speed[index], self.distance[index])


def _profile(
    name: str, u: np.ndarray, side: np.ndarray, shape: np.ndarray, when: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Speed as a share of the top speed, and heading as an offset from the first: [K,F] each; u: [K,F] in 0..1."""
    side, shape, when = (value[:, None] for value in (side, shape, when))
    steady = np.ones_like(u)
    none = np.zeros_like(steady)
    if name == "arc":
        return steady, side * (0.9 + 1.1 * shape) * u
    if name == "turn":
        turned = smoothstep((u - 0.3 - 0.4 * when) / 0.18 + 0.5)
        return steady - 0.35 * _bump(u, 0.3 + 0.4 * when, 0.3), side * (0.9 + 1.0 * shape) * turned
    if name == "stop-and-go":
        stop, rest = 0.25 + 0.25 * when, 0.1 + 0.15 * shape
        return 1.0 - smoothstep((u - stop) / 0.08) + smoothstep((u - stop - rest) / 0.08), none
    if name == "circle":
        return steady, side * 2 * np.pi * (0.85 + 0.3 * shape) * u
    if name == "crossing":
        return steady, side * 0.1 * np.sin(2 * np.pi * (u + when))
    if name == "approach":
        return 1.0 - (0.3 + 0.3 * shape) * smoothstep((u - 0.75) / 0.25), side * 0.15 * u
    if name == "recede":
        return 0.5 + 0.5 * smoothstep(u / (0.1 + 0.15 * shape)), side * 0.15 * u
    if name == "zigzag":
        return steady, side * (0.45 + 0.3 * shape) * np.sin(2 * np.pi * (1.5 + when) * u)
    if name == "pause-and-return":
        out = 0.36 + 0.08 * when  # when the turn begins
        turn = 0.12 + 0.06 * shape
        speed = 1.0 - smoothstep((u - out + 0.06) / 0.06) + smoothstep((u - out - turn) / 0.06)
        return speed, side * np.pi * smoothstep((u - out) / turn)
    return steady, none


def _bump(u: np.ndarray, middle: np.ndarray, width: float) -> np.ndarray:
    """1 in the middle, 0 from width / 2 on."""
    s = np.clip((u - middle) / width + 0.5, 0.0, 1.0)
    return np.sin(np.pi * s) ** 2


_NUMBERS = tuple(each.name for each in fields(PathPlan) if each.name != "name")


def trace(name: str, values: Mapping[str, np.ndarray], frames: int, fps: float) -> Track:
    """Integrate K candidates of one path: ``values`` holds every number of PathPlan as [K]."""
    u = np.arange(frames) / (frames - 1)
    within = values["begin"][:, None] + values["covers"][:, None] * u
    share, offset = _profile(name, within, values["side"], values["shape"], values["when"])
    seconds = (frames - 1) / fps
    # a bump of sin^2 in the heading shifts by speed x peak x width / 2
    peak = values["dodge"] / np.maximum(values["speed"] * _DODGE_SHARE * seconds / 2, 1e-6)
    bump = _bump(u, values["dodge_at"][:, None], _DODGE_SHARE)
    angles = values["heading"][:, None] + offset + np.clip(peak, -_MOST_TURNED, _MOST_TURNED)[:, None] * bump
    speeds = values["speed"][:, None] * np.clip(share, 0.0, 1.0)
    steps = 0.5 * (speeds[:, 1:] + speeds[:, :-1]) / fps
    middle = 0.5 * (angles[:, 1:] + angles[:, :-1])
    start = np.stack([values["x"], values["y"]], axis=-1)
    positions = np.empty((len(start), frames, 2))
    positions[:, 0] = start
    np.cumsum(steps * np.cos(middle), axis=1, out=positions[:, 1:, 0])
    np.cumsum(steps * np.sin(middle), axis=1, out=positions[:, 1:, 1])
    positions[:, 1:] += start[:, None]
    distance = np.zeros((len(start), frames))
    np.cumsum(steps, axis=1, out=distance[:, 1:])
    return Track(positions, angles, speeds, distance)


def follow(plan: PathPlan, frames: int, fps: float) -> Track:
    """The track of one planned path at `frames` frames."""
    return trace(plan.name, {name: np.array([getattr(plan, name)]) for name in _NUMBERS}, frames, fps).one(0)


class Ground:
    """A layout's obstacles and stage as arrays, for questions about many points at once."""

    def __init__(self, layout: SceneLayout) -> None:
        boxes = np.array(
            [(o.x, o.y, o.half_x, o.half_y, math.cos(o.angle), math.sin(o.angle), o.height) for o in layout.obstacles],
            dtype=np.float64,
        ).reshape(-1, 7)
        self.layout = layout
        self.stage = layout.stage
        self.centres, self.halves = boxes[:, :2], boxes[:, 2:4]
        self.cosines, self.sines, self.heights = boxes[:, 4], boxes[:, 5], boxes[:, 6]

    def local(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[..., 2] -> x, y, each [..., O]: the points in each obstacle's own axes."""
        x = points[..., 0, None] - self.centres[:, 0]
        y = points[..., 1, None] - self.centres[:, 1]
        return x * self.cosines + y * self.sines, y * self.cosines - x * self.sines

    def clearance(self, points: np.ndarray) -> np.ndarray:
        """[..., 2] -> [...]: metres to the nearest obstacle, negative inside one."""
        if not len(self.centres):
            return np.full(points.shape[:-1], np.inf)
        x, y = self.local(points)
        x, y = np.abs(x) - self.halves[:, 0], np.abs(y) - self.halves[:, 1]
        outside = np.sqrt(np.maximum(x, 0.0) ** 2 + np.maximum(y, 0.0) ** 2)
        return (outside + np.minimum(np.maximum(x, y), 0.0)).min(axis=-1)

    def between(self, here: np.ndarray, there: np.ndarray, margin: float) -> Ground:
        """The obstacles that may lie on straight lines between points [F,2] of two ways, `margin` metres wide."""
        points = np.concatenate([here, there])
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        reach = np.hypot(self.halves[:, 0], self.halves[:, 1])[:, None]
        near = ((self.centres + reach > low) & (self.centres - reach < high)).all(axis=1)
        few = copy.copy(self)
        few.centres, few.halves, few.heights = self.centres[near], self.halves[near], self.heights[near]
        few.cosines, few.sines = self.cosines[near], self.sines[near]
        return few

    def inside(self, points: np.ndarray, margin: float) -> np.ndarray:
        """[..., 2] -> [...] bool: on the stage, `margin` metres from its edge."""
        x0, y0, x1, y1 = self.stage
        x, y = points[..., 0], points[..., 1]
        return (x >= x0 + margin) & (x <= x1 - margin) & (y >= y0 + margin) & (y <= y1 - margin)


@dataclass(frozen=True, eq=False)
class Occupied:
    """Another subject's or a camera's track: positions [F,2], and the distance to keep from it (metres)."""

    positions: np.ndarray
    radius: float


def _free_of(tracks: np.ndarray, radius: float, others: Sequence[Occupied]) -> np.ndarray:
    """[K,F,2] -> [K] bool: far enough from all other tracks in every frame."""
    free = np.ones(len(tracks), dtype=bool)
    for other in others:
        away = tracks - other.positions
        free &= (away[..., 0] ** 2 + away[..., 1] ** 2 > (radius + other.radius) ** 2).all(axis=1)
    return free


def place(
    rng: np.random.Generator,
    ground: Ground,
    name: str,
    *,
    speeds: tuple[float, float],
    radius: float,
    frames: int,
    fps: float,
    others: Sequence[Occupied] = (),
    near: np.ndarray | None = None,
    candidates: int = 12,
) -> tuple[PathPlan, Track] | None:
    """Draw a path of this name that is free all the way, or None if none of the candidates is.

    near: [2], a point that starts are drawn around rather than over the whole stage.
    """
    values = _draw(rng, ground, name, speeds, radius, frames, fps, near, candidates)
    track = trace(name, values, frames, fps)
    stride = max(2, frames // 33)
    sparse = slice(None, None, stride)
    margin = radius + _ROOM
    base = ground.inside(track.positions, margin).all(axis=1)
    blocked = np.ones((candidates, len(track.heading[0, sparse])), dtype=bool)
    blocked[base] = ground.clearance(track.positions[base, sparse]) < margin
    free = np.flatnonzero(base & ~blocked.any(axis=1) & _free_of(track.positions, radius, others))
    if len(free):
        chosen = int(free[0])
        return PathPlan(name, **{key: float(value[chosen]) for key, value in values.items()}), track.one(chosen)
    # the first that is blocked, and only later on, tries lane changes before that
    first = np.where(blocked.any(axis=1), blocked.argmax(axis=1), -1) * stride / (frames - 1)
    for index in np.flatnonzero(base & (first > 0.7 * _DODGE_SHARE))[:2]:
        at = max(_DODGE_SHARE / 2, float(first[index]) - 0.6 * _DODGE_SHARE)
        most = _MOST_TURNED * values["speed"][index] * _DODGE_SHARE * (frames - 1) / fps / 2
        tried = {key: np.full(len(_DODGES), value[index]) for key, value in values.items()}
        tried |= {"dodge": _DODGES, "dodge_at": np.full(len(_DODGES), at)}
        ways = trace(name, tried, frames, fps)
        clear = (ground.clearance(ways.positions[:, sparse]) >= margin).all(axis=1)
        clear &= ground.inside(ways.positions, margin).all(axis=1) & (np.abs(_DODGES) <= most)
        good = np.flatnonzero(clear & _free_of(ways.positions, radius, others))
        if len(good):
            plan = PathPlan(name, **{key: float(value[good[0]]) for key, value in tried.items()})
            return plan, follow(plan, frames, fps)
    return None


def _draw(
    rng: np.random.Generator,
    ground: Ground,
    name: str,
    speeds: tuple[float, float],
    radius: float,
    frames: int,
    fps: float,
    near: np.ndarray | None,
    count: int,
) -> dict[str, np.ndarray]:
    """Numbers of `count` paths, each [count]."""
    x0, y0, x1, y1 = ground.stage
    drawn = rng.random((8, count))
    low, high = np.array([x0, y0]) + radius + _ROOM, np.array([x1, y1]) - radius - _ROOM
    if near is not None:
        low, high = np.maximum(low, near - 7.0), np.minimum(high, near + 7.0)
    start = low + drawn[:2].T * np.maximum(high - low, 0.0)
    heading = 2 * np.pi * drawn[2]
    if min(x1 - x0, y1 - y0) < 12:  # a narrow stage: along it, not into its walls
        along = 0.0 if x1 - x0 > y1 - y0 else np.pi / 2
        heading = along + np.pi * (drawn[2] > 0.5) + 0.5 * (drawn[2] % 0.5 - 0.25)
    walk, run = speeds
    speed = walk + (run - walk) * 0.6 * drawn[3] ** 3
    covers = np.full(count, min(1.0, (frames - 1) / fps / _WHOLE_SECONDS))
    begin = (1 - covers) * rng.random(count) if covers[0] < 1 else np.zeros(count)
    if name == "circle":  # a circle takes 2 pi radius: keep it on the stage
        most = 0.3 * min(x1 - x0, y1 - y0, 14.0) * 2 * np.pi * fps / max(frames, _WHOLE_SECONDS * fps)
        speed = np.clip(speed, min(walk, most), max(most, walk))
    return {
        "x": start[:, 0],
        "y": start[:, 1],
        "heading": heading,
        "speed": speed,
        "side": np.where(drawn[4] < 0.5, -1.0, 1.0),
        "shape": drawn[5],
        "when": drawn[6],
        "dodge": np.zeros(count),
        "dodge_at": np.full(count, 0.5),
        "phase": drawn[7],
        "begin": begin,
        "covers": covers,
    }
