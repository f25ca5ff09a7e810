"""manifest.jsonl: one row per finished clip, and worlds.json: what the folder was made with.

Rows are appended as clips finish, in any order; when a run ends they are sorted by number and the caption file is
written again in the same order, so that every run ends in the same files, interrupted or not.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval
from typing_extensions import TypedDict

from ..errors import OutputError, WorldsError
from ..io import reason, replacing, sha256_file
from ..records import fitted, parse_json, read_object

Row = dict[str, Any]
SETTINGS_FILE, MANIFEST_FILE = "worlds.json", "manifest.jsonl"
_FORMAT = 1
# the files of a clip that a killed run finished and did not list yet
_WRITTEN = (
    *(f"{name}.mp4" for name in ("cond", "tgt", "cond_mask", "tgt_mask", "fates/vanished", "fates/frozen")),
    *(f"{name}.json" for name in ("extras", "camera", "character", "check", "world")),
    *("instance_masks.npz", "fates/frozen_masks.npz"),
)


@dataclass(frozen=True)
class Settings:
    """What decides the bytes of every clip of a folder (how many there are is not part of it)."""

    seed: int
    preset: str
    split: str
    mix: str
    subjects: int | None
    fates: bool

    def clip_name(self, index: int) -> str:
        """As ``plan.ClipPlan.name``."""
        return f"{self.split}-{self.seed}-{index:06d}"

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
        found = read_object(file, OutputError, "give another --out")
        theirs = fitted(Settings, found.get("settings"), f"{file}: settings", OutputError, "give another --out")
        if theirs != settings or (found.get("format"), found.get("plan_version")) != (_FORMAT, version):
            raise WorldsError(
                f"{out} was made with other settings, and clips of two kinds do not mix.\n  there: {theirs.words()} "
                f"(plan version {found.get('plan_version')})\n  asked: {settings.words()} (plan version {version})\n"
                "Give another --out, or the same settings to resume it."
            )
        return
    if out.is_dir() and any(entry for entry in out.iterdir() if entry.name != ".lock"):
        raise OutputError(f"{out}: the folder is not empty and holds no {SETTINGS_FILE}; give another --out")
    with replacing(file) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (out / MANIFEST_FILE).touch()  # from now on a folder without one has lost it


class _Row(TypedDict):
    """What the package itself reads of a row."""

    __pydantic_config__ = {"extra": "allow"}  # type: ignore[misc]  # noqa: RUF012

    index: Annotated[int, Interval(ge=0, lt=1_000_000_000)]
    name: str
    caption: str
    files: dict[str, str]


def read_rows(out: Path, data: str, settings: Settings) -> dict[int, Row]:
    """Rows by clip number; half a last line, of a killed run, is left out.

    Raises:
        OutputError: there are clips of this run and no manifest, or one that is damaged: nothing is touched then.
    """
    file = out / MANIFEST_FILE
    remedy = f"put {MANIFEST_FILE} back, or, to have all clips made again, move {out / data} away. Nothing was changed"
    if not file.is_file():
        orphans = _own_folders(out / data, settings)
        if orphans or file.exists():
            what = "is not a file" if file.exists() else "is missing"
            shown = ", ".join(folder.name for folder in orphans[:3])
            raise OutputError(
                f"{file} {what}, and {out / data} holds {len(orphans)} clips that it should list ({shown} ...): "
                f"{remedy}"
            )
        return {}
    return listed_rows(out, settings, remedy)


def listed_rows(out: Path, settings: Settings | None = None, remedy: str = "make the clips again") -> dict[int, Row]:
    """Rows of a folder's manifest by clip number; half a last line is left out. settings: of the run that made it,
    whose names the clips must bear; None asks nothing of them.

    Raises:
        OutputError: no manifest, or one that is damaged; ``remedy`` says what to do.
    """
    file = out / MANIFEST_FILE
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as cause:
        raise OutputError(f"{file}: cannot be read ({cause}); {remedy}") from cause
    rows: dict[int, Row] = {}
    for number, line in enumerate(lines[:-1], start=1):  # a whole line ends in a newline
        where = f"{file}, line {number}"
        row = parse_json(line, where, OutputError, remedy)
        fitted(_Row, row, where, OutputError, remedy)  # only checked: its keys keep their order
        if settings is not None and row["name"] != settings.clip_name(row["index"]):
            raise OutputError(
                f"{where}: clip {row['index']} is called {row['name']!r}, expected "
                f"{settings.clip_name(row['index'])!r}; {remedy}"
            )
        rows[row["index"]] = row
    return rows


def _own_folders(data: Path, settings: Settings) -> list[Path]:
    """Folders that bear a name which this run gives."""
    own = re.compile(re.escape(f"{settings.split}-{settings.seed}-") + r"\d{6,}")
    return sorted(folder for folder in data.glob("*") if own.fullmatch(folder.name) and folder.is_dir())


def verified(out: Path, data: str, making: str, rows: dict[int, Row], settings: Settings) -> dict[int, Row]:
    """The rows whose clips are there and whole. This run's own clips that are not are removed, to be made again;
    whatever else is there stays.

    Raises:
        OutputError: a clip is not whole and holds something that this run did not make (a link, further files).
    """
    whole = {
        index: row
        for index, row in rows.items()
        if (out / data / row["name"]).is_dir() and not _changed(out / data / row["name"], row["files"])
    }
    names = {row["name"] for row in whole.values()}
    listed = {row["name"]: row["files"] for row in rows.values()}
    broken = [folder for folder in _own_folders(out / data, settings) if folder.name not in names]
    for folder in broken:
        _check_own(folder, listed.get(folder.name))
    shutil.rmtree(out / making, ignore_errors=True)
    for folder in broken:
        shutil.rmtree(folder)
    return whole


def _changed(folder: Path, files: dict[str, str]) -> bool:
    """Whether a listed file is missing or another one; further files do not count."""
    found = checksums(folder)
    return any(found.get(name) != digest for name, digest in files.items())


def _check_own(folder: Path, listed: dict[str, str] | None) -> None:
    """Raises OutputError where removing a clip's folder would remove what this package did not write there."""
    if folder.is_symlink():
        raise OutputError(
            f"{folder} is a link, and the clip it leads to is not whole: remove the link, or restore the clip"
        )
    inside = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    known = set(_WRITTEN if listed is None else listed)
    foreign = sorted(
        path.relative_to(folder).as_posix()
        for path in inside
        if path.is_symlink() or path.relative_to(folder).as_posix() not in known
    )
    if listed is None and inside and not (folder / "world.json").is_file():
        raise OutputError(
            f"{folder} has the name of one of this run's clips and no world.json, so it is not one: move it away"
        )
    if foreign:
        raise OutputError(
            f"{folder} is not whole, and holds what 'outofsight worlds' did not make ({', '.join(foreign[:4])}): move "
            "that away; then the clip is made again"
        )


def foreign_entries(out: Path, data: str, settings: Settings) -> list[str]:
    """Names of folders beside the run's clips that are not of this run; nothing touches them."""
    own = {folder.name for folder in _own_folders(out / data, settings)}
    return sorted(entry.name for entry in (out / data).glob("*") if entry.is_dir() and entry.name not in own)


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
    captions = out / data / "caption.txt"
    foreign = _foreign_captions(captions, {str(row["name"]) for row in rows})
    if ordered:
        with replacing(captions) as beside:
            beside.write_text("".join([*(_caption_line(row) for row in ordered), *foreign]), encoding="utf-8")


def _foreign_captions(file: Path, names: set[str]) -> list[str]:
    """Lines for folders that lie there and are no clips of the run: another program wrote them, and they stay."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [
        f"{line}\n"
        for line in lines
        if (name := line.split("/")[0]) not in names and name and (file.parent / name).is_dir()
    ]


def _caption_line(row: Row) -> str:
    return f"{row['name']}/tgt.mp4\t{row['caption']}\n"
