"""The runs that ``outofsight generate`` left: found, and held against their records."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import LayoutError
from ..generation.outputs import OutputPaths
from ..generation.record import RunRecord, read_record
from ..io import sha256_file

RECORD = ".run.json"
# the inputs that make two runs continuations of one clip; the prompt may differ
_CLIP_INPUTS = ("context video", "context cameras", "target cameras", "pose")


@dataclass(frozen=True)
class RunFiles:
    """A finished run: its files and its record."""

    paths: OutputPaths
    record: RunRecord

    @property
    def name(self) -> str:
        return self.paths.video.stem

    @property
    def context_frames(self) -> int:
        """Context frames that were used. Raises LayoutError for a record without them."""
        return _whole(self, "inputs", "context_frames")

    def changes(self) -> tuple[str, ...]:
        """What no longer is as recorded: the video, its traces."""
        outputs = self.record.outputs
        told = []
        files = {f"trace-{number + 1}" if number else "trace": file for number, file in self.paths.traces().items()}
        for what, path in {"video": self.paths.video, **files}.items():
            digest = outputs.get(what, {}).get("sha256")
            if digest is not None and path.is_file() and sha256_file(path) != digest:
                told.append(f"{path.name} is not the {what} that was recorded: it was written again since")
        return tuple(told)


def find_runs(place: Path) -> list[RunFiles]:
    """The run of a video or of a record, or all runs in a folder, by name.

    Raises:
        LayoutError: nothing there, no record, a record without its video, or a record that cannot be read.
    """
    if not place.exists():
        raise LayoutError(
            f"{place}: no such file or folder; expected a video that outofsight generate made, or a folder with some"
        )
    if not place.is_dir():
        return [_run(place)]
    records = sorted(Path(entry) for entry in os.scandir(place) if entry.is_file() and entry.name.endswith(RECORD))
    if not records:
        raise LayoutError(
            f"{place}: no run in it: outofsight generate leaves NAME.mp4 and NAME{RECORD}, and there is no *{RECORD}"
        )
    return [_run(record) for record in records]


def one_run(place: Path) -> RunFiles:
    """The only run of a place. Raises LayoutError, as find_runs, and where there are several."""
    runs = find_runs(place)
    if len(runs) > 1:
        names = ", ".join(run.paths.video.name for run in runs[:6])
        raise LayoutError(f"{place}: it holds {len(runs)} runs ({names}{', ...' if len(runs) > 6 else ''}); name one")
    return runs[0]


def _run(file: Path) -> RunFiles:
    stem = file.name.removesuffix(RECORD) if file.name.endswith(RECORD) else file.stem
    paths = OutputPaths(file.with_name(f"{stem}.mp4"))
    if not paths.record.is_file():
        raise LayoutError(
            f"{file}: no {paths.record.name} beside it, so it is not known how it was made; expected a video that "
            "outofsight generate made, with its record"
        )
    if not paths.video.is_file():
        raise LayoutError(f"{paths.record}: its video {paths.video.name} is not there; make it again with --replay")
    return RunFiles(paths, read_record(paths.record))


def check_same_clip(one: RunFiles, other: RunFiles) -> None:
    """Raises LayoutError where two runs do not continue the same context along the same cameras."""
    first, second = (run.record.inputs["sha256"] for run in (one, other))
    differ = [name for name in _CLIP_INPUTS if first.get(name) != second.get(name)]
    if one.context_frames != other.context_frames:
        differ.append(f"number of context frames ({one.context_frames} and {other.context_frames})")
    if differ:
        raise LayoutError(
            f"{one.paths.video} and {other.paths.video} are not of one clip: they differ in {', '.join(differ)}; "
            "runs are compared side by side where context and cameras are the same"
        )


def _whole(run: RunFiles, part: str, name: str) -> int:
    value = getattr(run.record, part).get(name)
    if type(value) is not int or value < 1:
        raise LayoutError(f"{run.paths.record}: {part}.{name} is {value!r}, expected a number of frames")
    return value
