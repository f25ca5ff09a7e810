"""The retrieval hit rate of a prediction, from the trace that lies beside its video."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import LayoutError
from ..memory.trace import RetrievalTrace
from .retrieval import HitRate, retrieval_hits

# what is read of a trace, and its number of dimensions
_ARRAYS = {"picks": 5, "sources": 2, "selectable": 2, "first_query": 0, "context_frames": 0, "target_frames": 0}


def trace_hits(file: Path, visible: np.ndarray, returned: np.ndarray) -> HitRate | None:
    """How often the model recalled frames that show the subject it has to draw again; see ``retrieval_hits``.

    Args:
        visible: bool ``[s, Fc + Ft]`` over video frames. returned: bool ``[s, Ft]``.

    Returns:
        None where no frame asks for a subject, or nothing could be recalled.

    Raises:
        LayoutError: a file that is no trace, or one of another number of frames than the clip's.
    """
    arrays = _read(file)
    latents = int(arrays["context_frames"]), int(arrays["target_frames"])
    frames = returned.shape[1]
    cut = visible.shape[1] - frames
    stride = _stride(frames, latents[1])
    used = 0 if stride is None else stride * (latents[0] - 1) + 1  # the last so many context frames (--context-frames)
    if stride is None or not 0 < used <= cut:
        raise LayoutError(
            f"{file}: it is of {latents[0]} + {latents[1]} latent frames, which do not make the clip's {cut} + "
            f"{frames} frames: it belongs to another video"
        )
    context, target = visible[:, cut - used : cut], visible[:, cut:]
    firsts = [_first_frames(count, stride) for count in latents]
    halves = [np.maximum.reduceat(half, first, axis=1) for half, first in zip((context, target), firsts, strict=True)]
    wanted = np.maximum.reduceat(returned, firsts[1], axis=1)
    if len(visible) == 0:
        return None
    return retrieval_hits(arrays, np.concatenate(halves, axis=1), wanted)


def _read(file: Path) -> dict[str, np.ndarray]:
    try:
        arrays = RetrievalTrace.load(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as cause:
        raise LayoutError(f"{file}: cannot be read as a trace ({cause})") from cause
    for name, dimensions in _ARRAYS.items():
        if name not in arrays or arrays[name].ndim != dimensions or arrays[name].dtype.kind not in "iub":
            found = f"{arrays[name].dtype} {list(arrays[name].shape)}" if name in arrays else "missing"
            raise LayoutError(f"{file}: not a trace: {name} is {found}, expected {dimensions} dimensions of integers")
    cut, made, first = (int(arrays[name]) for name in ("context_frames", "target_frames", "first_query"))
    tokens, queries = len(arrays["sources"]), cut + made - first
    fits = arrays["selectable"].shape == (queries, tokens) and arrays["picks"].shape[3] == queries
    reach = ((arrays["picks"], tokens), (arrays["sources"], cut + made))
    if min(cut, made) < 1 or not fits or any(array.size and array.max() >= end for array, end in reach):
        raise LayoutError(f"{file}: not a trace: its arrays do not fit one another")
    return arrays


def _stride(frames: int, latents: int) -> int | None:
    """Video frames per latent frame, the first one having one of its own; None where there is no whole number."""
    if latents == 1 or frames == 1:
        return 1 if latents == frames == 1 else None
    return None if (frames - 1) % (latents - 1) else (frames - 1) // (latents - 1)


def _first_frames(latents: int, stride: int) -> list[int]:
    """The first video frame of each latent frame."""
    return [0, *(1 + stride * n for n in range(latents - 1))]
