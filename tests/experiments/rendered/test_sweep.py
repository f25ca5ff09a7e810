"""The plane sweep against a wall whose pictures are known from everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flatland import FOV, HEIGHT, RED, WALL, WIDTH, camera, wall

from outofsight.experiments.rendered.sweep import SweepOptions, fill, look_up, sweep, tangents

GIVEN = np.stack([camera(x) for x in (-0.8, -0.4, 0.0, 0.4, 0.8)])
WANTED = np.stack([camera(0.2), camera(-0.6, yaw=0.2)])
OPTIONS = SweepOptions(planes=5, nearest=0.5, around=9, coarse=1)


def poses(cameras: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(cameras).float()


def test_rays_point_where_pixels_look() -> None:
    rays = tangents(2, 4, 90.0)
    torch.testing.assert_close(rays[0, :, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(rays[:, 0, 1], torch.tensor([-0.25, 0.25]))


@pytest.mark.parametrize("coarse", [1, 2])
def test_a_wall_is_seen_from_elsewhere_at_its_distance(coarse: int) -> None:
    options = SweepOptions(planes=5, nearest=0.5, around=9 // coarse, coarse=coarse)
    found = sweep(wall(GIVEN), poses(GIVEN), poses(WANTED), FOV, options)
    middle = (slice(None), slice(8, -8), slice(8, -8))
    straight = found.disparity[0][middle[1:]]
    assert (straight == 1 / WALL).float().mean() > 0.95
    error = (found.picture - wall(WANTED))[0][:, 8:-8, 8:-8].abs().mean()
    held = (wall(GIVEN[2:3]) - wall(WANTED[:1]))[0][:, 8:-8, 8:-8].abs().mean()
    assert error < 0.02 < 5 * error + 0.02 < held + 0.02
    assert found.cost[0][middle[1:]].mean() < 0.05 and found.share[0][middle[1:]].min() > 0.5
    assert found.maps().shape == (2, 3, HEIGHT, WIDTH)


def test_what_counts_for_nothing_leaves_no_trace() -> None:
    pictures, weights = wall(GIVEN), torch.ones(len(GIVEN), HEIGHT, WIDTH)
    pictures[2, :, 20:30, 30:50] = RED[:, None, None]
    weights[2, 20:30, 30:50] = 0
    clean = sweep(pictures, poses(GIVEN), poses(WANTED[:1]), FOV, OPTIONS, weights)
    stained = sweep(pictures, poses(GIVEN), poses(WANTED[:1]), FOV, OPTIONS)
    assert clean.picture[0, 0].max() < 0.05 < 0.15 < stained.picture[0, 0].max()
    assert clean.share[0, 24, 40] < clean.share[0, 5, 40]


def test_nothing_is_seen_behind_a_camera() -> None:
    away = np.stack([camera(yaw=np.pi)])
    found = sweep(wall(GIVEN), poses(GIVEN), poses(away), FOV, OPTIONS)
    assert (found.share == 0).all() and (found.cost == 1).all() and found.picture.isfinite().all()


def test_a_camera_finds_its_own_pixels_where_they_are() -> None:
    rays = tangents(HEIGHT, WIDTH, FOV)
    places = look_up(poses(GIVEN[:1]), poses(GIVEN[:1]), rays, torch.full((1, HEIGHT, WIDTH), 0.3), FOV)
    torch.testing.assert_close(places[0, 0, 0, :, 0], (torch.arange(WIDTH) + 0.5) / WIDTH * 2 - 1, atol=1e-5, rtol=0)
    torch.testing.assert_close(places[0, 0, :, 0, 1], (torch.arange(HEIGHT) + 0.5) / HEIGHT * 2 - 1, atol=1e-5, rtol=0)


def test_a_depth_that_one_picture_alone_sees_is_not_preferred() -> None:
    """Near things leave most pictures; without doubt the single one left agrees with itself perfectly."""
    pictures = wall(GIVEN) + 0.05 * torch.rand(len(GIVEN), 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    wanted = np.stack([camera(1.2)])
    errors = []
    for doubt in (0.0, 0.05):
        options = SweepOptions(planes=9, nearest=2.0, around=5, coarse=1, doubt=doubt)
        errors.append((sweep(pictures, poses(GIVEN), poses(wanted), FOV, options).picture - wall(wanted)).abs().mean())
    assert errors[1] < errors[0]


def test_holes_are_filled_from_around() -> None:
    picture = torch.zeros(1, 3, 9, 13)
    picture[:, 0], picture[:, 1, :, 7:] = 0.5, 1.0
    known = torch.ones(1, 9, 13, dtype=torch.bool)
    known[0, 3:6, 1:4], known[0, 3:6, 9:12] = False, False
    filled = fill(torch.where(known[:, None], picture, torch.nan).nan_to_num(9.0), known)
    torch.testing.assert_close(filled[:, :, 0], picture[:, :, 0])
    assert (filled[0, 0] - 0.5).abs().max() < 1e-5 and filled[0, 1, 4, 2] < 0.2 and filled[0, 1, 4, 10] > 0.8
    assert torch.equal(fill(picture, torch.zeros_like(known)), torch.zeros_like(picture))


def test_many_frames_are_swept_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sweep(wall(GIVEN), poses(GIVEN), poses(WANTED), FOV, OPTIONS)
    monkeypatch.setattr("outofsight.experiments.rendered.sweep._AT_ONCE", 1)
    parts = sweep(wall(GIVEN), poses(GIVEN), poses(WANTED), FOV, OPTIONS)
    for name in ("picture", "cost", "share", "disparity"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), atol=1e-6, rtol=1e-5)
