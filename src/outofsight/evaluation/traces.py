"""A retrieval trace read from its file and checked, and its latent frames held against video frames."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import LayoutError
from ..memory.trace import RetrievalTrace

Arrays = Mapping[str, np.ndarray]
# name -> number of dimensions
_ARRAYS = {
    "picks": 5, "sources": 2, "selectable": 2, "windows": 2, "sigmas": 1, "first_query": 0, "context_frames": 0,
    "target_frames": 0,
}  # fmt: skip
_MEND = "make the run again with --trace, or remove the file"


def read_trace(file: Path, frames: tuple[int, int] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a trace; frames: the video frames of context and target that it has to be of.

    Raises:
        LayoutError: a file that is no trace, or one of other frames than the video's.
    """
    try:
        arrays = RetrievalTrace.load(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as cause:
        raise LayoutError(f"{file}: cannot be read as a trace ({cause}); {_MEND}") from cause
    fault = _fault(arrays)
    if fault is None and frames is not None:
        strides = {_stride(*pair) for pair in zip(frames, latents(arrays), strict=True)}
        if None in strides or len(strides - {0}) > 1:
            fault = _misfit(arrays, frames)
    if fault is not None:
        raise LayoutError(f"{file}: a trace of another shape: {fault}; {_MEND}")
    return arrays


def latents(arrays: Arrays) -> tuple[int, int]:
    """Latent frames of context and target."""
    return int(arrays["context_frames"]), int(arrays["target_frames"])


def frame_stride(arrays: Arrays, frames: tuple[int, int]) -> int:
    """Video frames per latent frame of a trace that was read for these video frames."""
    return max(_stride(*pair) or 1 for pair in zip(frames, latents(arrays), strict=True))


def by_latent(arrays: Arrays, context: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is known by video frame, bool ``[s, Fc]`` and ``[s, Ft]``, by latent frame: true where it is in any of its
    video frames.

    Of the context the last frames count, as many as the trace is of (``generate --context-frames``).

    Raises:
        LayoutError: latent frames that do not make these video frames.
    """
    frames = context.shape[1], target.shape[1]
    strides = [_stride(*pair) for pair in zip(frames, latents(arrays), strict=True)]
    stride = strides[1] or strides[0] or 1
    used = stride * (latents(arrays)[0] - 1) + 1
    if strides[1] is None or used > frames[0]:
        raise LayoutError(f"the trace {_misfit(arrays, frames)}: it belongs to another video")
    halves = zip((context[:, frames[0] - used :], target), latents(arrays), strict=True)
    found = [np.logical_or.reduceat(half, _first_frames(count, stride), axis=1) for half, count in halves]
    return found[0], found[1]


def _misfit(arrays: Arrays, frames: tuple[int, int]) -> str:
    return (
        f"is of {' + '.join(map(str, latents(arrays)))} latent frames, which do not make the {frames[0]} + {frames[1]} "
        "frames of context and video"
    )


def _fault(arrays: Arrays) -> str | None:
    """What does not fit within a trace, in words."""
    for name, dimensions in _ARRAYS.items():
        if name not in arrays or arrays[name].ndim != dimensions or arrays[name].dtype.kind not in "iufb":
            found = f"is {list(arrays[name].shape)}" if name in arrays else "is missing"
            return f"{name} {found}, expected {dimensions} dimensions of numbers"
    cut, made = latents(arrays)
    first, tokens = int(arrays["first_query"]), len(arrays["sources"])
    queries = cut + made - first
    if min(cut, made, arrays["picks"].shape[2]) < 1 or not 0 <= first <= cut:
        return f"{cut} context and {made} target frames, queries from frame {first}"
    expected = {"selectable": (queries, tokens), "windows": (queries, 2), "sources": (tokens, 2)}
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            return f"{name} is {list(arrays[name].shape)}, expected {list(shape)}"
    steps, _, _, asked, _ = arrays["picks"].shape
    if asked != queries or steps != len(arrays["sigmas"]):
        return f"picks are {list(arrays['picks'].shape)}, expected {len(arrays['sigmas'])} steps of {queries} frames"
    ranges = (("picks", tokens, -1), ("sources", cut + made, 0), ("windows", cut + made, 0))
    for name, end, start in ranges:
        if arrays[name].size and not start <= arrays[name].min() <= arrays[name].max() < end:
            return f"{name} reach from {arrays[name].min()} to {arrays[name].max()}, expected {start} to {end - 1}"
    return None


def _stride(frames: int, count: int) -> int | None:
    """Video frames per latent frame; 0 for a single frame, which any stride fits; None where none does."""
    if count == 1:
        return 0 if frames == 1 else None
    return (frames - 1) // (count - 1) if frames > 1 and (frames - 1) % (count - 1) == 0 else None


def _first_frames(count: int, stride: int) -> list[int]:
    """The first video frame of each latent frame; the first one has a video frame of its own."""
    return [0, *(1 + stride * n for n in range(count - 1))]
