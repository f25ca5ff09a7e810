"""A study makes its own clips and latents, and goes on with what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from outofsight.errors import StudyError, WorldsError
from outofsight.study.clips import prepare
from outofsight.training.dataset import LatentDataset


def test_clips_and_latents_are_made_once(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    try:
        latents = prepare(tmp_path, "tiny", "test", 1, workers=1, report=lambda *each: told.append(each))
    except WorldsError as error:
        pytest.skip(f"cannot render here: {error}")
    assert told == [("test clips", 1, 1), ("encoding test clips", 1, 1)]
    assert latents == tmp_path / "latents" / "test"
    assert [clip.name for clip in LatentDataset(latents).clips] == ["test-9-000000"]
    assert len(list((tmp_path / "test").rglob("vanished.mp4"))) == 1  # what is judged by
    told.clear()
    assert prepare(tmp_path, "tiny", "test", 1, workers=1, report=lambda *each: told.append(each)) == latents
    assert told == []
    with pytest.raises(StudyError, match=r"holds 1 clips and 2 are asked for: give --test-count 1"):
        prepare(tmp_path, "tiny", "test", 2, workers=1)
