"""The picture of what was recalled: target frames in which the subject is back, and the past that they looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..evaluation.clip import EvalClip
from ..evaluation.traces import frame_stride, latents, read_trace

ROWS, RECALLED = 4, 4
_WIDE = 288  # pixels that a frame is at least wide
SEEN, _NOT_SEEN = (217, 119, 6), (148, 163, 184)  # amber and grey: told apart by lightness too
_BORDER, _GAP, _LABEL, _HEAD = 4, 10, 20, 30


def token_shares(trace: dict[str, np.ndarray]) -> np.ndarray:
    """How often each target latent frame recalled each memory token, of all steps and blocks: ``[ft, t]`` in 0..1."""
    first, cut = int(trace["first_query"]), int(trace["context_frames"])
    picks = trace["picks"][:, :, 0, cut - first :]  # [steps, blocks, ft, k]
    tokens = np.arange(len(trace["sources"]))
    return (picks[..., None] == tokens).any(axis=-2).mean(axis=(0, 1))


def recalled_picture(clip: EvalClip, generated: np.ndarray, trace: Path) -> Any:
    """A row for each of some target frames: generated, truth, and the memory tokens it recalled most.

    clip: the truth. generated: uint8 ``[Ft, h, w, 3]``. A memory token is shown by the last video frame it covers, in
    an amber frame where it covers a latent frame in which the subject is visible.
    """
    frames = clip.context_frames, clip.target_frames
    arrays = read_trace(trace, frames)
    shares, sources = token_shares(arrays), arrays["sources"]
    (cut, made), stride = latents(arrays), frame_stride(arrays, frames)
    ends, target_ends = stride * np.arange(cut), stride * np.arange(made)  # the last video frame of each latent frame
    starts = np.array([0, *(ends[:-1] + 1)])
    seen = np.logical_or.reduce(clip.visible, axis=0)[: len(clip.context)]
    rows = _rows(clip.re_entered[target_ends])
    scale = enlargement(clip)
    height, width = (scale * side for side in clip.truth.shape[1:3])
    cell = (width + 2 * _BORDER + _GAP, height + 2 * _BORDER + _LABEL + _GAP)
    page = Image.new("RGB", (_GAP + (2 + RECALLED) * cell[0], _HEAD + len(rows) * cell[1]), "white")
    draw = ImageDraw.Draw(page)
    draw.text((_GAP, 8), "What was recalled, most often first. Amber: the subject can be seen there.", fill="black",
              font_size=15)  # fmt: skip
    for row, target in enumerate(rows):
        frame = int(target_ends[target])
        cells: list[tuple[str, np.ndarray, bool | None]] = [
            (f"generated, {frame / clip.fps:.1f} s", generated[frame], None),
            ("truth", clip.truth[frame], None),
        ]
        for token in np.argsort(-shares[target], kind="stable")[:RECALLED]:
            first, last = (int(n) for n in sources[token])
            if shares[target, token] == 0 or last >= cut:
                continue
            visible = bool(seen[starts[first] : ends[last] + 1].any())
            before = (len(seen) - 1 - ends[last]) / clip.fps
            words = f"recalled {100 * shares[target, token]:.0f} %, {before:.1f} s before the cut"
            cells.append((words, clip.context[ends[last]], visible))
        for column, (words, picture, shows) in enumerate(cells):
            corner = (_GAP + column * cell[0], _HEAD + row * cell[1])
            draw.text(corner, words, fill="black", font_size=14)
            framed = "white" if shows is None else SEEN if shows else _NOT_SEEN
            box = Image.new("RGB", (width + 2 * _BORDER, height + 2 * _BORDER), framed)
            box.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST), (_BORDER, _BORDER))
            page.paste(box, (corner[0], corner[1] + _LABEL))
    return page


def enlargement(clip: EvalClip) -> int:
    """How many times as large a frame is shown, so that words fit above it; at least twice."""
    return max(2, -(-_WIDE // clip.truth.shape[2]))


def _rows(back: np.ndarray) -> list[int]:
    """Some target latent frames: those in which the subject is back, from the first on; any where it never is."""
    frames = np.flatnonzero(back) if back.any() else np.arange(len(back))
    chosen = np.linspace(0, len(frames) - 1, min(ROWS, len(frames))).round().astype(int)
    return [int(frame) for frame in frames[chosen]]
