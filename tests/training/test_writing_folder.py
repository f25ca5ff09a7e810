"""A folder is there whole or not at all, and the one before stays until the new one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from outofsight.errors import OutputError
from outofsight.training.checkpointing import writing_folder


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "new" / "part"
    for text in ("first", "second"):
        with writing_folder(place) as made:
            (made / text).write_text(text)
            assert not (place / text).exists()
        assert [file.name for file in place.iterdir()] == [text]
    assert [file.name for file in place.parent.iterdir()] == ["part"]


def _fail_half_way(place: Path, error: BaseException) -> None:
    with writing_folder(place) as made:
        (made / "half").write_text("half")
        raise error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("broken"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    place = tmp_path / "part"
    place.mkdir()
    (place / "old").write_text("old")
    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as told:
        _fail_half_way(place, error)
    assert expected is not OutputError or "the disk is full; nothing of it was kept" in str(told.value)
    assert [file.name for file in tmp_path.iterdir()] == ["part"] and (place / "old").read_text() == "old"


def test_errors_of_the_writing_library_count_where_they_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"), writing_folder(tmp_path / "part", ValueError):
        raise ValueError("broken")
