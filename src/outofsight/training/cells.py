"""What is known of a clip's video frames, brought to its latent grid: subjects' shares and phases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..clips import PHASES, Clip
from ..errors import LayoutError
from ..video import fit_frame


def frame_phases(clip: Clip) -> np.ndarray | None:
    """uint8 ``[F]`` over context and target: the highest phase of any subject (its place in ``clips.PHASES``).

    0 nobody seen yet, 1 someone visible, 2 someone out of view who was seen, 3 someone back in view. None where
    the clip records of no subject when it is seen.
    """
    phases = []
    for subject in clip.subjects:
        by = "visible_pixels" if subject.visible_pixels is not None else "in_frame"
        if getattr(subject, by) is not None:
            phases.append([PHASES.index(word) for word in clip.phases(subject, by=by).tolist()])
    return np.max(phases, axis=0).astype(np.uint8) if phases else None


def subject_masks(clip: Clip, size: tuple[int, int]) -> np.ndarray | None:
    """uint8 ``[F, h, w]``, 255 where a subject is seen, fitted to ``size`` as the video is; None without masks.

    Masks that cover the context alone count as none.
    """
    if clip.masks is None:
        return None
    seen = (clip.load_masks() > 0).astype(np.uint8) * 255
    if len(seen) != clip.context_frames + clip.target_frames:
        return None
    if seen.shape[1:] == size:
        return seen
    return np.stack([fit_frame(np.repeat(mask[..., None], 3, axis=2), size)[0][..., 0] for mask in seen])


def highest(values: np.ndarray, first: Sequence[int]) -> np.ndarray:
    """The highest of ``values [F]`` over the video frames of each latent frame, ``[f]``; first: where each begins."""
    return np.maximum.reduceat(values, first)


def cell_shares(masks: np.ndarray, first: Sequence[int], pixels: tuple[int, int]) -> np.ndarray:
    """Share of 255 at each position of the latent grid, over its video frames: ``[F, H, W]`` -> float32 ``[f, h, w]``.

    Raises LayoutError where blocks of ``pixels`` (rows, columns) do not divide the masks.
    """
    frames, height, width = masks.shape
    rows, columns = pixels
    if height % rows or width % columns:
        raise LayoutError(f"masks of {height} x {width} do not divide into a latent grid of {rows} x {columns} pixels")
    cells = masks.reshape(frames, height // rows, rows, width // columns, columns).mean(axis=(2, 4)) / 255
    counts = np.diff([*first, frames])
    return (np.add.reduceat(cells, first, axis=0) / counts[:, None, None]).astype(np.float32)
