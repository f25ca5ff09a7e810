"""A crop by --height and --width, and the same crop made beforehand: one video, one field of view."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from outofsight.cli import main
from outofsight.commands.demo_run import packaged_clip
from outofsight.datasets import read_clip
from outofsight.video import read_video

SIZE = ["--height", "96", "--width", "96"]


def write_lossless(file: Path, frames: np.ndarray, fps: float) -> None:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264rgb", rate=round(fps), options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "rgb24"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def beforehand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo clip, columns 32 to 128 of its 160, with the field of view worked out by hand."""
    root = tmp_path_factory.mktemp("data")
    source = packaged_clip("tiny")
    place = root / "HM-World" / source.name
    place.mkdir(parents=True)
    shutil.copy(source.parent / "caption.txt", place.parent)
    clip = read_clip(source)
    for name, video in (("cond.mp4", clip.context_video()), ("tgt.mp4", clip.target_video())):
        write_lossless(place / name, video.frames[:, :, 32:128], video.fps)
        np.testing.assert_array_equal(read_video(place / name).frames, video.frames[:, :, 32:128])
    content = json.loads((source / "camera.json").read_text())
    content["horizontal_fov"] = cropped(content["horizontal_fov"])
    (place / "camera.json").write_text(json.dumps(content))
    return place


def cropped(fov: float) -> float:
    return float(np.degrees(2 * np.arctan(np.tan(np.radians(fov) / 2) * 96 / 160)))


def generate(clip: Path, out: Path, *options: str) -> dict[str, Any]:
    sampling = ["--steps", "2", "--seed", "5", "--frames", "9", "--device", "cpu"]
    assert main(["generate", "--model", "tiny", "--clip", str(clip), "--out", str(out), *sampling, *options]) == 0
    return dict(json.loads(out.with_suffix(".run.json").read_text()))


def test_a_crop_is_the_crop_made_beforehand(
    beforehand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = packaged_clip("tiny")
    asked = generate(whole, tmp_path / "asked.mp4", *SIZE)
    said = " ".join(capsys.readouterr().err.split())
    made = generate(beforehand, tmp_path / "made.mp4")
    own = read_clip(whole).target_cameras.horizontal_fov
    assert own is not None
    assert f"cropped to 96x96, field of view {own:g} degrees -> {cropped(own):g} degrees" in said
    assert asked["inputs"]["horizontal_fov"] == pytest.approx(cropped(own), abs=1e-9)
    assert asked["inputs"]["horizontal_fov"] == pytest.approx(made["inputs"]["horizontal_fov"], abs=1e-9)
    assert asked["inputs"]["context_size"] == made["inputs"]["context_size"] == [96, 96]
    first, second = (read_video(tmp_path / f"{name}.mp4").frames for name in ("asked", "made"))
    np.testing.assert_array_equal(first, second)
    # the field of view plays a part: what was stale before gives another video
    stale = generate(beforehand, tmp_path / "stale.mp4", "--horizontal-fov", str(own))
    assert stale["inputs"]["horizontal_fov"] == own
    assert np.abs(read_video(tmp_path / "stale.mp4").frames.astype(int) - first).max() > 8


def test_a_field_of_view_that_is_given_is_that_of_the_whole_picture(tmp_path: Path) -> None:
    made = generate(packaged_clip("tiny"), tmp_path / "a.mp4", *SIZE, "--horizontal-fov", "73.502", "--steps", "1")
    assert made["settings"]["horizontal_fov"] == 73.502
    assert made["inputs"]["horizontal_fov"] == pytest.approx(48.270, abs=1e-3)
