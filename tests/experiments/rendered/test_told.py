"""The rendered target on its way: encoded, trained on, sampled from, and made by the pipeline itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from held_out import write_data
from latents import NARROW, encoded_clip, write_latents
from models import CACHEABLE, narrow_inputs, narrow_model
from outofsight import WorldModelPipeline
from outofsight.components.codec import encode_video
from outofsight.datasets import read_clip
from outofsight.errors import CameraError, CheckpointError, DatasetError, GeometryError
from outofsight.experiments.rendered import MAPS, SubjectFinder, condition, nothing_rendered, render, renderer
from outofsight.models.conditioners import Conditions
from outofsight.models.presets import RENDERED
from outofsight.sampling import denoise
from outofsight.training import hashes
from outofsight.training.assemble import assemble
from outofsight.training.config import TrainConfig
from outofsight.training.dataset import LatentDataset
from outofsight.training.draws import Draws
from outofsight.training.encode import EncodeOptions, encode_clips
from outofsight.training.objective import ObjectiveOptions, batch_loss
from outofsight.training.shared_context import SharedContext
from outofsight.training.transformer import make_validator, train
from outofsight.training.validate import Validator, clip_noise
from outofsight.training.validation_report import ValidationSettings
from pipelines import run_inputs, small_pipeline

CONTEXT, TARGET, GRID = 4, 3, (2, 3)
TOLD = {"conditioners": ("pose", RENDERED)}


def told_pipeline(**kind: Any) -> WorldModelPipeline:
    """A small pipeline whose transformer is told; its finder's weights are random."""
    pipe = small_pipeline(**TOLD, **CACHEABLE, **kind)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        pipe.register_modules(finder=SubjectFinder((8, 8)).eval())
    return pipe


def told(batch: int = 1, channels: int = 4, seed: int = 5) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels + MAPS, TARGET, 2 * GRID[0], 2 * GRID[1], generator=draw)


def given(rendered: torch.Tensor | None) -> Conditions:
    return Conditions(extra={} if rendered is None else {"rendered": rendered})


def call(model: Any, rendered: torch.Tensor | None, batch: int = 1, sigma: float = 1.0) -> torch.Tensor:
    inputs = narrow_inputs(CONTEXT, TARGET, GRID, batch) | {"timestep": torch.full((batch,), 1000 * sigma)}
    with torch.no_grad():
        sample: torch.Tensor = model(**{**inputs, "conditions": given(rendered)}).sample
    return sample[:, :, -TARGET:]


@pytest.mark.parametrize("sigma", [1.0, 0.5])
def test_a_network_that_says_nothing_answers_with_the_picture(sigma: float) -> None:
    model, rendered = narrow_model(**TOLD, **CACHEABLE), told()
    for parameter in model.proj_out.parameters():
        parameter.data.zero_()
    noisy = narrow_inputs(CONTEXT, TARGET, GRID)["hidden_states"][:, :, CONTEXT:]
    velocity = call(model, rendered, sigma=sigma)
    torch.testing.assert_close(velocity, sigma * (noisy - rendered[:, :4]))
    if sigma == 1:
        torch.testing.assert_close(noisy - velocity, rendered[:, :4])


def test_tokens_are_told_the_picture_and_the_maps() -> None:
    model, rendered = narrow_model(**TOLD, **CACHEABLE), told()
    answer = call(model, rendered)
    for channel in range(4, 4 + MAPS):  # maps reach the answer through the tokens alone
        other = rendered.clone()
        other[:, channel] += 1
        assert (call(model, other) - answer).abs().max() > 1e-3
    begins = narrow_model(**TOLD, **CACHEABLE)
    fresh = type(begins).from_config(begins.config)
    assert not fresh.conditioning["rendered"].conv.weight.any() and not fresh.proj_out.weight.any()
    plain = narrow_model(**CACHEABLE)
    assert torch.equal(call(plain, rendered), call(plain, None))  # a model that is not told takes no notice


def test_a_cached_context_gives_the_same() -> None:
    model, inputs = narrow_model(**TOLD, **CACHEABLE), narrow_inputs(CONTEXT, TARGET, GRID, 2)
    latents, poses, text = (
        inputs["hidden_states"],
        (inputs["context_poses"], inputs["target_poses"]),
        inputs["encoder_hidden_states"],
    )
    rest = latents[:, :, :CONTEXT], latents[:, :, CONTEXT:], text, text.flip(1), *poses
    found = [
        denoise(
            model, *rest, steps=2, guidance=2.0, conditions=given(told(2)), cache_context=cached, batched_guidance=both
        )
        for cached, both in ((True, False), (False, False), (True, True))
    ]
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[0], found[2], atol=1e-4, rtol=1e-4)
    assert (
        denoise(model, *rest, steps=2, guidance=2.0, conditions=given(told(2, seed=6))) - found[0]
    ).abs().max() > 1e-2


def test_what_is_missing_or_does_not_fit_is_named() -> None:
    model = narrow_model(**TOLD, **CACHEABLE)
    with pytest.raises(GeometryError, match=r"conditioned on a rendered target .* given none"):
        call(model, None)
    with pytest.raises(GeometryError, match=r"given .*8, 2, 4, 6"):
        call(model, told()[:, :, 1:])


def with_rendered(folder: Path, clips: int = 3) -> LatentDataset:
    made = [replace(encoded_clip(n, 4, TARGET), rendered=told(seed=n)[0]) for n in range(clips)]
    return LatentDataset(write_latents(folder, made=made, finder="f" * 64))


def test_it_is_kept_with_the_clips_and_trained_on(tmp_path: Path) -> None:
    data = with_rendered(tmp_path)
    batch = data.collate([data[0], data[2]])
    assert "rendered" in batch.extra
    torch.testing.assert_close(batch.extra["rendered"], torch.cat([told(seed=0), told(seed=2)]))
    model, options = narrow_model(**{**NARROW, **CACHEABLE, **TOLD}), ObjectiveOptions(noise="clip")
    losses = []
    for rendered in (batch.extra["rendered"], batch.extra["rendered"] + 1):
        one = replace(batch, extra={"rendered": rendered})
        draws = Draws(0, 1, range(2), None, 2)
        losses.append(batch_loss(SharedContext(model, 2), one, draws, options)[0])
        torch.testing.assert_close(losses[-1], batch_loss(model, one, draws, options)[0])
    assert abs(float(losses[0] - losses[1])) > 1e-3


def test_clips_without_it_are_refused(tmp_path: Path) -> None:
    config = narrow_model(**{**NARROW, **CACHEABLE, **TOLD}).config
    with pytest.raises(DatasetError, match="rendered targets, which the clips lack"):
        LatentDataset(write_latents(tmp_path / "bare")).check_model(config)
    with_rendered(tmp_path / "told").check_model(config)


def test_encoding_and_the_pipeline_render_the_same(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 2, fates=True)
    pipe = told_pipeline()
    pipe.save_pretrained(tmp_path / "model")
    encode_clips([data], tmp_path / "latents", EncodeOptions(str(tmp_path / "model"), stored="float32"))
    read, clip = LatentDataset(tmp_path / "latents"), read_clip(data, "clip-1")
    assert read.settings.finder
    pictures = torch.from_numpy(clip.context_video().frames.copy()).permute(0, 3, 1, 2).float() / 255
    made = render(pipe.finder, pictures, clip.context_cameras.c2w, clip.target_cameras.c2w, 60.0)
    with torch.no_grad():
        expected = condition(made, lambda video: encode_video(pipe.vae, video, "cpu")[0], [0, 1, 5])
    encoded = read[1].rendered
    assert encoded is not None
    torch.testing.assert_close(encoded, expected, atol=1e-3, rtol=1e-3)
    settings = ValidationSettings(steps=1, guidance=1.0, batch=2)
    loaded = WorldModelPipeline.from_pretrained(tmp_path / "model", torch_dtype=torch.float32)
    assert isinstance(loaded.finder, SubjectFinder)
    validator = Validator(loaded.vae, read, [data], settings)
    batch = read.collate([read[1]])
    answer = validator.generate(loaded.transformer, batch, None)
    noise = clip_noise("clip-1", settings.seed, tuple(answer.shape[1:]))

    run = {
        "context_video": clip.context_video().frames, "context_cameras": clip.context_cameras,
        "target_cameras": clip.target_cameras, "prompt": clip.caption, "num_inference_steps": 1, "guidance_scale": 1.0,
        "progress": False, "output_type": "latent", "seed": 0,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *_, **__: noise[None].clone())
        latents = loaded(**run).latents
    torch.testing.assert_close(latents, answer, atol=2e-3, rtol=2e-3)
    hidden = validator.generate(loaded.transformer, batch, None, hidden=True)
    told_nothing = replace(batch, extra={"rendered": nothing_rendered(batch.extra["rendered"])})
    torch.testing.assert_close(hidden, validator.generate(loaded.transformer, told_nothing, None, hidden=True))
    assert (hidden - answer).abs().max() > 1e-2


def test_a_pipeline_says_what_rendering_lacks(tmp_path: Path) -> None:
    pipe = told_pipeline()
    inputs = run_inputs()
    with pytest.raises(CameraError, match="needs the horizontal field of view"):
        pipe(**inputs)
    half = inputs["context_cameras"].subsample(2)
    with pytest.raises(CameraError, match="a pose every 2 frames"):
        pipe(**{**inputs, "context_cameras": half, "horizontal_fov": 60.0})
    assert pipe(**inputs, horizontal_fov=60.0).frames.shape[0] == 9
    one = {"context_video": inputs["context_video"][:1], "context_cameras": inputs["context_cameras"][:1]}
    with pytest.raises(CameraError, match="give at least 2 frames"):
        pipe(**{**inputs, **one}, horizontal_fov=60.0)
    bare = small_pipeline(**TOLD, **CACHEABLE)
    with pytest.raises(CheckpointError, match="has no finder"):
        bare(**inputs, horizontal_fov=60.0)
    bare.save_pretrained(tmp_path / "bare")
    with pytest.raises(CheckpointError, match="has no finder to render them with"):
        assemble(str(tmp_path / "bare"), tmp_path / "bare" / "transformer", tmp_path / "out", "tiny")
    with pytest.raises(CheckpointError, match="no folder 'finder'"):
        WorldModelPipeline.from_pretrained(tmp_path / "bare")
    pipe.save_pretrained(tmp_path / "whole")
    assemble(str(tmp_path / "whole"), tmp_path / "whole" / "transformer", tmp_path / "out", "tiny")
    assert str(tmp_path) not in (tmp_path / "out" / "finder" / "config.json").read_text()
    assert np.asarray(WorldModelPipeline.from_pretrained(tmp_path / "out").finder.config.widths).tolist() == [8, 8]


def test_rendering_leaves_the_pipeline_as_it_is() -> None:
    pipe, inputs = told_pipeline().to(torch.bfloat16), run_inputs()
    again = [pipe(**inputs, horizontal_fov=60.0, numerics="reference", seed=1).frames for _ in range(2)]
    assert {p.dtype for p in pipe.finder.parameters()} == {torch.bfloat16}
    np.testing.assert_array_equal(*again)


def test_latents_of_another_renderer_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = told_pipeline().finder
    before = hashes.finder_hash(finder)
    assert before == hashes.finder_hash(finder) != hashes.finder_hash(SubjectFinder((8, 8)))
    monkeypatch.setattr(renderer, "RENDERER", renderer.RENDERER + 1)
    assert hashes.finder_hash(finder) != before


def test_validation_clips_are_rendered_alike(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 1, fates=True)
    told_pipeline().save_pretrained(tmp_path / "model")
    for name, render_them in (("told", True), ("bare", False)):
        encode_clips([data], tmp_path / name, EncodeOptions(str(tmp_path / "model"), render=render_them))
    assert (
        LatentDataset(tmp_path / "bare").settings.finder == "" and LatentDataset(tmp_path / "bare")[0].rendered is None
    )
    config = TrainConfig(
        data=tmp_path / "told", out=tmp_path / "run", model=str(tmp_path / "model" / "transformer"),
        parts=tmp_path / "model",
        validate_every=1, held_out=tmp_path / "bare", held_out_clips=(data,),
    )  # fmt: skip
    with pytest.raises(DatasetError, match="another finder"):
        make_validator(config)
    make_validator(replace(config, held_out=tmp_path / "told"))
    (tmp_path / "model" / "finder").rename(tmp_path / "finder")
    with pytest.raises(DatasetError, match="has no finder/ that would make them later"):
        train(replace(config, validate_every=0, held_out=None, held_out_clips=(), steps=1))
