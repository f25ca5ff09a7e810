"""The rendered target: who moved is gone from where they were and stands where they must be by now."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from flatland import FOV, HEIGHT, WIDTH, camera, walker, wall

from outofsight.experiments.rendered import MAPS, Rendered, SubjectFinder, condition, nothing_rendered, render, renderer
from outofsight.experiments.rendered.finder import finder_inputs, look_twice, mirrored
from outofsight.experiments.rendered.sweep import SweepOptions

CONTEXT, TARGET = 12, 6
OPTIONS = SweepOptions(planes=5, nearest=0.5, around=5, coarse=1)


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cameras of context and target, and where somebody is over both: 1 m below, walking to the right."""
    cameras = np.stack([camera(0.06 * i) for i in range(CONTEXT + TARGET)])
    t = np.arange(CONTEXT + TARGET)[:, None]
    return cameras[:CONTEXT], cameras[CONTEXT:], np.concatenate([-0.8 + 0.1 * t, 0.9 + 0 * t, 2.5 + 0 * t], axis=1)


def rendered(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Rendered, torch.Tensor]:
    context, target, positions = scene()
    pictures, sighting = walker(context, positions[:CONTEXT])
    monkeypatch.setattr(renderer, "look", lambda *_: sighting)
    found = render(SubjectFinder((8, 8)), pictures, context, target, FOV, options=OPTIONS, **options)
    return found, walker(target, positions[CONTEXT:])[0]


def test_somebody_stands_where_they_must_be_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    found, truth = rendered(monkeypatch)
    _, target, positions = scene()
    assert found.picture.shape == (TARGET, 3, HEIGHT, WIDTH) and found.maps.shape == (TARGET, MAPS, HEIGHT, WIDTH)
    assert len(found.paths) == 1
    np.testing.assert_allclose(found.places[0][:, :2], positions[CONTEXT:, :2], atol=0.05)
    np.testing.assert_allclose(found.places[0][:, 2], positions[CONTEXT:, 2], atol=0.1)
    error = (found.picture - truth).square().mean(dim=(1, 2, 3))
    empty = (wall(target) - truth).square().mean(dim=(1, 2, 3))
    assert (error < 0.6 * empty).all()
    red = truth[:, 0] > 0.5
    assert (found.maps[:, 3][red] > 0.5).float().mean() > 0.9
    away = torch.nn.functional.max_pool2d(red[:, None].float(), 15, 1, 7)[:, 0] == 0
    assert found.picture[:, 0][away].max() < 0.1  # nobody is left where they were


def test_the_world_may_lie_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = rendered(monkeypatch)
    context, target, positions = scene()
    moved = np.eye(4)
    moved[:3, :3] = camera(yaw=1.0)[:3, :3]
    moved[:3, 3] = [300.0, 5.0, -200.0]
    pictures, sighting = walker(context, positions[:CONTEXT])
    monkeypatch.setattr(renderer, "look", lambda *_: sighting)
    other = render(SubjectFinder((8, 8)), pictures, moved @ context, moved @ target, FOV, options=OPTIONS)
    torch.testing.assert_close(other.picture, found.picture, atol=2e-3, rtol=0)
    home = np.linalg.inv(moved)
    np.testing.assert_allclose(other.places[0] @ home[:3, :3].T + home[:3, 3], found.places[0], atol=1e-3)


def test_nobody_is_pasted_where_nobody_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    context, target, _ = scene()
    _, sighting = walker(context, np.full((CONTEXT, 3), -5.0))
    monkeypatch.setattr(renderer, "look", lambda *_: sighting)
    found = render(SubjectFinder((8, 8)), wall(context), context, target, FOV, options=OPTIONS)
    assert found.paths == [] and (found.maps[:, 3] == 0).all()
    assert (found.picture - wall(target))[:, :, 6:-6, 6:-12].abs().mean() < 0.03


def test_a_finder_looks_at_every_frame() -> None:
    context, target, positions = scene()
    pictures = walker(context, positions[:CONTEXT])[0]
    finder = SubjectFinder((8, 8)).eval()
    sighting = renderer.look(finder, pictures, context, FOV)
    assert sighting.subject.shape == (CONTEXT, HEIGHT, WIDTH) and sighting.foot.shape == (CONTEXT, 2, HEIGHT, WIDTH)
    assert (sighting.depth > 0).all()
    assert render(finder, pictures, context, target, FOV, options=OPTIONS).picture.isfinite().all()


def test_two_looks_favour_neither_side() -> None:
    context, _, positions = scene()
    pictures, cameras = walker(context, positions[:CONTEXT])[0], torch.from_numpy(context).float()
    finder = SubjectFinder((8, 8)).eval()
    inputs = finder_inputs(pictures, cameras, FOV, 5)[None]
    once, twice, other = finder(inputs), look_twice(finder, inputs), look_twice(finder, mirrored(inputs))
    torch.testing.assert_close(other.subject, twice.subject.flip(-1))
    torch.testing.assert_close(other.depth, twice.depth.flip(-1))
    torch.testing.assert_close(other.foot[:, 0], WIDTH - twice.foot[:, 0].flip(-1), atol=1e-4, rtol=0)
    torch.testing.assert_close(other.foot[:, 1], twice.foot[:, 1].flip(-1))
    assert not torch.equal(once.foot, twice.foot)
    torch.testing.assert_close(mirrored(mirrored(inputs)), inputs)


def test_what_the_transformer_is_told() -> None:
    maps = torch.zeros(3, MAPS, 16, 24)
    maps[0, 1], maps[1, 1], maps[2, 1] = 1.0, 0.5, 0.25
    maps[:, 3, :8, :8] = 1.0
    videos: list[torch.Tensor] = []

    def encode(video: torch.Tensor) -> torch.Tensor:
        videos.append(video)
        return torch.full((5, 2, 2, 3), 7.0)

    told = condition(Rendered(torch.full((3, 3, 16, 24), 0.5), maps, [], []), encode, [0, 1])
    assert told.shape == (5 + MAPS, 2, 2, 3) and (told[:5] == 7).all()
    assert videos[0].dtype == torch.uint8 and videos[0].shape == (3, 16, 24, 3) and (videos[0] == 128).all()
    torch.testing.assert_close(told[6, :, 0, 0], torch.tensor([1.0, 0.375]))  # share: frame 0; the mean of frames 1, 2
    torch.testing.assert_close(told[8, 0], torch.tensor([[1.0, 0, 0], [0, 0, 0]]))
    nothing = nothing_rendered(told)
    assert (nothing[:5] == 0).all() and (nothing[5] == 1).all() and (nothing[6:] == 0).all()
