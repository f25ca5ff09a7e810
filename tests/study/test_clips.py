"""A study makes its own clips and latents, and goes on with what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from outofsight.errors import WorldsError
from outofsight.study.clips import prepare
from outofsight.training.dataset import LatentDataset


def test_clips_and_latents_are_made_once(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    try:
        prepare(tmp_path, "tiny", train=1, test=1, workers=1, report=lambda *each: told.append(each))
    except WorldsError as error:
        pytest.skip(f"cannot render here: {error}")
    assert ("train clips", 1, 1) in told and ("encoding test clips", 1, 1) in told
    names = {
        split: [clip.name for clip in LatentDataset(tmp_path / "latents" / split).clips] for split in ("train", "test")
    }
    assert names == {"train": ["train-100-000000"], "test": ["test-9-000000"]}
    fates = {split: list((tmp_path / split).rglob("vanished.mp4")) for split in names}
    assert len(fates["test"]) == 1 and not fates["train"]  # what is judged by, and no training clip needs
    told.clear()
    prepare(tmp_path, "tiny", train=1, test=1, workers=1, report=lambda *each: told.append(each))
    assert told == []
