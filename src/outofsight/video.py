"""Read and write video through PyAV (FFmpeg's libraries): uint8 frames [F,H,W,3], RGB."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .errors import GeometryError, OutputError, VideoError
from .framing import Framing
from .io import reason, replacing

_LEAD = 16  # frames that a decoder may hold back to reorder them, at the most (H.264)
_SKEW = 0.01  # of a display matrix, taken for none
_INTERLACED = "interlaced: each frame holds two half pictures of different times; deinterlace it (ffmpeg -vf yadif)"
_MAX_FPS_DENOMINATOR = 1001  # holds the broadcast rates (30000/1001) exactly


@dataclass(frozen=True, eq=False)
class Video:
    """Frames uint8 [F,H,W,3] in RGB, frames per second, and what was done to them on reading (or None).

    more: whether the file goes on behind the last frame that was asked for.
    """

    frames: np.ndarray
    fps: float
    note: str | None = None
    more: bool = False

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

    The frames are what a player shows: turned and mirrored as a phone wrote into the file, with square pixels; cameras
    are those of the frames as they are shown. Pictures of a cover are no video. size (height, width): the frames are
    scaled to cover it (bilinear) and centre-cropped; frames that have cameras are read without it and go through
    `framing.fit`. `note` says what was done, and what is doubtful: frames at uneven times, interlaced ones. pad
    repeats the last frame where the video is too short; without it that is an error. Nothing after the last frame
    asked for is kept. Raises VideoError for a file that is missing, no video, broken, truncated or too short, and
    GeometryError for a size or a frame range that cannot be.
    """
    if (frames is not None and frames < 1) or start < 0 or (size is not None and min(size) < 1):
        raise GeometryError(f"frames={frames}, start={start}, size={size}: expected positive numbers")
    file = Path(path)
    taken: list[np.ndarray] = []
    notes: list[str | None] = [None]
    times: list[float] = []
    count, more = 0, False
    with _opened(file) as container:
        stream = _stream(container, file)
        fps = _fps(stream, file)
        for count, frame in enumerate(_decoded(container, stream, file), start=1):
            if count <= start:
                continue
            if len(taken) == frames:
                more = True
                break
            mirrored, framing = _framing(frame, stream, size, file)
            pixels = frame.to_ndarray(format="rgb24")
            taken.append(framing.picture(pixels[:, ::-1] if mirrored else pixels))
            times += [] if frame.time is None else [frame.time]
            if len(taken) == 1:
                notes = [_shown(mirrored, framing), _INTERLACED if frame.interlaced_frame else None]
            if len(taken) == frames and stream.frames:  # else one frame more is decoded, to know whether there is one
                more = stream.frames > count
                break
        notes.append(_uneven(times, fps))
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
    return Video(np.stack(taken), fps, ", ".join(note for note in notes if note) or None, more)


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
        return av.open(os.path.abspath(file))  # a name such as 12:30.mp4 is no protocol, and no address is called
    except FileNotFoundError as cause:
        raise VideoError(f"{file}: no such file") from cause
    except (av.FFmpegError, OSError) as cause:
        raise VideoError(f"{file}: cannot be read as a video ({reason(cause)})") from cause


def _stream(container: Any, file: Path) -> Any:
    from av.stream import Disposition

    moving = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if not moving:
        kinds = sorted({"cover" if one.type == "video" else one.type for one in container.streams})
        raise VideoError(f"{file}: it has no video stream (found: {', '.join(kinds) or 'nothing'})")
    stream = moving[0]
    stream.thread_type = "AUTO"
    return stream


def _fps(stream: Any, file: Path) -> float:
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise VideoError(f"{file}: it states no frame rate; re-encode it with one (e.g. ffmpeg -r 15)")
    return float(rate)


def _decoded(container: Any, stream: Any, file: Path) -> Iterator[Any]:
    import av

    count = 0
    try:
        for frame in container.decode(stream):
            yield frame
            count += 1
    except (av.FFmpegError, OSError) as cause:
        raise VideoError(f"{file}: broken after {count} frames ({reason(cause)})") from cause
    # a decoder takes the end of the file for the end of the video
    ends = (entry.pos + entry.size for entry in stream.index_entries)
    if stream.frames > count and max(ends, default=0) > file.stat().st_size:
        raise VideoError(
            f"{file}: truncated: its header lists {stream.frames} frames and {count} are whole; copy it again"
        )


def _uneven(times: list[float], fps: float) -> str | None:
    """A note where frames (seconds) are not evenly spaced, by more than half a frame."""
    gaps = np.diff(times)
    if len(gaps) < 2 or np.ptp(gaps) <= 0.5 / fps:
        return None
    least, most = 1000 * gaps.min(), 1000 * gaps.max()
    return f"frames are {least:.0f} to {most:.0f} ms apart and are taken as evenly spaced, {fps:.4g} a second"


def _shown(mirrored: bool, framing: Framing) -> str | None:
    """What was done to the picture, and why, where it was the file that asked for it."""
    done = [text for text in ("mirrored" if mirrored else "", framing.note) if text]
    square = "" if framing.pixel_aspect == 1.0 else f"pixels of {framing.pixel_aspect:.4g} to 1 made square"
    turned = "rotated" if framing.turns else "mirrored" if mirrored else ""
    words = ", ".join(text for text in (turned, square) if text)
    return (", ".join(done) + (f" ({words} as the file says)" if words else "")) or None


def _framing(frame: Any, stream: Any, size: tuple[int, int] | None, file: Path) -> tuple[bool, Framing]:
    """How a player shows the frame: mirrored left to right, turned, its pixels made square; and ``size``."""
    mirrored, turns = _orientation(frame, file)
    aspect = stream.sample_aspect_ratio  # None or 0 where the file does not say
    framing = Framing.cover(
        (frame.height, frame.width), size, turns=turns, pixel_aspect=float(aspect) if aspect else 1.0
    )
    return mirrored, framing


def _orientation(frame: Any, file: Path) -> tuple[bool, int]:
    """Whether the stored picture is mirrored left to right first, and by how many quarters it is then turned
    anticlockwise.

    The display matrix (nine int32, ISO/IEC 14496-12) takes stored x, y to x' = a x + c y, y' = b x + d y, y downwards.
    """
    found = [bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"]
    if not found:
        return False, 0
    a, b, _, c, d = (int(number) for number in np.frombuffer(found[0], np.int32)[:5])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    turns = {(1, 0): 0, (0, -1): 1, (-1, 0): 2, (0, 1): 3}.get((round(a / (1 << 16)), round(b / (1 << 16))))
    if turns is None or min(abs(a), abs(b)) > _SKEW * max(abs(a), abs(b)):
        raise VideoError(f"{file}: it is to be shown rotated by {int(frame.rotation)} degrees; re-encode it upright")
    return mirrored, turns


def fit_frame(frame: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, str | None]:
    """Scale a frame [h,w,3] so that it covers `size` (height, width), bilinear, and crop its centre.

    Returns the frame [H,W,3] and one line that says what was done (None: nothing). Frames that have cameras go through
    `framing.fit`, which changes both.
    """
    framing = Framing.cover((frame.shape[0], frame.shape[1]), size)
    return framing.picture(frame), framing.note


def write_video(
    path: str | os.PathLike[str], frames: np.ndarray, fps: float | Fraction, *, crf: int = 17, exact: bool = False
) -> None:
    """Write uint8 frames [F,H,W,3] as mp4 (h264, yuv420p): beside the file first, then renamed over it.

    crf: x264's quality, 0 (lossless but for the colour sampling) to 51; 17 is visually lossless. exact: every pixel as
    it is given (h264 in RGB), for pictures so small that halved colours are seen; not all browsers play it. Raises
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
        _encode(beside, frames, Fraction(fps).limit_denominator(_MAX_FPS_DENOMINATOR), 0 if exact else crf, exact)


def join_videos(parts: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> None:
    """Write videos that :func:`write_video` made at one size and rate as one file, one behind the other.

    Their pictures are copied as they are coded, so nothing is lost. Raises VideoError for a part that cannot be read or
    is of another size or rate, OutputError where the place cannot be written to.
    """
    import av

    first = probe_video(parts[0])
    with replacing(Path(path), av.FFmpegError) as beside, av.open(str(beside), "w") as out:
        stream, done = None, 0
        for part in parts:
            info = probe_video(part)
            if (info.height, info.width, info.fps) != (first.height, first.width, first.fps):
                raise VideoError(f"{part}: {info} cannot be joined to {first}: sizes and rates must be equal")
            with _opened(Path(part)) as container:
                source = container.streams.video[0]
                stream = stream or out.add_stream_from_template(source)
                packets = [packet for packet in container.demux(source) if packet.dts is not None]
                step = round(1 / (source.average_rate * source.time_base))  # one packet is one frame
                for number, packet in enumerate(packets, start=done):
                    # frames are decoded in another order than shown; parts of few frames need less lead for that, and
                    # decoding times must rise
                    packet.pts, packet.dts = packet.pts + done * step, (number - _LEAD) * step
                    packet.stream = stream
                    out.mux(packet)
                done += len(packets)


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


def _encode(file: Path, frames: np.ndarray, rate: Fraction, crf: int, exact: bool) -> None:
    import av

    with av.open(str(file), "w") as container:
        # x264's macroblock tree reads memory that nobody set on processors with AVX2: with it, the
        # same frames give other bytes, and other pixels, on every run. "veryfast" takes 0.4 of the time of
        # "medium" for files a tenth larger
        options = {"crf": str(crf), "mbtree": "0", "preset": "veryfast"}
        stream = container.add_stream("libx264rgb" if exact else "libx264", rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24" if exact else "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
