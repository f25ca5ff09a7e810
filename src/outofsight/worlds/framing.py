"""Where the camera stands so that a shot shows what a clip is to show: K cameras drawn at once, the first good one."""

from __future__ import annotations

import numpy as np

from .motion import Ground, Track
from .shots import _NUMBERS, CameraPlan, CameraTrack, Shot, move
from .sighting import sight

KINDS = ("re-entry", "always-visible", "never-visible", "occluded")
_REFERENCE = 0.3  # share of the clip at which the subject stands where it was framed: as the first glance begins
CAMERA_ROOM = 0.45  # metres between a camera and an obstacle
_BODY_ROOM = 0.7  # metres between a camera and a body's edge
# a subject's way, seen from the camera: radians between its heading and the direction from it to the camera
_BEARINGS = {"crossing": (0.5 * np.pi, 0.45), "approach": (0.0, 0.6), "recede": (np.pi, 0.6)}


def frame_shot(
    rng: np.random.Generator,
    ground: Ground,
    shot: Shot,
    kind: str,
    track: Track,
    path: str,
    *,
    radius: float,
    height: float,
    cut: int,
    fps: float,
    aspect: float,
    candidates: int = 32,
) -> CameraPlan | None:
    """Draw cameras around a subject's track and take the first that gives the wanted kind of clip (None: none)."""
    values, camera = _draw(rng, shot, kind, track, path, height, fps, candidates)
    frames = len(track.heading)
    step = max(1, frames // 45)
    part = slice(None, None, step)
    thin = CameraTrack(camera.positions[:, part], camera.yaw[:, part], camera.pitch[:, part])
    found = sight(thin, values["height"][:, None], values["fov"], aspect, track.positions[part], 0.0, radius, height)
    good = _wanted(kind, found.touched, found.seen, cut // step)
    away = thin.positions - track.positions[part]
    apart = (away[..., 0] ** 2 + away[..., 1] ** 2).min(axis=1) > (radius + _BODY_ROOM) ** 2
    good &= apart & ground.inside(thin.positions, 0.3).all(axis=1)
    for index in np.flatnonzero(good)[:6]:
        if (ground.clearance(thin.positions[index]) > CAMERA_ROOM).all():
            return CameraPlan(shot.name, **{name: float(values[name][index]) for name in _NUMBERS})
    return None


def _wanted(kind: str, touched: np.ndarray, seen: np.ndarray, cut: int) -> np.ndarray:
    """[K,F] -> [K] bool: which candidates give this kind of clip (spec of `sighting.verdict`, for many at once)."""
    frames = seen.shape[1]
    after = frames - cut
    if kind == "always-visible":
        return np.asarray(seen.all(axis=1))
    if kind == "never-visible":
        return np.asarray(~touched.any(axis=1))
    if kind == "occluded":
        return touched.all(axis=1) & (seen[:, :cut].mean(axis=1) > 0.3) & (seen[:, cut:].mean(axis=1) > 0.3)
    window = ~touched[:, cut : cut + max(1, round(0.12 * after))]
    late = seen[:, cut + round(0.12 * after) :]
    around = ~touched[:, cut - round(0.2 * cut) : cut + round(0.3 * after)]
    good = (seen[:, :cut].mean(axis=1) > 0.25) & window.any(axis=1) & (late.mean(axis=1) > 0.25)
    return good & (around.sum(axis=1) >= max(3, round(0.06 * frames)))


def _draw(
    rng: np.random.Generator, shot: Shot, kind: str, track: Track, path: str, height: float, fps: float, count: int
) -> tuple[dict[str, np.ndarray], CameraTrack]:
    """Numbers of `count` cameras, each [count], and their tracks."""
    frames = len(track.heading)
    reference = round(_REFERENCE * (frames - 1))
    drawn = rng.random((16, count))
    values = {name: np.zeros(count) for name in _NUMBERS}
    values["fov"] = 50 + 25 * drawn[0]
    # level cameras at head height see small animals from afar only, so for these the camera is carried low
    low = height < 0.9
    values["height"] = (0.5 + 0.5 * drawn[1]) if low else (1.2 + 0.8 * drawn[1])
    values["degrees"] = shot.degrees[0] + (shot.degrees[1] - shot.degrees[0]) * drawn[2]
    values["shift"] = 0.08 * (drawn[3] - 0.4)
    values["stretch"] = 0.9 + 0.35 * drawn[4]
    values["hold"] = 0.14 * drawn[5]
    far = 3.0 if kind == "occluded" else 0.0
    distance = np.clip(height * (1.9 + 2.4 * drawn[6]), 1.5, 8.0) + far
    where, heading = track.positions[reference], track.heading[reference]
    middle, spread = _BEARINGS.get(path, (0.0, np.pi))
    sign = np.where(drawn[7] < 0.5, -1.0, 1.0)
    bearing = heading + sign * middle + spread * (2 * drawn[8] - 1)
    offset = _offset(shot, kind, values, drawn[9], distance, height)
    gaze = bearing + np.pi - offset  # where the camera looks at the reference time, but for the glance
    _set_motion(shot, values, track, reference, gaze, offset, distance, drawn[10:])
    share = reference / (frames - 1)
    values["yaw"] = gaze - (values["bend"] + values["sweep"]) * share
    stand = where + distance[:, None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
    camera = move(shot, values, frames, fps, track.positions)
    shift = stand - camera.positions[:, reference]
    values["x"], values["y"] = shift[:, 0], shift[:, 1]
    return values, CameraTrack(camera.positions + shift[:, None], camera.yaw, camera.pitch)


def _set_motion(
    shot: Shot,
    values: dict[str, np.ndarray],
    track: Track,
    reference: int,
    gaze: np.ndarray,
    offset: np.ndarray,
    distance: np.ndarray,
    r: np.ndarray,
) -> None:
    if shot.family == "orbit":
        values["radius"], values["lean"] = distance, offset
        values["sweep"] = shot.travel * (0.35 + 0.7 * r[0])
        return
    values["speed"] = np.where(shot.travel < 0, 0.3 + 0.9 * r[0], 0.3 + 0.6 * r[0])
    if shot.family == "truck":
        values["speed"] = 0.3 + 0.5 * r[0]
        return
    values["bend"] = shot.bend * (0.35 + 0.6 * r[1])
    # half of the dollies go along with the subject, where that is roughly where they are to go
    aim = track.heading[reference] + (np.pi if shot.travel < 0 else 0.0)
    along = (aim - gaze + np.pi) % (2 * np.pi) - np.pi
    joins = (np.abs(along) < 1.0) & (r[2] < 0.6)
    values["lean"] = np.where(joins, along, 0.7 * (r[3] - 0.5))
    pace = np.clip(track.speed.mean() * (0.7 + 0.5 * r[4]), 0.2, 1.8)
    values["speed"] = np.where(joins, pace, values["speed"])


def _offset(
    shot: Shot, kind: str, values: dict[str, np.ndarray], r: np.ndarray, distance: np.ndarray, height: float
) -> np.ndarray:
    """Radians to the left of the camera's axis at which the subject is to be when the glance begins."""
    half = np.radians(values["fov"]) / 2
    edge = half - np.arctan(0.25 * height / distance) - 0.03
    turn = shot.glances[-1].turn if shot.glances else 0.0
    if kind == "never-visible":
        return np.where(r < 0.5, -1, 1) * (half + 0.6 + (np.pi - half - 0.6) * np.abs(2 * r - 1))
    if shot.tilts or not turn or kind == "occluded":
        return edge * (1.2 * r - 0.6)
    angle = np.radians(values["degrees"])
    if kind == "always-visible":
        least = np.minimum(angle - edge, edge)
        return turn * (least + (edge - least) * r)
    out = angle - half - np.arctan(0.35 * height / distance) - 0.05
    most = np.clip(out, -edge, edge)
    return turn * (-edge + (most + edge) * r)
