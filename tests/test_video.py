"""Reading and writing video: exact counts and rates, stated changes, no half-written file."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outofsight.errors import GeometryError, OutputError, VideoError
from outofsight.framing import fit
from outofsight.video import Video, fit_frame, join_videos, probe_video, read_video, write_video


def moving_square(frames: int = 6, height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth gradients with a bright square that moves: survives coding well."""
    y, x = np.mgrid[:height, :width]
    video = np.stack([x * 2 + y, 255 - x * 2, y * 3], axis=-1)[None].repeat(frames, axis=0)
    for frame in range(frames):
        video[frame, 8:24, 4 + 4 * frame : 20 + 4 * frame] = 240
    return np.clip(video, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("frames", "fps"), [(1, 15), (6, 15.0), (5, Fraction(30000, 1001)), (3, 23.976)])
def test_round_trip_keeps_count_size_and_rate(frames: int, fps: float, tmp_path: Path) -> None:
    video = moving_square(frames)
    write_video(tmp_path / "v.mp4", video, fps)
    found = read_video(tmp_path / "v.mp4")
    assert found.frames.shape == video.shape
    assert found.frames.dtype == np.uint8
    assert found.fps == pytest.approx(float(fps), rel=1e-6)
    assert found.note is None
    assert np.abs(found.frames.astype(int) - video).mean() < 4
    info = probe_video(tmp_path / "v.mp4")
    assert (info.frames, info.height, info.width, info.fps) == (frames, 48, 64, found.fps)
    assert [file.name for file in tmp_path.iterdir()] == ["v.mp4"]


def test_crf_sets_the_quality(tmp_path: Path) -> None:
    video = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
    sizes = []
    for crf in (5, 45):
        write_video(tmp_path / "v.mp4", video, 15, crf=crf)
        sizes.append((tmp_path / "v.mp4").stat().st_size)
    assert sizes[0] > 2 * sizes[1]


def test_start_frames_and_padding(tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    write_video(file, moving_square(6), 15)
    whole = read_video(file).frames
    np.testing.assert_array_equal(read_video(file, start=2, frames=3).frames, whole[2:5])
    with pytest.raises(VideoError, match=r"9 frames are needed and 6 are there.*--pad"):
        read_video(file, frames=9)
    with pytest.raises(VideoError, match="from frame 4 on"):
        read_video(file, start=4, frames=3)
    padded = read_video(file, frames=9, pad=True)
    assert padded.note == "padded 6 -> 9 frames by repeating the last"
    np.testing.assert_array_equal(padded.frames, whole[[0, 1, 2, 3, 4, 5, 5, 5, 5]])
    with pytest.raises(VideoError, match="none from frame 6 on"):
        read_video(file, start=6)
    for bad in ({"frames": 0}, {"start": -1}, {"size": (0, 4)}):
        with pytest.raises(GeometryError, match="positive"):
            read_video(file, **bad)


def test_cover_resize_then_centre_crop(tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    write_video(file, moving_square(2, 54, 96), 15)
    found = read_video(file, size=(24, 40))
    assert found.size == (24, 40)
    assert found.note == "resized 96x54 -> 43x24, cropped to 40x24"
    assert read_video(file, size=(54, 96)).note is None
    np.testing.assert_array_equal(fit(read_video(file).frames, (), (24, 40)).frames, found.frames)


def test_fit_of_the_usual_sizes() -> None:
    frame = np.zeros((1080, 1920, 3), dtype=np.uint8)
    frame[:, 960:] = 255
    fitted, note = fit_frame(frame, (480, 832))
    assert note == "resized 1920x1080 -> 853x480, cropped to 832x480"
    assert fitted.shape == (480, 832, 3)
    assert fitted[0, 410].max() == 0  # the edge in the middle stays there
    assert fitted[0, 422].min() == 255
    same, nothing = fit_frame(fitted, (480, 832))
    assert same is fitted
    assert nothing is None
    cropped, note = fit_frame(frame, (1080, 1000))
    assert note == "cropped to 1000x1080"
    np.testing.assert_array_equal(cropped, frame[:, 460:1460])


def test_a_phones_rotation_is_applied_and_told(tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    write_video(file, moving_square(2), 15)
    upright = read_video(file).frames
    data = bytearray(file.read_bytes())
    matrix = data.index(b"tkhd") + 44
    # QuickTime's display matrix for "turn a quarter clockwise": (x, y) -> (height - y, x)
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    file.write_bytes(data)
    found = read_video(file)
    np.testing.assert_array_equal(found.frames, np.rot90(upright, -1, axes=(1, 2)))
    assert found.note is not None
    assert "rotated" in found.note


def write_as(
    file: Path, frames: np.ndarray, *, cover: bool = False, times: list[int] | None = None, **options: str
) -> Path:
    """As other programs write: a cover as the first stream, times in 1/30 s, options of the container or of x264."""
    import av

    def packets(stream: Any, pictures: np.ndarray, at: list[int]) -> Iterator[Any]:
        for pixels, time in zip(pictures, at, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 30)
            yield stream.encode(frame)
        yield stream.encode()

    movflags = {name: options.pop(name) for name in ("movflags",) if name in options}
    with av.open(str(file), "w", options=movflags) as out:
        streams = [(out.add_stream("png", rate=30), frames[:1, :16, :16], [0])] if cover else []
        streams.append((out.add_stream("libx264", rate=30, options=options), frames, times or list(range(len(frames)))))
        for stream, pictures, _ in streams:
            stream.height, stream.width = pictures.shape[1:3]
            stream.pix_fmt = "rgb24" if stream.name == "png" else "yuv420p"
            stream.time_base = Fraction(1, 30)
        if cover:
            streams[0][0].disposition = av.stream.Disposition.attached_pic
        for stream, pictures, at in streams:
            for packet in packets(stream, pictures, at):
                out.mux(packet)
    return file


@pytest.mark.parametrize(
    ("matrix", "expected"),  # a, b, c, d of the display matrix: x' = a x + c y, y' = b x + d y
    [
        ((-1, 0, 0, 1), lambda v: v[:, :, ::-1]),
        ((1, 0, 0, -1), lambda v: v[:, ::-1]),
        ((-1, 0, 0, -1), lambda v: v[:, ::-1, ::-1]),
        ((0, 1, 1, 0), lambda v: v.swapaxes(1, 2)),
        ((0, -1, -1, 0), lambda v: v[:, ::-1, ::-1].swapaxes(1, 2)),
        ((0, -1, 1, 0), lambda v: np.rot90(v, 1, axes=(1, 2))),
    ],
)
def test_every_orientation_is_shown_as_a_player_shows_it(
    matrix: tuple[int, int, int, int], expected: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    file = tmp_path / "v.mp4"
    write_video(file, moving_square(2), 15)
    upright = read_video(file).frames
    data = bytearray(file.read_bytes())
    place = data.index(b"tkhd") + 44
    a, b, c, d = (one << 16 for one in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    file.write_bytes(data)
    found = read_video(file)
    np.testing.assert_array_equal(found.frames, expected(upright))
    mirrored = matrix[0] * matrix[3] - matrix[1] * matrix[2] < 0
    assert found.note is not None and ("mirrored" in found.note) == mirrored


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    video = moving_square(5)
    found = read_video(write_as(tmp_path / "v.mp4", video, cover=True))
    assert found.frames.shape == video.shape and found.fps == 30 and found.note is None
    assert np.abs(found.frames.astype(int) - video).mean() < 6
    assert probe_video(tmp_path / "v.mp4").frames == 5


def test_whether_the_file_goes_on_is_known_without_a_count_in_its_header(tmp_path: Path) -> None:
    video = moving_square(6)
    for name in ("v.mkv", "v.mp4"):
        file = write_as(tmp_path / name, video)
        assert (probe_video(file).frames is None) == (name == "v.mkv")
        assert [read_video(file, frames=count).more for count in (1, 5, 6)] == [True, True, False]
        assert not read_video(file, start=2, frames=4).more and len(read_video(file, frames=5)) == 5


def test_uneven_times_and_interlaced_frames_are_noted(tmp_path: Path) -> None:
    video = moving_square(6)
    uneven = read_video(write_as(tmp_path / "v.mp4", video, times=[0, 1, 2, 5, 8, 11]))
    assert len(uneven) == 6 and uneven.note is not None and "33 to 100 ms apart" in uneven.note
    woven = read_video(write_as(tmp_path / "w.mp4", video, **{"x264-params": "interlaced=1"}))
    assert woven.note is not None and woven.note.startswith("interlaced")


def test_a_file_that_was_cut_off_is_named_truncated(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8)
    file = write_as(tmp_path / "v.mp4", noise, movflags="faststart", bf="0")
    data = file.read_bytes()
    assert len(read_video(file)) == 12 and data.index(b"moov") < data.index(b"mdat")
    file.write_bytes(data[: len(data) * 6 // 10])
    for pad in (False, True):
        with pytest.raises(VideoError, match=r"truncated: its header lists 12 frames and \d are whole"):
            read_video(file, frames=12, pad=pad)
    assert len(read_video(file, frames=3)) == 3  # which are there


def test_a_name_with_a_time_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video("12:30:01.mp4", moving_square(2), 15)
    assert len(read_video("12:30:01.mp4")) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), (b"no video" * 100, "cannot be read"), (b"", "cannot be read")],
)
def test_what_is_no_video(content: bytes | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    if content is not None:
        file.write_bytes(content)
    for read in (read_video, probe_video):
        with pytest.raises(VideoError, match=words) as caught:
            read(file)
        assert str(file) in str(caught.value)
    with pytest.raises(VideoError, match="cannot be read"):
        read_video(tmp_path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "v.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    with pytest.raises(VideoError, match=r"no video stream.*audio"):
        read_video(tmp_path / "v.wav")


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), dtype=np.uint8)
    write_video(file, noise, 15)
    data = bytearray(file.read_bytes())
    start = data.index(b"mdat") + len(data) // 2
    data[start : start + len(data) // 4] = bytes(len(data) // 4)
    file.write_bytes(data)
    with pytest.raises(VideoError, match=r"broken|too short"):
        read_video(file, frames=30)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    good = moving_square(2)
    for frames, words in (
        (good[:, :47], "64x46"),
        (good.astype(np.float32), "uint8"),
        (good[:0], "at least one frame"),
        (good[..., :1], "F,H,W,3"),
    ):
        with pytest.raises(GeometryError, match=words):
            write_video(tmp_path / "v.mp4", frames, 15)
    for fps in (0, float("nan"), float("inf")):
        with pytest.raises(GeometryError, match="fps"):
            write_video(tmp_path / "v.mp4", good, fps)
    with pytest.raises(OutputError, match="does not exist"):
        write_video(tmp_path / "none" / "v.mp4", good, 15)
    with pytest.raises(OutputError, match="mp4"):
        write_video(tmp_path / "v.avi", good, 15)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_video(tmp_path / "folder.mp4", good, 15)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    write_video(file, moving_square(2), 15)
    before = file.read_bytes()
    script = f"""
import resource
import numpy as np
from outofsight.errors import OutputError
from outofsight.video import write_video
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
try:
    write_video({str(file)!r}, noise, 15)
except OutputError as error:
    print("refused:", error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "refused:" in done.stdout
    assert str(file) in done.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.mp4"]
    assert file.read_bytes() == before


def test_real_clip(shared: Path) -> None:
    for name in ("1.mp4", "2.mp4"):
        file = shared / "data" / "hm_world_examples" / name
        info = probe_video(file)
        assert (info.frames, info.height, info.width, info.fps) == (77, 480, 832, 15.0)
        small = read_video(file, size=(60, 104), frames=9)
        assert small.frames.shape == (9, 60, 104, 3)
        assert small.note == "resized 832x480 -> 104x60"
    with pytest.raises(VideoError, match="78 frames are needed and 77 are there"):
        read_video(file, frames=78, size=(60, 104))


def test_video_knows_its_size() -> None:
    video = Video(moving_square(3), 15.0)
    assert (len(video), video.size) == (3, (48, 64))


def test_an_exact_video_keeps_every_pixel_also_when_joined(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (7, 24, 36, 3), dtype=np.uint8)
    for name, part in (("a", frames[:4]), ("b", frames[4:])):
        write_video(tmp_path / f"{name}.mp4", part, 8.0, exact=True)
    assert np.array_equal(read_video(tmp_path / "a.mp4").frames, frames[:4])
    join_videos([tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "all.mp4")
    assert np.array_equal(read_video(tmp_path / "all.mp4").frames, frames)
    write_video(tmp_path / "usual.mp4", frames, 8.0)
    assert not np.array_equal(read_video(tmp_path / "usual.mp4").frames, frames)
