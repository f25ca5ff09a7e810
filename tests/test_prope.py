"""Pose-relative attention: figures of the original, what it must not depend on, and where it enters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from models import CACHEABLE, MECHANISMS, narrow_inputs, narrow_model
from outofsight.errors import GeometryError, MemoryOptionError
from outofsight.memory import make_layout
from outofsight.models.conditioners import ModelShape
from outofsight.models.conditioners.prope import PropeConditioner, turn

WITH = {"conditioners": ("pose", "prope")}
SHAPE = ModelShape(dim=24, heads=2, channels=4, patch=(1, 2, 2))


def golden() -> dict[str, torch.Tensor]:
    """The original's figures, which may not be committed (its licence): from OUTOFSIGHT_GOLDENS or ../shared."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "goldens"
    for folder in (os.environ.get("OUTOFSIGHT_GOLDENS"), beside):
        file = Path(folder or ".") / "rivals" / "worldplay_vmem_memorizon.safetensors"
        if folder and file.is_file():
            with safe_open(file, "pt") as read:
                return {name: read.get_tensor(name) for name in read.keys() if "wp.prope." in name}  # noqa: SIM118
    pytest.skip("needs goldens/rivals/worldplay_vmem_memorizon.safetensors (../shared or OUTOFSIGHT_GOLDENS)")


def test_queries_keys_values_and_what_is_fetched_are_the_originals() -> None:
    figures = golden()
    views, lenses = figures["wp.prope.viewmats"], figures["wp.prope.Ks"]
    poses = torch.linalg.inv(views)[:, :, :3].flatten(2)
    frames = poses.shape[1]
    # the original halves nothing: its K is fx, fy as shares of the size already, with the principal point left out
    intrinsics = torch.stack([lenses[..., 0, 0], lenses[..., 1, 1], lenses[..., 0, 2], lenses[..., 1, 2]], dim=-1)
    layout = make_layout((1, 1), poses[:, :1], poses[:, 1:], torch.zeros(1, frames), intrinsics)
    matrices = PropeConditioner(SHAPE).matrices(layout)

    def by_frame(x: torch.Tensor) -> torch.Tensor:  # [b, heads, tokens, d] -> [b, f, n, heads, d]
        return x.transpose(1, 2).unflatten(1, (frames, -1))

    def back(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1, 2).transpose(1, 2)

    inverse = torch.linalg.inv(matrices)
    q = back(turn(matrices.transpose(-1, -2), by_frame(figures["wp.prope.q"])))
    k = back(turn(inverse, by_frame(figures["wp.prope.k"])))
    v = back(turn(inverse, by_frame(figures["wp.prope.v"])))
    fetched = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    attended = back(turn(matrices, by_frame(fetched)))
    for ours, name in ((q, "wp.prope.q_out"), (k, "wp.prope.k_out"), (v, "wp.prope.v_out")):
        assert float((ours - figures[name]).norm() / figures[name].norm()) <= 1e-5, name
    expected = figures["derived.wp.prope.attended"]
    assert float((attended - expected).norm() / expected.norm()) <= 1e-5


def moved(poses: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Pose vectors ``[b, f, 12]`` in a world that was moved by the rigid motion ``by [4, 4]``."""
    whole = torch.cat(
        [poses.unflatten(-1, (3, 4)), torch.tensor([0.0, 0, 0, 1]).expand(*poses.shape[:2], 1, 4)], dim=-2
    )
    return (by @ whole)[..., :3, :].flatten(2)


@pytest.mark.parametrize("mechanism", ["full", "hydra release"])
def test_a_moved_world_changes_nothing_and_a_moved_camera_does(mechanism: str) -> None:
    model = narrow_model(**MECHANISMS[mechanism], conditioners=("prope",))
    inputs = narrow_inputs(5, 4, (2, 3))
    turned = torch.linalg.qr(torch.randn(3, 3))[0]
    motion = torch.eye(4)
    motion[:3, :3], motion[:3, 3] = turned * torch.linalg.det(turned), torch.randn(3)
    with torch.no_grad():
        here = model(**inputs).sample
        there = model(**{**inputs, **{name: moved(inputs[name], motion) for name in ("context_poses", "target_poses")}})
        other = inputs["target_poses"].clone()
        other[:, 1, 3] += 0.5
        elsewhere = model(**{**inputs, "target_poses": other}).sample
    torch.testing.assert_close(there.sample, here, rtol=1e-3, atol=1e-4)
    assert (elsewhere - here).abs().max() > 1e-3


def test_a_fresh_one_adds_nothing_and_a_cached_context_serves_it() -> None:
    inputs = narrow_inputs(5, 4, (2, 3), 2)
    model = narrow_model(**MECHANISMS["hydra paper"], **CACHEABLE, **WITH)
    without = narrow_model(**MECHANISMS["hydra paper"], **CACHEABLE)
    without.load_state_dict({k: v for k, v in model.state_dict().items() if ".attn1.conditioners." not in k})
    poses = {name: inputs[name] for name in ("context_poses", "target_poses")}
    latents = inputs.pop("hidden_states")
    with torch.no_grad():
        whole = model(latents, **inputs, target_only=True).sample
        cache = model.encode_context(latents[:, :, :5], **poses, conditions=inputs["conditions"])
        torch.testing.assert_close(model(latents[:, :, 5:], **inputs, context_cache=cache).sample, whole)
        torch.testing.assert_close(model(latents, **inputs, plain=True, target_only=True).sample, whole)
        assert (without(latents, **inputs, target_only=True).sample - whole).abs().max() > 1e-3
        fresh = PropeConditioner(SHAPE)
        for block in model.blocks:
            block.attn1.conditioners["prope"].load_state_dict(fresh.attention().state_dict())
        torch.testing.assert_close(
            model(latents, **inputs, target_only=True).sample, without(latents, **inputs, target_only=True).sample
        )


def test_what_it_cannot_do_without_is_named() -> None:
    inputs = narrow_inputs(2, 2, (2, 3))
    with pytest.raises(GeometryError, match=r"conditioner 'prope' .* horizontal field of view"):
        narrow_model(**WITH)(**{**inputs, "conditions": None})
    with pytest.raises(MemoryOptionError, match="divisible by 4"):
        narrow_model(**WITH, attention_head_dim=6)
