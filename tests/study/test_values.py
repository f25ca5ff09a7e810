"""Files of finished runs: read as they were written, refused where they cannot stand in one table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from study_values import DATA, floors, run_values

from outofsight.errors import StudyError
from outofsight.study.values import Stored, read_any, read_stored, read_values, refuse_different


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    run = run_values("hydra", 1, 0.5)
    file = run.save(tmp_path)
    assert file.name == "hydra-seed1.json"
    read = read_values(file)
    assert (read.row, read.seed, read.settings, read.curve) == ("hydra", 1, run.settings, run.curve)
    assert read.clips["clip-03"]["psnr"] == pytest.approx(run.clips["clip-03"]["psnr"], abs=1e-5)
    assert read.clips["clip-03"]["fate"] == "frozen" and read.clips["clip-02"]["psnr hidden"] is None
    assert file.read_text().count("\n") > len(run.clips)  # a line for each clip, so that changes can be read


def test_a_folder_in_the_order_of_rows_and_seeds(tmp_path: Path) -> None:
    for row, seed in (("hydra", 1), ("fov", 0), ("hydra", 0), ("full", 2)):
        run_values(row, seed).save(tmp_path)
    floors().save(tmp_path)
    stored = read_stored(tmp_path)
    assert [run.name for run in stored.runs] == ["full-seed2", "fov-seed0", "hydra-seed0", "hydra-seed1"]
    assert [run.seed for run in stored.of("hydra")] == [0, 1] and stored.of("hydra-k2") == ()
    assert stored.floors is not None and "VAE reconstruction" in stored.floors.rows


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (
            {"settings": {**run_values("hydra", 0).settings, "lr": 0.1}},
            r"lr: 0\.004 in full-seed0, 0\.1 in hydra-seed0",
        ),
        ({"data": {**DATA, "train": "c" * 64}}, "train clips are others than those of full-seed0"),
        ({"clips": dict(list(run_values("fov", 0).clips.items())[:-1])}, "judged on other clips"),
    ],
)
def test_runs_that_cannot_stand_in_one_table(tmp_path: Path, other: dict, told: str) -> None:
    run_values("full", 0).save(tmp_path)
    replace(run_values("hydra", 0), **other).save(tmp_path)
    with pytest.raises(StudyError, match=told):
        read_stored(tmp_path)


def test_settings_that_are_newer_than_a_file_count_as_their_defaults(tmp_path: Path) -> None:
    settings = dict(run_values("full", 0).settings)
    objective = {name: value for name, value in settings["objective"].items() if name != "condition_dropout"}
    run_values("full", 0).save(tmp_path)
    run_values("hydra", 0, settings={**settings, "objective": objective}).save(tmp_path)
    assert len(read_stored(tmp_path).runs) == 2


def test_files_that_are_broken(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no finished run"):
        read_stored(tmp_path)
    file = run_values("full", 0).save(tmp_path)
    whole = json.loads(file.read_text())
    for content, told in (
        ("{", "not a JSON file"),
        ("[]", "expected an object"),
        (json.dumps({**whole, "format": "outofsight study 0"}), "not a file of this version"),
        (json.dumps({name: value for name, value in whole.items() if name != "clips"}), "clips"),
        (json.dumps({**whole, "row": "vmem"}), "none of"),
        (json.dumps({**whole, "facts": {}}), "facts: parameters is missing"),
        (json.dumps({**whole, "curve": [["x"]]}), "curve.0.0 is 'x'"),
        ('{"a":' * 50_000, "nested too deeply"),
        (json.dumps({**whole, "seed": 5}), "full-seed5"),
    ):
        file.write_text(content)
        with pytest.raises(StudyError, match=told):
            read_stored(tmp_path)
    run_values("full", 0).save(tmp_path)
    (tmp_path / "floors.json").write_text(json.dumps({"format": whole["format"], "rows": 3}))
    with pytest.raises(StudyError, match=r"floors\.json"):
        read_stored(tmp_path)


def test_a_planned_run_is_held_against_what_is_stored(tmp_path: Path) -> None:
    made = run_values("hydra", 0)
    refuse_different(read_any(tmp_path), "hydra", made.settings, DATA, "this")  # nothing is there
    made.save(tmp_path)
    floors().save(tmp_path)
    stored = read_any(tmp_path)
    other = run_values("full", 1)
    refuse_different(stored, "hydra", {**made.settings, "seed": 4, "out": "elsewhere"}, DATA, "this")
    refuse_different(stored, "full", other.settings, DATA, "this")
    wider = {**made.settings, "model_options": {**made.settings["model_options"], "memory_options": {"window": 3}}}
    for row, settings, data, told in (
        ("full", {**other.settings, "steps": 5}, DATA, "steps: 600 in hydra-seed0, 5 in this"),
        ("hydra", wider, DATA, "memory_options.window: 5 in hydra-seed0, 3 in this"),
        ("hydra", {**made.settings, "batch_size": 9}, DATA, "batch_size: 4 in hydra-seed0"),
        ("full", other.settings, {**DATA, "test": "x"}, "test clips are others than those of hydra-seed0"),
        ("full", other.settings, {**DATA, "judging": "4 steps"}, "judging: 1 steps in hydra-seed0, 4 steps now"),
    ):
        with pytest.raises(StudyError, match=told):
            refuse_different(stored, row, settings, data, "this")
    with pytest.raises(StudyError, match=r"floors\.json is of other"):
        refuse_different(Stored((), stored.floors), "full", other.settings, {**DATA, "test": "x"}, "this")


def test_what_a_killed_process_was_writing_is_passed_over(tmp_path: Path) -> None:
    run_values("hydra", 0).save(tmp_path)
    (tmp_path / ".hydra-seed1.k2.json").write_text("{")
    assert [run.name for run in read_stored(tmp_path).runs] == ["hydra-seed0"]
