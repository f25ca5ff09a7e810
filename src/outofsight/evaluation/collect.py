"""From the parts of a finished run to its result: rows, metrics of all clips together, and facts about the clips."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError
from .answers import CEILINGS, FLOORS, TRUTH, WORDS, kind_of
from .metrics.fvd import frechet_distance
from .metrics.vbench import corpus_consistency
from .plan import Plan, Task
from .result import ClipScores, Row
from .work import Done, read_part

_CONSISTENCIES = ("subject_consistency", "background_consistency")


def collect(plan: Plan, done: Mapping[str, Done], parts: Path, faults: Mapping[str, str]) -> dict[str, Any]:
    """The rows, clips and what is partial, for an ``Evaluation``.

    done: clips that were measured. faults: clips that could not be, with the reasons.

    Raises OutputError where a part is gone.
    """
    rows = {row: _row(row, plan, done, parts) for row in (*plan.rows, *FLOORS, *CEILINGS)}
    tasks = {task.known.name: task for task in plan.tasks}
    left_out = {**plan.left_out, **faults}
    partial = None
    if left_out or plan.strays:
        partial = {"clips": len(done), "of": plan.of, "left_out": left_out, "strays": list(plan.strays)}
    truth = rows[TRUTH].clips
    return {
        "rows": {name: replace(row, sets=_sets(row.clips, truth)) for name, row in rows.items()},
        "clips": {clip: _facts(tasks[clip], one.digest) for clip, one in done.items()},
        "partial": partial,
    }


def _row(name: str, plan: Plan, done: Mapping[str, Done], parts: Path) -> Row:
    clips, reasons = {}, {}
    for clip, one in done.items():
        part = read_part(parts / one.parts[name])
        if part is None:
            raise OutputError(f"{parts / one.parts[name]}: gone or damaged while the run went on: run it again")
        if isinstance(part, ClipScores):
            clips[clip] = part
        else:
            reasons[clip] = part
    prediction = name in plan.rows
    source = str(plan.rows[name]) if prediction else WORDS[name]
    return Row(name, "prediction" if prediction else kind_of(name), source, clips, reasons)


def _sets(clips: Mapping[str, ClipScores], truth: Mapping[str, ClipScores]) -> dict[str, Any]:
    """Metrics of all clips together: VBench's scores of the corpus, and the Frechet distance."""
    found: dict[str, Any] = {}
    for name in _CONSISTENCIES:
        frames = [scores.values[name].frames for scores in clips.values() if name in scores.values]
        if frames:
            found[f"{name} corpus"] = corpus_consistency([np.array(one, np.float64) for one in frames])
    both = [clip for clip in clips if clip in truth and clips[clip].features and truth[clip].features]
    if len(both) >= 2:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what it says stays in the note
            mine, theirs = (np.array([group[clip].features for clip in both]) for group in (clips, truth))
            found["fvd"] = asdict(frechet_distance(mine, theirs))
    return found


def _facts(task: Task, digest: str) -> dict[str, Any]:
    """What is known of a clip, for the result."""
    known, wanted = task.known, next(iter(task.predictions.values())).wanted
    words: list[str | None] = [None] * wanted.frames
    for phase, chosen in known.phases.items():
        for frame in np.flatnonzero(chosen):
            words[frame] = phase
    return {
        "sha256": digest, "frames": [known.clip.context_frames, wanted.frames], "size": [wanted.height, wanted.width],
        "fps": wanted.fps, "subjects": list(known.subjects), "phases": words,
        "stranger": None if task.stranger is None else {"clip": task.stranger.known.name, "subject": task.stranger.id},
        "notes": list(known.notes),
    }  # fmt: skip
