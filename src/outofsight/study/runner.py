"""All runs of a study, one after the other or several at once."""

from __future__ import annotations

import multiprocessing
import queue
import re
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..io import replacing
from ..processes import in_processes
from .rows import Run
from .run import Study, finish, measure_floors
from .values import FLOORS, value_file

FAILED = "failed.txt"
Report = Callable[[str, str, int, int], None]  # run, what is being done, how much of it, of how much


@dataclass
class Outcome:
    """Runs that were finished, and those that cannot be, with the reason."""

    made: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, fault: str | None) -> None:
        if fault is not None:
            self.failed[name] = fault
        elif name != FLOORS:
            self.made.append(name)


def run_study(study: Study, runs: Sequence[Run], *, jobs: int = 1, report: Report | None = None) -> Outcome:
    """Finish every run whose values are not there yet, and the baselines. One that fails stops no other.

    Args:
        jobs: runs at once, each on one CPU thread where there are several.
        report: called as they proceed.

    Raises:
        StudyError, TrainingError, DatasetError: what is asked for cannot be, or not beside the values that are there;
            nothing is begun.
        KeyboardInterrupt: Ctrl-C; every run keeps what it has done, and the same call resumes.
        OutputError: nothing can be written.
    """
    if jobs < 1:
        raise StudyError(f"jobs is {jobs}, expected 1 or more")
    study.check(runs)
    left: list[Run | None] = [run for run in runs if not study.done(run)]
    if not value_file(study.values, FLOORS).is_file():
        left.append(None)
    outcome = Outcome()
    if jobs == 1 or len(left) < 2:
        for run in left:
            outcome.add(*_do(study, report, run))
        return outcome
    with _gathering(report) as messages:
        for name, fault in in_processes(_work, left, min(jobs, len(left)), _start, (study, messages)):
            outcome.add(name, fault)
    return outcome


def _do(study: Study, report: Report | None, run: Run | None) -> tuple[str, str | None]:
    """Its name, and why it failed."""
    name = FLOORS if run is None else run.name
    told = None if report is None else partial(report, name)
    if run is None:
        measure_floors(study, told)
    elif not study.done(run):  # by another process meanwhile
        mark = study.runs / run.name / FAILED
        mark.unlink(missing_ok=True)
        try:
            finish(study, run, told)
        except StudyError as error:
            with replacing(mark) as beside:
                beside.write_text(f"{error}\n", encoding="utf-8")
            return name, str(error)
    return name, None


def unfinished(folder: Path, done: Collection[str]) -> dict[str, str]:
    """Runs that were begun in a folder and have no values yet, by name: how far they came, in words."""
    found = {}
    for place in sorted(folder.glob("*-seed*")) if folder.is_dir() else ():
        if place.name in done or not place.is_dir():
            continue
        steps = [re.fullmatch(r"step-(\d+)", kept.name) for kept in (place / "checkpoints").glob("step-*")]
        came = max((int(step.group(1)) for step in steps if step), default=0)
        found[place.name] = f"{'failed' if (place / FAILED).is_file() else 'begun'}, {came} steps"
    return found


# --- in processes -----------------------------------------------------------------------------------------------


@dataclass
class _Process:
    """What a worker process knows."""

    study: Study
    messages: Any
    stopped: bool = False


_process: _Process | None = None


def _start(study: Study, messages: Any) -> None:
    """The parent alone hears Ctrl-C (see processes.py); it asks by SIGTERM, which must not kill at once."""
    import torch
    from transformers.utils import logging

    global _process
    logging.disable_progress_bar()  # several processes would write over one another
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, _stop)
    _process = _Process(study, messages)


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt("stopped")


def _work(run: Run | None) -> tuple[str, str | None]:
    assert _process is not None
    if _process.stopped:  # the pool hands out what it had queued before it was closed
        raise KeyboardInterrupt("stopped")
    try:
        return _do(_process.study, lambda *told: _process.messages.put(told), run)
    except KeyboardInterrupt:
        _process.stopped = True
        raise


@contextmanager
def _gathering(report: Report | None) -> Iterator[Any]:
    """A queue whose messages reach ``report`` on a thread of this process, all of them before the block ends."""
    messages: Any = multiprocessing.get_context("spawn").Queue()
    ended = threading.Event()

    def listen() -> None:
        while True:
            try:
                told = messages.get(timeout=0.2)
            except queue.Empty:
                if ended.is_set():
                    return
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
