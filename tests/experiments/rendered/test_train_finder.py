"""Training of the subject finder: what it is taught, that it learns it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from killing import Killed, kill_at
from outofsight.cameras import CameraPath
from outofsight.clips import Clip, SubjectTrack
from outofsight.datasets import iterate_clips, write_clip
from outofsight.errors import CameraError, DatasetError, TrainingError
from outofsight.experiments.rendered.finder import SubjectFinder, finder_inputs
from outofsight.experiments.rendered.sighting import Sighting
from outofsight.experiments.rendered.train_finder import (
    FinderConfig,
    FinderObjective,
    in_a_mirror,
    judge,
    lessons,
    losses,
    taught,
)
from outofsight.training.config import LoopSettings
from outofsight.training.parts import load_finder
from outofsight.training.trainer import run_training

HEIGHT, WIDTH, FOV, FRAMES = 32, 48, 60.0, 5
HALF = float(np.tan(np.deg2rad(FOV) / 2))


def clip(name: str = "clip", seed: int = 0, **changes: Any) -> Clip:
    """A bright block on dark noise, standing 4 m away and walking to the right; the camera stands still."""
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 90, (HEIGHT, WIDTH, 3))
    video, ids = np.repeat(still[None], 2 * FRAMES, 0).astype(np.uint8), np.zeros((2 * FRAMES, HEIGHT, WIDTH), np.uint8)
    t = np.arange(2 * FRAMES)
    columns = 10 + int(rng.integers(8)) + 2 * t
    for frame, column in enumerate(columns):
        part = (frame, slice(10, 24), slice(column - 4, column + 4))
        video[part], ids[part] = 230, 1
    x = (columns - WIDTH / 2) / (WIDTH / 2) * HALF * 4
    y = np.full(len(t), (24 - HEIGHT / 2) / (WIDTH / 2) * HALF * 4)
    track = SubjectTrack("walker", positions=np.stack([x, y, np.full(len(t), 4.0)], 1), visible_pixels=ids.sum((1, 2)))
    camera = CameraPath(np.repeat(np.eye(4)[None], FRAMES, 0), horizontal_fov=FOV, fps=8)
    made = Clip(name, "somebody walks", camera, camera, video[:FRAMES], video[FRAMES:], (track,), masks=ids, fps=8)
    return replace(made, **changes)


def test_what_is_taught_of_a_frame() -> None:
    first, second = lessons(clip())
    assert len(first.video) == len(second.video) == FRAMES
    truth = taught(second, 2)
    ids = clip().load_masks()[FRAMES + 2]
    inside = truth.weight[0] > 0
    assert torch.equal(truth.subject[0] > 0, torch.from_numpy(ids == 1)) and torch.equal(inside, truth.subject[0] > 0)
    assert truth.weight[0][inside].unique().tolist() == pytest.approx([1 / (20 + (ids == 1).sum())])
    column = np.nonzero(ids.any(axis=0))[0].mean() + 0.5
    torch.testing.assert_close(truth.foot[0][:, inside].mean(dim=1), torch.tensor([column, 24.0], dtype=torch.float32))
    assert (truth.depth[0][inside] - 4).abs().max() < 1e-4


def test_a_mirror_changes_sides_and_nothing_else() -> None:
    lesson = lessons(clip())[0]
    pictures = torch.from_numpy(np.ascontiguousarray(lesson.video)).permute(0, 3, 1, 2).float() / 255
    poses = torch.from_numpy(lesson.c2w).float()
    inputs, truth = finder_inputs(pictures, poses, FOV, 2)[None], taught(lesson, 2)
    flipped, other = in_a_mirror(inputs, truth)
    torch.testing.assert_close(flipped, finder_inputs(pictures.flip(-1), poses, FOV, 2)[None], atol=1e-5, rtol=0)
    assert torch.equal(other.subject, truth.subject.flip(-1))
    known = other.weight[0] > 0
    torch.testing.assert_close(other.foot[0, 0][known], WIDTH - truth.foot[0, 0].flip(-1)[known])
    back = in_a_mirror(flipped, other)
    torch.testing.assert_close(back[0], inputs)
    torch.testing.assert_close(back[1].foot[:, :, truth.weight[0] > 0], truth.foot[:, :, truth.weight[0] > 0])


def test_who_moved_stands_out_from_the_still_picture() -> None:
    lesson = lessons(clip())[0]
    pictures = torch.from_numpy(np.ascontiguousarray(lesson.video)).permute(0, 3, 1, 2).float() / 255
    inputs = finder_inputs(pictures, torch.from_numpy(lesson.c2w).float(), FOV, 2)
    assert inputs.shape == (17, HEIGHT, WIDTH)
    away = inputs[3:6].abs().mean(dim=0)
    subject = taught(lesson, 2).subject[0] > 0
    assert away[subject].mean() > 3 * away[~subject].mean()
    first = finder_inputs(pictures, torch.from_numpy(lesson.c2w).float(), FOV, 0)
    assert not inputs[9:15].any() and not first[9:12].any()  # no frame lies so far before or after
    torch.testing.assert_close(first[12:15], pictures[4] - pictures[0], atol=1e-4, rtol=0)


def test_a_frame_beside_is_turned_to_look_the_same_way() -> None:
    yaws = torch.linspace(0, 0.6, 9)
    c2w = torch.eye(4).repeat(9, 1, 1)
    c2w[:, 0, 0], c2w[:, 0, 2], c2w[:, 2, 0], c2w[:, 2, 2] = yaws.cos(), yaws.sin(), -yaws.sin(), yaws.cos()
    x = (torch.arange(WIDTH) + 0.5) / WIDTH * 2 - 1
    directions = (x * HALF).atan() + yaws[:, None]  # what lies far off depends on the direction alone
    pictures = (0.5 + 0.4 * torch.sin(4 * directions))[:, None, None].expand(-1, 3, HEIGHT, -1).contiguous()
    inputs = finder_inputs(pictures, c2w, FOV, 4)
    before, after = inputs[9:12], inputs[12:15]
    assert (pictures[8] - pictures[4]).abs().mean() > 0.3
    assert before.abs().max() < 0.05 and after.abs().max() < 0.05
    assert not after[:, HEIGHT // 2, :3].any()  # the frame after has turned away from there


def test_the_truth_has_no_loss() -> None:
    truth = taught(lessons(clip())[0], 1)
    perfect = Sighting((truth.subject - 0.5) * 40, truth.foot, truth.depth)
    assert all(float(value) < 1e-3 for value in losses(perfect, truth).values())
    off = losses(Sighting(-perfect.subject, truth.foot + WIDTH / 10, truth.depth * np.e), truth)
    assert off["subject"] > 10 and off["overlap"] > 0.5
    assert off["foot"] == pytest.approx(2) and off["depth"] == pytest.approx(1)
    aside, down = (truth.foot.clone() for _ in range(2))
    aside[:, 0] += 3
    down[:, 1] += 3
    told = [losses(Sighting(perfect.subject, foot, truth.depth), truth)["foot"] for foot in (aside, down)]
    assert told[0] == pytest.approx(2 * float(told[1]))


def train_finder(asked: FinderConfig, **how: Any) -> Mapping[str, float]:
    return run_training(FinderObjective(asked), **how).results


def config(clips: Path, out: Path, **settings: Any) -> FinderConfig:
    loop = {"steps": 6, "warmup": 1, "checkpoint_every": 3, "log_every": 1, **settings.pop("loop", {})}
    return FinderConfig(clips, out, **{"widths": (8, 16), "batch_size": 4, "loop": LoopSettings(**loop), **settings})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(3):
        write_clip(clip(f"clip-{number}", number), folder)
    return folder


def test_it_learns_who_moves(clips: Path, tmp_path: Path) -> None:
    untaught = judge(SubjectFinder((8, 16)).eval(), [lesson for c in iterate_clips(clips) for lesson in lessons(c)], 2)
    loop = {"steps": 60, "ema": 0.8, "lr": 1e-2}
    results = train_finder(config(clips, tmp_path, held_out=clips, loop=loop))
    assert results["overlap"] > max(0.5, 2 * untaught["overlap"])
    assert results["foot_pixels"] < 0.5 * untaught["foot_pixels"]
    assert json.loads((tmp_path / "training-finder" / "report.json").read_text())["overlap"] == results["overlap"]
    finder = load_finder(tmp_path / "finder")
    data = [lesson for c in iterate_clips(clips) for lesson in lessons(c)]
    assert judge(finder, data)["overlap"] == pytest.approx(results["overlap"], abs=1e-6)


def test_a_run_goes_on_to_the_same_weights(clips: Path, tmp_path: Path) -> None:
    train_finder(config(clips, tmp_path / "whole"))
    with pytest.raises(Killed):
        train_finder(config(clips, tmp_path / "half"), report=kill_at(4))
    train_finder(config(clips, tmp_path / "half"), resume=True)
    for one, two in zip(
        load_finder(tmp_path / "whole" / "finder").parameters(),
        load_finder(tmp_path / "half" / "finder").parameters(),
        strict=True,
    ):
        assert torch.equal(one, two)


def test_what_cannot_teach_is_named(clips: Path, tmp_path: Path) -> None:
    blind = CameraPath(np.repeat(np.eye(4)[None], FRAMES, 0), fps=8)
    with pytest.raises(CameraError, match=r'clip "clip".*field of view'):
        lessons(clip(context_cameras=blind, target_cameras=blind))
    somewhere = clip().subjects[0]
    with pytest.raises(DatasetError, match=r'clip "clip": 1 of its 1 subjects have no positions'):
        lessons(clip(subjects=(replace(somewhere, positions=None),)))
    with pytest.raises(TrainingError, match="multiples of 8"):
        config(clips, tmp_path, widths=(12,))
    with pytest.raises(TrainingError, match="batch_size is 0"):
        config(clips, tmp_path, batch_size=0)
