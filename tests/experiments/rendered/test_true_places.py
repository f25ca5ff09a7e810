"""Subjects rendered where they truly are, for clips to learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flatland import FOV, HEIGHT, WIDTH, camera, walker

from held_out import write_data
from outofsight.cameras import CameraPath
from outofsight.clips import Clip, RedMasks, SubjectTrack, VideoFile
from outofsight.datasets import read_clip, write_clip
from outofsight.errors import DatasetError
from outofsight.experiments.rendered import SubjectFinder, Truth, render, renderer, target
from outofsight.experiments.rendered.sighting import Sighting
from outofsight.experiments.rendered.sweep import SweepOptions
from outofsight.models.presets import RENDERED
from outofsight.training.dataset import LatentDataset
from outofsight.training.encode import EncodeOptions, encode_clips
from outofsight.training.validate import Validator
from outofsight.training.validation_report import ValidationSettings
from pipelines import small_pipeline

CONTEXT, TARGET = 10, 6
OPTIONS = SweepOptions(planes=5, nearest=0.5, around=5, coarse=1)


def scene() -> tuple[np.ndarray, np.ndarray, Truth, torch.Tensor, Sighting]:
    """Cameras; somebody who walks to the right, and back while unseen; the context, and what a poor finder says."""
    cameras = np.stack([camera(0.06 * i) for i in range(CONTEXT + TARGET)])
    t = np.minimum(np.arange(CONTEXT + TARGET), 2 * CONTEXT - np.arange(CONTEXT + TARGET))[:, None]
    positions = np.concatenate([-0.6 + 0.1 * t, 0.9 + 0 * t, 2.5 + 0 * t], axis=1)
    pictures, told = walker(cameras[:CONTEXT], positions[:CONTEXT])
    poor = Sighting(told.subject, told.foot + 3, told.depth * 1.3)
    ids = (told.subject > 0).byte().numpy()
    return cameras[:CONTEXT], cameras[CONTEXT:], Truth(ids, positions[None]), pictures, poor


def test_feet_and_distances_are_set_right_where_somebody_is() -> None:
    context, _, truth, _, poor = scene()
    told = walker(context, truth.positions[0, :CONTEXT])[1]
    mended = truth.corrected(poor, context, float(np.tan(np.deg2rad(FOV) / 2)))
    here = torch.from_numpy(truth.ids > 0)
    torch.testing.assert_close(mended.depth[here], told.depth[here])
    torch.testing.assert_close(mended.foot.permute(0, 2, 3, 1)[here], told.foot.permute(0, 2, 3, 1)[here])
    assert torch.equal(mended.depth[~here], poor.depth[~here]) and mended.subject is poor.subject


@pytest.mark.parametrize("moved", [False, True])
def test_somebody_is_shown_where_nobody_could_have_known(moved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    context, target, truth, pictures, poor = scene()
    true, expected = truth.positions[0, CONTEXT:], walker(target, truth.positions[0, CONTEXT:])[0]
    if moved:
        world = np.eye(4)
        world[:3, :3], world[:3, 3] = camera(yaw=0.7)[:3, :3], [40.0, 2.0, -7.0]
        context, target, truth = world @ context, world @ target, truth.seen_from(world)
        true = truth.positions[0, CONTEXT:]
    monkeypatch.setattr(renderer, "look", lambda *_: poor)
    found = render(SubjectFinder((8, 8)), pictures, context, target, FOV, options=OPTIONS, truth=truth)
    np.testing.assert_allclose(found.places[0], true, atol=1e-6)
    guessed = render(SubjectFinder((8, 8)), pictures, context, target, FOV, options=OPTIONS)
    assert np.linalg.norm(guessed.places[0] - true, axis=1)[-1] > 0.5
    errors = [(made.picture[-1] - expected[-1]).square().mean() for made in (found, guessed)]
    assert errors[0] < 0.5 * errors[1]


def test_what_is_nobodys_goes_on_as_it_is_thought_to(monkeypatch: pytest.MonkeyPatch) -> None:
    context, target, truth, pictures, poor = scene()
    monkeypatch.setattr(renderer, "look", lambda *_: poor)
    guessed = render(SubjectFinder((8, 8)), pictures, context, target, FOV, options=OPTIONS)
    for nobody in (np.zeros((0, CONTEXT + TARGET, 3)), truth.positions + np.array([0, 0, 30.0])):
        told = Truth(np.zeros((CONTEXT, HEIGHT, WIDTH), np.uint8), nobody)
        found = render(SubjectFinder((8, 8)), pictures, context, target, FOV, options=OPTIONS, truth=told)
        torch.testing.assert_close(found.picture, guessed.picture)


def test_subjects_that_masks_do_not_tell_apart_are_refused() -> None:
    film = VideoFile(Path("mask.mp4"))
    cameras = CameraPath(np.repeat(np.eye(4)[None], 5, 0), horizontal_fov=FOV, fps=8)
    subjects = tuple(SubjectTrack(name, positions=np.zeros((10, 3))) for name in ("one", "other"))
    clip = Clip("both", "two walk", cameras, cameras, None, None, subjects, masks=RedMasks(film, film), fps=8)
    with pytest.raises(DatasetError, match="do not tell its 2 subjects apart"):
        Truth.of(clip, (HEIGHT, WIDTH))


def test_clips_are_encoded_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path / "data", 1)
    clip = read_clip(data, "clip-0")
    positions = np.arange(3.0 * len(clip.load_masks())).reshape(-1, 3)
    write_clip(replace(clip, subjects=(replace(clip.subjects[0], positions=positions),)), tmp_path / "placed")
    pipe = small_pipeline(conditioners=("pose", RENDERED))
    pipe.register_modules(finder=SubjectFinder((8, 8)).eval())
    pipe.save_pretrained(tmp_path / "model")
    options = EncodeOptions(str(tmp_path / "model"), true_places=True)
    with pytest.raises(
        DatasetError, match=r'clip "clip-0": 1 of its 1 subjects have no positions.*asked by --true-places'
    ):
        encode_clips([data], tmp_path / "bare", options)
    with pytest.raises(DatasetError, match="nothing is rendered"):
        encode_clips([tmp_path / "placed" / "HM-World"], tmp_path / "none", replace(options, render=False))
    with pytest.raises(DatasetError, match="take it at its own size"):
        encode_clips([tmp_path / "placed" / "HM-World"], tmp_path / "fitted", replace(options, size=(16, 32)))
    given: list[Truth] = []

    def keep(*parts: object) -> torch.Tensor:
        assert isinstance(parts[-1], Truth)
        given.append(parts[-1])
        return real(*parts)

    real = target.rendered_target
    monkeypatch.setattr(target, "rendered_target", keep)
    encode_clips([tmp_path / "placed" / "HM-World"], tmp_path / "latents", options)
    read = LatentDataset(tmp_path / "latents")
    assert read.settings.true_places and read[0].rendered is not None
    np.testing.assert_array_equal(given[0].positions, positions[None])
    np.testing.assert_array_equal(given[0].ids, clip.load_masks())
    with pytest.raises(DatasetError, match="give the ground truth away"):
        Validator(pipe.vae, read, [tmp_path / "placed" / "HM-World"], ValidationSettings())
    with pytest.raises(DatasetError, match="true_places True, not False"):
        encode_clips([tmp_path / "placed" / "HM-World"], tmp_path / "latents", replace(options, true_places=False))
