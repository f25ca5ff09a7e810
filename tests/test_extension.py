"""What somebody adds from outside of the package, one piece a file, trains, samples, streams and is evaluated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

import outside
from held_out import write_data
from latents import NARROW, write_latents
from models import narrow_inputs, narrow_model
from outofsight.datasets import detect_layout, iterate_clips
from outofsight.memory import RetrievalTrace
from outofsight.sampling import SamplingOptions, denoise
from outofsight.training import train
from outofsight.training.config import TrainConfig
from pipelines import cameras, frames, small_pipeline


def test_a_model_of_them_trains(tmp_path: Path) -> None:
    data = write_latents(tmp_path / "latents")
    model = {**NARROW, **outside.settings(), "context_timestep": "clean", "context_attention": "context_only"}
    config = TrainConfig(data=data, out=tmp_path / "run", model=model, steps=2, batch_size=2, warmup=0, draws=2)
    result = train(config)
    assert result.step == 2 and result.checkpoint is not None
    tensors = result.checkpoint.weights("transformer")
    assert tensors["blocks.0.conditioners.parity.weight"].abs().max() > 0  # it has learned something


def test_it_samples_with_a_guidance_of_its_own_and_shows_what_was_recalled() -> None:
    model, inputs = narrow_model(**outside.settings()), narrow_inputs(5, 3, (2, 3))
    latents, text = inputs["hidden_states"], inputs["encoder_hidden_states"]
    rest = latents[:, :, :5], latents[:, :, 5:], text, text * 0, inputs["context_poses"], inputs["target_poses"]
    trace = RetrievalTrace()
    out = denoise(model, *rest, options=SamplingOptions(2, guidance=3.0, guidance_kind="doubled"), trace=trace)
    assert trace.arrays()["picks"][0, 0, 0, 0].tolist() == [0, 2, 4]
    assert (out - denoise(model, *rest, options=SamplingOptions(2, guidance=3.0))).abs().max() > 1e-3
    both = [
        denoise(model, *rest, options=SamplingOptions(2, guidance_kind="doubled", batched_guidance=batched))
        for batched in (False, True)
    ]
    torch.testing.assert_close(*both, rtol=1e-4, atol=1e-4)


def test_it_streams() -> None:
    pipe: Any = small_pipeline(**outside.settings())
    context, target = cameras()
    options = SamplingOptions(1, guidance=2.0, guidance_kind="doubled")
    session = pipe.session(frames(), context, "a dog", options, seed=1, trace=True, negative_prompt="still")
    made = [session.extend(target[:5]), session.extend(target[5:9])]
    assert [len(chunk.frames) for chunk in made] == [5, 4]
    assert made[1].trace is not None and made[1].trace.arrays()["picks"][0, 0, 0, 0].tolist() == [0, 2]


def test_its_clips_are_read_by_whatever_reads_clips(tmp_path: Path) -> None:
    made = write_data(tmp_path / "data", 2)
    root = tmp_path / "listed"
    (root / "elsewhere").mkdir(parents=True)
    names = list(detect_layout(made).samples)
    shutil.copytree(made, root / "elsewhere", dirs_exist_ok=True)
    (root / "list.txt").write_text("\n".join(reversed(names)))
    assert detect_layout(root).kind == "listed"
    assert [clip.caption for clip in iterate_clips(root)] == [f"listed {name}" for name in reversed(names)]
