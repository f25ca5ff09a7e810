"""The clips to encode: where they lie, whether their files are whole, and what identifies each."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import TypedDict

from ..clips import Clip, InstanceMasks, RedMasks, VideoFile
from ..datasets import detect_layout, iterate_clips
from ..datasets.world_extras import FATES, read_world
from ..errors import DatasetError
from ..fingerprints import value_hash
from ..io import sha256_file
from ..records import fitted, parse_json

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Source:
    """One clip on disk: the data folder's root (that of its layout) and the clip's name in it."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.root / self.name


def list_clips(folders: Sequence[Path]) -> list[Source]:
    """The clips of these folders, folder by folder, in the order of their names.

    Raises:
        LayoutError: a folder of no known layout. DatasetError: no folder, or two clips of one name.
    """
    if not folders:
        raise DatasetError("no folder of clips was given")
    found: dict[str, Source] = {}
    for folder in folders:
        report = detect_layout(folder)
        for name in report.samples:
            source = Source(report.root, name)
            if name in found:
                raise DatasetError(
                    f'two clips are called "{name}": in {found[name].root} and in {report.root}; encode the folders '
                    "to different places"
                )
            found[name] = source
    return list(found.values())


def read_sources(sources: Sequence[Source]) -> Iterator[Clip]:
    """The clips, each held against its folder's manifest before it is read; see :func:`check_files`."""
    for root, group in itertools.groupby(sources, key=lambda source: source.root):
        named = list(group)
        for source in named:
            check_files(source)
        yield from iterate_clips(root, [source.name for source in named])


def check_files(source: Source) -> None:
    """Hold a generated clip's files against the checksums of its manifest; data without a manifest is not checked.

    The fates, which training does not read, are left out.

    Raises:
        DatasetError: a file is missing or another one, or the manifest does not know the clip.
    """
    manifest = source.root.parent / MANIFEST
    if not manifest.is_file():
        return
    listed = _manifest(manifest, manifest.stat().st_mtime_ns).get(source.name)
    if listed is None:
        raise DatasetError(
            f"{source.folder} is not in {manifest}: either the run that made it has not ended well, then the same "
            "'outofsight worlds' makes it again; or it is a clip of yours, then move it to a folder of its own"
        )
    for name, digest in listed.items():
        if name.startswith(f"{FATES}/"):
            continue
        file = source.folder / name
        if not file.is_file() or sha256_file(file) != digest:
            what = "is missing" if not file.is_file() else "has changed since it was made (SHA-256 differs)"
            raise DatasetError(f"{file} {what}; run the same 'outofsight worlds' again, it replaces the clip")


@functools.lru_cache(maxsize=8)
def _manifest(file: Path, _modified: int) -> dict[str, dict[str, str]]:
    """Clip name -> its files' SHA-256 by name."""
    rows: dict[str, dict[str, str]] = {}
    remedy = "run 'outofsight worlds' again"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise DatasetError(f"{file}: cannot be read ({cause}); {remedy}") from cause
    for number, line in enumerate(lines, start=1):
        where = f"{file}, line {number}"
        row = fitted(_Listed, parse_json(line, where, DatasetError, remedy), where, DatasetError, remedy)
        rows[row["name"]] = row["files"]
    return rows


class _Listed(TypedDict):
    """What is read of a row of the manifest."""

    name: str
    files: dict[str, str]


def clip_digest(clip: Clip) -> str:
    """SHA-256 of what encoding reads of a clip: videos, masks, cameras, visibility, caption."""
    parts: list[str | bytes] = [f"{clip.name}\n{clip.caption}\n{clip.fps}\n"]
    for path in (clip.context_cameras, clip.target_cameras):
        parts += [f"{path.horizontal_fov} {path.frame_stride}\n", path.c2w.tobytes()]
        parts += [] if path.intrinsics is None else [path.intrinsics.tobytes()]
    for subject in clip.subjects:
        parts += ["-" if seen is None else seen.tobytes() for seen in (subject.visible_pixels, subject.in_frame)]
    files = [half.path for half in (clip.context, clip.target) if isinstance(half, VideoFile)]
    if isinstance(clip.masks, InstanceMasks):
        files.append(clip.masks.path)
    elif isinstance(clip.masks, RedMasks):
        files += [half.path for half in (clip.masks.context, clip.masks.target) if half is not None]
    return value_hash([*parts, *map(sha256_file, files)])


def world_kind(source: Source) -> str | None:
    """What a generated clip was planned to show ("re-entry", "occluded" ...); None for other data."""
    world = read_world(source.folder)
    return None if world is None else str(world["plan"]["kind"])
