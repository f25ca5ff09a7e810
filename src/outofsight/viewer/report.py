"""Writing reports: a page for a run or for two side by side, or a page for each run of a folder and an index."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from ..errors import OutputError
from ..io import replacing
from .collect import ReadInputs, collect
from .data import Report
from .page import GENERATOR, render, render_index
from .runs import RunFiles, find_runs, one_run

SUFFIX, INDEX = ".html", "index.html"
_HEAD = 4096  # bytes of a page within which its maker is named


def write_reports(
    run: Path, other: Path | None, out: Path | None, read: ReadInputs, tell: Callable[[str], None] = lambda _: None
) -> Path:
    """Write the report of a run or a folder of runs; returns the page to open.

    Args:
        run: a video that ``generate`` made, its record, or a folder with such videos.
        other: a second run of the same clip, shown beside the first.
        out: the page (.html), or the folder for it; None: beside the run.
        read: reads again what a run was given.
        tell: called with the notes of each page and, of several, its name.

    Raises:
        LayoutError: no run, several where one is needed, or runs of different clips.
        OutputError: a place that cannot be written to, or a file there that is no report.
        VideoError: a video that cannot be read.
    """
    if other is not None:
        runs, rival = [one_run(run)], one_run(other)
    else:
        runs, rival = find_runs(run), None
    named = out is not None and out.suffix.lower() == SUFFIX and not out.is_dir()
    if named and len(runs) > 1:
        raise OutputError(f"{out}: {run} holds {len(runs)} runs, and each has its page; give a folder as --out")
    if out is not None and named:
        places = [out]
    else:
        folder = out if out is not None else runs[0].paths.video.parent
        places = [folder / _page_name(one, rival) for one in runs]
    index = places[0].parent / INDEX
    for place in places if len(runs) == 1 else [*places, index]:
        _check_replaceable(place)
    rows = []
    for one, place in zip(runs, places, strict=True):
        report = collect(one, rival, read)
        _write(place, render(report))
        for line in report.notes:
            tell(line)
        if len(runs) > 1:
            tell(f"{place}")
            rows.append(_index_row(report, place))
    if len(runs) == 1:
        return places[0]
    _write(index, render_index(f"{len(runs)} runs in {run.resolve().name}", "\n".join(rows)))
    return index


def _page_name(run: RunFiles, rival: RunFiles | None) -> str:
    return f"{run.name}{SUFFIX}" if rival is None else f"{run.name}-and-{rival.name}{SUFFIX}"


def _check_replaceable(place: Path) -> None:
    """A report may be written again; whatever else lies in its place stays. Raises OutputError."""
    if place.is_dir():
        raise OutputError(f"the output {place} is a folder, expected a file name ending in {SUFFIX}, or another folder")
    if not place.exists():
        return
    with place.open("rb") as file:
        head = file.read(_HEAD)
    if f'name="generator" content="{GENERATOR}"'.encode() not in head:
        raise OutputError(f"{place} is there and is no report of {GENERATOR}: give another --out, or remove it")


def _write(place: Path, text: str) -> None:
    with replacing(place) as beside:
        beside.write_text(text, encoding="utf-8")


def _index_row(report: Report, place: Path) -> str:
    """A list item: the middle frame of what was made, the run's name with a link, its clip and its scores."""
    run = report.runs[0]
    # the page's own row: head, then the run's
    scores = zip(report.scores[0][1:], report.scores[1][1:], strict=True) if report.scores else ()
    told = f"{html.escape(report.scores[0][0])}: " if report.scores else ""
    told += "; ".join(f"{html.escape(head)} {html.escape(cell)}" for head, cell in scores)
    name, clip, link = html.escape(run.name), html.escape(report.scene.name), html.escape(quote(place.name))
    picture = f'<img src="{run.thumbnail}" alt="">'
    return f'<li><a href="{link}">{picture}<span>{name}</span></a><p>{clip}</p><p>{told}</p></li>'
