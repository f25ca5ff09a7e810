"""What the report shows, as typed values, and their JSON.

Frames are numbered over context and target in one row, as in a Clip. Ground coordinates are metres, x to the right and
z ahead of the first target camera, which is at the origin.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Json = dict[str, Any]


@dataclass(frozen=True)
class Sheets:
    """The frames of a video in a few pictures: `columns` to a row, `per_sheet` to a picture, `count` in all.

    uris: data URIs. width, height: of a frame as shown; cell: width and height of its place in the picture.
    shrunk: the size (height, width) the frames had, where they were scaled down.
    """

    uris: tuple[str, ...]
    width: int
    height: int
    cell: tuple[int, int]
    columns: int
    per_sheet: int
    count: int
    shrunk: tuple[int, int] | None = None

    def to_json(self) -> Json:
        return {
            "uris": list(self.uris), "width": self.width, "height": self.height, "cell": list(self.cell),
            "columns": self.columns, "perSheet": self.per_sheet, "count": self.count,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Subject:
    """A subject: seen bool ``[n]``, share ``[n]`` of the picture's pixels, track ``[n, 2]`` on the ground.

    n counts the frames that are known: all, or the context's where the run went another way than the clip. matters:
    whether phases and scores go by it.
    """

    name: str
    label: str
    matters: bool
    seen: np.ndarray
    share: np.ndarray | None
    track: np.ndarray | None

    def to_json(self) -> Json:
        return {
            "name": self.name, "label": self.label, "matters": self.matters, "seen": self.seen.astype(int).tolist(),
            "share": numbers(self.share, 5), "track": numbers(self.track, 3),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ground:
    """The cameras from above: places ``[F, 2]``, headings ``[F]`` (radians, 0 ahead, growing to the right).

    fov: horizontal field of view in degrees, None where it is not known.
    """

    places: np.ndarray
    headings: np.ndarray
    fov: float | None

    def to_json(self) -> Json:
        return {"places": numbers(self.places, 3), "headings": numbers(self.headings, 4), "fov": self.fov}


@dataclass(frozen=True, eq=False)
class Recall:
    """What each target latent frame of one chunk recalled.

    columns: (memory token or -1, first, last latent frame) along the memory axis; -1 means a latent frame that no
    token covers. spans ``[L, 2]``: first and last video frame of each latent frame. cut: latent frames of the context.
    picks ``[steps, blocks, ft, k]``, selectable bool ``[ft, t]``, windows ``[ft, 2]`` in latent frames, sigmas
    ``[steps]``. chunk: its number, from 0 on. made: first and last video frame that it added to the run; a target
    latent frame before that was made a second time and left out.
    """

    columns: tuple[tuple[int, int, int], ...]
    spans: np.ndarray
    cut: int
    picks: np.ndarray
    selectable: np.ndarray
    windows: np.ndarray
    sigmas: np.ndarray
    made: tuple[int, int]
    chunk: int = 0

    def to_json(self) -> Json:
        packed = np.ascontiguousarray(self.picks, dtype="<i2").tobytes()
        return {
            "columns": [list(column) for column in self.columns], "spans": self.spans.tolist(), "cut": self.cut,
            "shape": list(self.picks.shape), "picks": base64.b64encode(packed).decode("ascii"),
            "tokens": self.selectable.shape[1], "selectable": self.selectable.astype(int).tolist(),
            "windows": self.windows.tolist(), "sigmas": numbers(self.sigmas, 4),
            "made": list(self.made), "chunk": self.chunk,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class RunView:
    """One run: its video, its scores by frame (dB ``[Ft]``) and what each of its chunks that has a trace recalled; None
    where something is not known.

    hits: share of recalled tokens in which the subject that has re-entered was visible, and what chance would have.
    thumbnail: its middle frame, small, as a data URI; for an index of runs.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    made: Sheets
    difference: Sheets | None = None
    psnr: np.ndarray | None = None
    recalls: tuple[Recall, ...] = ()
    hits: tuple[float, float] | None = None
    thumbnail: str = ""

    def to_json(self) -> Json:
        return {
            "name": self.name, "facts": [list(fact) for fact in self.facts], "warnings": list(self.warnings),
            "made": self.made.to_json(), "difference": optional(self.difference), "psnr": numbers(self.psnr, 3),
            "recalls": [recall.to_json() for recall in self.recalls],
            "hits": None if self.hits is None else list(self.hits),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scene:
    """What the runs continue: the context and, where it is known, what really followed.

    fates: vanished and frozen, where they were rendered. phases: of as many frames as are known. trivial: dB ``[Ft]``
    of the baselines that need no model.
    """

    name: str
    caption: str
    fps: float
    context_frames: int
    target_frames: int
    context: Sheets | None = None
    truth: Sheets | None = None
    fates: Mapping[str, Sheets] = field(default_factory=dict)
    phases: tuple[str, ...] = ()
    subjects: tuple[Subject, ...] = ()
    ground: Ground | None = None
    trivial: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_json(self) -> Json:
        return {
            "name": self.name, "caption": self.caption, "fps": self.fps, "cut": self.context_frames,
            "made": self.target_frames, "context": optional(self.context), "truth": optional(self.truth),
            "fates": {name: sheets.to_json() for name, sheets in self.fates.items()}, "phases": list(self.phases),
            "subjects": [subject.to_json() for subject in self.subjects], "ground": optional(self.ground),
            "trivial": {name: numbers(values, 3) for name, values in self.trivial.items()},
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Report:
    """Everything on the page. scores: rows of a table, the first its head. notes: what was left out, and why."""

    scene: Scene
    runs: tuple[RunView, ...]
    scores: tuple[Sequence[str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.scene.name}: {' and '.join(run.name for run in self.runs)}"

    def to_json(self) -> Json:
        return {
            "scene": self.scene.to_json(), "runs": [run.to_json() for run in self.runs],
            "scores": [list(row) for row in self.scores], "notes": list(self.notes),
        }  # fmt: skip


def optional(part: Sheets | Ground | Recall | None) -> Json | None:
    return None if part is None else part.to_json()


def numbers(array: np.ndarray | None, places: int) -> Any:
    """Nested lists, rounded, with None for what is not finite; None for None."""
    return None if array is None else _plain(np.asarray(array, dtype=np.float64).tolist(), places)


def _plain(value: Any, places: int) -> Any:
    if isinstance(value, list):
        return [_plain(part, places) for part in value]
    return round(value, places) if math.isfinite(value) else None
