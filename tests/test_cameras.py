"""Camera paths: conventions, files, vectors against the release's, the pose mini-language, view overlap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from outofsight.cameras import (
    CameraPath,
    load_camera_file,
    pose_view_overlap,
    relative_pose_vectors,
    view_overlap,
)
from outofsight.cameras.files import raw_split
from outofsight.errors import CameraError


def random_poses(seed: int, frames: int = 5, mirrored: bool = False) -> np.ndarray:
    """[F,4,4] random rigid poses within some metres of the origin."""
    generator = np.random.default_rng(seed)
    c2w = np.tile(np.eye(4), (frames, 1, 1))
    c2w[:, :3, :3] = Rotation.random(frames, random_state=seed).as_matrix()
    c2w[:, :3, 3] = generator.normal(size=(frames, 3)) * 5
    if mirrored:
        c2w = np.diag([1.0, 1.0, -1.0, 1.0]) @ c2w
    return c2w


def pair_file(path: Path, frames: int = 5, **changes: Any) -> Path:
    """A cond_cam/tgt_cam file of Unreal poses, with `changes` made to its top level."""
    poses = {str(frame): matrix for frame, matrix in enumerate(random_poses(1, frames).tolist())}
    path.write_text(json.dumps({"cond_cam": poses, "tgt_cam": poses, **changes}))
    return path


def raw_text(matrix: np.ndarray) -> str:
    return " ".join("[" + " ".join(map(repr, column)) + "]" for column in matrix.T.tolist()) + " "


# --- the path
# -------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), mirrored=st.booleans())
@settings(deadline=None, max_examples=25)
def test_unreal_round_trip_and_relative_poses(seed: int, mirrored: bool) -> None:
    unreal = random_poses(seed, mirrored=mirrored)
    unreal[:, :3, 3] *= 100
    path = CameraPath.from_unreal(unreal)
    np.testing.assert_allclose(path.to_unreal(), unreal, atol=1e-9)
    # The same relation between frames in Unreal's axes and in OpenCV's.
    relative = path.relative_to(path[0])
    np.testing.assert_allclose(relative[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(relative.c2w[:, :3, :3]), 1, atol=1e-9)
    np.testing.assert_allclose(path[0] @ relative[3], path[3], atol=1e-9)
    np.testing.assert_allclose(path.right_handed().relative_to(path.right_handed()[0]).c2w, relative.c2w, atol=1e-9)


def test_unreal_axes_mean_what_they_say() -> None:
    # A camera at 2 m up that looks along Unreal's +X: OpenCV's forward is X, right is Y, down is -Z.
    unreal = np.eye(4)[None].copy()
    unreal[0, :3, 3] = [100, 0, 200]
    pose = CameraPath.from_unreal(unreal)[0]
    np.testing.assert_array_equal(pose[:3, :3], np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]))
    np.testing.assert_array_equal(pose[:3, 3], [1, 0, 2])
    # In the right-handed world the same camera is upright and looks along z.
    right_handed = CameraPath.from_unreal(unreal).right_handed()[0]
    np.testing.assert_array_equal(right_handed[:3, :3], np.eye(3))
    np.testing.assert_array_equal(right_handed[:3, 3], [0, -2, 1])


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda c2w: c2w.__setitem__((2, 0, 0), np.nan), "frame 2.*NaN"),
        (lambda c2w: c2w.__setitem__((3, slice(0, 3), 0), 0.5), "frame 3.*not a rotation"),
        (lambda c2w: c2w.__setitem__(1, c2w[1].T), "frame 1.*transposed"),
        (lambda c2w: c2w.__setitem__((4, slice(0, 3), 0), -c2w[4, :3, 0]), "frame 4.*handedness"),
    ],
)
def test_bad_frame_is_named(break_it: Any, words: str) -> None:
    c2w = random_poses(0)
    c2w[1, :3, :3] = np.eye(3)
    break_it(c2w)
    with pytest.raises(CameraError, match=words):
        CameraPath(c2w)


@pytest.mark.parametrize(
    "arguments",
    [
        {"c2w": np.zeros((0, 4, 4))},
        {"c2w": np.eye(4)},
        {"c2w": np.eye(4)[None], "horizontal_fov": 180.0},
        {"c2w": np.eye(4)[None], "fps": 0.0},
        {"c2w": np.eye(4)[None], "frame_stride": 0},
    ],
)
def test_bad_path_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(CameraError, match="expected"):
        CameraPath(**arguments)


def test_slices_strides_and_joints() -> None:
    path = CameraPath(random_poses(3, 9), horizontal_fov=60.0)
    assert [len(path[2:5]), len(path.subsample(4)), path.subsample(4).frame_stride] == [3, 3, 4]
    assert len(path[:7].subsample(4)) == 2
    latent = path.subsample(4)
    np.testing.assert_array_equal(latent.subsample(4).c2w, latent.c2w)
    np.testing.assert_array_equal(path[:4].concatenate(path[4:]).c2w, path.c2w)
    with pytest.raises(CameraError, match="multiple of 4"):
        latent.subsample(6)
    with pytest.raises(CameraError, match="empty"):
        path[9:]
    with pytest.raises(CameraError, match="horizontal_fov"):
        path.concatenate(CameraPath(path.c2w))
    with pytest.raises(CameraError, match="left-handed"):
        path.concatenate(CameraPath(random_poses(3, mirrored=True), horizontal_fov=60.0))
    with pytest.raises(ValueError, match="read-only"):
        path.c2w[0] = 0


# --- files and vectors
# ----------------------------------------------------------------------------------------


def assert_released_vectors(file: Path, expected: dict[str, Any]) -> None:
    context, target = relative_pose_vectors(*load_camera_file(file))
    for vectors, half in ((context, "context"), (target, "target")):
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors, torch.tensor(expected[half]), rtol=0, atol=1e-5)


def test_vectors_equal_the_released_ones_raw(goldens: Path) -> None:
    expected = json.loads((goldens / "camera_vectors.json").read_text())
    assert_released_vectors(goldens / "raw_149.json", expected["raw_149.json"])


@pytest.mark.parametrize("name", ["cam1.json", "cam2.json"])
def test_vectors_equal_the_released_ones_examples(name: str, goldens: Path, shared: Path) -> None:
    expected = json.loads((goldens / "camera_vectors.json").read_text())
    assert_released_vectors(shared / "data" / "hm_world_examples" / name, expected[name])


def test_all_forms_of_one_path_give_the_same_vectors(goldens: Path, tmp_path: Path) -> None:
    context, target = load_camera_file(goldens / "raw_149.json")
    assert (len(context), len(target)) == (77, 77)
    expected = relative_pose_vectors(context, target)
    unreal = {"context_camera": context.to_unreal().tolist(), "video_camera": target.to_unreal().tolist()}
    vectors = {"context_camera": expected[0].tolist(), "video_camera": expected[1].tolist()}
    for name, content in (("matrices", unreal), ("vectors", vectors)):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(content))
        paths = load_camera_file(file, frames=77)
        assert paths[0].frame_stride == (4 if name == "vectors" else 1)
        for found, wanted in zip(relative_pose_vectors(*paths), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@given(half=st.integers(1, 40))
@settings(deadline=None, max_examples=20)
def test_raw_split_keeps_the_padded_index(half: int) -> None:
    frames = 2 * half + 1
    context, target = raw_split(frames)
    padded = np.concatenate([context, target])
    assert len(context) == len(target) == (frames + 1) // 2 + 2
    cut = (frames + 1) // 2
    for frame in range(1, frames):  # spec: raw frame f stands at f + 1 before the cut, at f + 3 after it
        assert padded[frame + 1 if frame < cut else frame + 3] == frame
    assert 0 not in padded
    assert padded[0] == padded[1] == padded[2] == 1


def test_75_frames_and_unequal_halves(tmp_path: Path) -> None:
    poses = {str(frame): matrix for frame, matrix in enumerate(random_poses(1, 75).tolist())}
    context, target = load_camera_file(pair_file(tmp_path / "c.json", 9, tgt_cam=poses))
    vectors = relative_pose_vectors(context, target)
    assert [len(half) for half in vectors] == [3, 19]
    with pytest.raises(CameraError, match=r"context has 9 poses.*expected 75"):
        load_camera_file(tmp_path / "c.json", frames=75)


def test_hemi8_file_asks_for_a_camera(tmp_path: Path) -> None:
    cameras = {"C_01_20mm": random_poses(1, 5), "C_02_20mm": random_poses(2, 5)}
    by_frame = {str(f): {name: raw_text(poses[f]) for name, poses in cameras.items()} for f in range(5)}
    by_camera = {name: {f: by_frame[f][name] for f in by_frame} for name in by_frame["0"]}
    for content in (by_frame, by_camera):
        file = tmp_path / "hemi.json"
        file.write_text(json.dumps(content))
        with pytest.raises(CameraError, match="C_01_20mm, C_02_20mm"):
            load_camera_file(file)
        with pytest.raises(CameraError, match='no camera "C_09_20mm"'):
            load_camera_file(file, camera="C_09_20mm")
        context, _ = load_camera_file(file, camera="C_02_20mm")
        np.testing.assert_allclose(context.to_unreal()[3], cameras["C_02_20mm"][2], atol=1e-9)
    with pytest.raises(CameraError, match="leave it out"):
        load_camera_file(pair_file(tmp_path / "c.json"), camera="C_01_20mm")


IDENTITY = np.eye(4).tolist()
MALFORMED = {
    "not JSON": ("{", "not a JSON file"),
    "not UTF-8": (b"\xff\xfe\x00", "not UTF-8"),
    "a list": ("[1, 2]", "expected a JSON object"),
    "empty": ("{}", "expected a JSON object"),
    "NaN": ('{"cond_cam": NaN, "tgt_cam": {}}', "NaN"),
    "key twice": ('{"0": "a", "0": "b"}', 'the key "0" occurs twice'),
    "unknown keys": ('{"cameras": 1, "b": 2}', 'unknown keys "cameras", "b"'),
    "too deep": ("[" * 100_000, "nested"),
    "half missing": (json.dumps({"cond_cam": {"0": IDENTITY}}), '"tgt_cam" is missing'),
    "more keys": (
        json.dumps({"cond_cam": {"0": IDENTITY}, "tgt_cam": {"0": IDENTITY}, "lens": 1}),
        'unknown keys "lens"',
    ),
    "gap": (
        json.dumps({"cond_cam": {"0": IDENTITY, "2": IDENTITY}, "tgt_cam": {}}),
        "cond_cam: frame 1 is missing",
    ),
    "no number key": (
        json.dumps({"cond_cam": {"0": IDENTITY, "last": 1}, "tgt_cam": {}}),
        'unknown keys "last"',
    ),
    "3x3": (
        json.dumps({"cond_cam": {"0": [[1, 0, 0]] * 3}, "tgt_cam": {"0": IDENTITY}}),
        "cond_cam, frame 0.*4x4",
    ),
    "strings": (
        json.dumps({"cond_cam": {"0": [["1"] * 4] * 4}, "tgt_cam": {"0": IDENTITY}}),
        "cond_cam, frame 0",
    ),
    "huge": (
        json.dumps({"cond_cam": {"0": IDENTITY}, "tgt_cam": {"0": [[10**400] * 4] * 4}}),
        "tgt_cam, frame 0",
    ),
    "overflow": (
        json.dumps({"cond_cam": {"0": IDENTITY}, "tgt_cam": {"0": IDENTITY}}).replace("1.0", "1e999", 1),
        "1e999, which is too large a number",
    ),
    "scaled": (
        json.dumps({"cond_cam": {"0": IDENTITY}, "tgt_cam": {"0": np.diag([2, 2, 2, 1]).tolist()}}),
        "tgt_cam, frame 0.*not a rotation",
    ),
    "mixed": (json.dumps({"context_camera": [[0] * 12], "video_camera": [IDENTITY]}), r"one of .* \[n,12\]"),
    "ragged vectors": (
        json.dumps({"context_camera": [[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], [0] * 11], "video_camera": [[0] * 12]}),
        "context_camera, frame 1.*12 numbers",
    ),
    "even raw": (json.dumps({str(f): raw_text(np.eye(4)) for f in range(4)}), "odd number"),
    "raw gap": (json.dumps({"0": raw_text(np.eye(4)), "2": raw_text(np.eye(4))}), "frame 1 is missing"),
    "raw columns": (json.dumps({"0": "[1 0 0 0] [0 1 0 0] [0 0 1 0]"}), "frame 0.*four columns"),
    "raw words": (json.dumps({"0": "[1 0 0 x] [0 1 0 0] [0 0 1 0] [0 0 0 1]"}), "frame 0.*four columns"),
    "raw nan": (json.dumps({"0": "[nan 0 0 0] [0 1 0 0] [0 0 1 0] [0 0 0 1]"}), "frame 0.*NaN"),
    "raw number": (json.dumps({"0": 5}), "frame 0.*found 5"),
    "fov": (
        json.dumps({"cond_cam": {"0": IDENTITY}, "tgt_cam": {"0": IDENTITY}, "horizontal_fov": "wide"}),
        'horizontal_fov" is "wide"',
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_file_is_named_with_its_fault(case: str, tmp_path: Path) -> None:
    content, words = MALFORMED[case]
    file = tmp_path / "cam.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CameraError, match=words) as caught:
        load_camera_file(file)
    assert str(file) in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(CameraError, match="cannot be read"):
            load_camera_file(path)


# --- the mini-language
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mirrored", [False, True])
def test_looking_away_and_back_returns_exactly(mirrored: bool) -> None:
    start = CameraPath(random_poses(4, mirrored=mirrored), horizontal_fov=70.0, fps=24.0)
    path = CameraPath.from_string("right-8, wait-4, left-8", start=start)
    assert (len(path), path.fps, path.horizontal_fov) == (4 * 19 + 1, 24.0, 70.0)
    np.testing.assert_allclose(path[-1], start[-1], atol=1e-12)
    away = path[len(path) // 2]
    angle = Rotation.from_matrix(start[-1][:3, :3].T @ away[:3, :3]).magnitude()
    assert np.degrees(angle) == pytest.approx(30)


@pytest.mark.parametrize(
    ("text", "axis", "metres"),
    [
        ("forward-4", 2, 1.0),
        ("backward-4", 2, -1.0),
        ("slide_right-4", 0, 1.0),
        ("slide_left-2@2", 0, -4.0),
        ("rise-4", 1, -1.0),
        ("sink-4", 1, 1.0),
    ],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_moves_go_along_the_cameras_axes(text: str, axis: int, metres: float, mirrored: bool) -> None:
    start = CameraPath(random_poses(5, mirrored=mirrored))
    end = CameraPath.from_string(text, start=start).relative_to(start[-1])[-1]
    expected = np.eye(4)
    expected[axis, 3] = metres
    np.testing.assert_allclose(end, expected, atol=1e-12)


def test_turns_have_the_sense_of_their_names_in_both_worlds() -> None:
    level = CameraPath.from_unreal(np.eye(4)[None])  # left-handed
    for start in (None, level):
        reference = np.eye(4) if start is None else start[-1]
        forward = {
            text: CameraPath.from_string(text, start=start).relative_to(reference)[-1][:3, 2]
            for text in ("right-8", "left-8", "up-8", "down-8")
        }
        np.testing.assert_allclose(forward["right-8"], [0.5, 0, np.sqrt(0.75)], atol=1e-12)
        np.testing.assert_allclose(forward["left-8"], [-0.5, 0, np.sqrt(0.75)], atol=1e-12)
        np.testing.assert_allclose(forward["up-8"], [0, -0.5, np.sqrt(0.75)], atol=1e-12)
        np.testing.assert_allclose(forward["down-8"], [0, 0.5, np.sqrt(0.75)], atol=1e-12)


def test_yaw_of_a_pitched_camera_is_about_the_vertical() -> None:
    for start in (None, CameraPath.from_unreal(np.eye(4)[None])):
        down = np.array([0, 1, 0]) if start is None else np.array([0, 0, -1])
        path = CameraPath.from_string("up-4, right-24", start=start)
        slope = path.c2w[:, :3, 2] @ down
        np.testing.assert_allclose(slope[-40:], slope[-1], atol=1e-12)
        np.testing.assert_allclose(path.c2w[:, :3, 0] @ down, 0, atol=1e-12)  # no roll creeps in


def test_arc_is_integrated_exactly_at_any_frame_rate() -> None:
    # Forward at v and turning at w: a circle of radius v / w.
    turn = np.radians(90)
    radius = 24 * 0.25 / turn
    for stride in (1, 4, 7):
        end = CameraPath.from_string("forward+right-24", stride=stride)[-1]
        np.testing.assert_allclose(end[:3, 3], [radius, 0, radius], atol=1e-9)


def test_path_goes_on_smoothly_from_the_context() -> None:
    start = CameraPath.from_string("forward-5")
    path = CameraPath.from_string("forward-5, wait-2, backward-5@0.25", start=start)
    steps = np.diff(np.concatenate([start.c2w[-1:], path.c2w])[:, 2, 3])
    assert steps[0] == pytest.approx(0.25 * 12 / (4 * 11 + 1))  # already on its way
    assert np.ptp(steps[:18]) < 1e-12
    np.testing.assert_allclose(path[-1], start[-1], atol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("right", r'piece 1 \("right"\).*action-count'),
        ("right-8, jump-4", r'piece 2 \("jump-4"\).*unknown action "jump".*slide_left'),
        ("right-8,", 'piece 2 \\(""\\)'),
        ("right-0", "count is 0"),
        ("right-1.5", "whole count"),
        ("right--3", "action-count"),
        ("left+right-4", "cancel"),
        ("left+left-4", "twice"),
        ("wait+left-4", "cannot be joined"),
        ("wait-4@2", "no speed"),
        ("forward+left-4@2", "degrees for the turn and metres"),
        ("left-4@0", "does not move"),
        ("left-4@-2", "action-count"),
    ],
)
def test_bad_text_is_pointed_at(text: str, words: str) -> None:
    with pytest.raises(CameraError, match=words):
        CameraPath.from_string(text)


# --- view overlap
# ---------------------------------------------------------------------------------------------


def turned(*degrees: float, fov: float | None = 60.0) -> CameraPath:
    c2w = np.tile(np.eye(4), (len(degrees), 1, 1))
    c2w[:, :3, :3] = Rotation.from_euler("y", np.array(degrees)[:, None], degrees=True).as_matrix()
    return CameraPath(c2w, horizontal_fov=fov)


def test_overlap_of_turned_cameras() -> None:
    overlap = view_overlap(turned(0), turned(0, 15, 30, -30, 60, 180))
    torch.testing.assert_close(overlap, torch.tensor([[1, 0.75, 0.5, 0.5, 0, 0]]), rtol=0, atol=1e-6)


def test_overlap_sees_position_and_distance() -> None:
    moved = np.tile(np.eye(4), (4, 1, 1))
    moved[1:, 2, 3] = [1.0, -1.0, 100.0]  # ahead, behind, out of reach
    moved[1:, 1, 3] = 7.0  # height plays no part
    itself, ahead, behind, away = view_overlap(turned(0), CameraPath(moved, 60.0))[0].tolist()
    assert (itself, away) == (1.0, 0.0)
    assert 0.5 < ahead < 1
    assert 0.5 < behind < 1
    # A wide lens sees all that a narrow one sees, not the other way about.
    assert view_overlap(turned(0, fov=40.0), turned(0, fov=80.0)).item() == 1.0
    assert view_overlap(turned(0, fov=80.0), turned(0, fov=40.0)).item() == pytest.approx(0.5)


@given(seed=st.integers(0, 1000), mirrored=st.booleans())
@settings(deadline=None, max_examples=15)
def test_overlap_depends_on_relative_poses_only(seed: int, mirrored: bool) -> None:
    generator = np.random.default_rng(seed)
    yaw, place = generator.uniform(-60, 60, 4), generator.normal(size=(4, 3))
    unreal = np.tile(np.eye(4), (4, 1, 1))
    unreal[:, :3, :3] = Rotation.from_euler("z", yaw[:, None], degrees=True).as_matrix()
    unreal[:, :3, 3] = place * 300 + (1e5 if mirrored else 0)
    path = CameraPath.from_unreal(unreal, horizontal_fov=75.0)
    other = path if mirrored else path.right_handed()
    vectors, _ = relative_pose_vectors(other, other, stride=1)
    whole = view_overlap(path, path)
    assert torch.equal(whole.diagonal(), torch.ones(4))
    batch = pose_view_overlap(vectors[None], vectors[None, :2], torch.tensor([75.0]))
    assert batch.shape == (1, 4, 2)
    # 512 points: one may fall on the other side of an edge in float32
    torch.testing.assert_close(batch[0], whole[:, :2], rtol=0, atol=0.01)


def test_overlap_needs_a_lens_and_one_world() -> None:
    with pytest.raises(CameraError, match=r"bank path has no horizontal field of view.*none is guessed"):
        view_overlap(turned(0), turned(0, fov=None))
    assert view_overlap(turned(0, fov=None), turned(0, fov=None), horizontal_fov=50).item() == 1
    with pytest.raises(CameraError, match="left-handed"):
        view_overlap(turned(0), CameraPath.from_unreal(np.eye(4)[None], horizontal_fov=60))
    with pytest.raises(CameraError, match="near"):
        view_overlap(turned(0), turned(0), near=5, far=2)
    with pytest.raises(CameraError, match="12"):
        pose_view_overlap(torch.zeros(2, 16), torch.zeros(2, 12), 60.0)
    with pytest.raises(CameraError, match="between 0 and 180"):
        pose_view_overlap(torch.zeros(2, 12), torch.zeros(2, 12), 200.0)


def test_straight_down_still_overlaps_with_itself() -> None:
    c2w = np.eye(4)[None].copy()
    c2w[0, :3, :3] = Rotation.from_euler("x", -90, degrees=True).as_matrix()
    path = CameraPath(c2w, 60.0)
    assert view_overlap(path, path).item() == 1
