"""Many clips: worker processes, resume, and what is said meanwhile.

Workers make and write whole clips; the parent alone writes the manifest. Clips depend on their number only, so the
files are the same whatever the number of workers.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import WorldsError
from ..io import locked
from ..processes import in_processes
from . import manifest
from .generate import DATA, MAKING, Seconds, row_of, write
from .makers import Maker, check_settings, maker_of, version_of
from .manifest import Row, Settings

Report = Callable[[Row, Seconds], None]
# (settings, numbers of clips, folder, workers) -> rows as clips are finished, in any order
Source = Callable[[Settings, list[int], Path, int], Iterator[tuple[Row, Seconds]]]


@dataclass
class Outcome:
    """What a run came to: rows of all clips that are there now, how many were there before, folders beside them that
    are not the run's, and seconds spent."""

    rows: list[Row]
    kept: int
    foreign: tuple[str, ...] = ()
    seconds: Seconds = field(default_factory=Seconds)


def check(settings: Settings, clips: int) -> None:
    """Raises WorldsError for what cannot be made, before anything is written."""
    if clips < 1:
        raise WorldsError(f"--clips {clips}: nothing to make; give at least 1")
    check_settings(settings)


def make_clips(
    settings: Settings,
    clips: int,
    out: Path,
    *,
    workers: int = 1,
    report: Report | None = None,
    source: Source | None = None,
) -> Outcome:
    """Make clips 0 .. clips - 1 in out/HM-World/, resuming with what is there.

    report: called with each new clip's row and the seconds it took. source: what makes the clips; processes of this
    machine by default (ray_job has another). Raises WorldsError and OutputError; on an error or
    Ctrl-C what is finished stays, and the same call resumes with it.
    """
    check(settings, clips)
    if workers < 1:
        raise WorldsError(f"--workers {workers}: expected at least 1")
    with locked(out):
        manifest.open_folder(out, settings, version_of(settings))
        rows = manifest.verified(out, DATA, MAKING, manifest.read_rows(out, DATA, settings), settings)
        beyond = sorted(index for index in rows if index >= clips)
        if beyond:
            raise WorldsError(
                f"{out} holds {len(rows)} clips already, up to number {beyond[-1]}, and {clips} are asked for: give "
                f"--clips {beyond[-1] + 1} or more, or another --out"
            )
        manifest.write_rows(out, DATA, list(rows.values()))
        outcome = Outcome([], len(rows), tuple(manifest.foreign_entries(out, DATA, settings)))
        todo = [index for index in range(clips) if index not in rows]
        try:
            for row, seconds in (source or _on_this_machine)(settings, todo, out, workers):
                manifest.append_row(out, DATA, row)
                rows[int(row["index"])] = row
                outcome.seconds.add(seconds)
                if report is not None:
                    report(row, seconds)
        finally:
            shutil.rmtree(out / MAKING, ignore_errors=True)
        outcome.rows = [rows[index] for index in sorted(rows)]
        manifest.write_rows(out, DATA, outcome.rows)
    return outcome


def make_one(maker: Maker, settings: Settings, index: int, out: Path) -> tuple[Row, Seconds]:
    """Make and write one clip; an unfinished or orphaned folder in its place is removed."""
    maker.seconds = Seconds()
    made = maker.make(settings, index)
    started = time.perf_counter()
    shutil.rmtree(out / DATA / made.clip.name, ignore_errors=True)
    row = row_of(made, write(made, out))
    maker.seconds.write += time.perf_counter() - started
    return row, maker.seconds


def _on_this_machine(settings: Settings, todo: list[int], out: Path, workers: int) -> Iterator[tuple[Row, Seconds]]:
    if not todo:
        return
    if workers == 1 or len(todo) == 1:
        with maker_of(settings) as maker:
            for index in todo:
                yield make_one(maker, settings, index, out)
        return
    yield from in_processes(_work, todo, min(workers, len(todo)), _start_worker, (settings, out))


_maker: Maker | None = None
_job: tuple[Settings, Path] | None = None


def _start_worker(settings: Settings, out: Path) -> None:
    global _job
    _job = settings, out


def _work(index: int) -> tuple[Row, Seconds]:
    global _maker
    assert _job is not None
    settings, out = _job
    if _maker is None:  # here and not at the start, so that its errors reach the parent
        _maker = maker_of(settings).__enter__()
    return make_one(_maker, settings, index, out)
