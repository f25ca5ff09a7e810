"""A folder of predictions: one video a clip, as ``outofsight generate --clips DIR --out FOLDER`` leaves them.

NAME.mp4, or NAME/ with one mp4 in it; NAME is the clip's, with "_" for "/". Beside the video may lie its trace
(NAME.trace.npz, and NAME.trace-2.npz ... of a run in several chunks). Chunks of an unfinished run (NAME.session/) and
previews of an interrupted one are no predictions. Everything that is wrong is found before anything is computed, and
reported at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..clips import Clip, VideoFile
from ..errors import LayoutError, OutOfSightError, VideoError
from ..generation.outputs import SESSION, OutputPaths, is_chunk_file
from ..video import VideoInfo, probe_video, read_video
from .traces import RunTrace, read_run_trace

PARTIAL = ".partial"  # ends the stem of the preview that an interrupted run leaves
_LISTED = 10
_RATES = 5e-4  # frame rates that differ by no more than this share are one


class PredictionError(OutOfSightError):
    """Predictions that do not fit the clips: missing, superfluous, of another length, size or frame rate, broken."""


@dataclass(frozen=True)
class Wanted:
    """What the prediction of a clip has to be."""

    frames: int
    height: int
    width: int
    fps: float

    @classmethod
    def of(cls, clip: Clip) -> Wanted:
        """As the clip's target, or, where the data keeps that back, as its context. Raises LayoutError, VideoError."""
        source = clip.context if clip.target is None else clip.target
        if source is None:
            raise LayoutError(f'clip "{clip.name}" has no video, so it is not known how large a prediction has to be')
        if isinstance(source, VideoFile):
            info = probe_video(source.path)
            return cls(clip.target_frames, info.height, info.width, clip.fps)
        return cls(clip.target_frames, source.shape[1], source.shape[2], clip.fps)

    def fault(self, found: VideoInfo) -> str | None:
        """What is wrong with a video, in words."""
        rate = abs(found.fps - self.fps) <= _RATES * self.fps
        if (found.frames, found.height, found.width) == (self.frames, self.height, self.width) and rate:
            return None
        return f"{_words(found.frames, found)}, expected {_words(self.frames, self)}"


@dataclass(frozen=True)
class Predictions:
    """What one folder holds.

    videos: by clip, those that are as they have to be. faults: by clip, why it has no such video. strays: videos that
    belong to no clip.
    """

    row: str
    folder: Path
    videos: Mapping[str, Path]
    faults: Mapping[str, str]
    strays: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """All that is wrong, a line each."""
        told = [f"{shown(self.row)}: {shown(clip)}: {fault}" for clip, fault in self.faults.items()]
        return told + [f"{shown(self.row)}: {shown(stray)}: belongs to no clip" for stray in self.strays]


def find_predictions(row: str, folder: Path, wanted: Mapping[str, Wanted]) -> Predictions:
    """Look for the predictions of these clips, and hold each against what it has to be (its header is read).

    Raises PredictionError where there is no such folder.
    """
    if not folder.is_dir():
        raise PredictionError(f"{shown(str(folder))} is no folder; expected one with a video of each clip")
    places = {clip: clip.replace("/", "_") for clip in wanted}
    if len(set(places.values())) < len(places):
        raise PredictionError("two clips would have predictions of one name: their names differ by / and _ alone")
    videos, faults, used = {}, {}, set()
    for clip, name in places.items():
        there = _candidates(folder, name)
        used |= set(there)
        try:
            fault = _fault(there, wanted[clip], folder, name)
        except VideoError as cause:
            fault = str(cause)
        if fault is None:
            videos[clip] = there[0]
        else:
            faults[clip] = fault
    strays = [
        str(video.relative_to(folder)) for video in _all_videos(folder, set(places.values())) if video not in used
    ]
    return Predictions(row, folder, videos, faults, tuple(strays))


def refuse(rows: Sequence[Predictions], clips: Collection[str]) -> None:
    """Raises PredictionError where anything is wrong: one error that lists all of it."""
    lines = [line for row in rows for line in row.lines()]
    if lines:
        right = len([clip for clip in clips if all(clip in row.videos for row in rows)])
        raise PredictionError(
            f"{listed(lines, 'the predictions do not fit the clips, and nothing was written')}\n"
            f"mend them, or evaluate with --partial the {right} of {len(clips)} clips whose predictions are right"
        )


def listed(lines: Sequence[str], what: str) -> str:
    """A count, what it is a count of, and the first lines."""
    count = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
    return "\n".join([f"{count}: {what}", *(f"  {shown(line)}" for line in first_lines(lines))])


def first_lines(lines: Sequence[str]) -> list[str]:
    """The first ten, and how many more there are."""
    return [*lines[:_LISTED], *([f"... and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else [])]


def shown(name: str) -> str:
    """A name as it may be printed on a terminal or in a table: what is not printable is escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def read_prediction(file: Path, wanted: Wanted) -> np.ndarray:
    """uint8 ``[f, h, w, 3]``. Raises VideoError or PredictionError: a header may promise more than is there."""
    video = read_video(file)
    fault = wanted.fault(VideoInfo(len(video), *video.size, video.fps))
    if fault is not None:
        raise PredictionError(f"{file}: {fault}")
    return video.frames


def trace_inputs(video: Path) -> dict[str, Path]:
    """The files that say what was recalled, by what they are: the traces beside a video and, with them, its record."""
    paths = OutputPaths(video)
    found = {f"trace {number + 1}" if number else "trace": file for number, file in paths.traces().items()}
    return {**found, "record": paths.record} if found and paths.record.is_file() else found


def run_trace(video: Path, frames: tuple[int, int]) -> RunTrace | None:
    """What the run of a video recalled; see :func:`.traces.read_run_trace`."""
    paths = OutputPaths(video)
    return read_run_trace(paths.traces(), paths.record, frames)


def _candidates(folder: Path, name: str) -> list[Path]:
    return [file for file in (folder / f"{name}.mp4",) if file.is_file()] + _within(folder / name)


def _within(folder: Path) -> list[Path]:
    """The videos in a clip's own folder; previews of interrupted runs and chunks of unfinished ones left out."""
    if not folder.is_dir():
        return []
    found = (file for file in folder.iterdir() if file.suffix.lower() == ".mp4" and not file.name.startswith("."))
    return sorted(file for file in found if not file.stem.endswith(PARTIAL) and not is_chunk_file(file))


def _all_videos(folder: Path, names: Collection[str]) -> list[Path]:
    """Videos in the folder and, a level down, in its folders; a clip's own name is no preview's."""
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        preview = entry.stem.endswith(PARTIAL) and entry.stem not in names
        if entry.suffix.lower() == ".mp4" and entry.is_file() and not preview:
            found.append(entry)
        found += _within(entry)
    return found


def _fault(there: Sequence[Path], wanted: Wanted, folder: Path, name: str) -> str | None:
    if not there:
        return _missing(folder, name)
    if len(there) > 1:
        return f"{len(there)} videos, expected one: {', '.join(shown(str(file.relative_to(folder))) for file in there)}"
    info = probe_video(there[0])
    if info.frames is None:  # the header does not count them
        info = VideoInfo(len(read_video(there[0])), info.height, info.width, info.fps)
    return wanted.fault(info)


def _missing(folder: Path, name: str) -> str:
    """Why a clip has no video, in words."""
    own = sorted(entry.with_suffix(".mp4") for entry in (folder / name).glob(f"*{SESSION}"))
    for paths in map(OutputPaths, (folder / f"{name}.mp4", *own)):
        if paths.unfinished:
            place = paths.session.relative_to(folder)
            return (
                f"missing: its run is unfinished ({place} holds the chunks so far; the command that began it resumes)"
            )
    preview = folder / f"{name}{PARTIAL}.mp4"
    return f"missing ({preview.name} is of a run that was broken off)" if preview.is_file() else "missing"


def _words(frames: int | None, size: VideoInfo | Wanted) -> str:
    return f"{frames} frames of {size.width}x{size.height} at {size.fps:g} fps"
