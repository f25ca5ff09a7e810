"""Held-out clips: what is read of them, how they are scored, and a model's validation."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from held_out import write_data
from outofsight.datasets import read_clip
from outofsight.datasets.world_extras import read_fates
from outofsight.errors import DatasetError, LayoutError
from outofsight.evaluation.baselines import BEST_VIEW, LAST_FRAME, REBUILT, best_view_copied, last_frame_held
from outofsight.evaluation.clip import EvalClip, eval_clip
from outofsight.evaluation.measure import measure
from outofsight.evaluation.scores import difference, summary, table
from outofsight.training.dataset import LatentDataset
from outofsight.training.encode import EncodeOptions, encode_clips
from outofsight.training.validate import Validator, clip_noise
from outofsight.training.validation_report import MODEL, ValidationSettings
from outofsight.video import read_video
from pipelines import HEIGHT, WIDTH, small_pipeline

PIPE = {"context_timestep": "clean", "context_attention": "context_only", "memory_options": {"top_k": 1, "window": 1}}
SETTINGS = ValidationSettings(steps=2, batch=2, videos=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("held-out"), fates=True)


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory, data: Path) -> LatentDataset:
    folder = tmp_path_factory.mktemp("encoded")
    small_pipeline(**PIPE).save_pretrained(folder / "model")
    encode_clips([data], folder / "latents", EncodeOptions(str(folder / "model")))
    return LatentDataset(folder / "latents")


def read(data: Path, name: str = "clip-0") -> EvalClip:
    return eval_clip(read_clip(data, name), data / name)


def test_what_matters_in_a_clip(data: Path) -> None:
    clip = read(data)
    assert set(clip.fates) == {"true", "vanished", "frozen"} and clip.truth.shape == (9, HEIGHT, WIDTH, 3)
    assert clip.re_entered.tolist() == [False] * 3 + [True] * 6
    assert clip.phases["hidden"].tolist() == [True] * 3 + [False] * 6 and clip.available >= {"fates", "masks"}
    inside = clip.regions.inside
    assert inside is not None and clip.region is not None
    assert not inside[:3].any() and inside[3:, :, :8].all() and not inside[:, :, 8:].any()
    assert not clip.region[:3].any() and clip.region[3:, :, :16].all() and not clip.region[:, :, 16:].any()
    held, copied = last_frame_held(clip), best_view_copied(clip)
    assert (held.frames == clip.context[-1]).all() and held.frames.shape == clip.truth.shape
    assert held.ids is not None and copied.ids is not None and not held.ids.any() and copied.ids.shape == held.ids.shape
    assert all((frame == clip.context).all(axis=(1, 2, 3)).any() for frame in copied.frames)


def test_a_clip_cut_to_the_frames_of_a_run(data: Path) -> None:
    whole = read(data)
    clip = whole.cut(5, 6).read()
    assert (clip.context == whole.context[4:]).all() and (clip.truth == whole.truth[:6]).all()
    assert (clip.context_frames, clip.target_frames) == (5, 6) == (len(clip.context_cameras), len(clip.target_cameras))
    # it was seen in frames 0 to 3 alone, before the cut, and has re-entered all the same
    assert not clip.visible[:, :5].any() and clip.re_entered.tolist() == [False] * 3 + [True] * 3
    assert clip.phase_words == ("hidden",) * 8 + ("re-entered",) * 3
    assert clip.region is not None and whole.region is not None and (clip.region == whole.region[:6]).all()
    assert clip.digest != whole.digest and measure(clip.truth, clip).flat()["psnr re-entered inside"] == 100


def test_clips_without_fates_or_masks(data: Path, tmp_path: Path) -> None:
    bare = write_data(tmp_path / "bare", 1)
    clip = eval_clip(read_clip(bare), bare / "clip-0")
    assert clip.fates == {} and clip.region is None and "fate" not in measure(clip.truth, clip).flat()
    naked = write_data(tmp_path / "naked", 1, masks=False)
    clip = eval_clip(read_clip(naked), naked / "clip-0")
    assert "no subjects are annotated, so there are no phases" in clip.notes and clip.phases == {}
    found = measure(clip.truth, clip)
    assert found.flat() == {"psnr": 100} and found.skipped.keys() == {"fate", "fate_margin", "retrieval_hit_rate"}
    broken = shutil.copytree(data / "clip-0", tmp_path / "clip-0")
    (broken / "fates" / "frozen.mp4").unlink()
    with pytest.raises(LayoutError, match=r"frozen\.mp4 missing"):
        read_fates(broken)


def test_scores_of_the_fates_themselves(data: Path) -> None:
    clip = read(data)
    for name in clip.fates:
        scores = measure(clip.fates[name], clip).flat()
        assert scores["fate"] == name
        assert scores["psnr"] == 100 or name != "true"
    held = measure(last_frame_held(clip), clip).flat()
    assert held["fate"] == "vanished"  # the subject had left when the context ended
    assert held["psnr re-entered"] < held["psnr"] < held["psnr hidden"]  # type: ignore[operator]
    assert held["psnr inside"] < held["psnr outside"]  # type: ignore[operator]


def test_tables_over_clips() -> None:
    rows = {
        "a": {"1": {"target": 20.0, "fate": "true"}, "2": {"target": 22.0, "fate": "frozen"}},
        "b": {"1": {"target": 19.0, "fate": None}, "2": {"target": 18.0, "fate": "vanished"}, "3": {"target": None}},
    }
    found = summary(rows)  # type: ignore[arg-type]
    assert found["a"]["target"].mean == 21 and found["a"]["true"].mean == 0.5 and found["a"]["vanished"].mean == 0
    assert found["b"]["target"].mean == 18.5 and found["b"]["vanished"].mean == 1 and found["b"]["true"].clips == 1
    gap = difference(rows["a"], rows["b"], "target")  # type: ignore[arg-type]
    assert gap is not None and gap.mean == 2.5 and (gap.low, gap.high) == (1, 4)
    assert difference(rows["a"], {"3": {"target": 1.0}}, "target") is None
    lines = table(found, ("target", "true", "hidden")).splitlines()
    assert lines[0] == "| | target | true | hidden |"
    assert lines[2] == "| a | 21.00 [20.00, 22.00] | 50 [0, 100] |  |"


def test_a_validation_from_clips_to_files(data: Path, latents: LatentDataset, tmp_path: Path) -> None:
    pipe = small_pipeline(**PIPE)
    settings = replace(SETTINGS, ablations=("random recall", "no recall", "context hidden"))
    validator = Validator(pipe.vae, latents, [data], settings)
    means = validator(pipe.transformer, 7, tmp_path)
    report = json.loads((tmp_path / "validation.json").read_text())
    rows = report["clips"]
    assert list(rows) == [MODEL, "random recall", "no recall", "context hidden", LAST_FRAME, BEST_VIEW, REBUILT]
    assert all(list(clips) == ["clip-0", "clip-1", "clip-2"] for clips in rows.values())
    assert means["model: psnr"] == pytest.approx(np.mean([clip["psnr"] for clip in rows[MODEL].values()]))
    values = [clips["clip-1"]["psnr"] for row, clips in rows.items() if row != BEST_VIEW]
    assert len(set(values)) == len(values)  # every row is another video, but for the view of a camera that stood still
    assert rows[LAST_FRAME]["clip-1"] == measure(last_frame_held(clip := read(data, "clip-1")), clip).flat()
    assert (
        0 <= rows[MODEL]["clip-0"]["retrieval_hit_rate"] <= 1
        and "retrieval_hit_rate" not in rows["context hidden"]["clip-0"]
    )
    # 5 latent frames of context were not asked for: 3, in two tokens; frames 0 and 1 show the subject
    assert rows[MODEL]["clip-0"]["retrieval_chance"] == pytest.approx(0.5)
    assert any(name.startswith("psnr: model - ") for name in report["differences"])
    assert "| VAE reconstruction |" in (tmp_path / "validation.md").read_text()
    video = read_video(tmp_path / "clip-0.mp4").frames
    assert video.shape[1:3] == (2 * HEIGHT + 16, 3 * 2 * WIDTH + 12) and len(video) == 9
    assert sorted(file.name for file in tmp_path.glob("*.mp4")) == [
        "clip-0-context-hidden.mp4", "clip-0-no-recall.mp4", "clip-0-random-recall.mp4", "clip-0.mp4",
    ]  # fmt: skip


def test_the_same_noise_whatever_the_batch(data: Path, latents: LatentDataset) -> None:
    pipe = small_pipeline(**PIPE)
    whole = Validator(pipe.vae, latents, [data], SETTINGS).run(pipe.transformer)
    one = Validator(pipe.vae, latents, [data], replace(SETTINGS, batch=1, clips=2)).run(pipe.transformer)
    assert list(one.rows[MODEL]) == ["clip-0", "clip-1"]
    for name, scores in one.rows[MODEL].items():
        assert scores["psnr"] == pytest.approx(whole.rows[MODEL][name]["psnr"], abs=1e-3)
    other = Validator(pipe.vae, latents, [data], replace(SETTINGS, seed=1)).run(pipe.transformer)
    assert other.rows[MODEL]["clip-0"]["psnr"] != whole.rows[MODEL]["clip-0"]["psnr"]
    assert other.rows[REBUILT] == whole.rows[REBUILT]
    assert torch.equal(clip_noise("a", 0, (2, 3)), clip_noise("a", 0, (2, 3)))
    assert not torch.equal(clip_noise("a", 0, (2, 3)), clip_noise("b", 0, (2, 3)))


def test_the_ceiling_is_what_the_vae_gives_back(data: Path, latents: LatentDataset) -> None:
    pipe = small_pipeline(**PIPE)
    rows = Validator(pipe.vae, latents, [data], replace(SETTINGS, clips=1)).run(pipe.transformer).rows
    encoded, clip = latents[0], read(data)
    rebuilt = pipe.decode(encoded.latents[None, :, encoded.context_frames :])
    assert rows[REBUILT]["clip-0"]["psnr"] == pytest.approx(measure(rebuilt, clip).flat()["psnr"], abs=1e-3)


def test_what_does_not_belong_together(data: Path, latents: LatentDataset, tmp_path: Path) -> None:
    pipe = small_pipeline(**PIPE)
    with pytest.raises(DatasetError, match="another VAE"):
        Validator(small_pipeline(seed=1).vae, latents, [data], SETTINGS)
    with pytest.raises(DatasetError, match=r"2 encoded clips are not in .*clip-1"):
        Validator(pipe.vae, latents, [write_data(tmp_path / "few", 1)], SETTINGS)
    place = shutil.copytree(data, tmp_path / "HM-World")
    captions = place / "caption.txt"
    captions.write_text(captions.read_text().replace("a dog walks", "a dog sits"))
    with pytest.raises(DatasetError, match=r"clip-0 is not the clip that was encoded"):
        Validator(pipe.vae, latents, [place], SETTINGS).run(pipe.transformer)
