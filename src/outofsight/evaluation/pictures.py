"""Videos to look at: side by side, each with its name above it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_GAP, _BAR = 6, 16  # pixels between videos, and of the names above them; even, as video coding wants


def named_side_by_side(videos: Mapping[str, np.ndarray], scale: int = 1) -> np.ndarray:
    """uint8 videos ``[f, h, w, 3]`` next to one another on white, cut to the shortest, with their names above.

    scale: how many times as large each pixel is drawn, 1 or more.
    """
    from PIL import Image, ImageDraw

    frames = min(map(len, videos.values()))
    large = [video[:frames].repeat(scale, axis=1).repeat(scale, axis=2) for video in videos.values()]
    gap = np.full((frames, large[0].shape[1], _GAP, 3), 255, np.uint8)
    row = np.concatenate([column for video in large for column in (video, gap)][:-1], axis=2)
    bar = Image.new("RGB", (row.shape[2], _BAR), "white")
    draw, left = ImageDraw.Draw(bar), 0
    for name, video in zip(videos, large, strict=True):
        draw.text((left + 2, 1), name, fill="black", font_size=12)
        left += video.shape[2] + _GAP
    top = np.broadcast_to(np.asarray(bar), (len(row), *np.asarray(bar).shape))
    return np.concatenate([top, row], axis=1)
