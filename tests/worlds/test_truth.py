"""Written clips are true by benchmarks/worlds_truth.py, and it notices when they are not."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from outofsight.errors import WorldsError
from outofsight.worlds.engine.presets import PRESETS
from outofsight.worlds.generate import ClipMaker, write
from outofsight.worlds.manifest import Settings


def _benchmark() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "worlds_truth.py"
    spec = importlib.util.spec_from_file_location("worlds_truth", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["worlds_truth"] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


truth = _benchmark()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    settings = Settings(7, "tiny", "train", "re-entry", None, False)
    try:
        maker = ClipMaker(PRESETS["tiny"])
    except WorldsError as error:
        pytest.skip(f"cannot render here: {error}")
    with maker:
        return [write(maker.make(settings, index), tmp_path_factory.mktemp("worlds")) for index in range(3)]


@pytest.fixture(scope="module")
def folder(folders: list[Path]) -> Path:
    return folders[0]


@pytest.fixture(scope="module")
def painter(folder: Path) -> Iterator[truth.Painter]:
    made = truth.Painter(PRESETS["tiny"])
    yield made
    made.plain.close()
    made.fine.close()


@pytest.fixture
def again(folder: Path, painter: truth.Painter) -> truth.Again:
    return truth.Again(truth.Written(folder), painter)


def test_events_are_the_transitions_of_the_written_masks(folder: Path) -> None:
    written = truth.Written(folder)
    found = written.events()
    assert found["events"] >= 2 and found["wrong_clips"] == 0
    left = next(event for event in written.world["events"] if event["kind"] == "exit")
    subject = [entry["name"] for entry in written.world["plan"]["subjects"]].index(left["subject"]) + 1
    written.ids[left["frame"], 0, 0] = subject  # seen for a frame longer
    found = written.events()
    assert (found["wrong_clips"], found["wrong_counts"], found["wrong_flags"]) == (1, 1, 1)
    assert found["wrong_events"] >= 2
    written = truth.Written(folder)
    del written.world["events"][0]
    assert written.events()["wrong_events"] == 1


def test_body_points_lie_in_the_boxes_of_the_masks(again: truth.Again) -> None:
    found = again.points(11)
    assert found["seen"] >= 5 and found["drifted"] == 0
    assert found["wide"] == 0
    # parts thinner than a pixel may lie between the centres of pixels
    assert found["vertices"] <= 1 and found["joints"] <= 1
    again.written.ids = np.roll(again.written.ids, 8, axis=2)
    found = again.points(11)
    assert found["drifted"] > 0 and found["wide"] > 0.5 * found["seen"]


def test_bodies_elsewhere_than_their_masks_are_noticed(again: truth.Again) -> None:
    """A projection that is wrong, though the picture is right."""
    lens = again.lens
    again.lens = truth.Lens(1.3 * lens.focal, lens.width, lens.height)
    found = again.points(11)
    assert found["drifted"] == 0 and found["vertices"] > 0.5 * found["seen"]


def test_depth_and_written_cameras_agree(again: truth.Again) -> None:
    found = again.surface(3)
    shown = found["samples"] - found["hidden"]
    assert shown > 0.5 * found["samples"] > 10_000
    assert found["agree"] >= 0.99 * shown and found["cameras_differ"] == 0
    turn = np.eye(4)
    turn[:3, :3] = np.array([[1, 0, 0], [0, np.cos(0.04), -np.sin(0.04)], [0, np.sin(0.04), np.cos(0.04)]])
    again.written.c2w = again.written.c2w @ turn  # 4 or 5 pixels down
    found = again.surface(3)
    assert found["cameras_differ"] == 1
    assert found["agree"] < 0.9 * (found["samples"] - found["hidden"])


def test_the_vanished_leave_all_else_as_it_is(
    folders: list[Path], painter: truth.Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in folders:
        again = truth.Again(truth.Written(folder), painter)
        found = again.vanished(4)
        # a multisampled edge is shaded at the pixel's centre, which may lie in a shadow behind that edge
        assert found["differ"] > 50 and found["unexplained"] <= 1 and found["truth_differs"] == 0
        if found["outside"] >= 10:
            break
    assert found["outside"] >= 10, "no clip with a shadow to be seen: take others"
    draw, plain = again.draw, again.painter.plain

    def spotted(renderer: object, frame: int, gone: tuple[int, ...] = ()) -> object:
        picture = draw(renderer, frame, gone)
        if gone and renderer is plain:
            picture.colour[0, 0] ^= 1
            picture.depth[0, 1] = 3.0
        return picture

    monkeypatch.setattr(again, "draw", spotted)
    found = again.vanished(4)
    assert found["truth_differs"] == found["frames"] <= found["unexplained"] <= found["frames"] + 1
    monkeypatch.setattr(again, "draw", draw)
    again.sun = again.sun * (-1, -1, 1)
    assert again.vanished(4)["unexplained"] > 4


def test_clips_of_every_family_are_rendered_again(tmp_path: Path) -> None:
    kept = {"caption": "somebody", "files": {}}
    rows = [{"index": i, "name": f"clip-{i}", "family": family, **kept} for i, family in enumerate("aabab")]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [again for _, again in truth.chosen([tmp_path], 3)] == [True, False, True, True, False]
