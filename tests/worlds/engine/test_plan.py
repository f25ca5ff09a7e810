"""Plans: the same for the same arguments, of the kind that was asked for, spread over all there is."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from outofsight.errors import WorldsError
from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.content.subjects import SUBJECTS
from outofsight.worlds.engine.framing import KINDS
from outofsight.worlds.engine.motion import PATHS, Ground, follow
from outofsight.worlds.engine.plan import ClipPlan, lay_out, parse_mix, plan_clip, split_families, split_subjects
from outofsight.worlds.engine.presets import PRESETS
from outofsight.worlds.engine.scene import Obstacle, SceneLayout
from outofsight.worlds.engine.shots import SHOTS, CameraTrack
from outofsight.worlds.engine.sighting import occluded, sight, verdict


def test_same_arguments_same_plan_and_through_json() -> None:
    plans = [plan_clip(CATALOGUE, 3, index) for index in range(8)]
    assert plans == [plan_clip(CATALOGUE, 3, index) for index in reversed(range(8))][::-1]
    assert len({json.dumps(plan.to_json()) for plan in plans}) == 8
    for plan in plans:
        assert ClipPlan.from_json(json.loads(json.dumps(plan.to_json(), allow_nan=False))) == plan
    assert plan_clip(CATALOGUE, 4, 0) != plans[0]
    assert plan_clip(CATALOGUE, 3, 0, attempt=1) != plans[0]
    with pytest.raises(WorldsError, match="version 99"):
        ClipPlan.from_json({**plans[0].to_json(), "version": 99})


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_plans_are_of_the_kind_that_was_asked_for(kind: str, preset: str) -> None:
    for index in range(8):
        staging = lay_out(CATALOGUE, plan_clip(CATALOGUE, 11, index, preset, "train", kind))
        cut, raw = PRESETS[preset].cut, PRESETS[preset].raw_frames
        sights = [staging.visibility(i) for i in range(len(staging.specs))]
        if kind == "never-visible":
            assert not any(touched.any() for _, touched, _ in sights)
        elif kind == "always-visible":
            assert all(touched.all() for _, touched, _ in sights)
        else:
            found = staging.verdict(0)
            assert found.returns and 0 in staging.plan.returning
            assert found.context_seen >= 3
            assert cut < found.returned < raw
            assert found.left <= cut + 0.2 * (raw - cut)
            if kind == "occluded":
                assert sights[0][2][found.left : found.returned].any()


def test_nobody_meets_anything() -> None:
    for index in range(30):
        staging = lay_out(CATALOGUE, plan_clip(CATALOGUE, 5, index, subjects=1 + index % 3))
        assert len(staging.specs) == 1 + index % 3
        assert staging.ground.clearance(staging.camera.positions).min() > 0.3
        c2w = staging.c2w
        np.testing.assert_allclose(np.linalg.det(c2w[:, :3, :3]), 1.0)
        for number, (spec, track) in enumerate(zip(staging.specs, staging.tracks, strict=True)):
            assert staging.ground.clearance(track.positions).min() > spec.radius
            assert track.speed.max() <= spec.run_speed + 1e-9
            away = np.linalg.norm(track.positions - staging.camera.positions, axis=1)
            assert away.min() > spec.radius + 0.5
            for other in range(number):
                gap = np.linalg.norm(track.positions - staging.tracks[other].positions, axis=1).min()
                assert gap > spec.radius + staging.specs[other].radius
        plan = staging.plan.camera
        assert 50 <= plan.fov <= 75


def test_splits_share_no_scene_and_no_subject() -> None:
    assert len(split_families(CATALOGUE, "test")) == 3 and len(split_subjects(CATALOGUE, "test")) == 9
    for members, everything in ((split_families, CATALOGUE.families), (split_subjects, CATALOGUE.subjects)):
        train, test = set(members(CATALOGUE, "train")), set(members(CATALOGUE, "test"))
        assert train | test == set(everything)
        assert not train & test
    for split in ("train", "test"):
        kinds = {spec.kind for spec in SUBJECTS if spec.name in split_subjects(CATALOGUE, split)}
        assert kinds == {"human", "quadruped", "bird"}
        for plan in (plan_clip(CATALOGUE, 1, index, split=split) for index in range(20)):
            assert plan.family in split_families(CATALOGUE, split)
            assert {subject.name for subject in plan.subjects} <= set(split_subjects(CATALOGUE, split))


def test_nothing_is_missing_in_2000_plans() -> None:
    plans = [plan_clip(CATALOGUE, 0, index, split=split) for split in ("train", "test") for index in range(1000)]
    seen = {
        "families": Counter(plan.family for plan in plans),
        "subjects": Counter(subject.name for plan in plans for subject in plan.subjects),
        "paths": Counter(subject.path.name for plan in plans for subject in plan.subjects),
        "shots": Counter(plan.camera.shot for plan in plans),
        "counts": Counter(len(plan.subjects) for plan in plans),
    }
    expected = {
        "families": tuple(CATALOGUE.families),
        "subjects": [spec.name for spec in SUBJECTS],
        "paths": PATHS,
        "shots": [shot.name for shot in SHOTS],
        "counts": (1, 2, 3),
    }
    for name, entries in expected.items():
        assert set(seen[name]) == set(entries), name
        assert min(seen[name].values()) >= 10, seen[name]


def test_mixes() -> None:
    assert parse_mix("re-entry=3, occluded=1") == {"re-entry": 0.75, "occluded": 0.25}
    kinds = Counter(plan_clip(CATALOGUE, 2, index, mix="re-entry=3,never-visible=1").kind for index in range(80))
    assert kinds == {"re-entry": 60, "never-visible": 20}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mix": "sometimes"}, 'no kind of clip "sometimes"; expected some of re-entry'),
        ({"mix": "re-entry=0"}, "not all 0"),
        ({"mix": "re-entry=-1,occluded=2"}, "at least 0"),
        ({"mix": "re-entry=nan"}, "at least 0"),
        ({"mix": "re-entry=x"}, 'is "x", expected a number'),
        ({"mix": "re-entry,re-entry"}, "twice"),
        ({"mix": ""}, "no kind of clip"),
        ({"subjects": 4}, "4 subjects: a world has room for 1 to 3"),
        ({"subjects": 0}, "0 subjects"),
        ({"preset": "huge"}, 'no preset "huge"; expected one of hm-world, small, tiny'),
        ({"split": "dev"}, 'no split "dev"'),
        ({"seed": -1}, "at least 0"),
    ],
)
def test_what_cannot_be_is_told(arguments: dict, words: str) -> None:
    with pytest.raises(WorldsError, match=words):
        plan_clip(CATALOGUE, **{"seed": 1, "index": 0, **arguments})


class Cell:
    """A scene family without room."""

    def layout(self, seed: int) -> SceneLayout:
        return SceneLayout("cell", seed, (0.0, 0.0, 1.5, 1.5), (), "noon", {}, {})


def test_world_without_room_is_told() -> None:
    cells = dataclasses.replace(CATALOGUE, families={f"cell {number}": Cell() for number in range(6)})
    with pytest.raises(WorldsError, match=r"no re-entry clip with 3 subjects was found.*fewer --subjects"):
        plan_clip(cells, 1, 0, subjects=3)


def still(x: float, yaw: float, frames: int) -> CameraTrack:
    return CameraTrack(np.tile([x, 0.0], (frames, 1)), np.full(frames, yaw), np.zeros(frames))


def test_sight_agrees_with_a_pinhole() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-8, 8, (4000, 2))
    camera = still(0.0, 0.6, len(places))
    found = sight(camera, np.full(len(places), 1.5), np.asarray(60.0), 5 / 3, places, 0.0, 0.3, 1.7)
    centre = np.array([*places.T, np.full(len(places), 0.9)]) - np.array([[0], [0], [1.5]])
    forward = centre[0] * np.cos(0.6) + centre[1] * np.sin(0.6)
    right = centre[0] * np.sin(0.6) - centre[1] * np.cos(0.6)
    inside = (forward > 0.4) & (np.abs(right) < forward * np.tan(np.radians(30)))
    inside &= np.abs(centre[2]) < forward * np.tan(np.radians(30)) * 3 / 5
    assert not (found.seen & ~found.touched).any()
    assert not (inside & ~found.touched).any()
    assert (found.seen == inside).mean() > 0.97


def test_wall_hides_whom_it_is_before() -> None:
    wall = Obstacle(3.0, 0.0, 0.1, 1.0, 0.0, 2.5, "wall")
    low = Obstacle(3.0, 0.0, 0.1, 1.0, 0.0, 0.8, "wall")
    places = np.array([[6.0, 0.0], [6.0, 3.5], [2.0, 0.0], [6.0, 1.9]])
    for box, expected in ((wall, [1.0, 0.0, 0.0, None]), (low, [1 / 3, 0.0, 0.0, None])):
        ground = Ground(SceneLayout("one", 0, (-9, -9, 9, 9), (box,), "noon", {}, {}))
        share = occluded(ground, still(0.0, 0.0, 4), np.full(4, 1.5), places, np.zeros(4), 0.3, 1.7)
        np.testing.assert_allclose(share[:3], expected[:3])
        assert 0 < share[3] < 1


def test_verdict_wants_the_whole_story() -> None:
    def judge(text: str):
        seen = np.array([letter == "x" for letter in text])
        return verdict(seen, seen, len(text) // 2)

    assert (judge("xxxxxxx...|......xxxx"[:10] + "......xxxx").left) == 7
    assert judge("xxxxxxx...xxxxxxxxxx").returned is None  # back before the cut
    assert judge("..........xxxxxxxxxx").returned is None  # was never seen before
    assert judge("xxxxxxx.............").returned is None  # does not come back
    assert judge("xxxxxxxxxx....xxxxxx").returned == 14
    assert judge("xxxxxxxxxxxxxxx...xx").returned is None  # leaves long after the cut


def test_follow_is_what_was_placed() -> None:
    staging = lay_out(CATALOGUE, plan_clip(CATALOGUE, 9, 0))
    again = follow(staging.plan.subjects[0].path, staging.preset.raw_frames, staging.preset.fps)
    np.testing.assert_array_equal(again.positions, staging.tracks[0].positions)
