"""What a run is given, as it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outofsight.generation.outputs import OutputPaths
from outofsight.generation.record import Settings, Sources
from outofsight.generation.request import Job, LoadedInputs, load_inputs
from pipelines import FPS, camera_json, frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    from outofsight.video import write_video

    write_video(tmp_path / "clip.mp4", frames(), FPS)
    return tmp_path


def read(clip: Path, fov: float | None) -> LoadedInputs:
    content = camera_json() | ({} if fov is None else {"horizontal_fov": fov})
    (clip / "cam.json").write_text(json.dumps(content))
    sources = Sources(context=str(clip / "clip.mp4"), cameras=str(clip / "cam.json"), prompt="a dog")
    return load_inputs(Job(OutputPaths(clip / "out.mp4"), sources), Settings(), 4)


def test_another_lens_is_another_input(clip: Path) -> None:
    one, two, none = read(clip, 60.0), read(clip, 70.0), read(clip, None)
    assert one.context_cameras.horizontal_fov == 60.0 and none.context_cameras.horizontal_fov is None
    assert one.sha256 == read(clip, 60.0).sha256
    for other in (two, none):
        changed = {name for name in one.sha256 if one.sha256[name] != other.sha256[name]}
        assert changed == {"context lens", "target lens"}


def test_a_request_for_a_size_fits_frames_and_lens_together(clip: Path) -> None:
    whole = read(clip, 60.0)
    fitted = whole.fitted(Settings(height=16, width=16))
    assert fitted.frames.shape[1:] == (16, 16, 3) and len(fitted.frames) == len(whole.frames)
    for path in (fitted.context_cameras, fitted.target_cameras):
        assert path.horizontal_fov is not None and path.horizontal_fov < 60.0
    assert "cropped" in fitted.notes[-1] and whole.notes == fitted.notes[:-1]
