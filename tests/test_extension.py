"""What somebody adds from outside of the package, one file each, trains, samples, streams and is evaluated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import outside.conditioner
import outside.guidance
import outside.memory
import outside.metric
import outside.reader
from held_out import write_data
from models import narrow_inputs, narrow_model
from outofsight import WorldModelPipeline
from outofsight.datasets import detect_layout, iterate_clips
from outofsight.evaluation import METRICS, evaluate
from outofsight.evaluation.tables import text
from outofsight.memory import RetrievalTrace
from outofsight.sampling import SamplingOptions, denoise
from outofsight.session import Chunk, Session
from outofsight.training import TrainConfig, model_of_run, train
from outofsight.training.encode import EncodeOptions, encode_clips
from outofsight.training.shards import read_index
from outofsight.video import read_video, write_video
from pipelines import TEXT_DIM, small_pipeline

# arguments of a transformer of that memory and conditioner
SETTINGS: dict[str, Any] = {"memory": "every other", "memory_options": {}, "conditioners": ("pose", "parity")}
MODEL: dict[str, Any] = {
    "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 16, "out_channels": 16, "text_dim": TEXT_DIM,
    "freq_dim": 16, "ffn_dim": 32, "num_layers": 2, "context_timestep": "clean", "context_attention": "context_only",
    **SETTINGS,
}  # fmt: skip


@pytest.fixture
def metric() -> Iterator[str]:
    outside.metric.register()
    yield outside.metric.NAME
    del METRICS[outside.metric.NAME]


def listed_clips(root: Path) -> Path:
    """Three clips in the layout that the reader from outside knows, in the order of their list: backwards."""
    made = write_data(root / "made", 3)
    folder = root / "listed"
    shutil.copytree(made, folder / "elsewhere")
    (folder / "list.txt").write_text("\n".join(reversed(detect_layout(made).samples)))
    return folder


def picks(chunk: Chunk) -> list[int]:
    """The context frames that the memory let in."""
    assert chunk.trace is not None
    found: list[int] = chunk.trace.arrays()["picks"][0, 0, 0, 0].tolist()
    return found


def test_one_of_each_from_reading_clips_to_a_table(tmp_path: Path, metric: str) -> None:
    # the reader: its captions are those of the clips that are encoded, in its order
    data, latents, run = listed_clips(tmp_path), tmp_path / "latents", tmp_path / "run"
    clips = list(iterate_clips(data))
    assert detect_layout(data).kind == "listed"
    assert [clip.caption for clip in clips] == [f"listed clip-{number}" for number in (2, 1, 0)]
    small_pipeline().save_pretrained(tmp_path / "base")
    assert encode_clips([data], latents, EncodeOptions(str(tmp_path / "base"))).clips == 3
    assert [entry.caption for entry in read_index(latents).clips] == [clip.caption for clip in clips]

    # the memory and the conditioner: a model of them trains, and the run is a model folder
    result = train(TrainConfig(latents, run, MODEL, steps=2, batch_size=2, draws=2, lr=0.1, device="cpu"))
    pipe: Any = WorldModelPipeline.from_pretrained(model_of_run(run))
    learned = pipe.transformer.state_dict()["blocks.1.conditioners.parity.weight"]
    assert result.step == 2 and learned.abs().max() > 1e-2  # it began at zero
    assert isinstance(pipe.transformer.memory, outside.memory.EveryOther)

    # sampled with the guidance: after one step it is the text's result, and beyond it by twice what halving it changes
    clip = clips[-1]

    def session(guidance: float, kind: str = "halved", steps: int = 1) -> Session:
        options = SamplingOptions(steps, guidance=guidance, guidance_kind=kind)
        frames, cameras = clip.context_video().frames, clip.context_cameras
        made: Session = pipe.session(
            frames, cameras, clip.caption, options, seed=1, trace=True, negative_prompt="still"
        )
        return made

    whole, half, beyond = (session(scale).extend(clip.target_cameras) for scale in (1.0, 0.0, 3.0))
    free, plain = (session(scale, "classifier_free").extend(clip.target_cameras) for scale in (3.0, 1.0))
    torch.testing.assert_close(whole.latents, plain.latents)
    torch.testing.assert_close(beyond.latents, 3 * whole.latents - 2 * half.latents, rtol=1e-4, atol=1e-4)
    assert (whole.latents - half.latents).abs().max() > 1e-2 and (beyond.latents - free.latents).abs().max() > 1e-2
    assert picks(beyond) == [0, 2]  # of three latent frames of context

    # streamed in two chunks, which make up one prediction; the second looks back on the latest three latent frames
    streamed = session(3.0, steps=2)
    chunks = [streamed.extend(clip.target_cameras[:5]), streamed.extend(clip.target_cameras[5:9])]
    assert [len(chunk.frames) for chunk in chunks] == [5, 4] and picks(chunks[1]) == [0, 2]

    # the metric: its figure stands in the table
    place = tmp_path / "streamed"
    place.mkdir()
    write_video(place / f"{clip.name}.mp4", np.concatenate([chunk.frames for chunk in chunks]), clip.fps)
    found = evaluate(place, data, partial=True)
    level = read_video(place / f"{clip.name}.mp4").frames.mean() / 2.55
    assert found.rows["streamed"].summary[metric].mean == pytest.approx(level, rel=1e-6)
    line = next(line for line in text(found).split("Further metrics")[1].splitlines() if line.startswith("streamed"))
    assert f"{level:.3f}" in line


def test_branches_of_a_guidance_run_together_or_one_after_the_other() -> None:
    model, inputs = narrow_model(**SETTINGS), narrow_inputs(5, 3, (2, 3))
    latents, words = inputs["hidden_states"], inputs["encoder_hidden_states"]
    rest = latents[:, :, :5], latents[:, :, 5:], words, words * 0, inputs["context_poses"], inputs["target_poses"]
    trace = RetrievalTrace()
    together, apart = (
        denoise(model, *rest, options=SamplingOptions(2, guidance_kind="halved", batched_guidance=batched), trace=trace)
        for batched in (True, False)
    )
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)
    assert trace.arrays()["picks"][0, 0, 0, 0].tolist() == [0, 2, 4]
