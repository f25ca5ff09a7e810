"""Settings: their kinds, setting them by name, what differs, and the learning rate they make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outofsight.errors import TrainingError
from outofsight.recipes import RECIPES
from outofsight.training import TrainConfig, with_settings


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{"data": Path("latents"), "out": Path("run"), **settings})


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_are_whole_and_say_what_to_expect(name: str) -> None:
    recipe = RECIPES[name]
    made = recipe(Path("latents"), Path("run"))
    assert (made.data, made.out) == (Path("latents"), Path("run"))
    assert json.loads(json.dumps(made.to_json())) == made.to_json()
    text = recipe.__doc__ or ""
    assert f"outofsight train {name}" in text and "Expected" in text


def test_the_papers_recipe_is_the_papers() -> None:
    made = RECIPES["hydra_1_3b"](Path("a"), Path("b"))
    assert (made.steps, made.batch_size, made.lr, made.precision) == (10_000, 32, 1e-5, "bf16")
    assert (made.optimizer, made.trainable, made.gradient_checkpointing) == ("adamw", "hydra", True)
    assert (made.objective.shift, made.objective.weighting) == (5.0, "release")


def test_settings_by_name() -> None:
    made = with_settings(
        config(warmup=100, model={"num_layers": 3, "memory": "hydra"}),
        ["steps=5", "warmup=0", "lr=1", "objective.shift=3", "objective.sigma_range=[0.1, 0.9]", "ema=none", "keep=4",
         "trainable=none", "lora=4", "model.num_layers=2", "model_options.memory_options.top_k=1", "optimizer=muon",
         "gradient_checkpointing=true", "parts=a/b"],
    )  # fmt: skip
    assert (made.steps, made.warmup, made.lr, made.objective.shift, made.ema) == (5, 0, 1.0, 3.0, None)
    assert made.objective.sigma_range == (0.1, 0.9) and made.trainable == "none" and made.lora == 4
    assert made.model == {"num_layers": 2, "memory": "hydra"} and made.gradient_checkpointing is True
    assert made.model_options == {"memory_options": {"top_k": 1}} and made.parts == Path("a/b")
    assert with_settings(config(), ['trainable=["projector"]']).trainable == ("projector",)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learning_rate=1", "no setting 'learning_rate'; there are data"),
        ("objective.wobble=1", r"no setting 'objective.wobble'; there are shift"),
        ("lr.fast=1", "holds no others"),
        ("lr", "expected name=value"),
        ("lr=quick", "lr is 'quick', expected float"),
        ("lr=NaN", "lr is 'NaN', expected float"),
        ("lr=1e999", "lr is inf, expected float"),
        ("steps=2.5", "steps is 2.5, expected int"),
        ("steps=true", "steps is True"),
        ("steps=0", "steps is 0, expected at least 1"),
        ("schedule=linear", "'constant', 'cosine'"),
        ("ema=1.0", r"ema is 1\.0, expected above 0 and below 1, or none"),
        ("trainable=half", "trainable is 'half'"),
        ("lora=4", "contradicts"),
        ("warmup=2000", "--set warmup=0"),
        ("betas=[0.9]", "betas"),
        ("betas=[2, 3]", r"betas are .* below 1"),
        ("max_grad_norm=0", r"max_grad_norm is 0\.0, expected above 0, or none"),
        ("lr=-1", "lr is -1"),
        ("clips=0", "clips is 0, expected at least 1, or none"),
        ("objective.shift=0", r"shift is 0\.0, expected above 0"),
        ("objective.text_dropout=1.5", r"text_dropout is 1\.5, expected at least 0 and at most 1"),
        ("objective.sigma_range=[0.5, 0.1]", "lowest < highest"),
        ('objective.condition_dropout={"rays": 2}', "probabilities from 0 to 1"),
    ],
)
def test_settings_that_make_no_sense(setting: str, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        with_settings(config(), [setting])


def test_only_what_changes_the_numbers_counts_as_a_difference() -> None:
    first = config(steps=10).to_json()
    same = config(steps=20, out=Path("elsewhere"), keep=9, log_every=1, data=Path("moved"), validate_every=5)
    assert same.differences(first) == []
    other = config(lr=0.5, model_options={"num_layers": 2}, schedule="cosine", steps=20)
    told = other.differences(first)
    assert [line.split(":")[0] for line in told] == [
        "lr",
        "model_options",
        "model_options.num_layers",
        "schedule",
        "steps",
    ]
    assert "0.0001 then, 0.5 now" in told[0]


def test_a_setting_that_was_unknown_then_counts_as_its_default() -> None:
    first = config(steps=10, model_options={"num_layers": 2}).to_json()
    del first["adamw_lr"], first["objective"]["condition_dropout"]
    assert config(steps=10, model_options={"num_layers": 2}).differences(first) == []
    told = config(steps=10, model_options={"num_layers": 2}, adamw_lr=0.5).differences(first)
    assert told == ["adamw_lr: 1.0 then, 0.5 now"]


def test_learning_rates() -> None:
    made = config(steps=100, warmup=9, cooldown=10, lr=1.0)
    rates = [made.learning_rate(step) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3]) and rates[9:91] == [1.0] * 82
    assert rates[90:] == pytest.approx([1 - i / 10 for i in range(10)])
    cosine = config(steps=100, lr=1.0, schedule="cosine")
    assert cosine.learning_rate(50) == pytest.approx(0.5) and cosine.learning_rate(99) < 0.001
