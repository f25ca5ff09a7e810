"""What training costs: against bytes counted in a real backward pass, operations counted by torch, and sums by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models import narrow_inputs, narrow_model
from outofsight.models import PRESETS
from outofsight.models.training_estimate import KEPT, Machine, TrainingCost, estimate_training
from outofsight.training.config import TRAINABLE

PAPER: dict[str, Any] = {
    "context_frames": 20, "target_frames": 20, "latent_height": 60, "latent_width": 104, "batch_size": 32,
}  # fmt: skip


def kept_bytes(dim: int, inner: int, layers: int, precision: str, trained: tuple[str, ...]) -> int:
    model = narrow_model(
        num_attention_heads=2, attention_head_dim=dim // 2, ffn_dim=inner, num_layers=layers,
        memory_options={"top_k": 3, "window": 3},
    ).train()  # fmt: skip
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in trained))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), x)
        return x

    inputs = narrow_inputs(6, 6, (6, 6))
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), bf16:
        model(**inputs).sample.sum()
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("precision", ["bf16", "no"])
@pytest.mark.parametrize("trained", ["all", "hydra"])
def test_a_block_keeps_what_is_said(precision: str, trained: str) -> None:
    by_width, by_inner = KEPT[precision, trained == "all"]
    for dim, inner in ((128, 512), (192, 384)):
        counted = [kept_bytes(dim, inner, layers, precision, TRAINABLE[trained]) for layers in (1, 2)]
        tokens = 12 * 36
        assert (counted[1] - counted[0]) / tokens == pytest.approx(by_width * dim + by_inner * inner, rel=0.12)


def paper(**how: Any) -> TrainingCost:
    with torch.device("meta"):
        model = PRESETS["hydra-1.3b"].build_transformer()
    return estimate_training(model, TRAINABLE["hydra"], **{**PAPER, **how})


def test_memory_of_the_paper_is_what_its_parameters_ask() -> None:
    with torch.device("meta"):
        named = list(PRESETS["hydra-1.3b"].build_transformer().named_parameters())
    learned = sum(p.numel() for name, p in named if any(part in name for part in TRAINABLE["hydra"]))
    alone, eight = paper(), paper(processes=8, sharding="fsdp2")
    assert alone.weights == 4 * sum(p.numel() for _, p in named)
    assert (alone.gradients, alone.optimizer, alone.ema) == (4 * learned, 8 * learned, 4 * learned)
    assert (8 * eight.weights, 8 * eight.optimizer) == (alone.weights, alone.optimizer)
    assert paper(processes=32, sharding="fsdp2").gradients == learned / 8
    assert paper(checkpointing=False).activations > 10 * alone.activations
    assert alone.sent == 0 < paper(processes=2).sent


def test_more_devices_share_the_work() -> None:
    one, many = paper(), paper(processes=32)
    assert one.operations == pytest.approx(32 * many.operations) and (one.clips, many.clips) == (32, 1)
    computing, sending = many.seconds(Machine())
    assert computing > 5 * sending > 0
    with pytest.raises(ValueError, match="does not divide"):
        paper(processes=5)


@pytest.mark.parametrize("trained", ["all", "hydra"])
def test_operations_are_those_that_torch_counts(trained: str) -> None:
    """Without memory and with one window, so that attention is a plain product that torch can count."""
    model = narrow_model(
        num_attention_heads=2, attention_head_dim=32, ffn_dim=256, num_layers=3, memory="full", text_dim=16
    ).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in TRAINABLE[trained]))
    inputs = narrow_inputs(4, 4, (4, 6), words=16)
    inputs["encoder_hidden_states"] = torch.randn(1, 16, 16)
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model(**inputs).sample.sum().backward()
    cost = estimate_training(
        model, TRAINABLE[trained], context_frames=4, target_frames=4, latent_height=8, latent_width=12,
        batch_size=1, checkpointing=False, text_tokens=16,
    )  # fmt: skip
    assert cost.operations == pytest.approx(counter.get_total_flops(), rel=0.12)
