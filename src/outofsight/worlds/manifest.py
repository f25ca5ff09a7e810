"""manifest.jsonl: one row per finished clip, and worlds.json: what the folder was made with.

Rows are appended as clips finish, in any order; when a run ends they are sorted by number and the caption file is
written anew in the same order, so that every run ends in the same files, interrupted or not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import OutputError, WorldsError
from ..io import reason, replacing, sha256_file

Row = dict[str, Any]
SETTINGS_FILE, MANIFEST_FILE = "worlds.json", "manifest.jsonl"
_FORMAT = 1


@dataclass(frozen=True)
class Settings:
    """What decides the bytes of every clip of a folder (how many there are is not part of it)."""

    seed: int
    preset: str
    split: str
    mix: str
    subjects: int | None
    fates: bool

    def words(self) -> str:
        fates = "--fates" if self.fates else "--no-fates"
        count = f" --subjects {self.subjects}" if self.subjects else ""
        return f"--seed {self.seed} --preset {self.preset} --split {self.split} --mix {self.mix}{count} {fates}"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): sha256_file(file) for file in files}


def open_folder(out: Path, settings: Settings, version: int) -> None:
    """Make a run's folder, or check that the one that is there was made with the same settings.

    Raises WorldsError where it was not, and OutputError where it holds something else or cannot be written to.
    """
    file = out / SETTINGS_FILE
    content = {"format": _FORMAT, "plan_version": version, "settings": asdict(settings)}
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            theirs = Settings(**found["settings"])
        except (ValueError, KeyError, TypeError, OSError) as cause:
            raise OutputError(f"{file}: no settings of a worlds folder ({cause}); give another --out") from cause
        if theirs != settings or (found.get("format"), found.get("plan_version")) != (_FORMAT, version):
            raise WorldsError(
                f"{out} was made with other settings, and clips of two kinds do not mix.\n  there: {theirs.words()} "
                f"(plan version {found.get('plan_version')})\n  asked: {settings.words()} (plan version {version})\n"
                "Give another --out, or the same settings to go on with it."
            )
        return
    if out.is_dir() and any(entry for entry in out.iterdir() if entry.name != ".lock"):
        raise OutputError(f"{out}: the folder is not empty and holds no {SETTINGS_FILE}; give another --out")
    with replacing(file) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_rows(out: Path) -> dict[int, Row]:
    """Rows by clip number; half a last line, of a killed run, is left out."""
    file = out / MANIFEST_FILE
    rows: dict[int, Row] = {}
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                rows[int(row["index"])] = row
            except (ValueError, KeyError, TypeError):
                continue
    return rows


def verified(out: Path, data: str, making: str, rows: dict[int, Row]) -> dict[int, Row]:
    """The rows whose clips lie there whole; everything else in the folders is removed."""
    shutil.rmtree(out / making, ignore_errors=True)
    whole = {}
    for index, row in rows.items():
        folder = out / data / str(row.get("name"))
        if folder.is_dir() and checksums(folder) == row.get("files"):
            whole[index] = row
    names = {row["name"] for row in whole.values()}
    if (out / data).is_dir():
        for folder in (out / data).iterdir():
            if folder.is_dir() and folder.name not in names:
                shutil.rmtree(folder)
    return whole


def append_row(out: Path, data: str, row: Row) -> None:
    """Add a finished clip to the manifest and the caption file."""
    try:
        (out / data).mkdir(parents=True, exist_ok=True)
        with (out / data / "caption.txt").open("a", encoding="utf-8") as file:
            file.write(_caption_line(row))
        with (out / MANIFEST_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as cause:
        raise OutputError(f"{out / MANIFEST_FILE}: cannot be written ({reason(cause)})") from cause


def write_rows(out: Path, data: str, rows: Sequence[Row]) -> None:
    """Write manifest and caption file whole, in the order of the clips."""
    ordered = sorted(rows, key=lambda row: int(row["index"]))
    with replacing(out / MANIFEST_FILE) as beside:
        beside.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ordered), encoding="utf-8")
    if ordered:
        with replacing(out / data / "caption.txt") as beside:
            beside.write_text("".join(_caption_line(row) for row in ordered), encoding="utf-8")


def _caption_line(row: Row) -> str:
    return f"{row['name']}/tgt.mp4\t{row['caption']}\n"
