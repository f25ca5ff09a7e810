"""Equality with numbers that the released HyDRA code produced (tests/goldens/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from outofsight.memory import RetrievalTrace
from outofsight.models import WorldTransformer3DModel, load_hydra_checkpoint
from outofsight.sampling import denoise, flow_sigmas
from outofsight.training import training_loss, training_schedule

CASES = ("hydra_small", "hydra_wide_head")


class Golden:
    """A released checkpoint at narrow width with the inputs and outputs of the released code."""

    def __init__(self, folder: Path, name: str) -> None:
        with safe_open(folder / f"{name}.safetensors", "pt") as file:
            self.meta = {key: float(value) for key, value in (file.metadata() or {}).items()}
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.model: WorldTransformer3DModel = load_hydra_checkpoint(
            folder / f"{name}.ckpt",
            num_attention_heads=int(self.meta["heads"]),
            top_k=int(self.meta["top_k"]),
        ).eval()

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.tensors[name]

    @property
    def poses(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self["in.camera_context"], self["in.camera_target"]


@pytest.fixture(params=CASES)
def golden(request: pytest.FixtureRequest, goldens: Path) -> Golden:
    return Golden(goldens, request.param)


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("plain", [False, True])
def test_velocity_affinity_and_attention_output(golden: Golden, plain: bool) -> None:
    seen = {}
    block = golden.model.blocks[0]
    block.attn1.register_forward_hook(lambda _m, _a, out: seen.update(attention=out[0].clone()))
    trace = RetrievalTrace()
    latents = torch.cat([golden["in.source_latents"], golden["in.noise"]], dim=2)
    with torch.no_grad():
        velocity = golden.model(
            latents, golden["in.timestep"], golden["in.text"], *golden.poses, trace=trace, plain=plain
        ).sample
    assert relative_error(velocity, golden["out.velocity"]) <= 1e-5
    assert relative_error(trace.steps[0][0].scores, golden["out.block0.similarity"]) <= 1e-5
    assert relative_error(seen["attention"], golden["out.block0.attention_out"]) <= 1e-5


@pytest.mark.parametrize("batched", [False, True])
def test_sampling_loop(golden: Golden, batched: bool) -> None:
    meta = golden.meta
    out = denoise(
        golden.model,
        golden["in.source_latents"],
        golden["in.noise"],
        golden["in.text"],
        golden["in.negative_text"],
        *golden.poses,
        steps=int(meta["steps"]),
        guidance=meta["guidance"],
        shift=meta["shift"],
        batched_guidance=batched,
    )
    assert relative_error(out, golden["out.sampled_latents"]) <= 1e-4


def test_schedule_is_exact(golden: Golden) -> None:
    sigmas = flow_sigmas(int(golden.meta["steps"]), golden.meta["shift"])
    assert torch.equal(sigmas, golden["sched.sigmas"])
    assert torch.equal(sigmas * 1000, golden["sched.timesteps"])


def test_training_loss(golden: Golden) -> None:
    index = int(golden.meta["train_timestep_index"])
    _, timesteps, weights = training_schedule(golden.meta["shift"])
    assert torch.equal(timesteps[index : index + 1], golden["train.timestep"])
    assert relative_error(weights[index], golden["train.weight"]) <= 1e-6
    loss = training_loss(
        golden.model,
        golden["train.clean"],
        golden["train.noise"],
        index,
        golden["in.text"],
        *golden.poses,
        shift=golden.meta["shift"],
    )
    assert relative_error(loss.detach(), golden["train.loss"]) <= 1e-5


def test_gradients_of_fast_and_plain_paths_are_equal(golden: Golden) -> None:
    gradients = []
    for plain in (False, True):
        golden.model.zero_grad()
        training_loss(
            golden.model,
            golden["train.clean"],
            golden["train.noise"],
            int(golden.meta["train_timestep_index"]),
            golden["in.text"],
            *golden.poses,
            plain=plain,
        ).backward()
        gradients.append({name: p.grad.clone() for name, p in golden.model.named_parameters()})
    for name, fast in gradients[0].items():
        error = (fast - gradients[1][name]).norm() / gradients[1][name].norm().clamp(min=1e-8)
        assert error <= 1e-4, f"{name}: {error}"
