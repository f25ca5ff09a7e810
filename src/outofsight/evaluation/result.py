"""What an evaluation found: values of every clip and frame, means with intervals, and what was not measured, and why.

The JSON file holds all of it (``FORMAT``), with the definitions, versions and weights that decided the numbers. Values
per frame are rounded to six decimals there; means and intervals are whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import LayoutError
from ..io import replacing
from ..records import read_object
from .bootstrap import Interval
from .metric import Value
from .scores import Scores, difference, summary, to_json

FORMAT = "outofsight evaluation 2"
_DECIMALS = 6


@dataclass(frozen=True)
class ClipScores:
    """One row's video of one clip, measured.

    skipped: metric -> why it was not computed. boxes: where the subjects' boxes in the video come from. seconds: of
    processor time, by metrics computed together. sources: SHA-256 of the files it was made of, by what they are.
    """

    values: Mapping[str, Value]
    skipped: Mapping[str, str] = field(default_factory=dict)
    boxes: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def flat(self) -> Scores:
        """Numbers by name, as ``scores.summary`` takes them: "psnr", "psnr hidden" ..., "fate", "retrieval_chance"."""
        found: Scores = {}
        for name, value in self.values.items():
            for where, number in value.means.items():
                found[name if where == "target" else f"{name} {where}"] = number
            if "nearest" in value.facts:
                found["fate"] = value.facts["nearest"]
            if "chance" in value.facts:
                found["retrieval_chance"] = value.facts["chance"]
        return found

    def to_json(self, decimals: int | None = None) -> dict[str, Any]:
        return {
            "values": {name: value.to_json(decimals) for name, value in self.values.items()},
            "skipped": dict(self.skipped), "boxes": self.boxes, "seconds": dict(self.seconds),
            "sources": dict(self.sources),
        }  # fmt: skip

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ClipScores:
        values = {name: Value.from_json(value) for name, value in content["values"].items()}
        return cls(values, content["skipped"], content["boxes"], content["seconds"], content["sources"])


@dataclass(frozen=True)
class Row:
    """One line of the tables.

    kind: "prediction", "floor" or "ceiling". source: the folder, or how the videos are made. not_measured: clip ->
    why there is none of it. sets: metrics of all clips together, by name.
    """

    name: str
    kind: str
    source: str
    clips: Mapping[str, ClipScores]
    not_measured: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def flat(self) -> dict[str, Scores]:
        return {name: scores.flat() for name, scores in self.clips.items()}

    @cached_property
    def summary(self) -> Mapping[str, Interval]:
        """Mean over clips and 95 % interval, by value; see :meth:`ClipScores.flat`."""
        return summary({self.name: self.flat})[self.name]

    @property
    def skipped(self) -> dict[str, str]:
        """Metrics that no clip has, with the reason (the first clip's)."""
        found: dict[str, str] = {}
        for scores in self.clips.values():
            for name, reason in scores.skipped.items():
                if all(name in other.skipped for other in self.clips.values()):
                    found.setdefault(name, reason)
        return found

    @property
    def boxes(self) -> tuple[str, ...]:
        """Where its boxes come from."""
        return tuple(sorted({scores.boxes for scores in self.clips.values() if scores.boxes is not None}))

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "source": self.source, "boxes": list(self.boxes),
            "summary": to_json({self.name: self.summary})[self.name], "sets": dict(self.sets),
            "skipped": self.skipped, "not_measured": dict(self.not_measured),
            "clips": {name: scores.to_json(_DECIMALS) for name, scores in self.clips.items()},
        }  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """A benchmark's result.

    rows: predictions first, then floors, then ceilings. clips: what is known of each clip. partial: None, or what was
    left out: {"clips", "of", "left_out": clip -> reasons, "strays"}. definitions, versions, weights, settings: what
    decided the numbers. protocol: None, or {"name", "departures": what is not as in the paper, "reported"}.
    """

    rows: Mapping[str, Row]
    clips: Mapping[str, Mapping[str, Any]]
    against: str
    settings: Mapping[str, Any]
    definitions: Mapping[str, Any]
    versions: Mapping[str, str]
    weights: Mapping[str, Any]
    partial: Mapping[str, Any] | None = None
    protocol: Mapping[str, Any] | None = None
    created: str = ""

    @property
    def main(self) -> Row:
        """The row of the predictions that were named first."""
        return next(iter(self.rows.values()))

    def difference(self, row: str, other: str, value: str) -> Interval | None:
        """Clip by clip, a value of one row less the other's, with its interval; None where no clip has both."""
        return difference(self.rows[row].flat, self.rows[other].flat, value)

    @property
    def seconds(self) -> dict[str, float]:
        """Of processor time over all rows and clips, by metrics computed together."""
        found: dict[str, float] = {}
        for row in self.rows.values():
            for scores in row.clips.values():
                for name, spent in scores.seconds.items():
                    found[name] = found.get(name, 0.0) + spent
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT, "created": self.created, "partial": self.partial, "against": self.against,
            "predictions": self.main.name, "protocol": self.protocol, "settings": dict(self.settings),
            "versions": dict(self.versions), "weights": dict(self.weights), "definitions": dict(self.definitions),
            "seconds": self.seconds, "clips": {name: dict(clip) for name, clip in self.clips.items()},
            "rows": {name: row.to_json() for name, row in self.rows.items()},
        }  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all; raises OutputError."""
        # names on disk need not be Unicode: escaped, they survive
        with replacing(path) as beside:
            text = json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False)
            beside.write_text(text + "\n", encoding="utf-8")


def read_evaluation(path: Path) -> Evaluation:
    """Read a result again. Raises LayoutError for a file that is none, or one of another version."""
    try:
        content = read_object(path, LayoutError)
        if content["format"] != FORMAT:
            raise LayoutError(f"{path}: format {content['format']!r}, expected {FORMAT!r}: evaluate again")
        rows = {}
        for name, row in content["rows"].items():
            clips = {clip: ClipScores.from_json(scores) for clip, scores in row["clips"].items()}
            rows[name] = Row(name, row["kind"], row["source"], clips, row["not_measured"], row["sets"])
        names = ("clips", "against", "settings", "definitions", "versions", "weights", "partial", "protocol", "created")
        return Evaluation(rows, **{name: content[name] for name in names})
    except (KeyError, TypeError, AttributeError, ValueError) as cause:
        if isinstance(cause, LayoutError):
            raise
        raise LayoutError(f"{path}: not the result of an evaluation ({cause})") from cause
