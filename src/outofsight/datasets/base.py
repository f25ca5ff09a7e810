"""Readers of clips on disk: one a layout, told apart by what lies in the folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..clips import Clip
from ..errors import LayoutError


@dataclass(frozen=True)
class LayoutReport:
    """A folder's layout (a reader's name), where its samples lie, and their names."""

    kind: str
    root: Path
    samples: tuple[str, ...]


@dataclass(frozen=True)
class Reader:
    """How one layout is told and read.

    Args:
        name: of the layout.
        layout: in words, for errors: what lies where.
        find: the report of a folder that has this layout, else None; it looks at names and opens no file.
        open: what reads a clip by its name, for a report's root; what clips share (captions) is read once.
    """

    name: str
    layout: str
    find: Callable[[Path], LayoutReport | None]
    open: Callable[[Path], Callable[[str], Clip]]


READERS: dict[str, Reader] = {}  # in the order in which folders are tried


def register_reader(reader: Reader) -> Reader:
    """Make a layout known, after those that are. Raises LayoutError where its name is taken."""
    if READERS.get(reader.name, reader) != reader:
        raise LayoutError(f"a reader named {reader.name!r} is registered already: give yours another name")
    READERS[reader.name] = reader
    return reader


def detect_layout(path: str | os.PathLike[str]) -> LayoutReport:
    """Tell the layout of a data folder or of a single sample's folder.

    Raises LayoutError, which lists what was found and what each layout needs.
    """
    root = Path(os.path.realpath(path))  # a loop of links is no folder, and no error of its own
    layouts = "; ".join(f"{reader.name}: {reader.layout}" for reader in READERS.values())
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise LayoutError(f"{path}: {what}; expected a folder of one of these layouts. {layouts}")
    for reader in READERS.values():
        report = reader.find(root)
        if report is not None:
            return report
    raise LayoutError(f"{path}: no known layout; it holds {listing(root)}. Layouts: {layouts}")


def read_clip(path: str | os.PathLike[str], name: str | None = None) -> Clip:
    """Read one clip: a sample's folder, or a data folder and the sample's name.

    Cameras and annotations are read now, videos and masks when they are asked for. What an annotation file
    holds beyond the known forms is told in `clip.notes` and kept in `clip.extras`. Raises LayoutError (files
    missing, counts that do not fit), CameraError and VideoError.
    """
    report = detect_layout(path)
    if name is None and len(report.samples) > 1:
        raise LayoutError(f"{path}: it holds {len(report.samples)} clips; give the name of one: {some_names(report)}")
    chosen = report.samples[0] if name is None else name
    if chosen not in report.samples:
        raise LayoutError(f'{path}: no clip "{chosen}" in this {report.kind} layout; it holds {some_names(report)}')
    return READERS[report.kind].open(report.root)(chosen)


def iterate_clips(root: str | os.PathLike[str], names: Sequence[str] | None = None) -> Iterator[Clip]:
    """Every clip of a data folder, in the order of the names, or those named in the order given; errors as
    `read_clip`, when a clip's turn comes.
    """
    report = detect_layout(root)
    unknown = set(names or ()) - set(report.samples)
    if unknown:
        raise LayoutError(f"{root}: no clip {', '.join(sorted(unknown)[:8])}; it holds {some_names(report)}")
    read = READERS[report.kind].open(report.root)
    for name in report.samples if names is None else names:
        yield read(name)


def listing(folder: Path, count: int = 8) -> str:
    """What a folder holds, in words."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in os.scandir(folder))
    return (", ".join(names[:count]) or "nothing") + (f", ... ({len(names)} in all)" if len(names) > count else "")


def some_names(report: LayoutReport, count: int = 8) -> str:
    """The first names of a folder's clips."""
    more = f", ... ({len(report.samples)} in all)" if len(report.samples) > count else ""
    return ", ".join(report.samples[:count]) + more
