"""Values that are numbers, names and files, and that nothing can be made of, are refused before any work."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outofsight.cameras import CameraPath, load_camera_file
from outofsight.cli import main
from outofsight.clips import InstanceMasks, SubjectTrack
from outofsight.components.prompts import tokenize
from outofsight.datasets import detect_layout, read_clip
from outofsight.errors import CameraError, GeometryError, LayoutError, OutputError, PromptError, VideoError
from outofsight.evaluation import evaluate
from outofsight.framing import Framing
from outofsight.generation.outputs import check_writable
from outofsight.generation.request import checked_sources
from outofsight.video import read_video
from pipelines import camera_json, write_sample

EYE = np.eye(4)[None]


def raw(first: str) -> dict[str, str]:
    return {str(frame): f"[1 0 0 0] [0 1 0 0] [0 0 1 0] [{first} 0 0 1]" for frame in range(9)}


def with_fps(fps: Any) -> dict[str, Any]:
    return {**camera_json(), "fps": fps}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (raw("1_000"), r"frame 0: expected .*1_000"),
        (raw("1e30"), r"frame 0: not a camera pose: its position is 1e\+30 0 0"),
        (with_fps(10**400), "fps larger than any rate"),
        (with_fps(1e5), r"fps 100000\.0: .*below 1000"),
        (
            {**camera_json(), "cond_cam": {"9" * 4000: [[1.0, 0, 0, 0]] * 4}},
            r'unknown keys "9{60}\.\.\." \(4000 letters\)',
        ),
    ],
)
def test_camera_files(content: Any, words: str, tmp_path: Path) -> None:
    file = tmp_path / "cam.json"
    file.write_text(json.dumps(content))
    with pytest.raises(CameraError, match=words) as caught:
        load_camera_file(file)
    assert len(str(caught.value)) < 600
    assert len(CameraPath(EYE + 1e8 * (np.arange(16) == 3).reshape(1, 4, 4))) == 1  # far, and a place


def test_a_path_of_any_count_is_refused_before_it_is_walked() -> None:
    with pytest.raises(CameraError, match="399996 latent frames long; at most 100000"):
        CameraPath.from_string(",".join(["right-99999"] * 4))


def test_sizes_beyond_any_picture() -> None:
    with pytest.raises(GeometryError, match="more than 16384 pixels"):
        Framing.cover((96, 160), (10**9, 10**9))
    assert Framing.cover((96, 160), (16384, 16384)).size == (16384, 16384)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"visible_pixels": [-5, 3]}, "visible_pixels holds -5"),
        ({"visible_pixels": [0.5, 3]}, "visible_pixels .*fractions"),
        ({"attributes": [1, 2]}, "attributes are a list"),
        ({"attributes": "tall"}, "attributes are a str"),
    ],
)
def test_subjects(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(LayoutError, match=f'subject "dog": {words}'):
        SubjectTrack("dog", **changed)
    assert SubjectTrack("dog", visible_pixels=np.array([2.0, 3.0])).visible_pixels.tolist() == [2, 3]  # type: ignore[union-attr]


def test_two_subjects_of_one_id_name_the_file(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, "one")
    subject = {"id": "dog", "visible_pixels": [1] * 18}
    content = {"outofsight": {"version": 1, "subjects": [subject, subject]}}
    (folder / "character.json").write_text(json.dumps(content))
    with pytest.raises(LayoutError, match=r"character\.json: two subjects have one id: dog"):
        read_clip(folder)


def test_masks_that_claim_more_than_any_memory(tmp_path: Path) -> None:
    text = repr({"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**4, 10**4)}).encode()
    text += b" " * (-(11 + len(text)) % 64) + b"\n"
    array = io.BytesIO(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64))
    with zipfile.ZipFile(tmp_path / "ids.npz", "w") as archive:
        archive.writestr("ids.npy", array.getvalue())
    with pytest.raises(LayoutError, match="expected an npz file with the array ids"):
        InstanceMasks(tmp_path / "ids.npz").load()


def test_a_loop_of_links_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    os.symlink("loop", loop)
    with pytest.raises(LayoutError, match="loop: does not exist"):
        detect_layout(loop)
    nothing: dict[str, Any] = dict.fromkeys(
        ("cameras", "context_cameras", "context_pose", "pose", "clip", "clip_name", "prompt", "prompt_file")
    )
    assert checked_sources(context=loop, **nothing).context == str(loop)
    with pytest.raises(VideoError, match="loop"):
        read_video(loop)


def test_names_that_are_too_long(tmp_path: Path) -> None:
    for name in ("x" * 300, "ä" * 120):
        with pytest.raises(OutputError, match="too long: at most 230 bytes"):
            check_writable(tmp_path / f"{name}.mp4")
    check_writable(tmp_path / ("x" * 226 + ".mp4"))


@pytest.mark.parametrize("option", ["--prompt", "--negative-prompt", "--out"])
def test_bytes_that_are_no_text(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", option, os.fsdecode(b"caf\xe9")]) == 2
    assert "is not UTF-8 text" in capsys.readouterr().err


def test_a_prompt_of_megabytes_is_refused_unread() -> None:
    class Never:
        def __call__(self, *_: Any, **__: Any) -> None:
            raise AssertionError("it was counted")

    with pytest.raises(PromptError, match=r"has 5000000 letters.*it begins 'word word"):
        tokenize(Never(), "word " * 1_000_000, 64)


@pytest.mark.parametrize("degrees", [0.0, 180.0, float("nan")])
def test_a_field_of_view_for_the_evaluation(degrees: float, tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"horizontal_fov is .*between 0 and 180"):
        evaluate(tmp_path, tmp_path, horizontal_fov=degrees)
