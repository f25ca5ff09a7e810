"""The chunks of a run that are done: the video so far, written after each of them, and the session to resume from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LayoutError
from ..fingerprints import value_hash
from ..io import sha256_array, write_json
from ..records import fitted, read_json
from ..video import join_videos, write_video
from .outputs import OutputPaths

if TYPE_CHECKING:
    import numpy as np

    from ..session import Session


@dataclass
class Progress:
    """What is done of one run.

    Args:
        out: its files.
        mark: fingerprint of the run's settings, inputs and weights.
        frames: video frames of each chunk.
        hashes: SHA-256 of each chunk's frames.
        seconds: of each part of the work, over all chunks.
        traces: names of trace files.
        resumed_at_step: where a chunk was taken up last, within its steps.
        exact: whether videos keep every pixel, as those of models without a VAE do.
    """

    out: OutputPaths
    mark: str
    seed: int
    fps: float
    frames: list[int] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    traces: list[str] = field(default_factory=list)
    resumed_at_step: int | None = None
    exact: bool = False

    @property
    def video(self) -> Path:
        """The video of the chunks that are done."""
        return self._video(len(self.frames))

    def _video(self, chunks: int) -> Path:
        return self.out.session / f"{chunks:06d}-chunks.mp4"

    @property
    def frames_sha256(self) -> str:
        """Of all frames: of one chunk its own, of several the hash of theirs."""
        return self.hashes[0] if len(self.hashes) == 1 else value_hash(self.hashes)

    def seconds_left(self, chunks: int) -> float:
        """Of a run of so many chunks, where those to come take as long as those that are done."""
        return sum(self.seconds.values()) / len(self.frames) * (chunks - len(self.frames))

    def add(self, frames: np.ndarray | None, seconds: dict[str, float], video: Path | None = None) -> None:
        """Count a chunk in and write the video with it, to ``video`` or for the time being. Raises OutputError."""
        assert frames is not None
        before, place = self.video, video or self._video(len(self.frames) + 1)
        if not self.frames:
            if video is None:
                self.out.forget_session()  # another run's: a kill must not leave half of each
            place.parent.mkdir(parents=True, exist_ok=True)
            write_video(place, frames, self.fps, exact=self.exact)
        else:
            new = self.out.session / "new-chunk.mp4"
            write_video(new, frames, self.fps, exact=self.exact)
            join_videos([before, new], place)
            new.unlink()
        self.frames.append(len(frames))
        self.hashes.append(sha256_array(frames))
        self.seconds = dict(Counter(self.seconds) + Counter(seconds))

    def save(self, session: Session) -> None:
        """Write what a run resumes from; until the session is written, the chunk before is what is kept."""
        kept = {name: getattr(self, name) for name in ("mark", "seed", "frames", "hashes", "seconds", "traces")}
        write_json(self.out.session / f"{len(self.frames):06d}-chunks.json", kept)
        session.save(self.out.session)
        for old in self.out.session.glob("*-chunks.*"):
            if not old.name.startswith(f"{len(self.frames):06d}-"):
                old.unlink()


def remembered(out: OutputPaths, mark: str, fps: float) -> Progress | None:
    """What :meth:`Progress.save` left of a run with this fingerprint; None where there is none.

    A kill may leave files of two chunks: the session's record says which of them counts.
    """
    record = out.session / "session.json"
    if not record.is_file():
        out.forget_session()
        return None
    try:
        chunks = fitted(_Count, read_json(record, LayoutError), record, LayoutError)
        file = out.session / f"{chunks.chunks:06d}-chunks.json"
        kept = fitted(_Kept, read_json(file, LayoutError), file, LayoutError)
    except LayoutError:
        return None
    if kept.mark != mark or len(kept.frames) != chunks.chunks:
        return None
    names: dict[str, Any] = {name: getattr(kept, name) for name in ("frames", "hashes", "seconds")}
    traces = [path.name for path in map(out.trace_of, range(len(kept.frames))) if path.is_file()]
    progress = Progress(out, mark, kept.seed, fps, **names, traces=[name for name in traces if name in kept.traces])
    return progress if progress.video.is_file() else None


@dataclass(frozen=True)
class _Count:
    chunks: int


@dataclass(frozen=True)
class _Kept:
    mark: str
    seed: int
    frames: list[int]
    hashes: list[str]
    seconds: dict[str, float]
    traces: list[str]
