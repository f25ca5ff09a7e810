"""Costs against the design's figures, against real models that torch counts, and against sums by hand."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models import CACHEABLE, MECHANISMS, narrow_inputs, narrow_model
from outofsight.components.codec import VideoGeometry
from outofsight.models import PRESETS, WorldTransformer3DModel
from outofsight.models.conditioners import Conditions
from outofsight.models.cost import (
    ClipSize,
    SamplingCost,
    TrainingCost,
    _counting,
    count_parameters,
    sampling_cost,
    training_cost,
    vae_decode_bytes,
)
from outofsight.training.config import TRAINABLE

FULL_SIZE = ClipSize(20, 20, 60, 104)
SMALL = ClipSize(6, 4, 8, 12, 5)
CONDITIONERS = ("pose", "rays", "anchors", "clock", "reprojection", "prope")
WIDE = {"num_attention_heads": 2, "attention_head_dim": 64, "ffn_dim": 384, "num_layers": 3}


def config(**changes: Any) -> dict[str, Any]:
    parameters = inspect.signature(WorldTransformer3DModel.__init__).parameters
    defaults = {name: p.default for name, p in parameters.items() if name != "self"}
    return {**defaults, **PRESETS["hydra-1.3b"].transformer, **changes}


def test_full_size_agrees_with_the_design() -> None:
    cost = sampling_cost(config(), FULL_SIZE)
    assert cost.tokens == 62_400
    # 5 whole frames and 10 memory tokens: 11,700 keys instead of 62,400
    assert cost.attention == 4 * 62_400 * 11_700 * 1536
    assert cost.feed_forward == 4 * 62_400 * 1536 * 8960
    assert (round(cost.attention / 1e12, 1), round(cost.feed_forward / 1e12, 1)) == (4.5, 3.4)
    assert cost.rest / 1e12 == pytest.approx(2.7, abs=0.1)
    assert cost.total / 1e15 == pytest.approx(31.656, abs=0.001)
    plain = sampling_cost(config(memory="full", memory_options=None), FULL_SIZE)
    assert plain.attention == 4 * 62_400**2 * 1536  # 23.9 TFLOP
    assert plain.feed_forward == cost.feed_forward


def really_counted(model: WorldTransformer3DModel, inputs: dict[str, Any], cached: bool) -> tuple[int, int]:
    """Operations of encoding the context, and of a forward pass, by torch's counter alone."""
    model.set_attention_backend("_native_math")  # products that torch counts on a CPU
    cut, context, once = inputs["context_poses"].shape[1], None, 0
    model.requires_grad_(False)  # but gradients on: without them oneDNN makes products that torch does not count
    if cached:
        poses = inputs["context_poses"], inputs["target_poses"]
        with FlopCounterMode(display=False) as counter:
            context = model.encode_checked(inputs["hidden_states"][:, :, :cut], *poses, conditions=inputs["conditions"])
        once = counter.get_total_flops()
        inputs = {**inputs, "hidden_states": inputs["hidden_states"][:, :, cut:]}
    with FlopCounterMode(display=False) as counter:
        model(**inputs, context_cache=context)
    return once, counter.get_total_flops()


@pytest.mark.parametrize(("conditioners", "cached"), [(("pose",), False), (CONDITIONERS, True)])
@pytest.mark.parametrize("memory", MECHANISMS)
def test_one_block_counted_is_every_block_of_a_real_model(
    memory: str, conditioners: tuple[str, ...], cached: bool
) -> None:
    model = narrow_model(**MECHANISMS[memory], num_layers=3, conditioners=conditioners, **(CACHEABLE if cached else {}))
    cost = sampling_cost(model.config, SMALL, steps=1, branches=1)
    assert (cost.once, cost.forward) == really_counted(model, narrow_inputs(6, 4, (4, 6)), cached)
    assert cost.total == cost.once + cost.forward
    if cached:
        without = sampling_cost(model.config, SMALL, steps=1, branches=1, cache_context=False)
        assert without.once == without.cache_bytes == 0
        assert without.forward == really_counted(model, narrow_inputs(6, 4, (4, 6)), False)[1] > cost.forward


def test_the_shipped_sizes_with_an_input_of_their_own() -> None:
    model = PRESETS["tiny"].build_transformer()
    inputs = narrow_inputs(6, 4, (4, 6))
    extra = {name: torch.zeros(1, 20, 4, 8, 12) for name in model.conditioning if name == "rendered"}
    assert extra
    inputs["hidden_states"] = torch.zeros(1, 16, 10, 8, 12)
    inputs["encoder_hidden_states"] = torch.zeros(1, 5, 128)
    inputs["conditions"] = Conditions(inputs["conditions"].intrinsics, extra)
    cost = sampling_cost(model.config, SMALL)
    assert (cost.once, cost.forward) == really_counted(model, inputs, True)


def test_attention_of_each_memory() -> None:
    cells, dim = 4 * 6, 24
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 48, "num_layers": 2, "text_dim": 8}

    def attention(**memory: Any) -> int:
        return sampling_cost(config(**sizes, **memory), SMALL).attention

    assert attention(memory="full", memory_options=None) == 4 * (10 * cells) ** 2 * dim
    assert attention(memory="fov", memory_options={"top_k": 2}) == 4 * (6 * cells) ** 2 * dim
    # window 3 and one memory token of 6 sub-tokens
    hydra = attention(memory_options={"window": 3, "top_k": 1})
    assert hydra == 4 * 10 * cells * (3 * cells + 6) * dim


def test_guidance_and_steps_scale() -> None:
    model = narrow_model(**CACHEABLE)
    one, many = (sampling_cost(model.config, SMALL, steps=steps, branches=2) for steps in (1, 4))
    assert (one.forwards, many.forwards) == (2, 8)
    assert many.total - one.total == 6 * one.forward
    assert one.once == many.once > 0


def test_bytes_of_sampling() -> None:
    cost: SamplingCost = sampling_cost(config(), FULL_SIZE)
    # the feed-forward's peak: stream, normed input in float32, two hidden layers
    assert cost.activation_bytes == 62_400 * (1536 * (2 + 2 + 4) + 2 * 8960 * 2)
    # without much of a feed-forward, the attention's: six of the width, and keys and values of 20 tokens of 390
    # and of the 10 that each of 40 frames recalls
    narrow = sampling_cost(config(ffn_dim=64), FULL_SIZE, bytes_per_value=4)
    assert narrow.activation_bytes == (6 * 62_400 + 2 * 390 * (20 + 40 * 10)) * 1536 * 4


def test_bytes_of_a_cached_context_are_those_of_a_real_one() -> None:
    model = narrow_model(**MECHANISMS["hydra release"], **CACHEABLE, conditioners=CONDITIONERS)
    inputs = narrow_inputs(6, 4, (4, 6))
    context = model.encode_context(
        inputs["hidden_states"][:, :, :6],
        inputs["context_poses"],
        inputs["target_poses"],
        conditions=inputs["conditions"],
    )
    held: dict[int, torch.Tensor] = {}
    for block in context.blocks:
        block.map(lambda x: held.setdefault(x.data_ptr(), x))
    cost = sampling_cost(model.config, SMALL, bytes_per_value=4)
    assert cost.cache_bytes == sum(x.nbytes for x in held.values()) > 0


def test_parameters_and_the_vae() -> None:
    assert count_parameters(torch.nn.Linear(3, 5)) == 20
    settings = {"base_dim": 96, "dim_mult": [1, 2, 4, 4], "temperal_downsample": [False, True, True]}
    assert vae_decode_bytes(settings, 480, 832) == 8 * 96 * 4 * 480 * 832 * 2
    assert vae_decode_bytes(settings, 480, 832, 4) == 2 * vae_decode_bytes(settings, 480, 832)


def trained_model(trained: str, **memory: Any) -> WorldTransformer3DModel:
    model = narrow_model(**{**WIDE, **memory}).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in TRAINABLE[trained]))
    return model


@pytest.mark.parametrize("precision", ["bf16", "no"])
@pytest.mark.parametrize("trained", ["all", "hydra"])
def test_autograd_keeps_as_much_of_a_real_model(precision: str, trained: str) -> None:
    model = trained_model(trained, memory_options={"top_k": 3, "window": 3})
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {shape for p in model.parameters() if p.ndim > 1 for shape in (p.shape, p.T.shape if p.ndim == 2 else ())}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        # autocast keeps copies of trained weights for itself; those of frozen ones are autograd's
        copied = x.dtype == torch.bfloat16 and x.requires_grad and x.shape in shapes
        if storage.data_ptr() not in weights and not copied:
            kept[storage.data_ptr()] = (storage.nbytes(), x)
        return x

    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), bf16:
        model(**narrow_inputs(6, 4, (4, 6))).sample.sum()
    cost = training_cost(model.config, TRAINABLE[trained], SMALL, precision=precision, checkpointing=False)
    returning = 240 * (4 * 128 + 384) * (2 if precision == "bf16" else 4)
    assert cost.activations - returning == pytest.approx(sum(size for size, _ in kept.values()), rel=0.002)


@pytest.mark.parametrize("trained", ["all", "hydra"])
@pytest.mark.parametrize("memory", ["full", "hydra release"])
def test_training_operations_are_those_of_a_real_model(memory: str, trained: str) -> None:
    model = trained_model(trained, **MECHANISMS[memory])
    with _counting() as counter:
        model(**narrow_inputs(6, 4, (4, 6))).sample.sum().backward()
    cost = training_cost(model.config, TRAINABLE[trained], SMALL, precision="no", checkpointing=False)
    assert cost.operations == counter.get_total_flops()


def test_attention_s_backward_is_five_products() -> None:
    """Against plain attention, which torch counts itself: four products, as it does not make the scores again."""
    model = trained_model("all", memory="full")
    model.set_attention_backend("_native_math")
    with FlopCounterMode(display=False) as counter:
        out = model(**narrow_inputs(6, 4, (4, 6))).sample
        attention = counter.get_flop_counts()["Global"][torch.ops.aten.bmm]  # two products
        out.sum().backward()
    cost = training_cost(model.config, TRAINABLE["all"], SMALL, precision="no", checkpointing=False)
    assert cost.operations == counter.get_total_flops() + attention / 2


def test_checkpointing_runs_blocks_again_and_keeps_their_inputs() -> None:
    @cache
    def cost(layers: int, checkpointing: bool) -> TrainingCost:
        sizes = narrow_model(**{**WIDE, "num_layers": layers}).config
        return training_cost(sizes, TRAINABLE["hydra"], SMALL, checkpointing=checkpointing)

    model = narrow_model(**{**WIDE, "num_layers": 5})
    forward = sampling_cost(model.config, SMALL)
    once = forward.attention + forward.feed_forward + forward.rest
    assert cost(5, True).operations - cost(5, False).operations == 5 * once
    assert cost(5, True).activations - cost(4, True).activations == 240 * 128 * 2
    whole_block = cost(5, False).activations - cost(4, False).activations
    assert cost(5, False).activations - cost(5, True).activations == 4 * whole_block - 5 * 240 * 128 * 2
    named = dict(model.named_parameters())
    learned = sum(p.numel() for name, p in named.items() if any(part in name for part in TRAINABLE["hydra"]))
    assert (cost(5, True).parameters, cost(5, True).learned) == (count_parameters(model), learned)
    assert cost(5, True).outside == count_parameters(model) - 5 * cost(5, True).in_a_block
    assert cost(5, True).in_a_block == sum(p.numel() for name, p in named.items() if name.startswith("blocks.3."))


def test_geometry_of_wan() -> None:
    geometry = VideoGeometry(4, (8, 8), (1, 2, 2))
    assert geometry.latent_frames(77) == 20
    assert geometry.latent_size(480, 832) == (60, 104)
