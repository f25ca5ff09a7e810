"""Small clips on disk with a subject in them, and with their fates, for tests that encode and validate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from outofsight.clips import Clip, SubjectTrack
from outofsight.datasets import write_clip
from outofsight.video import write_video
from pipelines import FRAMES, HEIGHT, WIDTH, cameras, frames

CAPTIONS = ("a dog walks", "a hen", "a dog walks")


def write_data(
    root: Path, count: int = 3, size: tuple[int, int] = (HEIGHT, WIDTH), masks: bool = True, fates: bool = False
) -> Path:
    """Clips with one subject: in the left 8 columns; seen in frames 0-3 and from frame 12 on, of 18.

    fates: also the target without the subject (which is white), and with it in columns 8 to 15.
    """
    context, target = (replace(path, horizontal_fov=60.0) for path in cameras())
    seen = np.zeros(2 * FRAMES, int)
    seen[:4] = seen[12:] = size[0] * 8
    ids = np.zeros((2 * FRAMES, *size), np.uint8)
    ids[seen > 0, :, :8] = 1
    for number in range(count):
        videos = [frames(FRAMES, *size, seed=number + half) // 2 for half in (0, 50)]
        vanished = videos[1].copy()
        for video, half in zip(videos, (ids[:FRAMES], ids[FRAMES:]), strict=True):
            video[half > 0] = 255
        clip = Clip(
            f"clip-{number}", CAPTIONS[number % 3], context, target, *videos, fps=8.0,
            subjects=(SubjectTrack("dog", visible_pixels=seen),) if masks else (), masks=ids if masks else None,
        )  # fmt: skip
        folder = write_clip(clip, root)
        if fates:
            _write_fates(folder, vanished, clip.fps)
    return root / "HM-World"


def _write_fates(folder: Path, vanished: np.ndarray, fps: float) -> None:
    world = {"plan": {"kind": "re-entry"}, "fates": {"subjects": ["dog"]}}
    (folder / "world.json").write_text(json.dumps(world))
    place = folder / "fates"
    place.mkdir()
    frozen, held = vanished.copy(), np.zeros(vanished.shape[:3], np.uint8)
    held[:, :, 8:16] = 1
    frozen[held > 0] = 255
    write_video(place / "vanished.mp4", vanished, fps)
    write_video(place / "frozen.mp4", frozen, fps)
    np.savez_compressed(place / "frozen_masks.npz", ids=held)
