"""Contact sheets: a few frames of each clip, subjects outlined, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..clips import Clip
from ..datasets import read_clip
from ..io import replacing
from ..video import read_video
from .generate import DATA, FATES
from .manifest import Row

_COLOURS = np.array([[255, 210, 0], [0, 220, 255], [255, 90, 200]], dtype=np.uint8)
_GAP = 2
_TEXT_HEIGHT = 14


def outlined(frame: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The frame [H,W,3] with a line of one pixel around each subject of ids [H,W]."""
    drawn = frame.copy()
    for subject in np.unique(ids[ids > 0]):
        mask = np.pad(ids == subject, 1)
        grown = mask[1:-1, 1:-1] | mask[:-2, 1:-1] | mask[2:, 1:-1] | mask[1:-1, :-2] | mask[1:-1, 2:]
        drawn[grown & ~mask[1:-1, 1:-1]] = _COLOURS[(int(subject) - 1) % len(_COLOURS)]
    return drawn


def strip(clip: Clip, columns: int = 10) -> np.ndarray:
    """[H, columns * W, 3]: frames spread evenly over context and target, a white bar at the cut."""
    frames = np.concatenate([clip.context_video().frames, clip.target_video().frames])
    ids = clip.load_masks()
    chosen = np.linspace(0, len(frames) - 1, columns).round().astype(int)
    tiles = []
    previous = 0
    for frame in chosen.tolist():
        tile = outlined(frames[frame], ids[frame])
        bar = 255 if previous < clip.context_frames <= frame else 20
        tiles += [np.full((tile.shape[0], _GAP, 3), bar, dtype=np.uint8), tile]
        previous = frame
    return np.concatenate(tiles, axis=1)


def fates_strip(folder: Path, clip: Clip, columns: int = 10) -> np.ndarray:
    """[3H, columns * W, 3]: the target true, vanished and frozen, one below the other."""
    rows = [clip.target_video().frames] + [
        read_video(folder / FATES / f"{name}.mp4").frames for name in ("vanished", "frozen")
    ]
    chosen = np.linspace(0, len(rows[0]) - 1, columns).round().astype(int)
    return np.concatenate([np.concatenate(list(row[chosen]), axis=1) for row in rows])


def contact_sheet(out: Path, rows: Sequence[Row], file: Path, *, columns: int = 10, most: int = 24) -> None:
    """Write a PNG with a strip and a line of words for up to `most` clips of a worlds folder."""
    from PIL import Image

    step = max(1, len(rows) // most)
    chosen = list(rows)[::step][:most]
    parts = []
    for row in chosen:
        folder = out / DATA / str(row["name"])
        clip = read_clip(folder)
        picture = _fitted(strip(clip, columns))
        parts.append(
            _line(f"{row['name']}  {row['family']}  {row['shot']}  {' '.join(row['paths'])}", picture.shape[1])
        )
        parts.append(picture)
        if (folder / FATES).is_dir():
            fates = _fitted(fates_strip(folder, clip, columns))
            parts.append(_padded(fates, picture.shape[1]))
    width = max(part.shape[1] for part in parts)
    image = Image.fromarray(np.concatenate([_padded(part, width) for part in parts]))
    with replacing(file) as beside:
        image.save(beside, format="PNG")


def _fitted(picture: np.ndarray, most: int = 1800) -> np.ndarray:
    """Shrunk to at most that width; small ones are made a whole number of times larger."""
    from PIL import Image

    times = max(1, most // 2 // picture.shape[1])
    if times > 1:
        return picture.repeat(times, axis=0).repeat(times, axis=1)
    if picture.shape[1] <= most:
        return picture
    height = round(picture.shape[0] * most / picture.shape[1])
    return np.asarray(Image.fromarray(picture).resize((most, height), Image.Resampling.BILINEAR))


def _padded(picture: np.ndarray, width: int) -> np.ndarray:
    return np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=20)


def _line(text: str, width: int) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, _TEXT_HEIGHT), (20, 20, 20))
    ImageDraw.Draw(image).text((3, 1), text, fill=(235, 235, 235))
    return np.asarray(image)
