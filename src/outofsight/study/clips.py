"""The clips of a study, made and encoded where they are not there yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import StudyError
from ..training.dataset import LatentDataset
from ..training.encode import EncodeOptions, encode_clips
from ..training.shards import INDEX
from ..worlds.manifest import Settings
from ..worlds.runner import make_clips

TRAIN, TEST = "train", "test"
SEEDS = {TRAIN: 100, TEST: 9}

Progress = Callable[[str, int, int], None]  # what is being done, how much of it, of how much


def prepare(out: Path, model: str, split: str, count: int, *, workers: int, report: Progress | None = None) -> Path:
    """Clips in out/SPLIT and their latents in out/latents/SPLIT, which is returned.

    Train and test have no scene and no subject in common; test clips have fates. What is there stays; after a stop the
    same call resumes.

    Args:
        model: whose VAE and text encoder encode. split: "train" or "test". count: of clips.

    Raises:
        StudyError: another number of clips is there. What ``worlds`` and ``encode`` raise.
    """
    latents = out / "latents" / split
    if (latents / INDEX).is_file():
        known = len(LatentDataset(latents))
        if known != count:
            raise StudyError(
                f"{latents} holds {known} clips and {count} are asked for: give --{split}-count {known}, or another "
                "--out"
            )
        return latents
    made = _Counting(report, f"{split} clips", count)
    settings = Settings(SEEDS[split], "tiny", split, "re-entry", None, split == TEST)
    make_clips(settings, count, out / split, workers=workers, report=lambda *_: made())
    encoded = _Counting(report, f"encoding {split} clips", count)
    encode_clips(
        [out / split],
        latents,
        EncodeOptions(model, render=False),
        workers=workers,
        report=lambda done, _: encoded(done.clips),
    )
    return latents


class _Counting:
    """Counts what is done and reports it."""

    def __init__(self, report: Progress | None, what: str, of: int) -> None:
        self.report, self.what, self.of, self.done = report, what, of, 0

    def __call__(self, more: int = 1) -> None:
        self.done += more
        if self.report is not None:
            self.report(self.what, self.done, self.of)
