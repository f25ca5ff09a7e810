"""Small worlds as training data: drawn as training goes, each clip once; and models judged on held-out ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from outofsight.components.codec import decode_videos
from outofsight.components.video_codec import codec_of
from outofsight.errors import DatasetError, TrainingError
from outofsight.evaluation.baselines import Continuation
from outofsight.evaluation.measure import measure
from outofsight.models import WorldTransformer3DModel
from outofsight.models.codecs import build_codec
from outofsight.models.presets import PRESETS
from outofsight.pipeline import WorldModelPipeline
from outofsight.recipes import small
from outofsight.training import train
from outofsight.training.config import TrainConfig
from outofsight.training.run_model import model_of_run
from outofsight.training.small_judge import PLACED, SmallJudge
from outofsight.training.trainer import TrainingInterrupted
from outofsight.training.transformer import open_clips
from outofsight.training.validation_report import ValidationSettings
from outofsight.training.world_source import WorldSource, is_small_world
from outofsight.worlds.small import draw_clip, small_world

CODEC = build_codec(PRESETS["small"].vae)
NARROW = {"num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 2, "ffn_dim": 32}


def short(out: Path, **changes: object) -> TrainConfig:
    return replace(
        small(Path("small-easy"), out), model_options=NARROW, steps=4, batch_size=2, warmup=0, cooldown=0,
        checkpoint_every=2, log_every=1, **changes,
    )  # fmt: skip


def source(**options: object) -> WorldSource:
    return WorldSource("small-easy", options, 3, codec_of(CODEC), 8)


def test_a_name_of_a_world_is_one_where_no_folder_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_small_world(Path("small-easy")) and not is_small_world(Path("latents"))
    (tmp_path / "small-easy").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_small_world(Path("small-easy"))


def test_a_clip_is_coded_as_the_pipeline_codes_it() -> None:
    clips, number = source(), 5
    drawn, coded = draw_clip(clips.world, 3, number), clips[number]
    cut = clips.world.context_frames
    for latents, frames in (
        (coded.latents[:, :8], drawn.frames[:cut]),
        (coded.latents[:, 8:], drawn.frames[cut:]),
    ):
        assert np.array_equal(decode_videos(CODEC, latents[None])[0], frames)
    assert torch.equal(coded.subject, torch.from_numpy(drawn.share()))
    anchor = np.linalg.inv(drawn.c2w[cut])
    for vectors, frames in (
        (coded.context_poses, range(0, cut, 2)),
        (coded.target_poses, range(cut, len(drawn.c2w), 2)),
    ):
        expected = np.stack([(anchor @ drawn.c2w[frame])[:3].ravel() for frame in frames])
        np.testing.assert_allclose(vectors.numpy(), expected, atol=1e-6)
    seen = drawn.visible[0]
    last = np.array([*range(0, cut, 2), *range(cut, len(seen), 2)])
    assert ((coded.phase.numpy()[8:] == 3) == seen[last][8:]).all()  # in the target it is back wherever it is seen


def test_every_place_of_every_step_has_a_clip_of_its_own() -> None:
    clips = source()
    drawn = [number for step in range(3) for number in clips.numbers(3, step, range(4), 4, None)]
    assert drawn == list(range(12))
    assert clips.numbers(3, 2, range(4), 4, 5) == [3, 4, 0, 1]
    assert clips.fingerprint() != WorldSource("small-easy", {}, 4, codec_of(CODEC), 8).fingerprint()
    assert clips.fingerprint() != source(subjects=2).fingerprint()
    assert clips.fingerprint() == source().fingerprint()


def test_a_run_resumes_exactly_and_leaves_a_model_that_generates(tmp_path: Path) -> None:
    whole = train(short(tmp_path / "whole"))
    stopped = 0

    def stop(step: int, loss: float, line: object) -> None:
        nonlocal stopped
        stopped = step
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises((TrainingInterrupted, KeyboardInterrupt)):
        train(short(tmp_path / "cut"), report=stop)
    resumed = train(short(tmp_path / "cut"), resume=True)
    assert whole.checkpoint is not None and resumed.checkpoint is not None
    ours, theirs = (result.checkpoint.weights("transformer") for result in (whole, resumed))
    assert stopped == 3 and all(torch.equal(ours[name], theirs[name]) for name in ours)
    pipe = WorldModelPipeline.from_pretrained(model_of_run(tmp_path / "whole"))
    clip = draw_clip(small_world("small-easy", split="test"), 1, 0)
    out = pipe(clip.frames[: clip.world.context_frames], *clip.cameras, "", progress=False)
    assert out.frames.shape == clip.frames[clip.world.context_frames :].shape
    assert pipe.transformer.streams and pipe.text_encoder is None


def test_the_target_is_regressed_from_zeros_whatever_the_noise() -> None:
    torch.manual_seed(0)
    model = WorldTransformer3DModel(**{**PRESETS["small"].transformer, **NARROW}).eval()
    torch.nn.init.normal_(model.proj_out.weight, std=0.1)
    judge = SmallJudge(CODEC, 8, "small-easy", settings=ValidationSettings(steps=1, clips=2, batch=2))
    batch = judge.latents.collate([judge._encoded(number) for number in range(judge.count)])
    found = [judge.generate(model, replace(batch, names=names), None) for names in (("a", "b"), ("c", "d"))]
    assert torch.equal(*found) and found[0].abs().max() > 0
    model.register_to_config(target_start="noise")
    found = [judge.generate(model, replace(batch, names=names), None) for names in (("a", "b"), ("c", "d"))]
    assert not torch.equal(*found)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"2 video frames .* cells of 6 pixels; .* takes 2 and \[4, 4\]"):
        WorldSource("small-easy", {}, 0, codec_of(build_codec({"_class_name": "PatchCodec", "patch": (4, 4)})), 8)
    with pytest.raises(TrainingError, match="no knob"):
        open_clips(short(tmp_path, world={"colour": 1}))
    with pytest.raises(TrainingError, match="changes the knobs of a small world"):
        open_clips(replace(short(tmp_path), data=tmp_path / "latents", world={"subjects": 2}))
    with pytest.raises(TrainingError, match="have no text"):
        open_clips(short(tmp_path, parts=Path("random:debug")))


def test_fates_of_held_out_clips_are_told_apart() -> None:
    judge = SmallJudge(CODEC, 8, "small-easy", settings=ValidationSettings(steps=1, clips=6))
    clips = {name: judge._clip(name) for name in judge._drawn}
    assert len(clips) == 6 and all(drawn.is_judged for drawn in judge._drawn.values())
    for fate in ("true", "vanished", "frozen"):
        scores = [measure(Continuation(clip.fates[fate]), clip).flat() for clip in clips.values()]
        assert {score["fate"] for score in scores} == {fate}
    placed = {
        fate: np.mean([judge.places(name, clip.fates[fate])[PLACED] for name, clip in clips.items()])
        for fate in ("true", "frozen")
    }
    assert placed["true"] > 0.9 and placed["frozen"] < 0.3
    train_hues = {tuple(draw_clip(small_world("small-easy"), 0, n).plan.figures[0].colour) for n in range(5)}
    assert not train_hues & {tuple(drawn.plan.figures[0].colour) for drawn in judge._drawn.values()}
