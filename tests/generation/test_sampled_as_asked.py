"""The command samples with the settings that it was given, and as the pipeline does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from outofsight import WorldModelPipeline
from outofsight.cli import main
from outofsight.video import read_video, write_video
from pipelines import FPS, NEGATIVE, run_inputs, small_pipeline, write_inputs


def test_guidance_and_shift_reach_the_sampler(tmp_path: Path) -> None:
    small_pipeline().save_pretrained(tmp_path / "model")
    command = ["generate", "--model", str(tmp_path / "model"), *write_inputs(tmp_path), "--seed", "4"]
    out = tmp_path / "out.mp4"
    assert main([*command, "--guidance", "1.5", "--shift", "9", "--out", str(out)]) == 0
    pipe = WorldModelPipeline.from_pretrained(tmp_path / "model")
    inputs = {**run_inputs(), "context_video": read_video(tmp_path / "clip.mp4").frames, "negative_prompt": NEGATIVE}
    made = {
        (guidance, shift): pipe(**inputs, seed=4, guidance_scale=guidance, shift=shift).frames
        for guidance, shift in ((1.5, 9.0), (9.0, 1.5))
    }
    same = {}
    for asked, frames in made.items():
        write_video(tmp_path / "again.mp4", frames, FPS)
        same[asked] = np.array_equal(read_video(tmp_path / "again.mp4").frames, read_video(out).frames)
    assert same == {(1.5, 9.0): True, (9.0, 1.5): False}
