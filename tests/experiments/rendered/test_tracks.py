"""Pixels to subjects, subjects to paths, paths onto the ground and on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flatland import FOV, HEIGHT, WIDTH, camera
from scipy.spatial.transform import Rotation

from outofsight.experiments.rendered.motion import go_on, ground_axes, world_up
from outofsight.experiments.rendered.tracks import Body, SubjectPath, bodies_in, level, link, project

HALF = float(np.tan(np.deg2rad(FOV) / 2))
UP = np.array([0.0, -1.0, 0.0])
STILL = np.stack([camera()] * 40)


def test_a_point_projects_to_where_its_ray_goes() -> None:
    c2w = camera(1.0, yaw=0.3)
    ray = np.array([0.4, -0.2, 1.0])
    (x, y), depth = project(c2w, c2w[:3, 3] + c2w[:3, :3] @ (3 * ray), (HEIGHT, WIDTH), HALF)
    assert depth == pytest.approx(3)
    assert (x, y) == pytest.approx((WIDTH / 2 * (1 + 0.4 / HALF), HEIGHT / 2 - WIDTH / 2 * 0.2 / HALF))


def seen(*blocks: tuple[int, int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subject, foot and depth of blocks 6 wide and 12 tall at (column, row of the foot) and depth; votes are noisy."""
    rng = np.random.default_rng(0)
    subject, foot, depth = np.zeros((HEIGHT, WIDTH)), np.zeros((2, HEIGHT, WIDTH)), np.ones((HEIGHT, WIDTH))
    for column, row, away in blocks:
        part = (slice(row - 12, row), slice(column - 3, column + 3))  # columns end at the border at most
        subject[part] = 0.9
        foot[0][part], foot[1][part] = column + rng.normal(0, 1, (12, 6)), row + rng.normal(0, 1, (12, 6))
        depth[part] = away * np.exp(rng.normal(0, 0.1, (12, 6)))
    return subject, foot, depth


def test_pixels_are_grouped_by_where_they_say_that_they_stand() -> None:
    c2w = camera(0.5)
    found = bodies_in(7, *seen((20, 30, 2.0), (27, 30, 3.0), (76, 40, 4.0)), c2w, HALF)  # two of them touch
    assert [body.frame for body in found] == [7, 7, 7]
    found = sorted(found, key=lambda body: body.foot[0])
    for body, (column, row, away) in zip(found, ((20, 30, 2.0), (27, 30, 3.0), (76, 40, 4.0)), strict=True):
        assert np.abs(body.foot - [column, row]).max() < 1
        assert body.depth == pytest.approx(away, rel=0.1)
        again, depth = project(c2w, body.position, (HEIGHT, WIDTH), HALF)
        assert np.abs(again - body.foot).max() < 1e-6 and depth == pytest.approx(body.depth)
        assert body.pixels[:, : column - 4].sum() == 0 and body.area >= 55
    assert [body.whole for body in found] == [True, True, False]  # the last touches the border
    assert found[2].doubt[0] > 3 * found[0].doubt[0] == 3 * found[1].doubt[0] and found[2].doubt[1] == found[0].doubt[1]


def test_specks_are_no_subjects() -> None:
    subject, foot, depth = seen()
    subject[5, 5:8] = 1
    assert bodies_in(0, subject, foot, depth, camera(), HALF) == []


def body(frame: int, position: np.ndarray, c2w: np.ndarray, factor: float = 1.0) -> Body:
    """Seen at a depth that is wrong by a factor, along the true line of sight."""
    foot, depth = project(c2w, position, (HEIGHT, WIDTH), HALF)
    at = c2w[:3, 3] + (position - c2w[:3, 3]) * factor
    return Body(frame, np.zeros((HEIGHT, WIDTH)), foot, depth * factor, at, 100, True)


def walk(
    frames: int = 12, start: tuple[float, float] = (-1.0, 4.0), step: tuple[float, float] = (0.1, 0.0)
) -> np.ndarray:
    """Positions 1 m below the camera's height."""
    t = np.arange(frames)[:, None]
    return np.concatenate([start[0] + step[0] * t, np.ones_like(t), start[1] + step[1] * t], axis=1)


def test_two_who_pass_each_other_keep_their_paths() -> None:
    cameras = np.stack([camera(0.02 * i, yaw=0.02 * i) for i in range(12)])
    ways = walk(step=(0.15, 0.0)), walk(start=(1.0, 6.0), step=(-0.15, 0.0))
    frames = [[body(i, way[i], cameras[i]) for way in ways][:: 1 if i % 2 else -1] for i in range(12)]
    frames[5] = []  # nobody is found there
    paths = link(frames, cameras, HALF)
    assert len(paths) == 2
    for path, way in zip(sorted(paths, key=lambda path: path.positions[0, 0]), ways, strict=True):
        np.testing.assert_allclose(path.positions, way[path.frames], atol=1e-9)
        assert list(path.frames) == [i for i in range(12) if i != 5]


def test_who_is_seen_twice_is_no_path() -> None:
    cameras = np.stack([camera()] * 4)
    assert link([[body(0, walk()[0], cameras[0])], [body(1, walk()[1], cameras[1])], [], []], cameras, HALF) == []


def test_level_ground_mends_depths() -> None:
    rng = np.random.default_rng(1)
    cameras, way = np.stack([camera(0.05 * i) for i in range(12)]), walk()
    path = SubjectPath([body(i, way[i], cameras[i], float(np.exp(rng.normal(0, 0.15)))) for i in range(12)])
    before = np.abs(path.positions - way).max()
    mended = level(path, cameras, UP)
    error = mended.positions - way
    assert np.ptp(mended.positions[:, 1]) < 0.01 < 0.1 < before
    assert np.abs(error - error.mean(axis=0)).max() < 0.3 * before  # one scale for all of them may still be wrong
    np.testing.assert_allclose([b.depth for b in mended.bodies], mended.positions[:, 2], rtol=1e-9)


def test_up_is_across_level_cameras_however_they_turn_or_tilt() -> None:
    turned = np.stack([camera(yaw=0.2 * i) for i in range(6)])
    np.testing.assert_allclose(world_up(turned), UP, atol=1e-6)
    tilted = turned.copy()
    tilted[:, :3, :3] = turned[:, :3, :3] @ Rotation.from_euler("x", 20, degrees=True).as_matrix()
    np.testing.assert_allclose(world_up(tilted), UP, atol=5e-3)  # the cameras' down axes lean too, and count a little
    axes = ground_axes(UP)
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(axes @ UP, 0, atol=1e-12)


def aside(cameras: np.ndarray, places: np.ndarray, way: np.ndarray) -> np.ndarray:
    """How far places lie from a way to the side in each camera's picture, pixels."""
    pairs = zip(cameras, places, way, strict=True)
    return np.array(
        [
            (project(c, at, (HEIGHT, WIDTH), HALF)[0] - project(c, on, (HEIGHT, WIDTH), HALF)[0])[0]
            for c, at, on in pairs
        ]
    )


@pytest.mark.parametrize("nearer", [0.0, -0.03])
def test_who_goes_straight_goes_on_straight(nearer: float) -> None:
    way = walk(30, step=(0.05, nearer))
    path = SubjectPath([body(i, way[i], camera()) for i in range(15)])
    ahead = go_on(path, STILL, np.arange(15, 30), UP)
    assert np.abs(aside(STILL[15:30], ahead, way[15:])).max() < 2.5
    assert np.diff(ahead[:, 0]) == pytest.approx(0.05, abs=0.005)
    assert np.diff(ahead[:, 2]).mean() == pytest.approx(
        nearer, abs=0.02
    )  # distances are seen badly, and trusted little


def test_distances_that_are_seen_badly_do_not_turn_anybody_aside() -> None:
    cameras = np.stack([camera(0.15 * i - 2) for i in range(30)])
    way, found, plain = walk(30, step=(0.05, 0.0)), [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        path = SubjectPath([body(i, way[i], cameras[i], float(np.exp(rng.normal(0, 0.15)))) for i in range(15)])
        found.append(aside(cameras[15:], go_on(path, cameras, np.arange(15, 30), UP), way[15:]))
        line = np.polynomial.polynomial.polyfit(np.arange(15), path.positions, 1)
        plain.append(aside(cameras[15:], line[0] + line[1] * np.arange(15, 30)[:, None], way[15:]))
    assert np.abs(found).mean() < 0.7 * np.abs(plain).mean()  # of a fit that trusts them as it trusts directions


def test_what_is_doubted_counts_less() -> None:
    way = walk(30, step=(0.05, 0.0))
    bodies = [body(i, way[i] + [0.06 * max(0, i - 9), 0, 0], camera()) for i in range(15)]  # feet slide as they leave
    cut = [b if b.frame < 10 else replace(b, doubt=(7 * b.doubt[0], b.doubt[1])) for b in bodies]
    off = [
        np.abs(go_on(SubjectPath(seen), STILL, np.arange(18, 30), UP) - way[18:])[:, 0].mean() for seen in (bodies, cut)
    ]
    assert off[1] < 0.35 * off[0]


def test_who_stands_stays() -> None:
    path = SubjectPath([body(i, np.array([0.5, 1.0, 3.0]), camera()) for i in range(3)])
    np.testing.assert_allclose(go_on(path, STILL, np.array([9, 30]), UP), [[0.5, 1.0, 3.0]] * 2, atol=1e-6)


def test_who_turns_goes_on_turning() -> None:
    angle = 0.04 * np.arange(40)
    way = np.stack([2 * np.sin(angle), np.ones(40), 5 - 2 * np.cos(angle)], axis=1)
    path = SubjectPath([body(i, way[i], camera()) for i in range(25)])
    ahead = go_on(path, STILL, np.arange(25, 40), UP)
    steps = np.diff(ahead[:, [0, 2]], axis=0)
    headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    assert (
        0.002 < (headings[-1] - headings[0]) / (len(headings) - 1) < 0.04
    )  # of 0.04: noise is expected, and shrinks it
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), np.linalg.norm(steps[0]), rtol=1e-3)
