"""Training on patches of pixels: from clips to a run, its validation, and a video of what was learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from held_out import write_data
from outofsight import WorldModelPipeline
from outofsight.cli import main
from outofsight.errors import DatasetError
from outofsight.evaluation.baselines import REBUILT
from outofsight.models.patch_codec import PatchCodec
from outofsight.training import model_of_run
from outofsight.training.dataset import LatentDataset
from outofsight.training.validate import Validator
from outofsight.training.validation_report import MODEL, ValidationSettings
from pipelines import NEGATIVE, TEXT_DIM, patch_pipeline

SIZE = (24, 36)
SIZES = {
    "in_channels": 216, "out_channels": 216, "patch_size": [1, 1, 1], "text_dim": TEXT_DIM, "freq_dim": 16,
    "num_layers": 1, "memory": "hydra", "memory_options": {"top_k": 1, "window": 2},
}  # fmt: skip


def test_from_clips_to_a_trained_model(tmp_path: Path) -> None:
    data, base, latents, run = (tmp_path / name for name in ("data", "base", "latents", "run"))
    data = write_data(data, 2, SIZE)
    patch_pipeline().save_pretrained(base)
    assert main(["encode", str(data), "--model", str(base), "--out", str(latents), "--workers", "1"]) == 0
    quick = ["batch_size=1", "warmup=0", "cooldown=0", "checkpoint_every=1", "device=cpu", "clips=none"]
    sets = [word for one in (f"model={json.dumps(SIZES)}", *quick) for word in ("--set", one)]
    assert main(["train", "debug", "--data", str(latents), "--out", str(run), "--steps", "1", *sets]) == 0
    pipe = WorldModelPipeline.from_pretrained(model_of_run(run))
    assert isinstance(pipe.vae, PatchCodec) and pipe.codec.facts() == PatchCodec().facts()
    made = ["generate", "--model", str(run), "--clips", str(data), "--steps", "1", "--device", "cpu"]
    assert main([*made, "--negative-prompt", NEGATIVE, "--out", str(tmp_path / "made")]) == 0
    assert len(list((tmp_path / "made").glob("*.mp4"))) == 2

    encoded, settings = LatentDataset(latents), ValidationSettings(steps=1, batch=2, videos=0)
    found = Validator(pipe.vae, encoded, [data], settings).run(pipe.transformer)
    rebuilt = [scores["psnr"] for scores in found.rows[REBUILT].values()]
    assert rebuilt == [100, 100]  # the codec loses nothing, nor does float16 on disk
    psnr = [scores["psnr"] for scores in found.rows[MODEL].values()]
    assert np.isfinite(np.array(psnr, float)).all() and max(map(float, psnr)) < 100  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="another VAE"):
        Validator(PatchCodec(scale=2.0), encoded, [data], settings)
