"""Retrieval traces read from their files and checked, and their latent frames placed in the time of the run.

A run made in several chunks has a trace of each, whose latent frames count from what that chunk was conditioned on.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge
from typing_extensions import TypedDict

from ..errors import LayoutError
from ..memory.trace import RetrievalTrace
from ..records import fitted, read_object

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


def read_run_trace(files: Mapping[int, Path], record: Path, frames: tuple[int, int]) -> RunTrace | None:
    """What a run recalled, in all its chunks; None where it has no trace.

    Args:
        files: its traces, by number of the chunk from 0 on.
        record: NAME.run.json, which says how long the context and each chunk were; it may be missing beside one trace.
        frames: video frames of context and target.

    Raises:
        LayoutError: a trace that cannot be read or is of other frames, a damaged record, or several traces without one.
    """
    if not files:
        return None
    if not record.is_file():
        if set(files) == {0}:
            return RunTrace.of_clip(read_trace(files[0]), frames)
        names = ", ".join(file.name for file in files.values())
        raise LayoutError(
            f"{names} in {record.parent} are of a run of several chunks, and no {record.name} says how long each is: "
            "put it there too, or remove the traces"
        )
    chunks, context = _chunk_lengths(record, frames[1])
    if sum(chunks) != frames[1]:
        raise LayoutError(
            f"{record}: chunks of {' + '.join(map(str, chunks))} frames, and the video has {frames[1]}: it is of "
            "another video"
        )
    traces = {number: read_trace(file) for number, file in files.items() if number < len(chunks)}
    try:
        return RunTrace.of_chunks(traces, context, chunks) if traces else None
    except LayoutError as cause:
        raise LayoutError(f"{record}: {cause}") from cause


class _Video(TypedDict, total=False):
    chunks: list[Annotated[int, Ge(1)]]


class _Outputs(TypedDict):
    video: _Video


class _Inputs(TypedDict):
    context_frames: Annotated[int, Ge(1)]


class _Record(TypedDict):
    """What a record says of the lengths."""

    inputs: _Inputs
    outputs: _Outputs


def _chunk_lengths(record: Path, frames: int) -> tuple[list[int], int]:
    """Video frames of each chunk of a run, and of its context. Raises LayoutError.

    frames: of the video, which is one chunk where the record says nothing of chunks.
    """
    told = fitted(_Record, read_object(record, LayoutError), record, LayoutError, "generate the video again")
    return told["outputs"]["video"].get("chunks", [frames]), told["inputs"]["context_frames"]


def latents(arrays: Arrays) -> tuple[int, int]:
    """Latent frames of context and target."""
    return int(arrays["context_frames"]), int(arrays["target_frames"])


def frame_stride(arrays: Arrays, frames: tuple[int, int]) -> int:
    """Video frames per latent frame of a trace that was read for these video frames."""
    return max(_stride(*pair) or 1 for pair in zip(frames, latents(arrays), strict=True))


@dataclass(frozen=True, eq=False)
class ChunkTrace:
    """What one chunk of a run recalled, in the run's own time: 0 is its first target frame, its context is before that.

    arrays: of a ``RetrievalTrace``. spans ``[L, 2]``: first and last video frame of each latent frame, those that the
    chunk was conditioned on, then those that it made. made: the video frames that it added to the run; it may have
    begun earlier, in frames that were there already. number: of the chunk, from 0 on.
    """

    arrays: Arrays
    spans: np.ndarray
    made: range
    number: int = 0

    def by_latent(self, visible: np.ndarray, returned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is known by video frame, by latent frame of the chunk: true where it is in any of its video frames.

        Args:
            visible: bool ``[s, Fc + Ft]``, of the run's context (or more before it) and target.
            returned: bool ``[s, Ft]``, of its target.

        Returns:
            visible ``[s, L]``, and returned ``[s, ft]`` of the chunk's target, in frames that it added to the run.
        """
        cut = visible.shape[1] - returned.shape[1]
        fresh = returned & np.isin(np.arange(returned.shape[1]), self.made)
        before = np.zeros_like(visible[:, :cut])
        whole = np.concatenate([before, fresh], axis=1)
        target = int(self.arrays["context_frames"])
        return _any_within(visible, self.spans + cut), _any_within(whole, self.spans[target:] + cut)


@dataclass(frozen=True, eq=False)
class RunTrace:
    """What a run recalled: the traces of its chunks that are there, and how many chunks it was made in."""

    chunks: tuple[ChunkTrace, ...]
    of: int = 1

    @property
    def stride(self) -> int:
        """Video frames per latent frame."""
        return max(int(np.ptp(span)) + 1 for chunk in self.chunks for span in chunk.spans)

    @property
    def notes(self) -> tuple[str, ...]:
        """Which chunks have no trace, in words."""
        lost = sorted(set(range(self.of)) - {chunk.number for chunk in self.chunks})
        numbers = ", ".join(str(number + 1) for number in lost)
        return (f"no trace of chunk {numbers} of {self.of}",) if lost else ()

    @classmethod
    def of_clip(cls, arrays: Arrays, frames: tuple[int, int]) -> RunTrace:
        """Of a run made in one chunk. frames: video frames of context and target; of the context the last ones count,
        as many as the trace is of (``generate --context-frames``).

        Raises LayoutError for latent frames that do not make these video frames.
        """
        cut, made = latents(arrays)
        strides = [_stride(*pair) for pair in zip(frames, (cut, made), strict=True)]
        stride = strides[1] or strides[0] or 1
        if strides[1] is None or stride * (cut - 1) + 1 > frames[0]:
            raise LayoutError(f"the trace {_misfit(arrays, frames)}: it belongs to another video")
        spans = np.concatenate([_ending(-1, cut, stride), _starting(0, made, stride)])
        return cls((ChunkTrace(arrays, spans, range(frames[1])),))

    @classmethod
    def of_chunks(cls, traces: Mapping[int, Arrays], context_frames: int, chunks: Sequence[int]) -> RunTrace:
        """Of a run made in several chunks.

        Args:
            traces: by number of the chunk, from 0 on; some may be missing.
            context_frames: video frames that the run began from, all of them.
            chunks: video frames that each chunk added.

        Raises LayoutError for a trace that is not of its chunk.
        """
        first = _stride(chunks[0], latents(traces[0])[1]) if 0 in traces else None
        placed = []
        for number, arrays in sorted(traces.items()):
            start = sum(chunks[:number])
            made = range(start, start + chunks[number])
            spans = _clip_spans(arrays, context_frames, made, first or 1)
            if spans is None and number:
                spans = _stream_spans(arrays, context_frames, made)
            if spans is None or spans[0, 0] < -context_frames:
                cut, count = latents(arrays)
                raise LayoutError(
                    f"the trace of chunk {number + 1} is of {cut} + {count} latent frames, which do not make "
                    f"the {context_frames + start} + {len(made)} frames up to its end: it belongs to another video"
                )
            placed.append(ChunkTrace(arrays, spans, made, number))
        return cls(tuple(placed), len(chunks))


def _clip_spans(arrays: Arrays, context_frames: int, made: range, stride: int) -> np.ndarray | None:
    """Spans of a chunk that was a clip of its own: behind as many video frames as the run began from, and it may begin
    in frames that were there already. None where the numbers do not fit. stride: where the context is one frame."""
    cut, count = latents(arrays)
    fits = _stride(context_frames, cut)
    stride = fits or stride
    overlap = stride * (count - 1) + 1 - len(made)
    if fits is None or not 0 <= overlap <= made.start:
        return None
    first = made.start - overlap
    return np.concatenate([_ending(first - 1, cut, stride), _starting(first, count, stride)])


def _stream_spans(arrays: Arrays, context_frames: int, made: range) -> np.ndarray | None:
    """Spans of a later chunk of a model that streams: behind everything before, each of its latent frames has
    ``stride`` video frames. None where the numbers do not fit."""
    cut, count = latents(arrays)
    stride = len(made) // count
    known = context_frames + made.start  # two latent frames of one video frame each, the context's first and chunk 0's
    own = (context_frames - 1) // stride + 1 if stride else 0
    if stride < 1 or stride * count != len(made) or (context_frames - 1) % stride or stride * (cut - 2) + 2 != known:
        return None
    before, chunk = _ending(-1, own, stride), _starting(0, cut - own, stride)
    last = made.start - 1 + stride * np.arange(1, count + 1)
    return np.concatenate([before, chunk, np.stack([last - stride + 1, last], axis=1)])


def _starting(first: int, count: int, stride: int) -> np.ndarray:
    """``[count, 2]``: latent frames from a video frame on; the first of them has one video frame, the others stride."""
    last = first + stride * np.arange(count)
    return np.stack([np.maximum(last - stride + 1, first), last], axis=1)


def _ending(last: int, count: int, stride: int) -> np.ndarray:
    return _starting(last - stride * (count - 1), count, stride)


def _any_within(frames: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """bool ``[s, F]`` by frame -> ``[s, n]``: whether any frame of each span, both ends included, is true."""
    return np.stack([frames[:, first : last + 1].any(axis=1) for first, last in spans], axis=1)


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
