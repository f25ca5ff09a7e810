"""What a finished run leaves: a file with its settings, its cost, its learning curve and every clip's values.

``ROW-seedN.json``; ``floors.json`` for baselines, which no model changes; ``unfinished.json`` for runs that were begun
and left no values. They are small, lie in the repository beside the page, and are all that it is made from.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from typing_extensions import TypedDict

from ..errors import StudyError
from ..evaluation.scores import Scores
from ..io import replacing
from ..records import fitted, read_object
from .rows import ROWS, row_settings, shared_settings

FORMAT = "outofsight study 2"
_AGAIN = "remove it and run it again"
FLOORS, UNFINISHED = "floors", "unfinished"
_DECIMALS = 5
# values of runs from before 2026-11-28: "inside" was the pixels of the subjects, not their boxes (docs/metrics.md)
OLDER = "older: "

Clips = Mapping[str, Scores]


@dataclass(frozen=True)
class RunValues:
    """One run, judged.

    Args:
        row, seed: which.
        settings: of the training (``TrainConfig.to_json``).
        data: fingerprints of the clips it was trained on ("train") and judged on ("test"), and how it was ("judging").
        facts: parameters, seconds of training, steps, machine, versions, date.
        curve: (step, mean squared velocity error, the same in frames of re-entry or None) along the training.
        clips: name -> values (see ``evaluation.measure.CORE``).
    """

    row: str
    seed: int
    settings: Mapping[str, Any]
    data: Mapping[str, str]
    facts: Mapping[str, Any]
    curve: tuple[tuple[float | None, ...], ...]
    clips: Clips = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.row}-seed{self.seed}"

    def save(self, folder: Path) -> Path:
        """Write ROW-seedN.json whole or not at all. Raises OutputError."""
        content = asdict(self) | {"clips": {name: _kept(scores) for name, scores in self.clips.items()}}
        return _write(value_file(folder, self.name), content)


@dataclass(frozen=True)
class Floors:
    """rows: "last frame held", "best view copied", "VAE reconstruction", each clip -> values; data: as in RunValues."""

    rows: Mapping[str, Clips]
    data: Mapping[str, str]

    def save(self, folder: Path) -> Path:
        rows = {row: {name: _kept(scores) for name, scores in clips.items()} for row, clips in self.rows.items()}
        return _write(value_file(folder, FLOORS), {"rows": rows, "data": dict(self.data)})


@dataclass(frozen=True)
class Stored:
    """Everything a folder holds; runs in the order of ROWS and seeds. unfinished: other runs, and how far they came."""

    runs: tuple[RunValues, ...]
    floors: Floors | None
    unfinished: Mapping[str, str] = field(default_factory=dict)

    @property
    def baselines(self) -> dict[str, list[Clips]]:
        """The floors' rows, each as a single run; none where they were not measured."""
        return {} if self.floors is None else {name: [clips] for name, clips in self.floors.rows.items()}

    def of(self, row: str) -> tuple[RunValues, ...]:
        return tuple(run for run in self.runs if run.row == row)


def value_file(folder: Path, run: str) -> Path:
    """Where the values of a run of this name lie."""
    return folder / f"{run}.json"


def finished(folder: Path) -> dict[str, Path]:
    """Runs of which a folder has values, by name. Hidden files are what a killed process was writing."""
    return {file.stem: file for file in sorted(folder.glob("*-seed*.json")) if not file.name.startswith(".")}


def read_values(file: Path) -> RunValues:
    """A finished run's file. Raises StudyError for one that is broken or of another version."""
    run = fitted(RunValues, _read(file), file, StudyError, _AGAIN)
    if run.row not in ROWS:
        raise StudyError(f"{file} is of row {run.row!r}, which is none of {', '.join(ROWS)}")
    if not run.clips or file.stem != run.name:
        raise StudyError(f"{file} holds {len(run.clips)} clips of {run.name}; expected those of {file.stem}")
    fitted(_Facts, dict(run.facts), f"{file}: facts", StudyError, _AGAIN)
    return run


class _Facts(TypedDict):
    """What the page reads of a run's facts."""

    parameters: Annotated[int, Ge(0)]
    seconds: float
    steps: Annotated[int, Ge(1)]
    machine: str
    finished: str


def read_stored(folder: Path) -> Stored:
    """All files of a folder, held against one another.

    Raises:
        StudyError: no run there, a broken file, or runs that are not alike in all but memory and seed.
    """
    stored = read_any(folder)
    if not stored.runs:
        raise StudyError(f"{folder} holds no finished run (ROW-seedN.json): run the study first")
    return stored


def read_any(folder: Path) -> Stored:
    """:func:`read_stored` of a folder that may be empty, or not there yet."""
    runs = sorted(map(read_values, finished(folder).values()), key=lambda run: (list(ROWS).index(run.row), run.seed))
    stored = Stored(tuple(runs), _read_floors(folder), _read_unfinished(folder, {run.name for run in runs}))
    for number, run in enumerate(runs):
        refuse_different(Stored(tuple(runs[:number]), stored.floors), run.row, run.settings, run.data, run.name)
        if run.clips.keys() != runs[0].clips.keys():
            raise StudyError(f"{run.name} was judged on other clips than {runs[0].name}: remove one, run it again")
    return stored


def refuse_different(stored: Stored, row: str, settings: Mapping[str, Any], data: Mapping[str, str], name: str) -> None:
    """Raises StudyError, listing what differs, where a run does not fit those that are stored."""
    for known in (*stored.runs[:1], *stored.of(row)[:1]):
        chosen = row_settings if known.row == row else shared_settings
        ours, theirs = chosen(settings), chosen(known.settings)
        lines = [
            f"{key}: {theirs.get(key, 'not set')!r} in {known.name}, {ours.get(key, 'not set')!r} in {name}"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]
        lines += [
            _other(key, known.data.get(key), data[key], known.name) for key in data if data[key] != known.data.get(key)
        ]
        if lines:
            listed = "\n  ".join(lines)
            raise StudyError(
                f"runs of a study must be alike in all but memory and seed:\n  {listed}\n"
                "use the same clips and settings, or other folders for the values and the runs"
            )
    if stored.floors is not None and stored.floors.data["test"] != data["test"]:
        raise StudyError(f"{FLOORS}.json is of other held-out clips than {name}: remove it, or use another folder")


def _other(key: str, theirs: str | None, ours: str, known: str) -> str:
    if key == "judging":
        return f"judging: {theirs} in {known}, {ours} now"
    return f"the {key} clips are others than those of {known}"


def _kept(scores: Scores) -> Scores:
    return {name: round(value, _DECIMALS) if isinstance(value, float) else value for name, value in scores.items()}


def save_unfinished(folder: Path, runs: Mapping[str, str]) -> Path:
    """Write down which runs have no values, and how far they came. Raises OutputError."""
    return _write(value_file(folder, UNFINISHED), {"begun": dict(runs)})


def _read_unfinished(folder: Path, done: Collection[str]) -> dict[str, str]:
    file = value_file(folder, UNFINISHED)
    content = _read(file).get("begun") if file.is_file() else {}
    begun = fitted(dict[str, str], content, f"{file}: begun", StudyError, _AGAIN)
    return {name: words for name, words in begun.items() if name not in done}


def _read_floors(folder: Path) -> Floors | None:
    file = value_file(folder, FLOORS)
    if not file.is_file():
        return None
    floors = fitted(Floors, _read(file), file, StudyError, _AGAIN)
    if "test" not in floors.data:
        raise StudyError(f"{file}: data.test is missing; {_AGAIN}")
    return Floors(floors.rows, {"test": floors.data["test"]})


def _write(file: Path, content: Mapping[str, Any]) -> Path:
    with replacing(file) as beside:
        beside.write_text(_lines({"format": FORMAT, **content}) + "\n", encoding="utf-8")
    return file


def _lines(content: Mapping[str, Any]) -> str:
    """JSON with a line for each clip, so that files can be compared line by line."""
    text = {name: json.dumps(value, allow_nan=False) for name, value in content.items()}
    for name in ("clips", "rows"):
        if name in content:
            text[name] = _by_line(content[name])
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {value}" for name, value in text.items()) + "\n}"


def _by_line(clips: Mapping[str, Any]) -> str:
    lines: Iterable[str] = (
        f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in clips.items()
    )
    return "{\n " + ",\n ".join(lines) + "\n}"


def _read(file: Path) -> dict[str, Any]:
    content = read_object(file, StudyError, _AGAIN)
    if content.get("format") != FORMAT:
        raise StudyError(f"{file} is not a file of this version's studies ({FORMAT}): remove it and run it again")
    return content
