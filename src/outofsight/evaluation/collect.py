"""From the kept scores of a run to its result: rows, metrics of all clips together, and facts about the clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import OutputError
from .baselines import CEILINGS, FLOORS, TRUTH, WORDS, kind_of
from .metric import Metric
from .plan import Plan, Task
from .regions import PHASES
from .result import ClipScores, Row
from .work import Bench, Done, read_scores


def collect(plan: Plan, done: Mapping[str, Done], bench: Bench, faults: Mapping[str, str]) -> dict[str, Any]:
    """The rows, clips and what is partial, for an ``Evaluation``.

    done: clips that were measured. faults: clips that could not be, with the reasons.

    Raises OutputError where kept scores are gone.
    """
    rows = {row: _row(row, plan, done, bench.kept) for row in (*plan.rows, *FLOORS, *CEILINGS)}
    tasks = {task.clip.name: task for task in plan.tasks}
    left_out = {**plan.left_out, **faults}
    partial = None
    if left_out or plan.strays:
        partial = {"clips": len(done), "of": plan.of, "left_out": left_out, "strays": list(plan.strays)}
    truth = rows[TRUTH].clips
    return {
        "rows": {name: replace(row, sets=_sets(row.clips, truth, bench.metrics)) for name, row in rows.items()},
        "clips": {clip: _facts(tasks[clip], one.digest) for clip, one in done.items()},
        "partial": partial,
    }


def _row(name: str, plan: Plan, done: Mapping[str, Done], kept: Path) -> Row:
    clips, reasons = {}, {}
    for clip, one in done.items():
        found = read_scores(kept / one.files[name])
        if found is None:
            raise OutputError(f"{kept / one.files[name]}: gone or damaged during the run: run it again")
        if isinstance(found, ClipScores):
            clips[clip] = found
        else:
            reasons[clip] = found
    prediction = name in plan.rows
    source = str(plan.rows[name]) if prediction else WORDS[name]
    return Row(name, "prediction" if prediction else kind_of(name), source, clips, reasons)


def _sets(row: Mapping[str, ClipScores], truth: Mapping[str, ClipScores], metrics: Iterable[Metric]) -> dict[str, Any]:
    """Metrics of all clips together, by name (``Metric.over_clips``)."""
    found: dict[str, Any] = {}
    for metric in metrics:
        if metric.over_clips is None:
            continue
        mine, theirs = (
            {clip: scores.values[metric.name] for clip, scores in group.items() if metric.name in scores.values}
            for group in (row, truth)
        )
        if mine:
            found |= metric.over_clips(mine, theirs)
    return found


def _facts(task: Task, digest: str) -> dict[str, Any]:
    """What is known of a clip, for the result."""
    clip, wanted = task.clip, task.wanted
    words = [word if word in PHASES else None for word in clip.phase_words[clip.context_frames :]]
    return {
        "sha256": digest, "frames": [clip.context_frames, wanted.frames], "size": [wanted.height, wanted.width],
        "fps": wanted.fps, "subjects": list(clip.subjects), "phases": words or [None] * wanted.frames,
        "stranger": None if task.stranger is None else {"clip": task.stranger.clip.name, "subject": task.stranger.id},
        "notes": list(clip.notes),
    }  # fmt: skip
