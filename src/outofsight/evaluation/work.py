"""The work on one clip: each row's video measured once, and its scores kept as a file until all clips are done.

A file is named by a digest of all that decides it: the clip's files, the video's, the networks' weights, the metrics,
versions and settings. So a killed run resumes, another row is added without the others being measured again, and
nothing stale is ever taken up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import OutOfSightError, OutputError
from ..fingerprints import value_hash
from ..io import replacing, sha256_file
from ..records import read_object
from .baselines import CEILINGS, FLOORS, SHUFFLED, Continuation, make
from .clip import EvalClip
from .measure import Measurer
from .metric import Metric
from .networks import NetworkFolders, Networks, VideoFeatures
from .plan import Task
from .predictions import read_prediction, run_trace, trace_inputs
from .result import ClipScores


@dataclass(frozen=True, eq=False)
class Bench:
    """What all clips are measured with. mark: whatever decides a number besides the clip and the video, as text.

    kept: folder of what is measured. tracker: finds boxes in a detector's stead.
    """

    kept: Path
    metrics: tuple[Metric, ...]
    folders: NetworkFolders
    device: str
    mark: str
    tracker: Any = None
    video_features: VideoFeatures | None = None

    def networks(self) -> Networks:
        """Load them."""
        loaded = replace(self.folders.load(self.device), video_features=self.video_features)
        return loaded if self.tracker is None else replace(loaded, detector=self.tracker)


@dataclass(frozen=True)
class Done:
    """One clip's outcome: the digest of its files, the file of each row, and what could not be read."""

    clip: str
    digest: str
    files: dict[str, str]
    fault: str | None = None


class Worker:
    """Works on one clip after another."""

    def __init__(self, bench: Bench, networks: Networks) -> None:
        self.bench, self.networks = bench, networks

    def __call__(self, task: Task) -> Done:
        """Measure every row that has no file yet. Raises OutputError where files cannot be written."""
        name = task.clip.name
        try:
            digest = task.clip.digest
            sources = {row: self._sources(task, row) for row in (*task.predictions, *FLOORS, *CEILINGS)}
            files = {row: file_name(self.bench.mark, row in task.predictions, row, sources[row]) for row in sources}
            lacking = [row for row, file in files.items() if read_scores(self.bench.kept / file) is None]
            if lacking:
                self._measure(task, lacking, files, sources)
            return Done(name, digest, files)
        except OutputError:
            raise
        except OutOfSightError as cause:
            return Done(name, "", {}, str(cause))

    def _sources(self, task: Task, row: str) -> dict[str, str]:
        """SHA-256 of what a video and its scores are made of."""
        found = {"clip": task.clip.digest}
        if row in task.predictions:
            found["video"] = sha256_file(task.predictions[row])
            found |= {name: sha256_file(file) for name, file in trace_inputs(task.predictions[row]).items()}
        if row == SHUFFLED and task.stranger is not None:
            found["stranger"] = f"{task.stranger.clip.digest} {task.stranger.id}"
        return found

    def _measure(
        self, task: Task, rows: Sequence[str], files: dict[str, str], sources: dict[str, dict[str, str]]
    ) -> None:
        start = time.process_time()
        clip = task.clip.read()
        measurer = Measurer(clip, self.networks, self.bench.metrics)
        reading = {"reading the clip": time.process_time() - start}
        for row in rows:
            start = time.process_time()
            content: dict[str, Any]
            try:
                video = self._video(task, row, clip)
            except OutOfSightError as cause:
                if row in task.predictions:
                    raise
                content = {"not_measured": str(cause)}
            else:
                making = {"making or reading the video": time.process_time() - start}
                scores = measurer(video)
                seconds = {**reading, **making, **scores.seconds}
                content = {"scores": replace(scores, seconds=seconds, sources=sources[row]).to_json()}
                reading = {}
            write_scores(self.bench.kept / files[row], content)

    def _video(self, task: Task, row: str, clip: EvalClip) -> Continuation:
        if row not in task.predictions:
            return make(row, clip, task.stranger, self.networks)
        frames = read_prediction(task.predictions[row], task.wanted)
        return Continuation(frames, trace=run_trace(task.predictions[row], (clip.context_frames, len(frames))))


def file_name(mark: str, prediction: bool, row: str, sources: dict[str, str]) -> str:
    """A floor or ceiling is decided by what it is; a prediction by its files, whatever the row is called."""
    content = [mark, "prediction" if prediction else row, sources]
    return f"{value_hash([content])}.json"


def write_scores(file: Path, content: dict[str, Any]) -> None:
    """Whole or not at all; raises OutputError."""
    with replacing(file) as beside:
        beside.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False), encoding="utf-8")


def read_scores(file: Path) -> ClipScores | str | None:
    """Scores, or why the row has no video of the clip; None where there is no such file, or a damaged one."""
    try:
        content = read_object(file, OutOfSightError)
        return str(content["not_measured"]) if "not_measured" in content else ClipScores.from_json(content["scores"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


_worker: Worker | None = None


def start_process(bench: Bench) -> None:
    """What each process runs first."""
    global _worker
    if bench.folders != NetworkFolders():
        from transformers.utils import logging

        logging.disable_progress_bar()  # it would be drawn over the bar of the run
    torch.set_num_threads(1)
    _worker = Worker(bench, bench.networks())


def work(task: Task) -> Done:
    assert _worker is not None
    return _worker(task)
