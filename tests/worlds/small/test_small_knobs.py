"""Each knob of the small world does what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from outofsight.errors import WorldsError
from outofsight.worlds.small import DESCRIPTIONS, PRESETS, SmallClip, SmallWorld, draw_clip, small_world
from outofsight.worlds.small.motion import displacement, reflected
from outofsight.worlds.small.plan import plan_clip, seen_at


def clips(name: str, count: int = 8, **knobs: object) -> list[SmallClip]:
    world = small_world(name, **knobs)
    return [draw_clip(world, 21, number) for number in range(count)]


def test_small_easy_is_the_world_of_the_trial() -> None:
    world = small_world("small-easy")
    assert (world.height, world.width, world.cell, world.fov) == (24, 36, 6, 30.0)
    assert (world.context, world.target, world.stride) == (8, 8, 2)
    assert (world.context_frames, world.target_frames, world.frames) == (15, 15, 30)
    assert np.degrees(world.angle) == pytest.approx(5.0) and world.around == pytest.approx(72)
    plans = [plan_clip(world, 5, number) for number in range(300)]
    away = np.array([np.abs(plan.camera.yaw).max() for plan in plans])
    leave = np.array([plan.camera.leave for plan in plans])
    assert set(away) == {6, 7, 8} and set(leave) == {3, 4, 5, 6}
    assert 0.35 < np.mean([plan.camera.sign > 0 for plan in plans]) < 0.65
    assert all(plan.camera.back >= 8 and plan.camera.yaw[-1] == 0 for plan in plans)
    velocity = np.array([np.diff(plan.figures[0].u)[0] * 2 for plan in plans])
    assert np.abs(velocity).max() <= 0.55 and 0.35 < (velocity > 0).mean() < 0.65
    drift = np.array([np.abs(np.diff(plan.figures[0].v)).max() * 2 for plan in plans])
    assert drift.max() <= 0.12 + 1e-9 and drift.mean() > 0.04
    assert {plan.figures[0].look for plan in plans} == {"disc", "square", "diamond"}
    assert max(np.abs(plan.figures[0].v).max() for plan in plans) <= 2 - 0.45 + 1e-9


def test_the_noise_wall_has_the_strength_and_smoothness_that_are_asked_for() -> None:
    def wall(**knobs: object) -> np.ndarray:
        made = clips("small-easy", 12, **knobs)
        return np.stack([one.drawing.paint(gone=range(1))[0][0] for one in made]).astype(float) / 255

    plain = wall()
    assert plain.mean() == pytest.approx(0.45, abs=0.05) and 0.06 < plain.std() < 0.2
    assert wall(contrast=0.3).std() > 1.5 * plain.std()

    def neighbours(pictures: np.ndarray) -> float:
        centred = pictures - pictures.mean(axis=(1, 2, 3), keepdims=True)
        return float((centred[:, :, 1:] * centred[:, :, :-1]).mean() / (centred**2).mean())

    assert neighbours(wall(wave=9.0)) > neighbours(plain) > neighbours(wall(wave=2.0)) + 0.1


@pytest.mark.parametrize(("name", "count"), [("small-easy", 1), ("small-two", 2), ("small-three", 3)])
def test_as_many_subjects_as_asked_for_of_different_hues(name: str, count: int) -> None:
    for made in clips(name, 4):
        assert len(made.plan.figures) == count == len(made.returned)
        assert len({figure.colour for figure in made.plan.figures}) == count
        assert set(np.unique(made.ids)) <= set(range(count + 1))


def test_distractors_leave_and_never_come_back() -> None:
    for made in clips("small-distractors", 10):
        cut = made.world.context_frames
        for index in (1, 2):
            seen = made.visible[index]
            assert seen[:cut].any()
            assert not seen[cut:].any() or (made.clip.phases(made.clip.subjects[index]) != "re-entered").all()
        assert "re-entered" in made.clip.phases("subject_1")
        # the subject is the one of the world without them
    kinds = [subject.attributes["kind"] for subject in made.clip.subjects]
    assert kinds == ["subject", "distractor", "distractor"]


def test_subjects_elsewhere_are_not_in_the_context_views_of_most_overlap() -> None:
    for made in clips("small-elsewhere", 12):
        cut, world = made.world.context_frames, made.world
        yaw = np.arctan2(made.c2w[:, 0, 2], made.c2w[:, 2, 2]) / world.angle
        back = np.flatnonzero(made.returned[0])
        there = yaw[back[-1]]
        assert abs(there) >= 0.6 * world.columns
        nearest = np.argsort(np.abs(yaw[:cut] - there), kind="stable")[:2]
        assert np.abs(yaw[nearest] - there).max() <= 2 and not made.visible[0, nearest].any()
        assert made.displaced[0] > 2.5
        assert np.sign(there) == np.sign(made.centres[0, -1, 0] - made.centres[0, 0, 0])
    for made in clips("small-easy", 4):
        assert made.plan.camera.there == 0


def test_aliases_repeat_the_wall() -> None:
    made = clips("small-aliases", 1)[0]
    u, v = np.linspace(-3, 3, 31)[:, None], np.linspace(-2, 2, 9)
    wall = made.drawing.wall
    np.testing.assert_allclose(wall.at(u, v), wall.at(u + 8.0, v), atol=1e-5)
    assert np.abs(wall.at(u, v) - wall.at(u + 4.0, v)).max() > 0.1
    plain = clips("small-easy", 1)[0].drawing.wall
    assert np.abs(plain.at(u, v) - plain.at(u + 8.0, v)).max() > 0.1


def test_a_travelling_camera_moves_and_near_things_shift_against_the_wall() -> None:
    for made in clips("small-parallax", 4):
        places = made.c2w[:, :3, 3]
        assert np.linalg.norm(np.ptp(places, axis=0)) > made.world.travel * made.world.radius_m
        assert np.linalg.norm(places[:, [0, 2]], axis=1).max() < 0.4 * made.world.radius_m
        assert not places[:, 1].any()
        assert np.linalg.norm(made.positions[0][0, [0, 2]]) < 0.9 * made.world.radius_m
    sizes = [
        made.visible_pixels[0].max() / max(1, np.median(made.visible_pixels[0])) for made in clips("small-parallax")
    ]
    assert max(sizes) > 1.2  # they grow as the camera comes nearer


def test_behind_an_occluder_the_camera_waits_and_the_subject_comes_out_on_the_far_side() -> None:
    found = clips("small-occluders", 8, motions=("behind",), occluders=1)
    for made in found:
        assert made.plan.waits and not np.diff(made.plan.yaw).any()
        cut, wall = made.world.context_frames, made.plan.occluders[0]
        left, back = made.away[0]
        assert cut - 8 <= left and back >= cut
        u = made.centres[0, :, 0]
        assert np.sign(u[left - 1] - wall.u) == -np.sign(u[back] - wall.u)
        assert abs(u[(left + back) // 2] - wall.u) < wall.width / 2
    plain = clips("small-occluders", 8, motions=("constant",))
    assert not any(made.plan.waits for made in plain) and all(made.plan.occluders for made in plain)


def test_occluders_hide_what_is_behind_them() -> None:
    for made in clips("small-occluders", 4, motions=("behind",), occluders=1):
        pixels, wall = made.pixels[0, :, 0], made.plan.occluders[0]
        free = draw_clip_without_occluders(made)
        hidden = (free == 1) & (made.ids != 1)
        assert hidden.any() and not ((made.ids == 1) & (free != 1)).any()
        columns = np.flatnonzero(hidden.any(axis=(0, 1)))
        edge = [project_u(made, wall.u + side * wall.width / 2) for side in (-1, 1)]
        assert columns[0] >= edge[0] - 1 and columns[-1] <= edge[1] + 1 and np.isfinite(pixels).all()


def draw_clip_without_occluders(made: SmallClip) -> np.ndarray:
    from dataclasses import replace

    from outofsight.worlds.small.draw import Drawing

    return Drawing(replace(made.plan, occluders=())).paint()[1]


def project_u(made: SmallClip, u: float) -> float:
    fx, _, cx, _ = made.world.intrinsics()
    return float((np.tan(u * made.world.angle) * fx + cx) * made.world.width)


def test_long_pasts_look_elsewhere_first_and_hide_for_long() -> None:
    easy = np.mean([one.away[0][1] - one.away[0][0] for one in clips("small-easy", 12)])
    long = clips("small-long", 12)
    assert np.mean([one.away[0][1] - one.away[0][0] for one in long]) > 1.5 * easy
    for made in long:
        assert made.world.context_frames == 39
        assert abs(made.plan.yaw[0]) > 0
    assert np.mean([made.visible[0, 0] for made in long]) < 0.3
    reach = max(np.abs(made.plan.yaw).max() for made in long)
    assert 8 < reach <= 12  # around in what lies beyond the turn
    linger = clips("small-easy", 6, linger=(3, 3), target=12)
    assert all(one.plan.camera.back >= 8 + 3 for one in linger)


def test_motions() -> None:
    times = np.arange(0, 20, 0.5)
    rng = np.random.default_rng(1)
    across, down = displacement("constant", times, 4.0, 0.3, False, rng)
    np.testing.assert_allclose(across, 0.3 * (times - 4)) and not down.any()
    across, down = displacement("stop-and-go", times, 4.0, 0.3, False, rng)
    steps = np.diff(across)
    assert (np.isclose(steps, 0)).any() and steps.max() > 1.4 * 0.15 and steps.min() >= 0 and across[8] == 0
    assert across[-1] - across[0] == pytest.approx(0.3 * 19.5, rel=0.35)
    across, down = displacement("turning", times, 4.0, 0.3, False, rng)
    np.testing.assert_allclose(np.hypot(np.diff(across), np.diff(down)), 0.15, rtol=0.01)
    assert across[8] == down[8] == 0 and np.ptp(np.arctan2(np.diff(down), np.diff(across))) > 1.5
    across, down = displacement("turning", times, 4.0, 0.3, True, rng)
    assert not down.any() and (np.diff(across) > 0).any() and (np.diff(across) < 0).any()
    thrown = reflected(np.linspace(-9, 9, 200), 2.0)
    assert np.abs(thrown).max() <= 2 and np.abs(np.diff(thrown)).max() <= 18 / 199 + 1e-9
    for made in clips("small-motions", 6, motions=("bouncing",), speed=(0.6, 0.6)):
        u = made.centres[0, :, 0]
        assert np.abs(u).max() <= made.world.half + 1e-9 and (np.sign(np.diff(u)) > 0).any()
        assert np.median(np.abs(np.diff(u))) == pytest.approx(0.3)
    kinds = {made.plan.figures[0].kind for made in clips("small-motions", 24)}
    assert kinds == {"constant", "bouncing", "turning", "stop-and-go"}


def test_speed_is_that_of_the_knob() -> None:
    slow, fast = (
        np.mean([np.abs(np.diff(one.centres[0, :, 0])).mean() for one in clips("small-easy", 12, speed=speed)])
        for speed in ((0.05, 0.1), (0.4, 0.5))
    )
    assert fast > 3 * slow


def test_any_number_of_latent_frames_stride_and_size() -> None:
    world = SmallWorld(
        rows=3, columns=5, cell=8, fov=40.0, context=10, target=7, stride=4, fps=16.0, turn=3, away=(6, 9)
    )
    made = draw_clip(world, 1, 2)
    assert made.frames.shape == (62, 24, 40, 3) and len(made.cameras[0]) == 37 and len(made.cameras[1]) == 25
    yaw = np.arctan2(made.c2w[:, 0, 2], made.c2w[:, 2, 2]) / world.angle
    np.testing.assert_allclose(yaw[:37:4], np.rint(yaw[:37:4]), atol=1e-9)
    assert made.share().shape == (17, 3, 5)
    alone = draw_clip(SmallWorld(stride=1, turn=1, away=(6, 6), context=16, target=16), 1, 0)
    assert len(alone.frames) == 32 and alone.world.context_frames == 16


def test_walks_stand_on_the_ground_go_forwards_and_pass_behind_scenery() -> None:
    hidden = 0
    for made in clips("small-scenes", 12):
        track = made.clip.subjects[0]
        assert (track.positions[:, 1] == 1.5).all()
        distance = np.linalg.norm(track.positions[:, [0, 2]], axis=1)
        np.testing.assert_allclose(distance, distance[0])
        assert 4.0 < distance[0] < 8.0
        seen, touched = seen_at(made.plan, made.plan.figures[0])
        assert not made.visible[0][~touched].any()
        hidden += int((~made.visible[0] & touched & ~seen).sum())
        steps = np.diff(track.positions, axis=0)
        facing = np.stack([np.sin(np.radians(track.heading)), np.cos(np.radians(track.heading))], axis=1)
        ahead = (steps[:, [0, 2]] * facing[1:]).sum(axis=1)
        assert (ahead > -0.02).all()
    assert hidden > 0


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"subjects": 4}, "subjects=4: expected 1 to 3"),
        ({"motions": ("behind",)}, 'at least 1 for the motion "behind"'),
        ({"motions": ("flying",)}, "some of constant"),
        ({"period": 7}, "0 or a divisor of 72"),
        ({"wall": "scenes", "travel": 0.2}, "panoramas are flat"),
        ({"split": "dev"}, "one of train, test"),
        ({"fov": 0.0}, "degrees between 0 and 120"),
        ({"away": (9, 6)}, "least above most"),
        ({"velocity": 3}, "no knob velocity; it has rows"),
        ({"context": 2}, "at least 5 latent frames"),
    ],
)
def test_knobs_that_contradict_one_another_are_refused(knobs: dict, words: str) -> None:
    with pytest.raises(WorldsError, match=words):
        small_world("small-easy", **knobs)


def test_impossible_worlds_and_numbers_say_so() -> None:
    with pytest.raises(WorldsError, match="the knobs leave too little room"):
        draw_clip(small_world("small-easy", away=(1, 1)), 1, 0)
    with pytest.raises(WorldsError, match="whole numbers of at least 0"):
        draw_clip(small_world("small-easy"), 1, -1)
    with pytest.raises(WorldsError, match='no small world "small-huge"; expected one of small-easy'):
        small_world("small-huge")
    assert set(DESCRIPTIONS) == set(PRESETS)
