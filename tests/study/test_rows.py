"""What a study compares: rows and runs that differ in their memory and in nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from outofsight.errors import StudyError, TrainingError
from outofsight.study.rows import ROWS, Run, choose_rows, choose_seeds, runs_of, shared_settings
from outofsight.training.parameters import build_model

PLACES = (Path("data"), Path("out"), Path("parts"))
SMALL = ("model_options.num_layers=1", "model_options.attention_head_dim=12", "model_options.ffn_dim=16",
         "model_options.freq_dim=16", "model_options.text_dim=8")  # fmt: skip


def test_rows_and_seeds_by_name() -> None:
    assert [row.name for row in choose_rows("main")] == ["full", "fov", "hydra"]
    assert [row.name for row in choose_rows(" hydra, full,hydra ")] == ["full", "hydra"]
    assert choose_rows("main,ablations") == choose_rows("all") == tuple(ROWS.values())
    assert choose_seeds("2, 0,2") == (2, 0)
    for wrong in ("hydr", "", "main,"):
        with pytest.raises(StudyError, match="no row"):
            choose_rows(wrong)
    for wrong in ("a", "", "0,-1"):
        with pytest.raises(StudyError, match="seeds are"):
            choose_seeds(wrong)


def test_runs_come_a_seed_at_a_time() -> None:
    names = [run.name for run in runs_of(choose_rows("full,hydra"), (0, 1))]
    assert names == ["full-seed0", "hydra-seed0", "full-seed1", "hydra-seed1"]


def test_runs_differ_in_memory_and_seed_alone() -> None:
    configs = {row.name: Run(row, seed).config(*PLACES, SMALL) for seed, row in enumerate(ROWS.values())}
    assert len({config.seed for config in configs.values()}) == len(ROWS)
    shared = [shared_settings(config.to_json()) for config in configs.values()]
    assert all(one == shared[0] for one in shared)
    assert {"steps", "lr", "objective.subject_weight", "model_options.num_layers"} <= shared[0].keys()
    assert not {"seed", "data", "model_options.memory"} & shared[0].keys()
    other = Run(ROWS["full"], 0).config(*PLACES, [*SMALL, "lr=0.001"])
    assert shared_settings(other.to_json()) != shared[0]
    # as many noisy targets a step, shared passes or not
    assert {config.batch_size * config.draws for config in configs.values()} == {8}


def test_every_row_makes_a_model_with_its_memory() -> None:
    models = {row.name: build_model(Run(row, 0).config(*PLACES, SMALL)) for row in ROWS.values()}
    assert {name: model.memory.name for name, model in models.items()} == {
        name: "full" if name == "full" else "fov" if name == "fov" else "hydra" for name in ROWS
    }
    assert models["fov"].memory.options.top_k == 7
    options = {name: model.memory.options for name, model in models.items() if name.startswith("hydra")}
    assert (options["hydra"].kernel, options["hydra"].top_k, options["hydra"].window) == ((2, 2, 2), 4, 5)
    assert options["hydra-kernel1"].kernel == (1, 2, 2) and options["hydra-fov"].affinity == "fov"
    assert [options[f"hydra-{name}"].top_k for name in ("k2", "k6", "all")] == [2, 6, None]
    assert (options["hydra-joint"].bank, options["hydra-release"].bank) == ("context", "all")
    assert models["hydra"].cacheable and not models["hydra-release"].cacheable
    assert models["full"].config.camera_inputs == models["hydra"].config.camera_inputs
    assert "reprojections" not in models["hydra"].config.camera_inputs


def test_settings_that_do_not_exist() -> None:
    with pytest.raises(TrainingError, match="stepz"):
        Run(ROWS["full"], 0).config(*PLACES, ["stepz=3"])
