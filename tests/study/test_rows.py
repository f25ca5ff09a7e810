"""What a study compares: rows and runs that differ in their memory and in nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from outofsight.errors import StudyError, TrainingError
from outofsight.study.rows import ROWS, Run, choose_rows, choose_seeds, row_settings, runs_of, shared_settings
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
    rows = [row_settings(Run(ROWS["full"], seed).config(*PLACES, SMALL).to_json()) for seed in (0, 1)]
    assert rows[0] == rows[1] and rows[0]["model_options.memory"] == "full"
    # as many noisy targets a step, shared passes or not
    assert {config.batch_size * config.draws for config in configs.values()} == {8}
    joint = Run(ROWS["hydra-joint"], 0).config(*PLACES, [*SMALL, "batch_size=3"])
    assert (joint.batch_size, joint.draws) == (6, 1)
    # the two joint rows differ in the bank alone
    one, other = (configs[name].model_options["memory_options"] for name in ("hydra-joint", "hydra-release"))
    assert {name for name in one if one[name] != other.get(name)} == {"bank"} and one.keys() == other.keys()


def test_every_row_makes_a_model_with_its_memory() -> None:
    models = {row.name: build_model(Run(row, 0).config(*PLACES, SMALL)) for row in ROWS.values()}
    assert {name: model.memory.name for name, model in models.items()} == {name: name.split("-")[0] for name in ROWS}
    thinned = [models[name].memory.options for name in ("fov", "fov-thinned")]
    assert [(options.top_k, options.run) for options in thinned] == [(7, 1), (7, 2)]
    options = {name: model.memory.options for name, model in models.items() if name.startswith("hydra")}
    assert (options["hydra"].kernel, options["hydra"].top_k, options["hydra"].window) == ((2, 2, 2), 4, 5)
    assert options["hydra-kernel1"].kernel == (1, 2, 2) and options["hydra-fine"].kernel == (2, 1, 1)
    assert options["hydra-fov"].affinity == "fov"
    assert [options[f"hydra-{name}"].top_k for name in ("k2", "k6", "all")] == [2, 6, None]
    assert (options["hydra-joint"].bank, options["hydra-release"].bank) == ("context", "all")
    assert models["hydra"].cacheable and not models["hydra-release"].cacheable
    assert models["full"].config.conditioners == models["hydra"].config.conditioners
    assert "reprojection" not in models["hydra"].config.conditioners


@pytest.mark.parametrize(
    "name", ["seed", "data", "model_options", "model_options.memory", "model_options.memory_options.window"]
)
def test_settings_that_the_study_sets_itself(name: str) -> None:
    with pytest.raises(StudyError, match=f"--set {name}: a study sets it itself"):
        Run(ROWS["full"], 0).config(*PLACES, [f"{name}=3"])


def test_settings_that_do_not_exist() -> None:
    with pytest.raises(TrainingError, match="stepz"):
        Run(ROWS["full"], 0).config(*PLACES, ["stepz=3"])
