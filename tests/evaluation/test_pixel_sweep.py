"""The sweep of the context's pixels as an answer to a clip (benchmarks/pixel_sweep.py)."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from held_out import write_data
from outofsight.cameras import CameraPath
from outofsight.clips import Clip
from outofsight.errors import CameraError
from outofsight.experiments.rendered.sweep import SweepOptions

WALL, FOV, SIZE = 5.0, 24.0, (24, 40)  # metres, degrees, pixels


def _benchmark() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "pixel_sweep.py"
    spec = importlib.util.spec_from_file_location("pixel_sweep", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


benchmark = _benchmark()


def cameras(*places: float) -> CameraPath:
    """Cameras that look straight at the wall from so many metres to the right."""
    c2w = np.tile(np.eye(4), (len(places), 1, 1))
    c2w[:, 0, 3] = places
    return CameraPath(c2w, horizontal_fov=FOV)


def wall(path: CameraPath) -> np.ndarray:
    """What they see of it: waves of three colours."""
    height, width = SIZE
    step = 2 * np.tan(np.radians(FOV) / 2) / width * WALL  # metres a pixel
    x = (np.arange(width) + 0.5 - width / 2) * step
    y = (np.arange(height) + 0.5 - height / 2) * step
    at = x[None, None, :] + path.c2w[:, 0, 3][:, None, None] + 0 * y[None, :, None]
    waves = [np.sin(5 * at + y[None, :, None] * turn) for turn in (1.0, 3.0, -2.0)]
    return (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def error(made: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(made.astype(float) - truth)[:, 4:-4, 8:-8].mean())


def test_the_wall_is_shown_from_elsewhere() -> None:
    seen, wanted = cameras(-0.2, 9.0, 0.0, 9.0, 0.3, 9.0, 0.5), cameras(0.1, 0.4)
    clip = Clip("clip", "a wall", seen, wanted, wall(seen), wall(wanted))
    spoilt = wall(seen)
    spoilt[1::2] = 0  # frames that are not taken
    errors = []
    for planes in (6, 2):  # of the former one lies in the wall
        made = benchmark.swept(clip, spoilt, 2, SweepOptions(planes=planes, nearest=0.5, coarse=1))
        assert made.shape == (2, *SIZE, 3) and made.dtype == np.uint8
        errors.append(error(made, wall(wanted)))
    assert errors[0] < 6 and errors[1] > 30  # of 255
    blind = replace(clip, target_cameras=replace(wanted, horizontal_fov=None))
    with pytest.raises(CameraError, match="field of view"):
        benchmark.swept(blind, spoilt, 2, SweepOptions())


def test_a_table_of_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["pixel_sweep.py", str(write_data(tmp_path, fates=True)), "--planes", "2"])
    benchmark.main()
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].count("|") == 8
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| sweep of the context's pixels", "| last frame held", "| best view copied",
    ]  # fmt: skip
