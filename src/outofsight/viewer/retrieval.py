"""A trace as the report shows it: what each target latent frame recalled, and which video frames that covers."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import LayoutError
from ..evaluation.retrieval import retrieval_hits
from ..memory.trace import RetrievalTrace
from .data import Recall, Subject

Arrays = Mapping[str, np.ndarray]
# name -> number of dimensions
_ARRAYS = {
    "picks": 5, "sources": 2, "selectable": 2, "windows": 2, "sigmas": 1, "first_query": 0, "context_frames": 0,
    "target_frames": 0,
}  # fmt: skip
_MEND = "make the run again with --trace, or remove the file"


def read_trace(file: Path, frames: tuple[int, int]) -> dict[str, np.ndarray]:
    """The arrays of a trace, held against the video frames of context and target.

    Raises:
        LayoutError: a file that is no trace, or one of other frames than the video's.
    """
    try:
        arrays = RetrievalTrace.load(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as cause:
        raise LayoutError(f"{file}: cannot be read as a trace ({cause}); {_MEND}") from cause
    fault = _fault(arrays)
    if fault is None:
        strides = {_stride(*pair) for pair in zip(frames, _latents(arrays), strict=True)}
        if None in strides or len(strides - {0}) > 1:
            fault = (
                f"it is of {' + '.join(map(str, _latents(arrays)))} latent frames, which do not make the "
                f"{frames[0]} + {frames[1]} frames of context and video"
            )
    if fault is not None:
        raise LayoutError(f"{file}: a trace of another shape: {fault}; {_MEND}")
    return arrays


def _latents(arrays: Arrays) -> tuple[int, int]:
    return int(arrays["context_frames"]), int(arrays["target_frames"])


def _fault(arrays: Arrays) -> str | None:
    """What does not fit within a trace, in words."""
    for name, dimensions in _ARRAYS.items():
        if name not in arrays or arrays[name].ndim != dimensions or arrays[name].dtype.kind not in "iufb":
            found = f"is {list(arrays[name].shape)}" if name in arrays else "is missing"
            return f"{name} {found}, expected {dimensions} dimensions of numbers"
    cut, made = _latents(arrays)
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


def _stride(frames: int, latents: int) -> int | None:
    """Video frames per latent frame; 0 for a single frame, which any stride fits; None where none does."""
    if latents == 1:
        return 0 if frames == 1 else None
    return (frames - 1) // (latents - 1) if frames > 1 and (frames - 1) % (latents - 1) == 0 else None


def frame_stride(arrays: Arrays, frames: tuple[int, int]) -> int:
    """Video frames per latent frame of a trace that was read for these video frames."""
    return max(_stride(*pair) or 1 for pair in zip(frames, _latents(arrays), strict=True))


def latent_spans(arrays: Arrays, frames: tuple[int, int]) -> np.ndarray:
    """``[L, 2]`` first and last video frame of each latent frame, context then target.

    The first video frame of each half has a latent frame of its own; the next ones come in strides.
    """
    stride = frame_stride(arrays, frames)
    spans = []
    for start, latents in zip((0, frames[0]), _latents(arrays), strict=True):
        last = start + stride * np.arange(latents)
        spans.append(np.stack([np.maximum(last - stride + 1, start), last], axis=1))
    return np.concatenate(spans)


def build_recall(
    arrays: Arrays, frames: tuple[int, int], subjects: tuple[Subject, ...], returned: np.ndarray | None
) -> Recall | None:
    """What the report shows of a trace; None where nothing could be recalled.

    returned: bool ``[s, Ft]``, target frames in which each subject that matters has re-entered, where known.
    """
    tokens = len(arrays["sources"])
    if tokens == 0 or arrays["picks"].shape[-1] == 0:
        return None
    cut, made = _latents(arrays)
    first = cut - int(arrays["first_query"])
    spans = latent_spans(arrays, frames)
    return Recall(
        columns=_columns(arrays["sources"], cut + made),
        spans=spans,
        cut=cut,
        picks=arrays["picks"][:, :, 0, first:],
        selectable=arrays["selectable"][first:].astype(bool),
        windows=arrays["windows"][first:].astype(int),
        sigmas=arrays["sigmas"],
        hits=_hits(arrays, spans, cut, subjects, returned),
    )


def _columns(sources: np.ndarray, latents: int) -> tuple[tuple[int, int, int], ...]:
    covered = {frame for first, last in sources.tolist() for frame in range(first, last + 1)}
    found = [(token, first, last) for token, (first, last) in enumerate(sources.tolist())]
    found += [(-1, frame, frame) for frame in range(latents) if frame not in covered]
    return tuple(sorted(found, key=lambda column: column[1:]))


def _hits(
    arrays: Arrays, spans: np.ndarray, cut: int, subjects: tuple[Subject, ...], returned: np.ndarray | None
) -> tuple[float, float] | None:
    matter = [subject.seen for subject in subjects if subject.matters]
    if returned is None or not matter:
        return None
    starts = spans[:, 0]
    visible = np.logical_or.reduceat(np.stack(matter), starts, axis=1)
    wanted = np.logical_or.reduceat(returned, starts[cut:] - starts[cut], axis=1)
    hits = retrieval_hits(arrays, visible, wanted)
    return None if hits is None else (hits.rate, hits.chance)
