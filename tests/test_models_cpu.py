"""What models/cpu.py replaces on a CPU gives what it replaced, and is left alone where it must be."""

from __future__ import annotations

import copy

import pytest
import torch

from models import MECHANISMS, narrow_inputs, narrow_model
from outofsight.models import cpu


@torch.no_grad()
@pytest.mark.parametrize("cached", [False, True])
def test_the_model_gives_the_same_with_and_without(cached: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "ROWS", 7)  # several cuts, the last one shorter
    kind = {"context_timestep": "clean", "context_attention": "context_only"}
    model = narrow_model(**MECHANISMS["hydra release"], **(kind if cached else {}))
    inputs = narrow_inputs(5, 4, (3, 4), batch=2)
    assert model.for_cpu is None
    fast = model(**inputs).sample
    assert model.for_cpu
    assert "project_out" in vars(model.blocks[0])
    cpu.disable(model)
    slow = model(**inputs).sample
    assert model.for_cpu is False
    assert not {"project_out", "forward"} & (vars(model.blocks[0]).keys() | vars(model.blocks[0].ffn).keys())
    assert not torch.equal(fast, slow)  # it did take another way
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)
    cpu.enable(model)
    assert torch.equal(model(**inputs).sample, fast)


def test_gradients_are_those_of_what_was_replaced() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    inputs = narrow_inputs(3, 4, (3, 4))
    gradients = []
    for change in (cpu.enable, cpu.disable):
        change(model)
        model.zero_grad()
        model(**inputs).sample.square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) > 40
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.equal(ours, theirs)


@torch.no_grad()
def test_hooked_and_adapted_layers_are_called() -> None:
    model = narrow_model(**MECHANISMS["full"])
    cpu.enable(model)
    block, calls = model.blocks[0], []
    x = torch.randn(1, 100, 24)
    merged = block.project_out(x)
    torch.testing.assert_close(merged, block.projector(block.attn1.to_out[0](x)), rtol=1e-4, atol=1e-5)
    for layer in (block.projector, block.ffn.net[0], block.ffn.net[2]):
        layer.register_forward_hook(lambda *_: calls.append(1))
    block.project_out(x)
    block.ffn(x)
    assert len(calls) == 3

    class Adapter(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + 1

    other = model.blocks[1]
    before = other.project_out(x)
    other.projector.__class__ = Adapter
    torch.testing.assert_close(other.project_out(x), before + 1, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_copies_compute_with_their_own_weights() -> None:
    model = narrow_model(**MECHANISMS["hydra release"])
    inputs = narrow_inputs(3, 4, (3, 4))
    before = model(**inputs).sample
    twin = copy.deepcopy(model)
    for parameter in model.blocks.parameters():
        parameter.mul_(2)
    torch.testing.assert_close(twin(**inputs).sample, before)
