"""Camera placement: K cameras are sampled around a subject's track, and one of those that frame it best is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .catalogue import SubjectSpec
from .motion import Ground, Track
from .presets import WorldsPreset
from .shots import _NUMBERS, CameraPlan, CameraTrack, Shot, move
from .sighting import sight

KINDS = ("re-entry", "always-visible", "never-visible", "occluded")
_REFERENCE = 0.3  # share of the clip at which the subject is framed: as the first look away begins
CAMERA_ROOM = 0.45  # metres between a camera and an obstacle
# crowns and awnings stick out of the boxes that trunks and counters are: cameras keep away from these
_OVERHANGING = frozenset({"tree", "autumn tree", "orange tree", "dead tree", "pine", "snowy pine", "market stall"})
_OVERHANG_ROOM = 1.5  # metres
_BODY_ROOM = (1.0, 0.55, 1.8)  # metres between a camera and a body's edge: in heights of the body; least and most
_SHARE = (0.38, 0.68)  # of the picture's height, that a body has where it was framed
CARRIED = (0.6, 1.05)  # heights of the body, at which a camera is carried
LENS_HEIGHTS = 0.3, 2.1  # metres above the ground, of a camera
_NEAREST, _FARTHEST = 1.1, 9.0  # metres from the camera to a body where it was framed
_WHOLE, _SMALL = 0.8, 0.2  # a body looks right with this much of its height in the frame, and this large in it
_SEEN_BEFORE, _SEEN_AFTER = 0.3, 0.45  # shares of the context, and of the target after the look away, it is seen in
_MOST_TRIED = 12  # candidates whose track is tested against the obstacles
# a subject's way, seen from the camera: radians between its heading and the direction from it to the camera
_BEARINGS = {"crossing": (0.5 * np.pi, 0.45), "approach": (0.0, 0.6), "recede": (np.pi, 0.6)}


@dataclass(frozen=True, eq=False)
class Aim:
    """What a camera is to show: a kind of clip, by a shot, of a subject on its track along a path of this name."""

    shot: Shot
    kind: str
    track: Track
    path: str
    subject: SubjectSpec
    preset: WorldsPreset

    @property
    def reference(self) -> int:
        """The frame at which the subject is framed."""
        return round(_REFERENCE * (self.preset.raw_frames - 1))


def frame_shot(rng: np.random.Generator, ground: Ground, aim: Aim, candidates: int = 28) -> CameraPlan | None:
    """Draw cameras around a subject's track; of those that give the wanted kind of clip, take one that has the body
    whole and large in the frame for most of the time that it is seen (None: none gives it)."""
    track, radius, height = aim.track, aim.subject.radius, aim.subject.height
    cut, aspect = aim.preset.cut, aim.preset.aspect
    values, camera = _draw(rng, aim, candidates)
    frames = len(track.heading)
    step = max(1, frames // 33)
    part = slice(None, None, step)
    thin = CameraTrack(camera.positions[:, part], camera.yaw[:, part], camera.pitch[:, part])
    found = sight(thin, values["height"][:, None], values["fov"], aspect, track.positions[part], 0.0, radius, height)
    good = _wanted(aim.kind, found.touched, found.seen, cut // step)
    away = thin.positions - track.positions[part]
    share, least, most = _BODY_ROOM
    room = radius + min(max(share * height, least), most)
    apart = (away[..., 0] ** 2 + away[..., 1] ** 2).min(axis=1) > room**2
    good &= apart & ground.inside(thin.positions, 0.3).all(axis=1)
    if not good.any():
        return None
    picture = 2 * np.tan(np.radians(values["fov"]) / 2)[:, None] / aspect  # its height, as a share of the distance
    fits = found.seen & (found.shown > _WHOLE) & (height > _SMALL * picture * found.distance)
    looks = fits.sum(axis=1) / np.maximum(found.seen.sum(axis=1), 1)
    best = np.argsort(-np.floor(8 * looks[good]), kind="stable")[:_MOST_TRIED]
    keeps = camera_room(ground)
    order = np.flatnonzero(good)[best]
    for index in order[clear(ground, thin.positions[order, ::5], keeps)]:
        if clear(ground, thin.positions[index], keeps):
            return CameraPlan(aim.shot.name, **{name: float(values[name][index]) for name in _NUMBERS})
    return None


def camera_room(ground: Ground) -> np.ndarray:
    """[O]: metres that a camera keeps from each obstacle."""
    kinds = (obstacle.kind for obstacle in ground.layout.obstacles)
    return np.array([_OVERHANG_ROOM if kind in _OVERHANGING else CAMERA_ROOM for kind in kinds])


def clear(ground: Ground, points: np.ndarray, room: np.ndarray) -> np.ndarray:
    """[...] bool: whether all points [...,F,2] are farther from every obstacle than its room [O]."""
    x, y = ground.local(points)
    x, y = np.abs(x) - ground.halves[:, 0], np.abs(y) - ground.halves[:, 1]
    outside = np.maximum(x, 0.0) ** 2 + np.maximum(y, 0.0) ** 2
    return np.asarray((outside > room**2).all(axis=(-2, -1)))


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
    good = (seen[:, :cut].mean(axis=1) > _SEEN_BEFORE) & window.any(axis=1) & (late.mean(axis=1) > _SEEN_AFTER)
    return good & (around.sum(axis=1) >= max(3, round(0.06 * frames)))


def _draw(rng: np.random.Generator, aim: Aim, count: int) -> tuple[dict[str, np.ndarray], CameraTrack]:
    """Numbers of `count` cameras, each [count], and their tracks."""
    shot, kind, track, preset, reference = aim.shot, aim.kind, aim.track, aim.preset, aim.reference
    radius, height = aim.subject.radius, aim.subject.height
    drawn = rng.random((16, count))
    values = {name: np.zeros(count) for name in _NUMBERS}
    values["fov"] = 50 + 25 * drawn[0]
    values["degrees"] = shot.degrees[0] + (shot.degrees[1] - shot.degrees[0]) * drawn[2]
    values["shift"] = 0.08 * (drawn[3] - 0.4)
    values["stretch"] = 0.9 + 0.35 * drawn[4]
    values["hold"] = 0.14 * drawn[5]
    far = 3.0 if kind == "occluded" else 0.0
    tall = np.tan(np.radians(values["fov"]) / 2) / preset.aspect  # half the picture's height, over the distance
    size = max(height, 1.1 * radius)
    distance = np.clip(0.5 * size / (tall * (_SHARE[0] + (_SHARE[1] - _SHARE[0]) * drawn[6])), _NEAREST, _FARTHEST)
    distance = np.maximum(distance + far, _reach(aim, values["fov"]))
    # level cameras: as low as the feet need it to be in the frame where the body was framed
    low, high = CARRIED
    feet = np.clip(0.95 * tall * distance / height, low, high)
    values["height"] = np.clip(height * (low + (feet - low) * drawn[1]), *LENS_HEIGHTS)
    where, heading = track.positions[reference], track.heading[reference]
    middle, spread = _BEARINGS.get(aim.path, (0.0, np.pi))
    # a crossing subject mostly moves the way the camera looks: the other way it would have left before it is back
    turn = shot.glances[-1].turn if shot.glances and not shot.tilts else 0.0
    sign = np.where(drawn[7] < 0.5 - 0.35 * turn, -1.0, 1.0)
    bearing = heading + sign * middle + spread * (2 * drawn[8] - 1)
    offset = _offset(aim, values, drawn[9], distance)
    if kind == "re-entry" and not shot.glances:
        bearing, offset = _from_aside(aim, distance, np.radians(values["fov"]) / 2, drawn[7:])
    gaze = bearing + np.pi - offset  # where the camera looks at the reference time, but for the glance
    _set_motion(aim, values, gaze, offset, distance, drawn[10:])
    share = reference / (preset.raw_frames - 1)
    values["yaw"] = gaze - (values["bend"] + values["sweep"]) * share
    stand = where + distance[:, None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
    camera = move(shot, values, preset.raw_frames, preset.fps, track.positions)
    shift = stand - camera.positions[:, reference]
    values["x"], values["y"] = shift[:, 0], shift[:, 1]
    return values, CameraTrack(camera.positions + shift[:, None], camera.yaw, camera.pitch)


def _reach(aim: Aim, fov: np.ndarray) -> np.ndarray:
    """[count] least distances of the camera, metres: a subject that approaches or crosses is in view to the end."""
    shot, distance = aim.shot, aim.track.distance
    still_to_go = float(distance[-1] - distance[aim.reference])
    least = np.zeros(len(fov))
    if aim.kind == "re-entry" and aim.path == "approach":
        least += (0.5 if shot.travel < 0 and shot.family != "truck" else 0.85) * still_to_go + aim.subject.radius + 1.0
    elif aim.kind == "re-entry" and aim.path == "crossing":
        least += 0.32 * still_to_go / np.tan(np.radians(fov) / 2)
    return np.minimum(least, _FARTHEST + 2.0)


def _from_aside(aim: Aim, distance: np.ndarray, half: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bearing and offset for a camera that does not look away: the subject walks out of its frame by the cut."""
    positions, cut = aim.track.positions, aim.preset.cut
    here, gone = positions[aim.reference], positions[min(cut + cut // 12, len(positions) - 1)]
    way = np.arctan2(gone[1] - here[1], gone[0] - here[0])
    bearing = way + np.where(r[0] < 0.5, -0.5, 0.5) * np.pi + 0.7 * (2 * r[1] - 1)
    stand = here + distance[:, None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
    away = gone - stand
    aside = (np.arctan2(away[:, 1], away[:, 0]) - bearing) % (2 * np.pi) - np.pi  # of `gone`, seen from there
    out = half + np.arctan(1.5 * aim.subject.radius / distance) + 0.03 + 0.3 * r[2]
    return bearing, -aside + np.sign(aside) * out


def _set_motion(
    aim: Aim, values: dict[str, np.ndarray], gaze: np.ndarray, offset: np.ndarray, distance: np.ndarray, r: np.ndarray
) -> None:
    shot, track = aim.shot, aim.track
    if shot.family == "orbit":
        values["radius"], values["lean"] = distance, offset
        values["sweep"] = shot.travel * (0.35 + 0.7 * r[0])
        return
    near = np.clip(distance / 4.0, 0.4, 1.1)  # cameras move slowly around what is small and near
    values["speed"] = near * np.where(shot.travel < 0, 0.3 + 0.9 * r[0], 0.3 + 0.6 * r[0])
    if shot.family == "truck":
        values["speed"] = near * (0.3 + 0.5 * r[0])
        return
    values["bend"] = shot.bend * (0.35 + 0.6 * r[1])
    # half of the dollies go along with the subject, where that is roughly where they are to go
    aim = track.heading[aim.reference] + (np.pi if shot.travel < 0 else 0.0)
    along = (aim - gaze + np.pi) % (2 * np.pi) - np.pi
    joins = (np.abs(along) < 1.0) & (r[2] < 0.6)
    values["lean"] = np.where(joins, along, 0.7 * (r[3] - 0.5))
    pace = np.clip(track.speed.mean() * (0.7 + 0.5 * r[4]), 0.2, 1.8)
    values["speed"] = np.where(joins, pace, values["speed"])


def _offset(aim: Aim, values: dict[str, np.ndarray], r: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Radians to the left of the camera's axis at which the subject is to be when the glance begins."""
    shot, kind = aim.shot, aim.kind
    height = max(aim.subject.height, 3.0 * aim.subject.radius)
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
