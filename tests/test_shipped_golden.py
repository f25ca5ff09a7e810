"""The shipped model on its demo clip gives what it gave at commit d1c0328, however the house was rebuilt since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import outofsight
from outofsight import WorldModelPipeline
from outofsight.datasets import read_clip

GOLDENS = Path(__file__).parent / "goldens"  # of the model that is shipped beside it
CASES = ("steps1", "steps3_guidance2")


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """The rendered picture is rounded to bytes, where sums of another order may fall to the other side."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", CASES)
def test_latents_and_picks_are_those_of_before(case: str) -> None:
    with safe_open(GOLDENS / "tiny_demo.safetensors", "pt") as file:
        meta, expected, picks = file.metadata(), file.get_tensor(f"latents.{case}"), file.get_tensor("picks")
    pipe = WorldModelPipeline.from_pretrained(meta["model"])
    clip = read_clip(Path(outofsight.__file__).parent / "weights" / meta["model"] / "demo" / "HM-World" / meta["clip"])
    settings = {} if case == "steps1" else {
        "num_inference_steps": int(meta[f"{case}.steps"]), "guidance_scale": float(meta[f"{case}.guidance"])
    }  # fmt: skip
    out = pipe(
        clip.context_video().frames, clip.context_cameras, clip.target_cameras, clip.caption,
        seed=int(meta[f"seed.{case}"]), trace=True, progress=False, output_type="latent", **settings,
    )  # fmt: skip
    assert float((out.latents - expected).norm() / expected.norm()) <= 1e-5
    if case == "steps1":
        assert torch.equal(torch.from_numpy(out.trace.arrays()["picks"]), picks)
