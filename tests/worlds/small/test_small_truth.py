"""What a small clip says of itself is true of its pixels, by the library's own geometry."""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
import pytest

from outofsight.cameras.geometry import project, rays
from outofsight.evaluation.regions import all_returned, fate_region
from outofsight.worlds.small import PRESETS, SmallClip, SmallWorld, draw_clip, small_world
from outofsight.worlds.small.assets import load_panorama, panorama_names, walk_names
from outofsight.worlds.small.plan import plan_clip


@cache
def clip(name: str, number: int, split: str = "train") -> SmallClip:
    return draw_clip(small_world(name, split=split), 11, number)


def projected(made: SmallClip, points: np.ndarray) -> np.ndarray:
    """World points [F,3] in the pictures [F,2], pixels, by cameras.geometry."""
    world = made.world
    paths = made.cameras
    c2w = np.concatenate([path.c2w for path in paths])
    lens = np.concatenate([path.intrinsics_for(world.height, world.width) for path in paths])
    local = np.einsum("fij,fi->fj", c2w[:, :3, :3], points - c2w[:, :3, 3])
    place, depth = project(local, lens)
    return np.where(depth[:, None] > 0, place * [world.width, world.height], np.nan)


def whole(mask: np.ndarray) -> np.ndarray:
    """Frames [F] in which a mask is there and touches no edge."""
    edge = mask[:, 0].any(1) | mask[:, -1].any(1) | mask[:, :, 0].any(1) | mask[:, :, -1].any(1)
    return np.flatnonzero(mask.any(axis=(1, 2)) & ~edge)


def centroid(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])


@pytest.mark.parametrize("name", ["small-easy", "small-motions", "small-elsewhere", "small-parallax"])
def test_masks_lie_where_the_cameras_project_the_true_centres(name: str) -> None:
    compared = 0
    for number in range(12):
        made = clip(name, number)
        places = projected(made, made.positions[0])
        np.testing.assert_allclose(places, made.pixels[0], atol=1e-9)
        for frame in whole(made.ids == 1):
            # a figure is round on the drum and a little wider in a flat picture
            assert np.abs(centroid(made.ids[frame] == 1) - places[frame]).max() < 0.75, (number, frame)
            compared += 1
    assert compared > 60


def test_a_subject_moves_by_its_velocity_through_the_pinhole_pictures() -> None:
    speeds = []
    for number in range(20):
        made = clip("small-easy", number)
        world = made.world
        u, times = made.centres[0, :, 0], world.times()
        np.testing.assert_allclose(np.diff(u, 2), 0, atol=1e-9)
        speeds.append(abs(np.diff(u)[0]) * world.stride)
        frames = whole(made.ids == 1)
        if len(frames) < 6:
            continue
        # back from pixels: the ray through the mask's middle, as an azimuth in cells
        across = [centroid(made.ids[frame] == 1)[0] / world.width for frame in frames]
        fx, _, cx, _ = world.intrinsics()
        yaw = np.arctan2(made.c2w[frames, 0, 2], made.c2w[frames, 2, 2])
        found = (yaw + np.arctan((np.array(across) - cx) / fx)) / world.angle
        assert np.abs(found - u[frames]).max() < 0.12
        assert abs(np.polyfit(times[frames], found, 1)[0] - np.diff(u)[0] * world.stride) < 0.05
    assert max(speeds) <= 0.55 and np.mean(np.array(speeds) >= 0.15) > 0.6  # the others were slowed to stay in view


def test_shapes_cover_the_area_of_their_radius() -> None:
    areas = {"disc": np.pi * 0.9**2, "square": (1.76 * 0.9) ** 2, "diamond": 2 * (1.2 * 0.9) ** 2}
    seen = set()
    for number in range(20):
        made = clip("small-easy", number)
        look = made.plan.figures[0].look
        for frame in whole(made.ids == 1)[:3]:
            seen.add(look)
            assert (made.ids[frame] == 1).sum() / 36 == pytest.approx(areas[look], rel=0.12)
    assert seen == set(areas)


@pytest.mark.parametrize(("name", "tolerance"), [("small-easy", 0.012), ("small-parallax", 0.012)])
def test_every_view_shows_the_same_wall(name: str, tolerance: float) -> None:
    """Pixels of one frame, traced to the drum and projected into another, have the colours that are there."""
    made = clip(name, 1)
    world, compared = made.world, 0
    frames, _ = made.drawing.paint(gone=range(5))
    c2w, lens = made.c2w, np.tile(world.intrinsics(), (2, 1))
    for one, other in ((0, 12), (4, 29), (11, 8)):
        ways = (rays(lens[:1], world.height, world.width)[0].reshape(-1, 3)) @ c2w[one, :3, :3].T
        start = c2w[one, :3, 3]
        # start + t way on the drum: a quadratic in t, the camera's height left out
        a, b = (ways[:, [0, 2]] ** 2).sum(1), (ways[:, [0, 2]] * start[[0, 2]]).sum(1)
        t = (-b + np.sqrt(b**2 - a * ((start[[0, 2]] ** 2).sum() - world.radius_m**2))) / a
        points = start + t[:, None] * ways
        place, depth = project((points - c2w[other, :3, 3]) @ c2w[other, :3, :3], lens[:1])
        x, y = (place * [world.width, world.height] - 0.5).T
        inside = (depth > 0) & (x > 0) & (x < world.width - 1) & (y > 0) & (y < world.height - 1)
        left, top = x[inside].astype(int), y[inside].astype(int)
        right, down = (x[inside] - left)[:, None], (y[inside] - top)[:, None]
        picture = frames[other].astype(float)
        found = (picture[top, left] * (1 - right) + picture[top, left + 1] * right) * (1 - down)
        found += (picture[top + 1, left] * (1 - right) + picture[top + 1, left + 1] * right) * down
        wanted = frames[one].reshape(-1, 3)[inside]
        compared += int(inside.sum())
        assert np.square((found - wanted) / 255).mean() ** 0.5 < 2 * tolerance
    assert compared > 500


def around(made: SmallClip, index: int) -> np.ndarray:
    """bool [F,H,W]: pixels that a figure, its soft edge and the shadow at its feet may reach, about its middle."""
    world, figure = made.world, made.plan.figures[index]
    depth = np.linalg.norm((made.positions[index] - made.c2w[:, :3, 3])[:, [0, 2]], axis=1)
    scale = world.intrinsics()[0] * world.width / depth * 1.2  # pixels to a metre, towards the picture's edge
    metres = (
        figure.size * world.angle * figure.radius * world.radius_m,
        figure.tall * world.angle * figure.radius * world.radius_m,
    )
    x, y = made.pixels[index].T
    gap_x = np.abs(np.arange(world.width) + 0.5 - x[:, None])
    gap_y = np.abs(np.arange(world.height) + 0.5 - y[:, None])
    wide, high = (1.2 * scale * half + 2.5 for half in metres)
    near_x, near_y = gap_x < wide[:, None], gap_y < high[:, None]
    return near_x[:, None, :] & near_y[:, :, None]


@pytest.mark.parametrize("name", ["small-easy", "small-distractors", "small-hard", "small-scenes", "small-film"])
def test_fates_differ_only_where_they_should(name: str) -> None:
    for number in range(4):
        made = clip(name, number, "test")
        world, cut = made.world, made.world.context_frames
        truth, ids = made.frames[cut:], made.ids[cut:]
        changed = (truth != made.vanished).any(axis=-1)
        subject = (ids > 0) & (ids <= world.subjects)
        near = np.zeros_like(subject)
        for index in range(world.subjects):
            near |= around(made, index)[cut:]
        assert changed.any() and not (changed & ~near).any()
        assert (changed & subject).sum() > 0.9 * subject.sum()
        # distractors stay, in both
        for index in range(world.subjects, len(made.plan.figures)):
            alone = ids == index + 1
            np.testing.assert_array_equal(truth[alone], made.vanished[alone])
        repainted, frozen_ids = made.drawing.paint(held=dict(enumerate(made.held)))
        np.testing.assert_array_equal(repainted[cut:], made.frozen)
        np.testing.assert_array_equal(frozen_ids[cut:], made.frozen_ids)
        for index, held in enumerate(made.held):
            assert made.visible[index, held] and not made.visible[index, held + 1 : cut].any()
        if len(made.held) == 1:
            np.testing.assert_array_equal(frozen_ids[made.held[0]] == 1, made.ids[made.held[0]] == 1)


def test_frozen_subjects_are_held_where_they_were_last_seen() -> None:
    compared = 0
    for number in range(10):
        made = clip("small-easy", number)
        cut, held = made.world.context_frames, made.held[0]
        places = projected(made, np.repeat(made.positions[0, held : held + 1], made.world.frames, axis=0))[cut:]
        for frame in whole(made.frozen_ids == 1):
            assert np.abs(centroid(made.frozen_ids[frame] == 1) - places[frame]).max() < 0.75
            compared += 1
    assert compared > 20


@pytest.mark.parametrize("name", list(PRESETS))
def test_subjects_are_seen_hide_and_come_back(name: str) -> None:
    for number in range(6):
        made = clip(name, number, "test")
        world, cut = made.world, made.world.context_frames
        count = world.subjects
        assert made.visible[:count, :cut].sum(axis=1).min() >= 2
        np.testing.assert_array_equal(made.returned[:, cut:], all_returned(made.visible[:count], cut))
        assert made.returned.any(axis=1).all() and not made.returned[:, :cut].any()
        for index, (left, back) in enumerate(made.away):
            assert left < back and not made.visible[index, left:back].any() and made.visible[index, left - 1]
        numbers = {k + 1: back[cut:] for k, back in enumerate(made.returned)}
        np.testing.assert_array_equal(made.region, fate_region(made.ids[cut:], made.frozen_ids, numbers))
        assert made.frames.shape == (world.frames, world.height, world.width, 3) and made.frames.dtype == np.uint8
        for index in range(len(made.plan.figures)):
            np.testing.assert_array_equal(made.visible_pixels[index], (made.ids == index + 1).sum(axis=(1, 2)))


def test_the_camera_stands_at_whole_cells_at_latent_frames() -> None:
    for name, number in (("small-easy", 2), ("small-long", 3), ("small-elsewhere", 1), ("small-scenes", 1)):
        made = clip(name, number)
        yaw = np.degrees(np.arctan2(made.c2w[:, 0, 2], made.c2w[:, 2, 2])) / np.degrees(made.world.angle)
        np.testing.assert_allclose(yaw[:: made.world.stride], np.rint(yaw[:: made.world.stride]), atol=1e-9)
        np.testing.assert_allclose(yaw, np.rint(yaw), atol=1e-9)  # turn is a multiple of stride in the presets
        assert np.abs(np.diff(yaw)).max() <= made.world.turn / made.world.stride + 1e-9
        assert not made.c2w[:, :3, 3].any() and np.allclose(np.linalg.det(made.c2w[:, :3, :3]), 1)


def test_judged_clips_have_moved_by_more_than_one_and_a_half_radii() -> None:
    verdicts = []
    for number in range(40):
        made = clip("small-easy", number)
        back = made.returned[0]
        gaps = np.hypot(*(made.centres[0, back] - made.centres[0, made.held[0]]).T)
        known = made.visible[0, : made.world.context_frames].sum() >= 4
        assert made.is_judged == bool(gaps.mean() > 1.5 * 0.9 and back.sum() >= 2 and known)
        verdicts.append(made.is_judged)
    assert 0.6 < np.mean(verdicts) < 0.98  # the trial's rule passes 85 %


def hues(world: SmallWorld, numbers: range) -> np.ndarray:
    return np.array(
        [colorsys.rgb_to_hsv(*figure.colour)[0] for n in numbers for figure in plan_clip(world, 3, n).figures]
    )


def test_hues_scenes_and_subjects_of_the_test_split_are_held_out() -> None:
    train, test = (hues(small_world("small-three", split=split), range(80)) for split in ("train", "test"))
    place = {"train": train * 6 % 1, "test": test * 6 % 1}
    assert place["test"].max() <= 0.3 + 1e-6 and place["train"].min() >= 0.35 - 1e-6 and place["train"].max() <= 0.95
    assert len(set((test * 6).astype(int))) == len(set((train * 6).astype(int))) == 6
    gaps = np.abs(train[:, None] - test[None])
    assert np.minimum(gaps, 1 - gaps).min() > 0.05 / 6 - 1e-6
    families = {split: {load_panorama(name).family for name in panorama_names(split)} for split in ("train", "test")}
    assert not families["train"] & families["test"] and len(families["train"] | families["test"]) == 17
    assert not set(walk_names("train")) & set(walk_names("test"))
    assert len(walk_names("train")) + len(walk_names("test")) == 49
    for split in ("train", "test"):
        for number in range(8):
            plan = clip("small-film", number, split).plan
            assert plan.panorama in panorama_names(split)
            assert {figure.look for figure in plan.figures} <= set(walk_names(split))
