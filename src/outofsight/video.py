"""Read and write video through PyAV (FFmpeg's libraries): uint8 frames [F,H,W,3], RGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import GeometryError, OutputError, VideoError
from .io import reason, replacing

if TYPE_CHECKING:
    import os

_MAX_FPS_DENOMINATOR = 1001  # holds the broadcast rates (30000/1001) exactly


@dataclass(frozen=True, eq=False)
class Video:
    """Frames uint8 [F,H,W,3] in RGB, frames per second, and what was done to them on reading (or None)."""

    frames: np.ndarray
    fps: float
    note: str | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.frames.shape[1], self.frames.shape[2]


@dataclass(frozen=True)
class VideoInfo:
    """What a video file's header says; `frames` is None where it does not say."""

    frames: int | None
    height: int
    width: int
    fps: float


def probe_video(path: str | os.PathLike[str]) -> VideoInfo:
    """Frame count, size (as stored, before any rotation) and rate from the header."""
    with _opened(Path(path)) as container:
        stream = _stream(container, Path(path))
        return VideoInfo(stream.frames or None, stream.height, stream.width, _fps(stream, Path(path)))


def read_video(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    pad: bool = False,
    start: int = 0,
) -> Video:
    """Read frames `start` .. `start + frames` (None: to the end) as uint8 [F,H,W,3].

    size (height, width): the frames are scaled to cover it (bilinear) and centre-cropped, and `note` says so,
    as it does for a rotation that a phone wrote into the file. pad repeats the last frame where the video is
    too short; without it that is an error. Nothing after the last frame asked for is decoded. Raises
    VideoError for a file that is missing, no video, broken or too short, and GeometryError for a size or a
    frame range that cannot be.
    """
    if (frames is not None and frames < 1) or start < 0 or (size is not None and min(size) < 1):
        raise GeometryError(f"frames={frames}, start={start}, size={size}: expected positive numbers")
    file = Path(path)
    taken: list[np.ndarray] = []
    notes: list[str | None] = [None]
    count = 0
    with _opened(file) as container:
        fps = _fps(_stream(container, file), file)
        for count, frame in enumerate(_decoded(container, file), start=1):
            if count <= start:
                continue
            upright, turned = _upright(frame, file)
            fitted, resized = (upright, None) if size is None else fit_frame(upright, size)
            notes = [turned, resized]
            taken.append(fitted)
            if len(taken) == frames:
                break
    if not taken:
        if count:
            raise VideoError(f"{file}: it has {count} frames, so none from frame {start} on")
        raise VideoError(f"{file}: it holds no frame that can be decoded")
    if frames is not None and len(taken) < frames:
        notes.append(_pad_note(file, len(taken), frames, start, pad))
        taken.extend([taken[-1]] * (frames - len(taken)))
    shapes = {frame.shape for frame in taken}
    if len(shapes) > 1:
        raise VideoError(f"{file}: its frames change size ({sorted(shapes)}); give size=(height, width)")
    return Video(np.stack(taken), fps, ", ".join(note for note in notes if note) or None)


def _pad_note(file: Path, found: int, frames: int, start: int, pad: bool) -> str:
    if pad:
        return f"padded {found} -> {frames} frames by repeating the last"
    after = f" from frame {start} on" if start else ""
    raise VideoError(
        f"{file}: too short: {frames} frames are needed{after} and {found} are there; give a longer video, "
        "or pad=True (--pad) to repeat the last frame"
    )


def _opened(file: Path) -> Any:
    import av

    try:
        return av.open(str(file))
    except FileNotFoundError as cause:
        raise VideoError(f"{file}: no such file") from cause
    except (av.FFmpegError, OSError) as cause:
        raise VideoError(f"{file}: cannot be read as a video ({reason(cause)})") from cause


def _stream(container: Any, file: Path) -> Any:
    if not container.streams.video:
        kinds = sorted({stream.type for stream in container.streams})
        raise VideoError(f"{file}: it has no video stream (found: {', '.join(kinds) or 'nothing'})")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _fps(stream: Any, file: Path) -> float:
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise VideoError(f"{file}: it states no frame rate; re-encode it with one (e.g. ffmpeg -r 15)")
    return float(rate)


def _decoded(container: Any, file: Path) -> Iterator[Any]:
    import av

    count = 0
    try:
        for frame in container.decode(container.streams.video[0]):
            yield frame
            count += 1
    except (av.FFmpegError, OSError) as cause:
        raise VideoError(f"{file}: broken after {count} frames ({reason(cause)})") from cause


def _upright(frame: Any, file: Path) -> tuple[np.ndarray, str | None]:
    """The frame as a player shows it: [H,W,3], turned as the file's display matrix says."""
    pixels = frame.to_ndarray(format="rgb24")
    rotation = int(frame.rotation)
    if rotation == 0:
        return pixels, None
    if rotation % 90:
        raise VideoError(f"{file}: it is to be shown rotated by {rotation} degrees; re-encode it upright")
    return np.rot90(pixels, rotation // 90), f"rotated {rotation} degrees as the file says"


def fit_frame(frame: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, str | None]:
    """Scale a frame [h,w,3] so that it covers `size` (height, width), bilinear, and crop its centre.

    Returns the frame [H,W,3] and one line that says what was done (None: nothing). The scale is the larger of
    the two ratios, sizes and offsets are rounded: what the released loader does (infer_hydra.py).
    """
    from PIL import Image

    height, width = size
    h, w = frame.shape[:2]
    if (h, w) == (height, width):
        return frame, None
    scale = max(width / w, height / h)
    scaled_h, scaled_w = round(h * scale), round(w * scale)
    done = []
    if (scaled_h, scaled_w) != (h, w):
        image = Image.fromarray(np.ascontiguousarray(frame))
        frame = np.asarray(image.resize((scaled_w, scaled_h), Image.Resampling.BILINEAR))
        done.append(f"resized {w}x{h} -> {scaled_w}x{scaled_h}")
    if (scaled_h, scaled_w) != (height, width):
        top, left = round((scaled_h - height) / 2), round((scaled_w - width) / 2)
        frame = frame[top : top + height, left : left + width]
        done.append(f"cropped to {width}x{height}")
    return frame, ", ".join(done)


def fit_video(video: Video, size: tuple[int, int]) -> Video:
    """`fit_frame` for every frame; the note of `video` is kept and added to."""
    if video.size == size:
        return video
    fitted = [fit_frame(frame, size) for frame in video.frames]
    note = ", ".join(text for text in (video.note, fitted[0][1]) if text)
    return replace(video, frames=np.stack([frame for frame, _ in fitted]), note=note or None)


def write_video(path: str | os.PathLike[str], frames: np.ndarray, fps: float | Fraction, *, crf: int = 17) -> None:
    """Write uint8 frames [F,H,W,3] as mp4 (h264, yuv420p): beside the file first, then renamed over it.

    crf: x264's quality, 0 (lossless but for the colour sampling) to 51; 17 is visually lossless. Raises
    GeometryError for frames that h264 in yuv420p cannot hold (odd sizes) and OutputError where the place
    cannot be written to; no partial file stays.
    """
    file = Path(path)
    _check_frames(frames)
    if not (0 < fps < 1000 and 0 <= crf <= 51):
        raise GeometryError(f"fps={fps}, crf={crf}: expected fps above 0 and below 1000, crf from 0 to 51")
    if file.suffix.lower() != ".mp4":
        raise OutputError(f"{file}: videos are written as mp4; name the file {file.stem}.mp4")
    if not file.parent.is_dir():
        raise OutputError(f"{file}: the folder {file.parent} does not exist; make it first")
    import av

    with replacing(file, av.FFmpegError) as beside:
        _encode(beside, frames, Fraction(fps).limit_denominator(_MAX_FPS_DENOMINATOR), crf)


def _check_frames(frames: np.ndarray) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise GeometryError(
            f"frames of {frames.dtype} {list(frames.shape)}: expected uint8 [F,H,W,3] with at least one frame"
        )
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise GeometryError(
            f"frames of {width}x{height}: h264 in yuv420p needs even sizes; crop or resize to "
            f"{width - width % 2}x{height - height % 2}"
        )


def _encode(file: Path, frames: np.ndarray, rate: Fraction, crf: int) -> None:
    import av

    with av.open(str(file), "w") as container:
        # x264's macroblock tree reads memory that nobody set on processors with AVX2: with it, the
        # same frames give other bytes, and other pixels, on every run. "veryfast" takes 0.4 of the time of
        # "medium" for files a tenth larger
        options = {"crf": str(crf), "mbtree": "0", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
