"""A worlds folder: what the run made is mended, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from outofsight.errors import OutputError
from outofsight.worlds.manifest import (
    Settings,
    append_row,
    checksums,
    foreign_entries,
    open_folder,
    read_rows,
    verified,
    write_rows,
)

DATA, MAKING = "HM-World", ".making"
CHOSEN = Settings(7, "tiny", "train", "re-entry", None, False)


def write_folder(folder: Path, name: str) -> Path:
    place = folder / DATA / name
    place.mkdir(parents=True)
    for file in ("tgt.mp4", "world.json", "camera.json"):
        (place / file).write_text(f"{file} of {name}")
    return place


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three finished clips of this run."""
    folder = tmp_path / "worlds"
    open_folder(folder, CHOSEN, 1)
    for index in range(3):
        name = CHOSEN.clip_name(index)
        files = checksums(write_folder(folder, name))
        row = {"name": name, "kind": "re-entry", "index": index, "caption": f"caption {index}", "files": files}
        append_row(folder, DATA, row)
    return folder


def check(out: Path) -> list[int]:
    rows = verified(out, DATA, MAKING, read_rows(out, DATA, CHOSEN), CHOSEN)
    write_rows(out, DATA, list(rows.values()))
    return sorted(rows)


def test_foreign_folders_and_captions_are_kept_and_named(out: Path) -> None:
    mine = write_folder(out, "mine")
    other = write_folder(out, "test-9-000032")
    (out / DATA / "away").mkdir()
    with (out / DATA / "caption.txt").open("a") as file:
        file.write("mine/tgt.mp4\tmy own words\n")
    before = checksums(out)
    assert check(out) == [0, 1, 2]
    assert checksums(out) == before and mine.is_dir() and other.is_dir()
    assert foreign_entries(out, DATA, CHOSEN) == ["away", "mine", "test-9-000032"]


def test_a_torn_clip_and_one_that_no_row_names_are_removed(out: Path) -> None:
    (out / DATA / CHOSEN.clip_name(1) / "tgt.mp4").write_text("torn")
    write_folder(out, CHOSEN.clip_name(7))
    (out / DATA / CHOSEN.clip_name(8)).mkdir()
    assert check(out) == [0, 2]
    assert sorted(p.name for p in (out / DATA).iterdir() if p.is_dir()) == [CHOSEN.clip_name(0), CHOSEN.clip_name(2)]


@pytest.mark.parametrize("loss", ["removed", "folder", "garbled", "binary"])
def test_without_a_manifest_nothing_is_touched(out: Path, loss: str) -> None:
    manifest = out / "manifest.jsonl"
    manifest.unlink()
    if loss == "folder":
        manifest.mkdir()
    elif loss == "garbled":
        manifest.write_text('{"index": 0}\n')
    elif loss == "binary":
        manifest.write_bytes(b"\xff\xfe\n")
    before = checksums(out)
    with pytest.raises(OutputError, match=r"manifest\.jsonl.*put manifest\.jsonl back.*Nothing was changed"):
        check(out)
    assert checksums(out) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"index": 1e400}, "too large|Infinity"),
        ({"index": -1}, "index is -1"),
        ({"index": "0"}, "index is '0'"),
        ({"name": "../../elsewhere"}, "called '../../elsewhere', expected 'train-7-000001'"),
        ({"files": ["tgt.mp4"]}, "files is"),
        ({"caption": None}, "caption is None"),
    ],
)
def test_rows_with_impossible_values_are_named(out: Path, change: dict[str, object], words: str) -> None:
    manifest = out / "manifest.jsonl"
    lines = manifest.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), **change})
    manifest.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(OutputError, match=rf"line 2.*({words})"):
        check(out)
    assert all((out / DATA / CHOSEN.clip_name(index)).is_dir() for index in range(3))


def test_links_are_never_followed_into_removal(out: Path, tmp_path: Path) -> None:
    place = out / DATA / CHOSEN.clip_name(0)
    elsewhere = shutil.move(place, tmp_path / "elsewhere")
    place.symlink_to(elsewhere)
    assert check(out) == [0, 1, 2]  # whole, wherever it lies
    (tmp_path / "elsewhere" / "tgt.mp4").write_text("torn")
    with pytest.raises(OutputError, match="is a link"):
        check(out)
    assert (tmp_path / "elsewhere" / "world.json").is_file() and place.is_symlink()
    place.unlink()
    (out / DATA / "mine").symlink_to(elsewhere)
    assert check(out) == [1, 2]
    assert (out / DATA / "mine").is_symlink() and foreign_entries(out, DATA, CHOSEN) == ["mine"]


def test_files_of_mine_in_a_clips_folder(out: Path) -> None:
    place = out / DATA / CHOSEN.clip_name(0)
    (place / "notes.txt").write_text("mine")
    assert check(out) == [0, 1, 2]
    (place / "tgt.mp4").unlink()
    with pytest.raises(OutputError, match=r"not whole.*notes\.txt.*move that away"):
        check(out)
    assert (place / "notes.txt").read_text() == "mine"
    folder = out / DATA / CHOSEN.clip_name(9)  # the name of a clip, and none
    folder.mkdir()
    (folder / "precious.txt").write_text("mine")
    (place / "notes.txt").unlink()
    with pytest.raises(OutputError, match=r"no world\.json"):
        check(out)
    assert (folder / "precious.txt").is_file()


def test_half_a_last_line_is_left_out(out: Path) -> None:
    with (out / "manifest.jsonl").open("a") as file:
        file.write('{"index": 3, "na')
    assert check(out) == [0, 1, 2]
