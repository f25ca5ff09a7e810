"""Computed costs against the figures of DESIGN.md and against formulas worked out here."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from models import CACHEABLE
from outofsight.components.codec import VideoGeometry
from outofsight.models import PRESETS, WorldTransformer3DModel
from outofsight.models.estimate import count_parameters, estimate_transformer, vae_decode_bytes

FULL_SIZE = {"context_frames": 20, "target_frames": 20, "latent_height": 60, "latent_width": 104}
SMALL = {"context_frames": 5, "target_frames": 4, "latent_height": 8, "latent_width": 12, "steps": 4}


def config(preset: str = "hydra-1.3b", **changes: Any) -> dict[str, Any]:
    parameters = inspect.signature(WorldTransformer3DModel.__init__).parameters
    defaults = {name: p.default for name, p in parameters.items() if name != "self"}
    return {**defaults, **PRESETS[preset].transformer, **changes}


def test_full_size_agrees_with_the_design() -> None:
    cost = estimate_transformer(config(), **FULL_SIZE)
    assert cost.tokens == 62_400
    # 5 whole frames and 10 memory tokens: 11,700 keys instead of 62,400
    assert cost.attention == 4 * 62_400 * 11_700 * 1536
    assert cost.feed_forward == 4 * 62_400 * 1536 * 8960
    assert (round(cost.attention / 1e12, 1), round(cost.feed_forward / 1e12, 1)) == (4.5, 3.4)
    assert cost.rest / 1e12 == pytest.approx(2.7, abs=0.1)
    assert cost.total / 1e15 == pytest.approx(31.6, abs=0.1)
    assert cost.seconds(500) == pytest.approx(63, abs=0.5)
    assert cost.seconds(400) == pytest.approx(79, abs=0.5)
    plain = estimate_transformer(config(memory="full", memory_options=None), **FULL_SIZE)
    assert round(plain.attention / 1e12, 1) == 23.9


def test_attention_of_each_memory() -> None:
    dim = 24
    cells = 4 * 6
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 48, "num_layers": 2}
    full = estimate_transformer(config(**sizes, memory="full", memory_options=None), **SMALL)
    assert full.attention == 4 * (9 * cells) ** 2 * dim
    fov = estimate_transformer(config(**sizes, memory="fov", memory_options={"top_k": 2}), **SMALL)
    assert fov.attention == 4 * (6 * cells) ** 2 * dim
    # window 3, 2 of the tokens that are not wholly inside it: 9 frames of 3 cells and 2 x 6 quarter cells
    hydra = estimate_transformer(config(**sizes, memory_options={"window": 3, "top_k": 1}), **SMALL)
    assert hydra.attention == 4 * 9 * cells * (3 * cells + 6) * dim
    assert full.forward > hydra.forward


def test_guidance_steps_and_speed_scale() -> None:
    one = estimate_transformer(config(), **SMALL, branches=1)
    two = estimate_transformer(config(), **SMALL, branches=2)
    assert two.total == 2 * one.total
    assert one.total == 4 * one.forward
    assert one.seconds(2.0) == one.seconds(1.0) / 2
    with pytest.raises(ValueError, match="positive"):
        one.seconds(0)


def test_a_cached_context_is_paid_once() -> None:
    sizes = config("debug", **CACHEABLE)
    cached = estimate_transformer(sizes, **SMALL)
    every_time = estimate_transformer(sizes, **SMALL, cache_context=False)
    assert cached.once > 0
    assert cached.cache_bytes > 0
    assert every_time.once == every_time.cache_bytes == 0
    # one full forward is the context's part, paid once, and the target's part
    assert cached.once + cached.forward == pytest.approx(every_time.forward, rel=0.02)
    assert cached.total < every_time.total


@pytest.mark.parametrize(
    "memory",
    [
        {"memory": "full", "memory_options": None},
        {"memory": "hydra", "memory_options": {"top_k": 1, "window": 3}},
        {"memory": "hydra", "memory_options": {"top_k": 1, "window": 3}, **CACHEABLE},
    ],
)
def test_counted_operations_are_those_that_torch_counts(memory: dict[str, Any]) -> None:
    """Every product of matrices in a real forward, with gradients and plain attention: what torch can count."""
    from torch.utils.flop_counter import FlopCounterMode

    sizes = config("debug", num_attention_heads=2, attention_head_dim=64, ffn_dim=512, **memory)
    model = WorldTransformer3DModel(**sizes).eval()
    model.set_attention_backend("_native_math")
    poses = torch.eye(4)[:3].reshape(1, 1, 12)
    with FlopCounterMode(display=False) as counter:
        model(
            torch.zeros(1, 16, 9, 8, 12), torch.ones(1), torch.zeros(1, 512, 32), poses.expand(1, 5, 12),
            poses.expand(1, 4, 12),
        )  # fmt: skip
    computed = estimate_transformer(sizes, **SMALL, cache_context=False)
    assert computed.forward == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_memory_grows_with_what_it_should() -> None:
    small, large = (estimate_transformer(config(), **{**FULL_SIZE, "latent_width": width}) for width in (52, 104))
    assert large.activation_bytes == pytest.approx(2 * small.activation_bytes, rel=0.05)
    wide = estimate_transformer(config(), **FULL_SIZE, bytes_per_value=4)
    assert 1.5 * large.activation_bytes < wide.activation_bytes <= 2 * large.activation_bytes
    with torch.device("meta"):
        model = PRESETS["hydra-1.3b"].build_transformer()
    assert count_parameters(model) / 1e9 == pytest.approx(2.06, abs=0.01)
    settings = {"base_dim": 96, "dim_mult": [1, 2, 4, 4], "temperal_downsample": [False, True, True]}
    assert vae_decode_bytes(settings, 480, 832, 4) == 2 * vae_decode_bytes(settings, 480, 832, 2)


def test_geometry_of_wan() -> None:
    geometry = VideoGeometry(4, 8, (1, 2, 2))
    assert geometry.latent_frames(77) == 20
    assert geometry.latent_size(480, 832) == (60, 104)
