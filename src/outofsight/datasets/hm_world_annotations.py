"""HM-World's annotation files: check.json (who is in the frame) and character.json (where everyone is).

The schema of the released character.json is not public (spec/hm_world.md): what is not recognised is handed
back as it is, with a note, and nothing is guessed. Ours is an object under the key "outofsight", with a
version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..clips import SubjectTrack
from ..errors import LayoutError
from ..records import read_json

_KEY, _VERSION = "outofsight", 1
_UNITS = "positions: metres in the world of camera.json; heading: degrees; boxes: x0 y0 x1 y1 pixels"
_ARRAYS = ("positions", "heading", "boxes", "visible_pixels")
CONTEXT_CHECK, TARGET_CHECK = "cond_check", "tgt_check"


def characters_to_json(subjects: tuple[SubjectTrack, ...]) -> dict[str, Any]:
    """The content of our character.json: every array as lists, a box that is not seen as null."""
    entries = []
    for subject in subjects:
        entry: dict[str, Any] = {"id": subject.id, "attributes": dict(subject.attributes)}
        for name in _ARRAYS:
            array = getattr(subject, name)
            entry[name] = None if array is None else array.tolist()
        if subject.boxes is not None:
            unseen = np.isnan(subject.boxes).any(axis=1)
            entry["boxes"] = [None if out else box for box, out in zip(entry["boxes"], unseen.tolist(), strict=True)]
        entries.append(entry)
    return {_KEY: {"version": _VERSION, "units": _UNITS, "subjects": entries}}


def read_characters(file: Path) -> tuple[tuple[SubjectTrack, ...], Any, tuple[str, ...]]:
    """(subjects, None, ()) for our schema; ((), the file's content, a note) for any other.

    Raises LayoutError for a file that is no JSON or that breaks our own schema.
    """
    content = read_json(file, LayoutError)
    if not isinstance(content, dict) or not isinstance(content.get(_KEY), dict):
        keys = ", ".join(list(content)[:5]) if isinstance(content, dict) else type(content).__name__
        return (), content, (f"{file.name}: unknown schema, top-level keys {keys}; kept as it is in extras",)
    ours = content[_KEY]
    if ours.get("version") != _VERSION or not isinstance(ours.get("subjects"), list):
        raise LayoutError(
            f"{file}: subjects of version {ours.get('version')}; this outofsight reads version {_VERSION}: "
            "upgrade it, or write the clip again"
        )
    subjects = tuple(_subject(file, index, entry) for index, entry in enumerate(ours["subjects"]))
    ids = [subject.id for subject in subjects]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise LayoutError(f"{file}: two subjects have one id: {', '.join(twice)}")
    return subjects, None, ()


def _subject(file: Path, index: int, entry: Any) -> SubjectTrack:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise LayoutError(f"{file}: subject {index} has no id")
    arrays = {name: entry.get(name) for name in _ARRAYS}
    boxes = arrays["boxes"]
    if isinstance(boxes, list):
        arrays["boxes"] = [[np.nan] * 4 if box is None else box for box in boxes]
    try:
        return SubjectTrack(entry["id"], entry.get("attributes") or {}, **arrays)
    except LayoutError as cause:
        raise LayoutError(f"{file}: {cause}") from cause


def checks_to_json(subjects: tuple[SubjectTrack, ...], context_frames: int) -> dict[str, Any] | None:
    """The content of check.json in the released form; None where no subject's visibility is known.

    inFrame is the data set's flag, or, where there is none, whether any pixel of the subject is visible.
    """
    halves: dict[str, Any] = {CONTEXT_CHECK: {}, TARGET_CHECK: {}}
    for subject in subjects:
        if subject.in_frame is None and subject.visible_pixels is None:
            continue
        seen = subject.visible(by="visible_pixels" if subject.in_frame is None else "in_frame")
        for half, flags in ((CONTEXT_CHECK, seen[:context_frames]), (TARGET_CHECK, seen[context_frames:])):
            frames = [{"frame": frame, "inFrame": flag} for frame, flag in enumerate(flags.tolist())]
            halves[half][subject.id] = {subject.id: frames}
    return halves if halves[CONTEXT_CHECK] else None


def read_checks(file: Path, context: np.ndarray, target: np.ndarray) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """In-frame flags [F] over context and target by subject, and notes on what could not be used.

    context, target: the frames of the file's own counting that make up each half. The released form counts
    the frames of each half from 0; the raw form counts those of the raw video.
    """
    content = read_json(file, LayoutError)
    if not isinstance(content, dict):
        return {}, (f"{file.name}: unknown schema ({type(content).__name__}); not used",)
    notes: list[str] = []
    if CONTEXT_CHECK in content or TARGET_CHECK in content:
        halves = [
            _flags(file, content.get(CONTEXT_CHECK), context, notes),
            _flags(file, content.get(TARGET_CHECK), target, notes),
        ]
        flags = {name: np.concatenate([halves[0][name], halves[1][name]]) for name in halves[0].keys() & halves[1]}
        for name in sorted(halves[0].keys() ^ halves[1]):
            notes.append(f'{file.name}: "{name}" has flags for one half only; not used')
        return dict(sorted(flags.items())), tuple(notes)
    return _flags(file, content, np.concatenate([context, target]), notes), tuple(notes)


def _flags(file: Path, section: Any, frames: np.ndarray, notes: list[str]) -> dict[str, np.ndarray]:
    """{actor: {character: [{"frame": n, "inFrame": bool}]}} -> flags of `frames` by subject."""
    found = {}
    for name, entries in _leaves(section):
        if not isinstance(entries, list) or not all(_is_flag(entry) for entry in entries):
            notes.append(f'{file.name}: "{name}" is no list of {{"frame": n, "inFrame": bool}}; not used')
            continue
        by_frame = {entry["frame"]: entry["inFrame"] for entry in entries}
        missing = sorted(set(frames.tolist()) - by_frame.keys())
        if missing:
            notes.append(
                f'{file.name}: "{name}" has no flag for {len(missing)} of {len(frames)} frames '
                f"(first: {missing[0]}; its frames: {min(by_frame, default='none')} to "
                f"{max(by_frame, default='none')}); not used"
            )
            continue
        found[name] = np.array([by_frame[frame] for frame in frames.tolist()], dtype=np.bool_)
    return found


def _leaves(section: Any) -> Iterator[tuple[str, Any]]:
    for actor, characters in section.items() if isinstance(section, dict) else ():
        for character, entries in characters.items() if isinstance(characters, dict) else ((actor, characters),):
            yield (actor if character == actor else f"{actor}/{character}"), entries


def _is_flag(entry: Any) -> bool:
    return isinstance(entry, dict) and type(entry.get("frame")) is int and isinstance(entry.get("inFrame"), bool)


def with_checks(subjects: tuple[SubjectTrack, ...], flags: dict[str, np.ndarray]) -> tuple[SubjectTrack, ...]:
    """The subjects with their flags; a subject that only check.json knows is added, without positions."""
    known = {subject.id for subject in subjects}
    flagged = tuple(replace(subject, in_frame=flags.get(subject.id)) for subject in subjects)
    return flagged + tuple(SubjectTrack(name, in_frame=seen) for name, seen in flags.items() if name not in known)
