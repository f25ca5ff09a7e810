"""From rendered ids and planned poses to annotations, in the world that goes to disk (y down)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...cameras import CameraPath
from ...clips import SubjectTrack
from .captions import CaptionSubject, caption
from .plan import Staging
from .sighting import Verdict, verdict

# (x, y, z) -> (x, -z, y): from z up to y down, both right-handed
_Y_DOWN = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_CLEAR_AREA = 0.0008  # share of the image from which on a subject is clearly visible


def to_y_down(c2w: np.ndarray) -> np.ndarray:
    """[F,4,4] OpenCV camera-to-world in the z-up world -> the same cameras in the y-down world (determinant +1)."""
    world = np.eye(4)
    world[:3, :3] = _Y_DOWN
    return world @ c2w


def points_to_y_down(points: np.ndarray) -> np.ndarray:
    """[...,3] points of the z-up world in the y-down one."""
    return points @ _Y_DOWN.T


def heading_to_y_down(heading: np.ndarray) -> np.ndarray:
    """Radians from x (east) towards y (north) -> SubjectTrack's degrees: 0 along the third axis, towards the first."""
    return 90.0 - np.degrees(heading)


def visible_pixels(ids: np.ndarray, subjects: int) -> np.ndarray:
    """[F,H,W] ids -> [subjects,F] counts of pixels."""
    return np.stack([np.count_nonzero(ids == subject + 1, axis=(1, 2)) for subject in range(subjects)])


def boxes(ids: np.ndarray, subject: int) -> np.ndarray:
    """[F,H,W] -> [F,4] x0, y0, x1, y1 pixels (x1, y1 exclusive), NaN where it is not seen."""
    mask = ids == subject + 1
    found = np.full((len(ids), 4), np.nan)
    seen = mask.any(axis=(1, 2))
    across, down = mask.any(axis=1)[seen], mask.any(axis=2)[seen]
    found[seen, 0], found[seen, 2] = across.argmax(axis=1), mask.shape[2] - across[:, ::-1].argmax(axis=1)
    found[seen, 1], found[seen, 3] = down.argmax(axis=1), mask.shape[1] - down[:, ::-1].argmax(axis=1)
    return found


def verdicts(staging: Staging, counts: np.ndarray) -> tuple[Verdict, ...]:
    """Each subject's visibility by its pixels, counts [subjects,F] of the raw frames."""
    least = max(6.0, _CLEAR_AREA * staging.preset.height * staging.preset.width)
    return tuple(verdict(count >= least, count > 0, staging.preset.cut) for count in counts)


def confirmed(staging: Staging, counts: np.ndarray) -> tuple[int, ...] | None:
    """The subjects that leave and re-enter by the pixels, or None where the clip is not of the planned kind."""
    found = verdicts(staging, counts)
    returning = tuple(index for index, one in enumerate(found) if one.returns)
    kind = staging.plan.kind
    if kind == "never-visible":
        return () if not counts.any() else None
    if kind == "always-visible":
        return () if counts.all() else None
    if 0 not in returning:
        return None
    if kind == "occluded":
        first = found[0]
        assert first.left is not None
        _, _, hidden = staging.visibility(0)
        window = hidden[max(0, first.left - 2) : first.returned]
        return returning if window.any() else None
    return returning


def tracks(staging: Staging, ids: np.ndarray, counts: np.ndarray, frames: np.ndarray) -> tuple[SubjectTrack, ...]:
    """Tracks over the clip's frames; ids [R,H,W] and counts [subjects,R] of the raw frames, frames [F]: raw frame of
    each."""
    made = []
    for index, (spec, subject) in enumerate(zip(staging.specs, staging.plan.subjects, strict=True)):
        track, ground_z = staging.tracks[index], staging.ground_z[index]
        places = points_to_y_down(np.concatenate([track.positions, ground_z[:, None]], axis=1))
        attributes: dict[str, Any] = {
            "kind": spec.kind,
            "species": spec.species,
            **{key: str(value) for key, value in spec.words.items()},
            "height": float(spec.height),
            "path": subject.path.name,
            "top_speed": round(subject.path.speed, 4),
        }
        made.append(
            SubjectTrack(
                spec.name,
                attributes,
                positions=places[frames],
                heading=heading_to_y_down(track.heading)[frames],
                boxes=boxes(ids, index)[frames],
                visible_pixels=counts[index][frames],
            )
        )
    return tuple(made)


def cameras(staging: Staging, halves: Sequence[np.ndarray]) -> tuple[CameraPath, CameraPath]:
    """Context and target paths of the raw frames that make up the halves."""
    c2w = to_y_down(staging.c2w)
    fov, fps = staging.plan.camera.fov, staging.preset.fps
    context, target = (CameraPath(c2w[half], fov, fps) for half in halves)
    return context, target


def describe(staging: Staging, counts: np.ndarray, returning: Sequence[int]) -> str:
    """The clip's caption; counts [subjects,R] of visible pixels."""
    subjects = []
    least = 0.03 * counts.shape[1]
    for index, (spec, subject) in enumerate(zip(staging.specs, staging.plan.subjects, strict=True)):
        fast = subject.path.speed > 0.5 * (spec.walk_speed + spec.run_speed)
        hidden = staging.plan.kind == "occluded" and index == 0
        seen = bool((counts[index] > 0).sum() > least)
        subjects.append(CaptionSubject(spec.words, subject.path.name, seen, index in returning, hidden, fast))
    plan = staging.plan
    rng = np.random.default_rng([plan.seed, plan.index, plan.attempt, 20])
    words: Mapping[str, str] = staging.layout.words
    return caption(words, subjects, plan.camera.shot, rng)
