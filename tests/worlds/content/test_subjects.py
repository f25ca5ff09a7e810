"""Bodies of the subjects: sound meshes, and gaits whose feet stay where they stand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outofsight.errors import WorldsError
from outofsight.worlds.catalogue import CATALOGUE
from outofsight.worlds.content.subjects import SUBJECTS, SUBJECTS_BY_NAME, build_body
from outofsight.worlds.engine.skinning import Body, PosedBody, pose_body

NAMES = [subject.name for subject in SUBJECTS]
FEW = ["human_01", "human_08", "human_14", "human_20", "retriever", "horse", "camel", "elephant", "pigeon", "ostrich"]
SPEEDS = ("slow", "walk", "between", "run")

body_of = cache(lambda name: build_body(SUBJECTS_BY_NAME[name]))


def speed_of(body: Body, pace: str) -> float:
    walk, run = body.spec.walk_speed, body.spec.run_speed
    return {"slow": 0.6 * walk, "walk": walk, "between": 0.5 * (walk + run), "run": run}[pace]


def stroll(body: Body, speed: float, frames: int = 120, cycles: float = 1.0) -> tuple[PosedBody, float]:
    """The body going straight along x at one speed, and the seconds from frame to frame."""
    time = np.linspace(0, cycles * float(body.stride(speed)) / speed, frames, endpoint=False)
    none = np.zeros(frames)
    phase = speed * time / body.stride(speed)
    return pose_body(body, speed * time, none, none, none, phase, none + speed), float(time[1] - time[0])


def volume(positions: np.ndarray, faces: np.ndarray) -> float:
    corner = positions[faces].astype(np.float64)
    return float(np.einsum("ti,ti->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6)


def test_there_are_49_subjects_of_all_kinds_with_unique_names() -> None:
    assert len(SUBJECTS) == 49 and len(set(NAMES)) == 49
    assert list(SUBJECTS_BY_NAME) == NAMES
    kinds = [subject.kind for subject in SUBJECTS]
    assert kinds.count("human") >= 25 and kinds.count("quadruped") >= 12 and kinds.count("bird") >= 5
    for subject in SUBJECTS:
        assert set(subject.words) >= {"who", "wearing", "motion_walk", "motion_run"}
        assert 0 < subject.walk_speed < subject.run_speed and 0 < subject.radius < subject.height * 1.2
    phrases = [(subject.words["who"], subject.words["wearing"]) for subject in SUBJECTS]
    assert len(set(phrases)) == 49


def test_no_two_subjects_look_alike() -> None:
    assert len({subject.shape for subject in SUBJECTS}) == 49
    # Not only in number: the palettes of any two differ, or else their outlines do.
    looks = []
    for name in NAMES:
        body = body_of(name)
        cells = (body.positions[:, 2] / body.spec.height * 7.999).astype(int)
        parts = [cells == level for level in range(8)]
        colours = [body.colours[part].mean(0) if part.any() else np.zeros(3) for part in parts]
        widths = [
            np.ptp(body.positions[part][:, :2], axis=0) / body.spec.height if part.any() else np.zeros(2)
            for part in parts
        ]
        looks.append(np.concatenate([np.ravel(colours), np.ravel(widths), [0.3 * body.spec.height]]))
    looks = np.array(looks)
    apart = np.linalg.norm(looks[:, None] - looks[None], axis=-1) + 9 * np.eye(49)
    assert apart.min() > 0.15, [NAMES[i] for i in np.unravel_index(apart.argmin(), apart.shape)]


@pytest.mark.parametrize("name", NAMES)
def test_meshes_are_sound(name: str) -> None:
    body = body_of(name)
    count = len(body.positions)
    assert 600 <= count <= 2500
    assert body.faces.dtype == np.int32 and body.faces.min() == 0 and body.faces.max() == count - 1
    assert body.positions.dtype == body.normals.dtype == body.colours.dtype == body.weights.dtype == np.float32
    assert body.normals.shape == body.colours.shape == (count, 3) and body.bones.shape == body.weights.shape == (
        count,
        4,
    )
    assert np.isfinite(body.positions).all() and body.colours.min() >= 0 and body.colours.max() <= 1
    assert body.bones.min() >= 0 and body.bones.max() < len(body.rest_joints) == len(body.parents)
    assert body.weights.min() >= 0
    np.testing.assert_allclose(body.weights.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(body.normals, axis=1), 1, atol=1e-5)
    assert abs(body.positions[:, 2].min()) < 1e-6
    assert body.positions[:, 2].max() == pytest.approx(body.spec.height, rel=0.03)
    assert all(parent < joint for joint, parent in enumerate(body.parents))


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_closed_and_wound_outward(name: str) -> None:
    body = body_of(name)
    edges = np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # each directed edge once ...
    assert {tuple(e) for e in edges} == {tuple(e[::-1]) for e in edges}  # ... and once the other way
    parts = connected_parts(len(body.positions), edges)
    for part in np.unique(parts):
        faces = body.faces[parts[body.faces[:, 0]] == part]
        middle = body.positions[parts == part].mean(0)
        assert volume(body.positions - middle, faces) > 0


def connected_parts(count: int, edges: np.ndarray) -> np.ndarray:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    return connected_components(graph, directed=False)[1]


@pytest.mark.parametrize("name", FEW)
def test_the_same_spec_gives_the_same_arrays(name: str) -> None:
    first, second = body_of(name), build_body(SUBJECTS_BY_NAME[name])
    for part in ("positions", "normals", "colours", "faces", "bones", "weights", "rest_joints"):
        np.testing.assert_array_equal(getattr(first, part), getattr(second, part))


@pytest.mark.parametrize("name", FEW)
def test_many_frames_at_once_equal_one_by_one(name: str) -> None:
    body = body_of(name)
    rng = np.random.default_rng(3)
    x, y, z, heading, phase = rng.normal(size=(5, 7)) * 4
    speed = rng.uniform(0, body.spec.run_speed, 7)
    together = pose_body(body, x, y, z, heading, phase, speed)
    for i in range(7):
        alone = pose_body(body, *(a[i : i + 1] for a in (x, y, z, heading, phase, speed)))
        np.testing.assert_allclose(alone.positions[0], together.positions[i], atol=2e-6)
        np.testing.assert_allclose(alone.normals[0], together.normals[i], atol=2e-6)
        np.testing.assert_allclose(alone.joints[0], together.joints[i], atol=2e-6)


@pytest.mark.parametrize("name", FEW)
def test_skinning_is_the_blend_of_bone_transforms(name: str) -> None:
    """The matrix products against the definition, bone by bone."""
    from outofsight.worlds.engine.gait import move

    body = body_of(name)
    speed = np.array([body.spec.walk_speed])
    rotation, place = move(body.rig, np.array([0.3]), speed)
    expected = np.zeros((len(body.positions), 3))
    for slot in range(4):
        bone = body.bones[:, slot]
        away = body.positions - body.rest_joints[bone]
        expected += body.weights[:, slot, None] * (np.einsum("vij,vj->vi", rotation[0, bone], away) + place[0, bone])
    none = np.zeros(1)
    posed = pose_body(body, none, none, none, none, none + 0.3, speed)
    np.testing.assert_allclose(posed.positions[0], expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(posed.normals[0], axis=1), 1, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(FEW),
    place=st.tuples(*[st.floats(-40, 40)] * 3),
    heading=st.floats(-7, 7),
    phase=st.floats(-3, 30),
    share=st.floats(0, 1),
)
def test_moving_and_turning_the_body_moves_and_turns_every_point(
    name: str, place: tuple[float, float, float], heading: float, phase: float, share: float
) -> None:
    body = body_of(name)
    none = np.zeros(1)
    gait = (none + phase, none + share * body.spec.run_speed)
    here = pose_body(body, none, none, none, none, *gait)
    there = pose_body(body, *(none + v for v in place), none + heading, *gait)
    turn = np.array([[np.cos(heading), -np.sin(heading), 0], [np.sin(heading), np.cos(heading), 0], [0, 0, 1]])
    np.testing.assert_allclose(there.positions[0], here.positions[0] @ turn.T + place, atol=5e-5)
    np.testing.assert_allclose(there.joints[0], here.joints[0] @ turn.T + place, atol=5e-5)
    np.testing.assert_allclose(there.normals[0], here.normals[0] @ turn.T, atol=1e-4)


@pytest.mark.parametrize("pace", SPEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_feet_neither_slide_nor_sink_nor_float(name: str, pace: str) -> None:
    body = body_of(name)
    speed = speed_of(body, pace)
    posed, step = stroll(body, speed)
    feet = [body.rig.names.index(joint) for leg in body.rig.legs for joint in leg.joints[2:]]
    ours = np.nonzero(np.isin(body.bones[:, 0], feet))[0]
    soles = posed.positions[:, ours]
    lowest = soles[..., 2].argmin(axis=1)
    frames = np.arange(len(lowest) - 1)
    height = soles[frames, lowest[:-1], 2]
    moved = soles[frames + 1, lowest[:-1], :2] - soles[frames, lowest[:-1], :2]
    sliding = np.linalg.norm(moved, axis=1) / step / speed
    size = body.rig.leg_length
    assert posed.positions[..., 2].min() > -0.01 * size  # nothing sinks, tails and hems included
    assert height.max() < (0.12 if pace == "run" else 0.02) * size  # runners fly, a little
    standing = height < 0.002 * size
    assert standing.mean() > (0.5 if pace == "run" else 0.75)
    assert np.percentile(sliding[standing], 95) < 0.15
    assert sliding[standing].mean() < 0.04


@pytest.mark.parametrize("name", NAMES)
def test_a_foot_that_stands_stays_put(name: str) -> None:
    """Each toe joint, from touch-down to take-off, keeps its place on the ground."""
    body = body_of(name)
    speed = body.spec.walk_speed
    posed, _ = stroll(body, speed, frames=300, cycles=2.0)
    for leg in body.rig.legs:
        toe = posed.joints[:, body.rig.names.index(leg.joints[3])]
        phase = np.mod(np.linspace(0, 2, 300, endpoint=False) + leg.phase[0], 1.0)
        middle = (phase > 0.3 * body.rig.duty[0]) & (phase < 0.9 * body.rig.duty[0])
        run = np.split(np.nonzero(middle)[0], np.nonzero(np.diff(np.nonzero(middle)[0]) > 1)[0] + 1)
        for frames in run:
            assert np.ptp(toe[frames, :2], axis=0).max() < 0.02 * body.rig.leg_length


@pytest.mark.parametrize("name", NAMES)
def test_bones_keep_their_lengths(name: str) -> None:
    """Inverse kinematics reaches every place that a foot is led to: no bone is stretched, no foot left behind."""
    body = body_of(name)
    for pace in SPEEDS:
        posed, _ = stroll(body, speed_of(body, pace), frames=30)
        for joint, parent in enumerate(body.parents):
            if parent >= 0:
                rest = np.linalg.norm(body.rest_joints[joint] - body.rest_joints[parent])
                now = np.linalg.norm(posed.joints[:, joint] - posed.joints[:, parent], axis=-1)
                np.testing.assert_allclose(now, rest, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_strides_lengthen_with_speed(name: str) -> None:
    body = body_of(name)
    strides = body.stride(np.linspace(0, 1.2 * body.spec.run_speed, 50))
    assert strides[0] > 0 and (np.diff(strides) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_standing_is_nearly_still_and_near_the_rest_pose(name: str) -> None:
    body = body_of(name)
    phase = np.linspace(0, 1, 24)
    none = np.zeros(24)
    posed = pose_body(body, none, none, none, none, phase, none)
    centre = posed.positions.mean(axis=0)
    spread = np.linalg.norm(posed.positions - centre, axis=-1)
    assert 0 < spread.max() < 0.08 * max(body.spec.height, body.spec.radius)
    assert spread.mean() < 0.012 * body.spec.height
    feet = [body.rig.names.index(leg.joints[3]) for leg in body.rig.legs]
    np.testing.assert_allclose(posed.joints[:, feet], np.tile(body.rest_joints[feet], (24, 1, 1)), atol=1e-3)


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("pace", SPEEDS)
def test_the_gait_repeats_each_cycle_and_is_smooth_in_phase_and_speed(name: str, pace: str) -> None:
    body = body_of(name)
    speed = speed_of(body, pace)
    phase = np.linspace(0, 1, 400, endpoint=False)
    none = np.zeros(400)
    once = pose_body(body, none, none, none, none, phase, none + speed).positions
    again = pose_body(body, none, none, none, none, phase + 3, none + speed).positions
    np.testing.assert_allclose(once, again, atol=1e-4)
    leap = np.abs(np.diff(np.concatenate([once, once[:1]]), axis=0)).max()
    assert leap < 0.04 * max(body.spec.height, body.rig.leg_length)
    speeds = np.linspace(0, 1.1 * body.spec.run_speed, 400)
    ramp = pose_body(body, none, none, none, none, none + 0.2, speeds).positions
    assert np.abs(np.diff(ramp, axis=0)).max() < 0.04 * max(body.spec.height, body.rig.leg_length)


def test_walking_legs_alternate_and_trotting_legs_go_in_diagonal_pairs() -> None:
    body = body_of("horse")
    posed, _ = stroll(body, body.spec.run_speed, frames=120)
    ahead = {
        leg.joints[3]: posed.joints[:, body.rig.names.index(leg.joints[3]), 0] - posed.joints[:, 0, 0]
        for leg in body.rig.legs
    }

    def together(a: str, b: str) -> float:
        return float(np.corrcoef(ahead[a], ahead[b])[0, 1])

    assert together("hl_toe", "fr_toe") > 0.9 and together("hr_toe", "fl_toe") > 0.9
    assert together("hl_toe", "hr_toe") < -0.6
    camel = body_of("camel")
    posed, _ = stroll(camel, camel.spec.run_speed, frames=120)
    left = [posed.joints[:, camel.rig.names.index(f"{end}l_toe"), 0] - posed.joints[:, 0, 0] for end in "fh"]
    assert np.corrcoef(*left)[0, 1] > 0.8  # pacing: both left legs at once


@pytest.mark.parametrize("name", [s.name for s in SUBJECTS if getattr(s.shape, "skirt", "") == "robe"])
def test_robes_are_not_kicked_through(name: str) -> None:
    """Who runs in a robe keeps feet low and knees back, so that legs stay behind the cloth."""
    body = body_of(name)
    posed, _ = stroll(body, body.spec.run_speed)
    joint = {part: [body.rig.names.index(f"{side}_{part}") for side in "lr"] for part in ("hip", "knee", "ankle")}
    length = body.rig.leg_length
    assert posed.joints[:, joint["ankle"], 2].max() < 0.32 * length
    assert (posed.joints[:, joint["knee"], 0] - posed.joints[:, joint["hip"], 0]).max() < 0.31 * length


def test_who_stands_breathes_by_the_clock_and_stays_put() -> None:
    from outofsight.worlds.engine.plan import lay_out, plan_clip
    from outofsight.worlds.generate import posed

    plans = (plan_clip(CATALOGUE, 1, index) for index in range(60))
    plan = next(plan for plan in plans if plan.subjects[0].path.name == "stop-and-go")
    staging = lay_out(CATALOGUE, plan)
    standing = np.flatnonzero(staging.tracks[0].speed < 1e-9)
    assert len(standing) >= 3
    body, made = body_of(plan.subjects[0].name), posed(staging)[0]
    frames = made.positions[standing]
    assert np.linalg.norm(np.diff(frames, axis=0), axis=-1).max(axis=1).min() > 1e-4 * body.spec.height
    feet = [body.rig.names.index(leg.joints[3]) for leg in body.rig.legs]
    assert np.ptp(made.joints[standing][:, feet], axis=0).max() < 1e-3


def test_children_have_larger_heads() -> None:
    def head_share(name: str) -> float:
        body = body_of(name)
        skull = body.rig.names.index("head")
        return 1 - float(body.rest_joints[skull, 2]) / body.spec.height

    children = [s.name for s in SUBJECTS if s.species == "child" and s.height < 1.4]
    assert len(children) >= 3
    assert min(head_share(name) for name in children) > head_share("human_02") * 1.1


def test_bad_input_is_refused() -> None:
    body = body_of("human_02")
    one, two = np.zeros(1), np.zeros(2)
    with pytest.raises(WorldsError, match=r"must all be \[F\]"):
        pose_body(body, one, one, one, one, two, one)
    with pytest.raises(WorldsError, match="not finite"):
        pose_body(body, one, one, one, one, one, one * np.nan)
