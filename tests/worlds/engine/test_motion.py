"""Subject paths: what each does, within the subject's speeds, clear of obstacles and of everyone else."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.worlds.engine.motion import PATHS, Ground, Occupied, PathPlan, follow, place
from outofsight.worlds.engine.scene import Obstacle, SceneLayout

FRAMES, FPS = 66, 8.0


def yard(obstacles: int = 16, half: float = 14.0) -> Ground:
    rng = np.random.default_rng(5)
    boxes = tuple(
        Obstacle(*rng.uniform(-half, half, 2), *rng.uniform(0.2, 1.0, 2), rng.uniform(0, 3), 1.0, "crate")
        for _ in range(obstacles)
    )
    return Ground(SceneLayout("yard", 0, (-half, -half, half, half), boxes, "noon", {}, {}))


def walk(name: str, **values: float) -> np.ndarray:
    return follow(PathPlan(name, 0.0, 0.0, 0.0, 1.4, **values), FRAMES, FPS).positions


@pytest.mark.parametrize("name", PATHS)
def test_track_is_of_one_piece(name: str) -> None:
    for side in (1.0, -1.0):
        plan = PathPlan(name, 1.0, 2.0, 0.7, 1.4, side, shape=0.8, when=0.3, dodge=0.7, dodge_at=0.4)
        track = follow(plan, FRAMES, FPS)
        steps = np.diff(track.positions, axis=0)
        lengths = np.hypot(*steps.T)
        np.testing.assert_allclose(np.diff(track.distance), lengths, atol=1e-9)
        assert track.speed.max() <= 1.4 + 1e-9
        assert track.speed.min() >= 0
        moving = lengths > 0.02
        along = np.arctan2(steps[:, 1], steps[:, 0])
        middle = 0.5 * (track.heading[1:] + track.heading[:-1])
        assert np.abs(np.angle(np.exp(1j * (along - middle))))[moving].max() < 1e-6
        assert np.abs(np.diff(track.heading)).max() < 0.7  # smooth: below 40 degrees a frame at 8 fps


def test_paths_do_what_they_are_called() -> None:
    assert np.ptp(walk("straight")[:, 1]) < 1e-9
    assert np.linalg.norm(walk("circle", shape=0.5)[-1]) < 0.4
    assert np.linalg.norm(walk("pause-and-return")[-1]) < 0.35 * np.linalg.norm(walk("pause-and-return"), axis=1).max()
    assert follow(PathPlan("stop-and-go", 0, 0, 0, 1.4), FRAMES, FPS).speed.min() < 1e-6
    headings = follow(PathPlan("zigzag", 0, 0, 0, 1.4), FRAMES, FPS).heading
    assert (np.diff(np.sign(headings)) != 0).sum() >= 2
    turned = follow(PathPlan("turn", 0, 0, 0, 1.4, side=-1.0), FRAMES, FPS).heading
    assert turned[-1] < -0.8
    np.testing.assert_allclose(walk("arc", side=1.0)[:, 1], -walk("arc", side=-1.0)[:, 1])


def test_same_path_at_any_rate() -> None:
    slow, fast = (follow(PathPlan("zigzag", 0, 0, 0, 1.4), frames, fps) for frames, fps in ((66, 8.0), (131, 16.0)))
    assert np.abs(slow.positions - fast.positions[::2]).max() < 0.01


def test_lane_change_shifts_by_so_much_and_ends_in_the_old_direction() -> None:
    track = follow(PathPlan("straight", 0, 0, 0, 1.4, dodge=0.7, dodge_at=0.4), FRAMES, FPS)
    assert 0.6 < track.positions[-1, 1] < 0.72
    assert abs(track.heading[-1]) < 1e-12


@pytest.mark.parametrize("name", PATHS)
def test_placed_paths_keep_clear(name: str) -> None:
    ground = yard()
    rng = np.random.default_rng(0)
    other = Occupied(np.zeros((FRAMES, 2)), 1.0)
    placed = [
        place(rng, ground, name, speeds=(1.2, 3.0), radius=0.3, frames=FRAMES, fps=FPS, others=[other])
        for _ in range(40)
    ]
    found = [entry for entry in placed if entry is not None]
    assert len(found) > 8
    for plan, track in found:
        assert ground.clearance(track.positions).min() > 0.3
        assert ground.inside(track.positions, 0.3).all()
        assert np.linalg.norm(track.positions, axis=1).min() > 1.3
        assert plan.speed <= 3.0


def test_some_paths_dodge() -> None:
    ground = yard(40)
    rng = np.random.default_rng(1)
    placed = [
        place(rng, ground, "straight", speeds=(1.2, 3.0), radius=0.3, frames=FRAMES, fps=FPS, candidates=3)
        for _ in range(200)
    ]
    dodges = [entry[0].dodge for entry in placed if entry is not None]
    assert any(dodges)
    assert all(ground.clearance(entry[1].positions).min() > 0.3 for entry in placed if entry is not None)


def test_no_room_is_told() -> None:
    rng = np.random.default_rng(0)
    everywhere = Occupied(np.zeros((FRAMES, 2)), 100.0)
    assert place(rng, yard(), "arc", speeds=(1, 2), radius=0.3, frames=FRAMES, fps=FPS, others=[everywhere]) is None


def test_clearance_of_a_turned_box() -> None:
    box = Obstacle(2.0, 1.0, 1.0, 0.5, np.pi / 2, 1.0, "crate")
    ground = Ground(SceneLayout("one", 0, (-5, -5, 5, 5), (box,), "noon", {}, {}))
    points = np.array([[2.0, 1.0], [2.5, 1.0], [4.0, 1.0], [2.0, 3.0], [3.5, 3.0]])
    np.testing.assert_allclose(ground.clearance(points), [-0.5, 0.0, 1.5, 1.0, np.sqrt(2)], atol=1e-12)


@pytest.mark.parametrize("name", PATHS)
def test_a_short_clip_shows_a_part_of_the_path(name: str) -> None:
    shaped = {"side": -1.0, "shape": 0.7, "when": 0.6}
    whole = follow(PathPlan(name, 0.0, 0.0, 0.4, 1.4, **shaped), 241, 30.0)
    part = follow(PathPlan(name, 3.0, 2.0, 0.4, 1.4, **shaped, begin=0.25, covers=0.25), 61, 30.0)
    np.testing.assert_allclose(part.positions - [3, 2], whole.positions[60:121] - whole.positions[60], atol=1e-9)
    np.testing.assert_allclose(part.heading, whole.heading[60:121], atol=1e-12)


def test_nobody_hurries_through_a_path_because_the_clip_is_short() -> None:
    rng = np.random.default_rng(0)
    begins = []
    for _ in range(20):
        found = place(rng, yard(0), "circle", speeds=(1.2, 3.0), radius=0.3, frames=50, fps=30.0)
        assert found is not None
        plan, track = found
        assert plan.covers == pytest.approx(49 / 30 / 8) and 0 <= plan.begin <= 1 - plan.covers
        assert 0.85 <= np.ptp(track.heading) / (2 * np.pi * plan.covers) <= 1.15
        begins.append(plan.begin)
    assert np.ptp(begins) > 0.4
    found = place(rng, yard(0), "circle", speeds=(1.2, 3.0), radius=0.3, frames=50, fps=6.0)
    assert found is not None and (found[0].begin, found[0].covers) == (0.0, 1.0)
