"""What an evaluation is to do: which clips, which rows, and everything that is wrong, before a frame is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutOfSightError
from .baselines import CEILINGS, FLOORS, Stranger, choose_strangers
from .clip import EvalClip, eval_clips
from .predictions import PredictionError, Predictions, Wanted, find_predictions, refuse, shown


@dataclass(frozen=True, eq=False)
class Task:
    """A clip, what a prediction of it has to be, each row's file, and whom the clip is shuffled with."""

    clip: EvalClip
    wanted: Wanted
    predictions: Mapping[str, Path]
    stranger: Stranger | None


@dataclass(frozen=True, eq=False)
class Plan:
    """tasks: clips that every row has a right prediction of. of: clips in the folder. left_out: the others, with the
    reasons, and strays: videos that belong to no clip; both empty unless part of the predictions is enough.
    """

    against: Path
    rows: Mapping[str, Path]
    tasks: tuple[Task, ...]
    of: int
    left_out: Mapping[str, str]
    strays: tuple[str, ...]


def make_plan(rows: Mapping[str, Path], against: Path, *, partial: bool, horizontal_fov: float | None) -> Plan:
    """Read the annotations of every clip, and look at every prediction.

    Raises:
        PredictionError: predictions that do not fit the clips (with ``partial``: none does).
        LayoutError, CameraError, VideoError: clips that cannot be read.
    """
    clips = list(eval_clips(against, horizontal_fov))
    wanted = {clip.name: Wanted.of(clip.clip) for clip in clips}
    found = [find_predictions(row, folder, wanted) for row, folder in rows.items()]
    if not partial:
        refuse(found, wanted)
    faults = {name: _faults(found, name) for name in wanted}
    strangers = choose_strangers(clips)
    tasks = tuple(
        Task(clip, wanted[clip.name], {row.row: row.videos[clip.name] for row in found}, strangers[clip.name])
        for clip in clips
        if not faults[clip.name]
    )
    if not tasks:
        refuse(found, wanted)
    left_out = {name: told for name, told in faults.items() if told}
    strays = tuple(f"{shown(row.row)}: {shown(stray)}" for row in found for stray in row.strays)
    return Plan(against, rows, tasks, len(clips), left_out, strays)


def name_rows(predictions: Path, name: str | None, others: Mapping[str, Path]) -> dict[str, Path]:
    """Rows and their folders; the first is called as its folder where no name is given.

    Raises OutOfSightError for a name that is empty, taken twice, or that of a floor or ceiling.
    """
    if not predictions.is_dir():
        raise PredictionError(f"{shown(str(predictions))} is no folder; expected one with a video of each clip")
    main = name if name is not None else predictions.resolve().name
    if main in others:
        raise OutOfSightError(f"two rows are called {shown(main)!r}: name the first one with --name")
    for row in (main, *others):
        if not row.strip() or row in (*FLOORS, *CEILINGS):
            raise OutOfSightError(f"a row cannot be called {shown(row)!r}: give it another name")
    return {main: predictions, **others}


def _faults(rows: list[Predictions], clip: str) -> str:
    return "; ".join(f"{shown(row.row)}: {row.faults[clip]}" for row in rows if clip in row.faults)
