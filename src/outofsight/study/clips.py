"""The clips of a study, made and encoded where they are not there yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..training.encode import EncodeOptions, encode_clips
from ..training.shards import INDEX
from ..worlds.manifest import Settings
from ..worlds.runner import make_clips

TRAIN_SEED, TEST_SEED = 100, 9
TRAIN, TEST = "train", "test"

Report = Callable[[str, int, int], None]  # what is being done, how much of it, of how much


def prepare(out: Path, model: str, *, train: int, test: int, workers: int, report: Report | None = None) -> None:
    """Clips in out/train and out/test, their latents in out/latents/train and out/latents/test.

    Train and test have no scene and no subject in common. What is there stays; after a stop the same call goes on.

    Args:
        model: whose VAE and text encoder encode. train, test: how many clips.

    Raises what ``worlds`` and ``encode`` raise.
    """
    for split, seed, count in ((TRAIN, TRAIN_SEED, train), (TEST, TEST_SEED, test)):
        latents = out / "latents" / split
        if (latents / INDEX).is_file():
            continue
        told = _Counting(report, f"{split} clips", count)
        settings = Settings(seed, "tiny", split, "re-entry", None, split == TEST)
        make_clips(settings, count, out / split, workers=workers, report=lambda *_: told())  # noqa: B023
        encoded = _Counting(report, f"encoding {split} clips", count)
        options = EncodeOptions(model=model, precision="bfloat16" if split == TRAIN else "float32")
        encode_clips([out / split], latents, options, workers=workers, report=lambda done, _: encoded(done.clips))  # noqa: B023


class _Counting:
    """Counts what is done and tells it."""

    def __init__(self, report: Report | None, what: str, of: int) -> None:
        self.report, self.what, self.of, self.done = report, what, of, 0

    def __call__(self, more: int = 1) -> None:
        self.done += more
        if self.report is not None:
            self.report(self.what, self.done, self.of)


def cores() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0))
