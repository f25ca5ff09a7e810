"""Small clips on disk: HM-World's layout, read back, measured, resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from outofsight.cli import main
from outofsight.datasets import iterate_clips, read_clip
from outofsight.errors import WorldsError
from outofsight.evaluation.clip import eval_clips
from outofsight.evaluation.metrics.fate import FATES, nearest_fate
from outofsight.worlds.manifest import Settings, checksums
from outofsight.worlds.runner import make_clips
from outofsight.worlds.small import PRESETS, draw_clip, small_world


def settings(preset: str, **values) -> Settings:
    return Settings(**{"seed": 7, "preset": preset, "split": "test", "mix": "re-entry", "subjects": None,
                       "fates": True, **values})  # fmt: skip


@pytest.fixture(scope="module", params=["small-easy", "small-film"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("small")
    outcome = make_clips(settings(request.param), 3, out)
    assert [row["index"] for row in outcome.rows] == [0, 1, 2]
    return request.param, out


def test_written_and_read_back_equal(folder: tuple[str, Path]) -> None:
    name, out = folder
    found = list(iterate_clips(out))
    assert [clip.name for clip in found] == [f"test-7-{n:06d}" for n in range(3)]
    for number, clip in enumerate(found):
        drawn = draw_clip(small_world(name, split="test"), 7, number)
        made = drawn.clip
        for half in ("context", "target"):
            read, wanted = getattr(clip, f"{half}_cameras"), getattr(made, f"{half}_cameras")
            np.testing.assert_allclose(read.c2w, wanted.c2w, atol=1e-9)
            assert (read.horizontal_fov, read.fps) == (drawn.world.fov, 8.0)
            pixels = getattr(clip, f"{half}_video")().frames
            assert np.abs(pixels.astype(int) - getattr(made, half)).mean() < 8  # video coding
        np.testing.assert_array_equal(clip.load_masks(), drawn.ids)
        for track, wanted in zip(clip.subjects, made.subjects, strict=True):
            assert (track.id, dict(track.attributes)) == (wanted.id, dict(wanted.attributes))
            for key in ("positions", "heading", "boxes", "visible_pixels"):
                np.testing.assert_array_equal(getattr(track, key), getattr(wanted, key))
        assert (clip.caption, clip.events, clip.notes) == (made.caption, drawn.events, ())
        assert clip.extras["judged"] == drawn.judged.tolist()


def test_fates_are_measured(folder: tuple[str, Path]) -> None:
    name, out = folder
    for number, one in enumerate(eval_clips(out)):
        read, drawn = one.read(), draw_clip(small_world(name, split="test"), 7, number)
        assert read.subjects == tuple(f"subject_{k + 1}" for k in range(drawn.world.subjects))
        np.testing.assert_array_equal(read.region, drawn.region)
        np.testing.assert_array_equal(read.returned, drawn.returned[:, drawn.world.context_frames :])
        for fate in FATES:
            score = nearest_fate(read.fates[fate], read.fates, read.region, read.re_entered)
            assert score is not None and score.nearest == fate
        world = json.loads((out / "HM-World" / one.name / "world.json").read_text())
        assert world["plan"]["kind"] == "re-entry" and len(world["re-entries"]) == drawn.world.subjects
        np.testing.assert_allclose(world["plan"]["centres_cells"], drawn.centres)
        assert world["fates"]["held_at_raw_frame"]["subject_1"] == drawn.held[0]


def test_a_stopped_run_resumes_to_the_same_files(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    chosen = settings("small-easy", fates=False, split="train")
    make_clips(chosen, 3, whole)
    make_clips(chosen, 2, stopped)
    shutil.rmtree(stopped / "HM-World" / "train-7-000000")
    outcome = make_clips(chosen, 3, stopped)
    assert outcome.kept == 1
    assert checksums(stopped) == checksums(whole)
    with pytest.raises(WorldsError, match="made with other settings"):
        make_clips(settings("small-two", fates=False, split="train"), 3, stopped)


def test_command_writes_previews_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "w")
    command = ["worlds", "--preset", "small-easy", "--clips", "2", "--subjects", "2", "--workers", "1"]
    assert main([*command, "--out", out, "--preview"]) == 0
    assert capsys.readouterr().out.strip().endswith("HM-World")
    assert (tmp_path / "w" / "preview.png").stat().st_size > 10_000
    clip = read_clip(out, "train-0-000001")
    assert len(clip.subjects) == 2 and not (tmp_path / "w/HM-World/train-0-000001/fates").exists()
    assert main(["worlds", "--list-presets"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*PRESETS, "hm-world", "tiny-30fps")) and "36x24" in listed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "small-easy", "--mix", "occluded"], "every clip is one of re-entry"),
        (["--preset", "small-easy", "--subjects", "9"], "subjects=9: expected 1 to 3"),
        (["--preset", "small-tiny"], 'no preset "small-tiny"; expected one of'),
    ],
)
def test_wrong_settings_are_named(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["worlds", "--clips", "1", *options, "--out", str(tmp_path / "w")]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "w").exists()
