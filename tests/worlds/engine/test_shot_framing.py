"""Where cameras stand: bodies are whole and large enough in the frame, long enough, and no crown is in the way."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.engine.framing import camera_room
from outofsight.worlds.engine.motion import Ground
from outofsight.worlds.engine.plan import Staging, lay_out, plan_clip
from outofsight.worlds.engine.presets import PRESETS
from outofsight.worlds.engine.scene import Obstacle, SceneLayout
from outofsight.worlds.engine.shots import CameraTrack
from outofsight.worlds.engine.sighting import sight


@cache
def stagings(preset: str, split: str) -> tuple[Staging, ...]:
    return tuple(lay_out(CATALOGUE, plan_clip(CATALOGUE, 17, index, preset, split)) for index in range(40))


def heights_in_frame(staging: Staging) -> tuple[np.ndarray, np.ndarray]:
    """[F] each, of the first subject: share of its height in the frame; height in the frame, in picture heights."""
    plan, spec, track = staging.plan, staging.specs[0], staging.tracks[0]
    feet = np.column_stack([track.positions, staging.ground_z[0], np.ones(len(track.heading))])
    rows = []
    for points in (feet, feet + np.array([0, 0, spec.height, 0])):
        local = np.einsum("fij,fj->fi", np.linalg.inv(staging.c2w), points)
        rows.append(local[:, 1] / local[:, 2])  # downward
    half = np.tan(np.radians(plan.camera.fov) / 2) / staging.preset.aspect
    low, high = rows
    inside = np.clip(low, -half, half) - np.clip(high, -half, half)
    return inside / (low - high), inside / (2 * half)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("preset", ["tiny", "hm-world"])
def test_bodies_are_whole_and_large_where_they_are_seen(preset: str, split: str) -> None:
    whole, large = [], []
    for staging in stagings(preset, split):
        seen = staging.visibility(0)[0]
        share, size = heights_in_frame(staging)
        whole.append(share[seen] >= 0.8)
        large.append(size[seen])
    assert np.mean(np.concatenate(whole)) > 0.93
    assert min(one.mean() for one in whole) > 0.2
    assert 0.35 < np.median(np.concatenate(large)) < 0.6
    assert np.percentile(np.concatenate(large), 5) > 0.12


@pytest.mark.parametrize("preset", ["tiny", "hm-world"])
def test_who_returns_is_seen_for_a_fair_part_of_both_halves(preset: str) -> None:
    cut = PRESETS[preset].cut
    for staging in (*stagings(preset, "train"), *stagings(preset, "test")):
        seen, back = staging.visibility(0)[0], staging.verdict(0).returned
        assert seen[:cut].mean() >= 0.25
        assert seen[back:].mean() >= 0.25


def test_cameras_are_carried_at_the_bodies_own_height() -> None:
    for staging in (*stagings("tiny", "train"), *stagings("tiny", "test")):
        height, tall = staging.plan.camera.height, staging.specs[0].height
        assert 0.3 <= height <= 2.1
        assert min(0.3, 0.6 * tall) <= height <= max(0.3, 1.05 * tall)


def test_cameras_keep_clear_of_crowns_and_stalls() -> None:
    near = [
        kind
        for staging in (*stagings("tiny", "train"), *stagings("tiny", "test"))
        for kind, gap in gaps(staging)
        if gap < (1.4 if kind.endswith(("tree", "pine", "stall")) else 0.4)
    ]
    assert not near


def gaps(staging: Staging) -> list[tuple[str, float]]:
    """(kind, metres) from the camera's way to each obstacle."""
    found = []
    for obstacle in staging.layout.obstacles:
        alone = SceneLayout("one", 0, staging.layout.stage, (obstacle,), "noon", {}, {})
        found.append((obstacle.kind, float(Ground(alone).clearance(staging.camera.positions).min())))
    return found


def test_room_is_by_kind() -> None:
    boxes = tuple(Obstacle(0, 0, 1, 1, 0, 3, kind) for kind in ("oak bench", "snowy pine", "market stall", "tree"))
    ground = Ground(SceneLayout("four", 0, (-9, -9, 9, 9), boxes, "noon", {}, {}))
    np.testing.assert_array_equal(camera_room(ground), [0.45, 1.5, 1.5, 1.5])


def test_share_shown_of_a_body_that_is_cut_by_the_lower_edge() -> None:
    # at 2 m a camera 1.5 m high sees down to 1.5 - 2 tan(30 degrees) 3/5 = 0.807 m
    track = CameraTrack(np.zeros((1, 2)), np.zeros(1), np.zeros(1))
    found = sight(track, np.array([1.5]), np.asarray(60.0), 5 / 3, np.array([[2.0, 0.0]]), 0.0, 0.3, 1.7)
    below = 1.5 - 2 * np.tan(np.radians(30)) * 3 / 5
    assert found.shown[0] == pytest.approx((1.7 - below) / 1.7)
