"""Camera shots: 28 of them, level, and the template as it was measured in HM-World's examples."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.worlds.engine.shots import SHOT_FAMILIES, SHOTS, SHOTS_BY_NAME, CameraPlan, poses, run

FRAMES, FPS = 149, 15.0


def track(name: str, **values: float):
    plan = CameraPlan(name, 1.0, 2.0, 0.4, 1.6, 60.0, **{"degrees": 30.0, **values})
    return run(plan, FRAMES, FPS, np.linspace([0.0, 0.0], [6.0, 3.0], FRAMES))


def test_there_are_28_of_the_families_that_were_asked_for() -> None:
    assert len(SHOTS) == len(SHOTS_BY_NAME) == 28
    assert set(SHOT_FAMILIES) == {"dolly", "double", "truck", "orbit", "follow", "tilt", "hold"}
    assert {shot.bend for shot in SHOTS} == {-1.0, 0.0, 1.0}
    looked = [degrees for shot in SHOTS if shot.glances for degrees in shot.degrees]
    assert (min(looked), max(looked)) == (20.0, 60.0)
    numbers = [(s.family, s.travel, s.bend, s.degrees, s.glances, s.tilts) for s in SHOTS]
    assert len(set(numbers)) == 28


def test_template_is_the_measured_one() -> None:
    yaw = np.degrees(track("dolly-forward-left").yaw - 0.4)
    u = np.clip((np.arange(FRAMES) - 45) / 22.5, 0, 1)
    back = np.clip((np.arange(FRAMES) - 67.5) / 22.5, 0, 1)
    expected = 30 * (3 * u**2 - 2 * u**3) - 30 * (3 * back**2 - 2 * back**3)
    assert np.abs(yaw - expected).max() < 1e-9
    assert np.abs(np.degrees(track("dolly-forward-right").yaw - 0.4) + expected).max() < 1e-9


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_every_shot_is_smooth_and_of_rigid_poses(shot) -> None:
    values = {"speed": 0.8, "bend": 0.5 * shot.bend, "radius": 4.0, "sweep": 0.8 * shot.travel, "degrees": 45.0}
    path = track(shot.name, **values)
    c2w = poses(path, np.full(FRAMES, 1.6))
    rotation = c2w[:, :3, :3]
    np.testing.assert_allclose(rotation.transpose(0, 2, 1) @ rotation, np.tile(np.eye(3), (FRAMES, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0)
    np.testing.assert_allclose(c2w[:, 2, 0], 0.0, atol=1e-12)  # no roll
    np.testing.assert_allclose(c2w[:, 2, 2], np.sin(path.pitch), atol=1e-12)
    assert (c2w[:, 2, 1] < 0).all()  # the camera's y axis points down
    assert bool(np.abs(path.pitch).max() > 0.1) == shot.tilts
    assert np.abs(np.diff(path.yaw)).max() < np.radians(6)
    assert np.linalg.norm(np.diff(path.positions, axis=0), axis=1).max() < 0.15
    moves = np.linalg.norm(path.positions[-1] - path.positions[0]) > 0.3
    assert moves == (shot.family not in ("hold", "tilt"))
    assert track("orbit-left", **{**values, "sweep": 0.8}).yaw[-1] == pytest.approx(1.2)


def test_orbit_keeps_its_distance() -> None:
    path = track("orbit-left", radius=4.0, sweep=0.9, degrees=0.0)
    ahead = 4.0 * np.stack([np.cos(path.yaw), np.sin(path.yaw)], axis=-1)
    centre = path.positions + ahead
    np.testing.assert_allclose(centre, np.tile(centre[0], (FRAMES, 1)), atol=1e-9)


def test_curve_moves_where_it_looks() -> None:
    path = track("curve-forward-left", speed=1.0, bend=0.8, degrees=0.0)
    steps = np.diff(path.positions, axis=0)
    np.testing.assert_allclose(np.arctan2(steps[:, 1], steps[:, 0]), 0.5 * (path.yaw[1:] + path.yaw[:-1]), atol=1e-6)
