"""All runs of a study, one after the other or several at once, and the clips they need."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..processes import in_processes
from ..training.trainer import TrainingInterrupted
from .rows import Run
from .run import Study, finish, measure_floors
from .values import FLOORS

Report = Callable[[str, str, int, int], None]  # run, what is being done, how much of it, of how much


def run_study(study: Study, runs: Sequence[Run], *, jobs: int = 1, report: Report | None = None) -> int:
    """Finish every run whose values are not there yet, and the trivial answers; returns how many were run.

    Args:
        jobs: runs at once, each on one CPU thread where there are several.
        report: called as they go on.

    Raises:
        StudyError: values that are there were made with other settings or on other clips; nothing is begun.
        TrainingInterrupted: Ctrl-C; every run keeps what it has done, and the same call goes on.
        DatasetError, TrainingError, OutputError: see ``training.train``.
    """
    if jobs < 1:
        raise StudyError(f"jobs is {jobs}, expected 1 or more")
    left: list[Run | None] = [run for run in runs if not study.done(run)]
    if not (study.values / f"{FLOORS}.json").is_file():
        left.append(None)
    if jobs == 1:
        for run in left:
            _do(study, report, run)
    else:
        with _gathering(report) as messages:
            for _ in in_processes(_work, left, jobs, _start, (study, messages)):
                pass
    return sum(run is not None for run in left)


def _do(study: Study, report: Report | None, run: Run | None) -> str:
    name = FLOORS if run is None else run.name
    told = None if report is None else partial(report, name)
    if run is None:
        measure_floors(study, told)
    elif not study.done(run):  # by another process meanwhile
        finish(study, run, told)
    return name


# --- in processes -----------------------------------------------------------------------------------------------


@dataclass
class _Process:
    """What a worker process knows."""

    study: Study
    messages: Any
    stopped: bool = False


_process: _Process | None = None


def _start(study: Study, messages: Any) -> None:
    import torch

    global _process
    torch.set_num_threads(1)
    _process = _Process(study, messages)


def _work(run: Run | None) -> str:
    assert _process is not None
    if _process.stopped:  # the pool hands out what it had queued before it was closed
        raise TrainingInterrupted("stopped")
    try:
        return _do(_process.study, lambda *told: _process.messages.put(told), run)
    except TrainingInterrupted:
        _process.stopped = True
        raise


@contextmanager
def _gathering(report: Report | None) -> Iterator[Any]:
    """A queue whose messages reach ``report`` on a thread of this process."""
    messages: Any = multiprocessing.get_context("spawn").Queue()
    ended = threading.Event()

    def listen() -> None:
        while not ended.is_set():
            try:
                told = messages.get(timeout=0.2)
            except queue.Empty:
                continue
            if report is not None:
                report(*told)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield messages
    finally:
        ended.set()
        listener.join()
        messages.close()


def unfinished(folder: Path, done: Sequence[str]) -> dict[str, int]:
    """Runs that were begun in a folder and have no values yet, by name, with their steps."""
    from ..training.checkpointing import latest_checkpoint

    found = {}
    for place in sorted(folder.glob("*-seed*")) if folder.is_dir() else ():
        if place.name not in done and place.is_dir():
            checkpoint = latest_checkpoint(place)
            found[place.name] = 0 if checkpoint is None else checkpoint.step
    return found
