"""Optimisers: against torch's, who decays, who gets Muon, state by name, and what is missing."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from latents import CLEAN, NARROW
from models import narrow_model
from outofsight.errors import CheckpointError, TrainingError
from outofsight.training import TrainConfig
from outofsight.training.ema import Ema
from outofsight.training.muon import KernelMuon
from outofsight.training.optimizers import part_optimizer, transformer_optimizer


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(Path("a"), Path("b"), **settings)


def with_gradients(seed: int = 0) -> Any:
    model = narrow_model(**{**NARROW, **CLEAN})
    for number, parameter in enumerate(model.parameters()):
        generator = torch.Generator().manual_seed(1000 * seed + number)
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return model


def named(model: Any) -> dict[str, Any]:
    return dict(model.named_parameters())


def test_adamw_is_torchs_with_decay_on_matrices_alone() -> None:
    model, twin = with_gradients(), with_gradients()
    optimizer = transformer_optimizer(config(lr=0.01, weight_decay=0.1, betas=(0.8, 0.9)), named(model), model)
    matrices = [m.weight for m in twin.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv3d)]
    rest = [p for p in twin.parameters() if not any(p is m for m in matrices)]
    torchs = torch.optim.AdamW(
        [{"params": matrices}, {"params": rest, "weight_decay": 0.0}], lr=0.005, weight_decay=0.1, betas=(0.8, 0.9)
    )
    optimizer.step(0.005)
    torchs.step()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
        assert ours.grad is None


def test_muon_takes_the_blocks_matrices_and_adamw_the_rest() -> None:
    model = with_gradients()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = transformer_optimizer(config(optimizer="muon", lr=0.01, weight_decay=0.0), named(model), model)
    muon, kernels, adamw = optimizer.parts
    assert isinstance(muon, torch.optim.Muon) and isinstance(kernels, KernelMuon)
    assert isinstance(adamw, torch.optim.AdamW)
    names = {id(p): name for name, p in model.named_parameters()}
    hidden = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    tokenizers = {names[id(p)] for group in kernels.param_groups for p in group["params"]}
    assert tokenizers == {f"blocks.{block}.attn1.tokenizer.conv.weight" for block in range(2)}
    assert {"blocks.0.attn1.to_q.weight", "blocks.1.ffn.net.2.weight", "blocks.0.projector.weight"} <= hidden
    assert not any("cam_encoder" in n or "ray_encoder" in n or "blocks." not in n or "bias" in n for n in hidden)
    optimizer.step(0.01)
    # AdamW's first step is lr in every entry; Muon's is scaled to a fifth of that
    for name, parameter in model.named_parameters():
        size = (parameter - before[name]).square().mean().sqrt()
        assert 0.001 < size < 0.011, name


def test_adamw_takes_its_share_of_the_rate_beside_muon() -> None:
    steps = []
    for share in (1.0, 0.25):
        model = with_gradients()
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        transformer_optimizer(config(optimizer="muon", weight_decay=0.0, adamw_lr=share), named(model), model).step(
            0.01
        )
        steps.append({name: (p - before[name]).norm().item() for name, p in model.named_parameters()})
    for name in ("blocks.0.attn1.to_q.weight", "blocks.0.attn1.tokenizer.conv.weight"):
        assert steps[1][name] == pytest.approx(steps[0][name])
    for name in ("patch_embedding.weight", "blocks.0.attn1.to_q.bias", "proj_out.weight"):
        assert steps[1][name] == pytest.approx(0.25 * steps[0][name], rel=1e-3)


def test_every_parameter_of_a_small_part_is_moved_by_one_of_the_two_at_its_rate() -> None:
    kinds = {"table": torch.nn.Embedding(5, 4), "inner": torch.nn.Linear(4, 4), "norm": torch.nn.LayerNorm(4)}
    model = torch.nn.ModuleDict(kinds)
    optimizer = part_optimizer(named(model), 0.1, tables=("table",), tables_lr=10.0)
    held = [id(p) for part in optimizer.parts for group in part.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    muon = optimizer.parts[0]
    assert isinstance(muon, KernelMuon) and [id(p) for p in muon.param_groups[0]["params"]] == [
        id(model["inner"].weight)
    ]
    optimizer.step(0.02)
    rates = {id(p): group["lr"] for part in optimizer.parts for group in part.param_groups for p in group["params"]}
    assert rates[id(model["table"].weight)] == pytest.approx(0.2)
    assert {rates[id(p)] for name, p in model.named_parameters() if name != "table.weight"} == {0.02}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_state_goes_by_name_and_comes_back(optimizer: Any) -> None:
    model = with_gradients()
    settings = config(optimizer=optimizer)
    first = transformer_optimizer(settings, named(model), model)
    first.step(0.01)
    state = copy.deepcopy(first.state())
    twin = copy.deepcopy(model)
    second = transformer_optimizer(settings, dict(reversed(named(twin).items())), twin)  # order does not matter
    second.load_state(state)
    for number, (ours, theirs) in enumerate(zip(model.parameters(), twin.parameters(), strict=True)):
        ours.grad = torch.randn(ours.shape, generator=torch.Generator().manual_seed(number))
        theirs.grad = ours.grad.clone()
    first.step(0.01)
    second.step(0.01)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    with pytest.raises(CheckpointError, match="other parameters"):
        second.load_state({"another.weight": {}})


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_gradients()
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(TrainingError, match=r"bitsandbytes.*outofsight\[train\]"):
        transformer_optimizer(config(optimizer="adamw8bit"), named(model), model)
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(TrainingError, match=r"torch 2\.9"):
        transformer_optimizer(config(optimizer="muon"), named(model), model)


def test_ema_is_a_running_mean_that_can_be_put_in_place_and_kept() -> None:
    model = torch.nn.Linear(3, 2)
    ema = Ema(dict(model.named_parameters()), decay=0.5)
    start = model.weight.detach().clone()
    mean = start.clone()
    for number in range(1, 8):
        with torch.no_grad():
            model.weight += 1
        ema.update()
        decay = min(0.5, (1 + number) / (10 + number))
        mean = decay * mean + (1 - decay) * model.weight.detach()
        torch.testing.assert_close(ema.means["weight"], mean)
    trained = model.weight.detach().clone()
    with ema.applied():
        torch.testing.assert_close(model.weight.detach(), mean)
    assert torch.equal(model.weight, trained)
    again = Ema(dict(model.named_parameters()), decay=0.5)
    again.load_state(ema.state(), ema.updates)
    assert torch.equal(again.means["weight"], ema.means["weight"]) and again.updates == 7
    with pytest.raises(CheckpointError, match="lack"):
        again.load_state({"weight": mean}, 1)
