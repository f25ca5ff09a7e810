"""The pictures of the demo: frames side by side, and what was recalled for each target frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..evaluation.pictures import side_by_side
from ..memory.trace import RetrievalTrace

_GAP, _LABEL, _CELL, _ZOOM, _COLUMNS = 6, 20, 34, 2, 5  # pixels, but for zoom and columns
_RECALLED, _WINDOW = (180, 83, 9), (203, 213, 225)


__all__ = ["overview", "recall_counts", "side_by_side"]


def recall_counts(trace: Path) -> np.ndarray:
    """How often, over steps and blocks, each target latent frame recalled each latent frame ``[ft, f]``."""
    arrays = RetrievalTrace.load(trace)
    cut, frames = int(arrays["context_frames"]), int(arrays["context_frames"] + arrays["target_frames"])
    counts = np.zeros((frames - cut, frames))
    picks = arrays["picks"][:, :, 0]  # [steps, blocks, f, k] of the one clip
    for query in range(picks.shape[2]):
        row = query + int(arrays["first_query"]) - cut
        if row < 0:
            continue
        for token in picks[:, :, query].ravel():
            if token >= 0:
                first, last = arrays["sources"][token]
                counts[row, first : last + 1] += 1
    return counts


def overview(context: np.ndarray, generated: np.ndarray, truth: np.ndarray, trace: Path) -> Any:
    """Three rows of frames, and below them the recall map."""
    rows = (("context", context), ("generated (random weights)", generated), ("what was there", truth))
    strips = [(name, _strip(video)) for name, video in rows]
    strips.append(("recalled: a row per target latent frame, a column per latent frame", _recall_map(trace)))
    width = max(strip.width for _, strip in strips) + 2 * _GAP
    page = Image.new("RGB", (width, _GAP + sum(strip.height + _LABEL + _GAP for _, strip in strips)), "white")
    draw = ImageDraw.Draw(page)
    top = _GAP
    for name, strip in strips:
        draw.text((_GAP, top), name, fill="black", font_size=14)
        page.paste(strip, (_GAP, top + _LABEL))
        top += strip.height + _LABEL + _GAP
    return page


def _strip(video: np.ndarray) -> Image.Image:
    chosen = np.linspace(0, len(video) - 1, _COLUMNS).round().astype(int)
    height, width = (side * _ZOOM for side in video.shape[1:3])
    strip = Image.new("RGB", (_COLUMNS * (width + _GAP) - _GAP, height), "white")
    for column, frame in enumerate(chosen):
        strip.paste(Image.fromarray(video[frame]).resize((width, height)), (column * (width + _GAP), 0))
    return strip


def _recall_map(trace: Path) -> Image.Image:
    """Darker the more often a frame was recalled; the frame's own window, seen whole, is grey."""
    arrays, counts = RetrievalTrace.load(trace), recall_counts(trace)
    targets, frames = counts.shape
    cut, left = frames - targets, 90
    picture = Image.new("RGB", (left + frames * _CELL + 330, (targets + 1) * _CELL), "white")
    draw = ImageDraw.Draw(picture)
    for frame in range(frames):
        name = f"c{frame}" if frame < cut else f"t{frame - cut}"
        draw.text((left + frame * _CELL + 8, 8), name, fill="black", font_size=14)
    for row in range(targets):
        y = (row + 1) * _CELL
        draw.text((4, y + 8), f"target t{row}", fill="black", font_size=14)
        first, last = arrays["windows"][row + cut - int(arrays["first_query"])]
        for frame in range(frames):
            share = counts[row, frame] / max(counts.max(), 1)
            paint = tuple(round(255 + share * (tone - 255)) for tone in _RECALLED)
            if first <= frame <= last and share == 0:
                paint = _WINDOW
            x = left + frame * _CELL
            draw.rectangle([x, y, x + _CELL - 2, y + _CELL - 2], fill=paint, outline=(148, 163, 184))
    line = left + cut * _CELL - 1
    draw.line([(line, 0), (line, picture.height)], fill="black", width=2)
    _legend(draw, left + frames * _CELL + 20)
    return picture


def _legend(draw: ImageDraw.ImageDraw, x: int) -> None:
    lines = (
        (_RECALLED, "recalled in most steps and blocks"),
        (tuple((255 + tone) // 2 for tone in _RECALLED), "recalled in some"),
        (_WINDOW, "in the frame's own window, seen whole"),
        ((255, 255, 255), "not seen"),
    )
    for row, (colour, words) in enumerate(lines, start=1):
        draw.rectangle([x, row * 26, x + 18, row * 26 + 18], fill=colour, outline=(148, 163, 184))
        draw.text((x + 26, row * 26 + 1), words, fill="black", font_size=14)
