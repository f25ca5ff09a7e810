"""The model inside the package: whole, small, documented, and better than the trivial answers on its demo's clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from outofsight import WorldModelPipeline
from outofsight.cli import main
from outofsight.commands.demo_run import packaged_clip
from outofsight.datasets import read_clip
from outofsight.datasets.world_extras import read_fates
from outofsight.generation.folders import SHIPPED, shipped_models
from outofsight.video import read_video

LIMIT = 40 * 10**6  # bytes


def test_it_is_small_and_says_what_it_is() -> None:
    assert shipped_models() == ["tiny"]
    files = [file for file in (SHIPPED / "tiny").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= LIMIT
    card = (SHIPPED / "tiny" / "README.md").read_text()
    for heading in ("Data", "Commands", "Hardware and hours", "Measured", "Limits"):
        assert f"## {heading}" in card


def test_it_loads_by_name_with_its_own_sampling_settings() -> None:
    pipe = WorldModelPipeline.from_pretrained("tiny")
    assert pipe.transformer.cacheable and pipe.transformer.config.memory == "hydra"
    assert pipe.config.guidance_scale == 1.0 and pipe.config.num_inference_steps <= 16
    assert all(torch.isfinite(p).all() for part in ("transformer", "vae", "text_encoder")
               for p in getattr(pipe, part).parameters())  # fmt: skip


def test_the_packaged_clip_is_of_the_test_split_and_has_its_fates() -> None:
    folder = packaged_clip("tiny")
    clip = read_clip(folder)
    assert clip.name.startswith("test-") and read_fates(folder) is not None
    assert any("re-entered" in clip.phases(subject.id) for subject in clip.subjects)


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    said = capsys.readouterr()
    rows = {line.split("  ")[0]: line.split()[-4:] for line in said.out.splitlines() if line.count(".") >= 3}
    model, view, hold = (float(rows[name][0]) for name in ("this model", "best view copied", "last frame held"))
    assert model > max(view, hold) + 1.5
    assert "above the better baseline" in said.err
    for command in ("demo --fresh", "generate --replay", "worlds", "doctor"):
        assert f"outofsight {command}" in said.out
    assert (
        read_video(out / "context_generated_truth.mp4").frames.shape[0]
        == read_video(out / "generated.mp4").frames.shape[0]
    )
    with Image.open(out / "recalled.png") as picture:
        assert np.asarray(picture).std() > 20
