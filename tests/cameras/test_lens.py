"""The lens of a camera path: intrinsics of each frame, carried through slices and files; rays and projection."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from outofsight.cameras import CameraPath, load_camera_file, pose_view_overlap, relative_pose_vectors, view_overlap
from outofsight.cameras.geometry import edge_slopes, fov_from_intrinsics, project, rays
from outofsight.clips import Clip
from outofsight.datasets import read_clip, write_clip
from outofsight.errors import CameraError, LayoutError


def turning(frames: int, step: float = 0.0) -> np.ndarray:
    """[F,4,4]: a camera at the origin that turns right by ``step`` degrees a frame."""
    c2w = np.tile(np.eye(4), (frames, 1, 1))
    angles = step * np.arange(frames)
    c2w[:, :3, :3] = Rotation.from_euler("y", angles[:, None], degrees=True).as_matrix()
    return c2w


def zoom(frames: int = 6) -> CameraPath:
    fx = np.linspace(0.5, 1.0, frames)
    return CameraPath(turning(frames, 2.0), intrinsics=np.stack([fx, fx * 1.5, 0 * fx + 0.5, 0 * fx + 0.45], axis=1))


# --- the two ways to give a lens --------------------------------------------------------------------------------


def test_a_field_of_view_alone_is_a_centred_lens_over_square_pixels() -> None:
    path = CameraPath(turning(3), horizontal_fov=90.0)
    assert path.intrinsics is None
    np.testing.assert_allclose(path.intrinsics_for(96, 160), [[0.5, 0.5 * 160 / 96, 0.5, 0.5]] * 3, rtol=1e-12)
    np.testing.assert_allclose(path.intrinsics_for(100, 100), [[0.5, 0.5, 0.5, 0.5]] * 3, rtol=1e-12)


def test_intrinsics_tell_the_field_of_view_where_it_is_one() -> None:
    one = CameraPath(turning(3), intrinsics=[0.5, 0.8, 0.5, 0.5])
    assert one.horizontal_fov == pytest.approx(90.0, abs=1e-12)
    assert one.intrinsics is not None
    assert one.intrinsics.shape == (3, 4)
    np.testing.assert_array_equal(one.intrinsics_for(7, 11), one.intrinsics)  # shares: no size counts
    assert zoom().horizontal_fov is None
    assert zoom().has_lens
    assert (one.lens, zoom().lens) == ("90 degrees", "53.1301 to 90 degrees")
    assert "53.1301 to 90 degrees" in repr(zoom())
    assert not CameraPath(turning(1)).has_lens
    with pytest.raises(ValueError, match="read-only"):
        one.intrinsics[0] = 1
    with pytest.raises(CameraError, match="none is guessed"):
        CameraPath(turning(1)).intrinsics_for(4, 4)


@pytest.mark.parametrize(
    ("intrinsics", "words"),
    [
        ([[0.5, 0.5, 0.5]] * 3, r"expected \[3,4\]"),
        ([[0.5, 0.5, 0.5, 0.5]] * 2, r"expected \[3,4\]"),
        ([[1, 1, 0.5, 0.5], [0, 1, 0.5, 0.5], [1, 1, 0.5, 0.5]], "frame 1"),
        ([[1, 1, 0.5, 0.5], [1, 1, 0.5, 0.5], [1, np.nan, 0.5, 0.5]], "frame 2"),
        ("wide", "expected numbers"),
    ],
)
def test_what_is_no_lens(intrinsics: Any, words: str) -> None:
    with pytest.raises(CameraError, match=words):
        CameraPath(turning(3), intrinsics=intrinsics)


def test_two_lenses_that_differ_are_refused_and_one_is_replaced() -> None:
    path = CameraPath(turning(2), intrinsics=[0.5, 0.8, 0.5, 0.5])
    for different in (60.0, 91.0):
        with pytest.raises(CameraError, match="both given and differ"):
            replace(path, horizontal_fov=different)
    with pytest.raises(CameraError, match="both given and differ"):
        CameraPath(turning(6), horizontal_fov=90.0, intrinsics=zoom().intrinsics)
    other = path.with_fov(60.0)
    assert (other.horizontal_fov, other.intrinsics) == (60.0, None)
    assert path.with_fov(None).has_lens is False
    assert zoom().with_fov(60.0).with_intrinsics(zoom().intrinsics).lens == zoom().lens


# --- carried along ----------------------------------------------------------------------------------------------


def test_a_zoom_goes_through_slices_rates_and_joints() -> None:
    path = zoom()
    assert path.intrinsics is not None
    np.testing.assert_array_equal(path[2:5].intrinsics, path.intrinsics[2:5])
    np.testing.assert_array_equal(path.subsample(2).intrinsics, path.intrinsics[::2])
    np.testing.assert_array_equal(path.relative_to(path[3]).intrinsics, path.intrinsics)
    np.testing.assert_array_equal(path.right_handed().intrinsics, path.intrinsics)
    joint = path[:2].concatenate(path[2:])
    np.testing.assert_array_equal(joint.intrinsics, path.intrinsics)
    np.testing.assert_array_equal(joint.c2w, path.c2w)
    # a piece of one lens says its field of view, the whole does not
    assert path[:1].horizontal_fov == pytest.approx(90.0)
    still = path[:1].concatenate(path[:1])
    assert still.horizontal_fov == pytest.approx(90.0)
    with pytest.raises(CameraError, match="cannot join camera paths of horizontal_fov"):
        path.concatenate(CameraPath(path.c2w, horizontal_fov=60.0))
    half = path[:1].with_fov(path[:1].horizontal_fov)
    with pytest.raises(CameraError, match="intrinsics_for"):
        half.concatenate(path[:1])
    with pytest.raises(CameraError, match=r"expected \[3,4\]"):
        replace(path, c2w=path.c2w[:3])  # nothing stale is kept


def test_words_go_on_with_the_last_lens() -> None:
    path = CameraPath.from_string("right-2", start=zoom())
    assert path.intrinsics is not None
    np.testing.assert_array_equal(path.intrinsics, np.tile(zoom().intrinsics[-1], (len(path), 1)))
    assert CameraPath.from_string("right-2", start=zoom(), horizontal_fov=40.0).intrinsics is None


# --- files ------------------------------------------------------------------------------------------------------


def sample(context: CameraPath, target: CameraPath) -> Clip:
    videos = [np.zeros((len(path), 16, 16, 3), np.uint8) for path in (context, target)]
    return Clip("a", "b", context, target, *videos, fps=15.0)


@pytest.mark.parametrize("case", ["zoom", "constant", "angle", "unknown"])
def test_files_keep_the_lens(case: str, tmp_path: Path) -> None:
    constant = CameraPath(turning(6), intrinsics=[0.7, 0.9, 0.5, 0.4])
    angle = CameraPath(turning(6), horizontal_fov=70.0)
    context, target = {
        "zoom": (constant, zoom()), "constant": (constant, constant), "angle": (angle, angle),
        "unknown": (angle.with_fov(None),) * 2,
    }[case]  # fmt: skip
    place = write_clip(sample(context, target), tmp_path)
    clip = read_clip(place)
    for found, path in ((clip.context_cameras, context), (clip.target_cameras, target)):
        assert (found.horizontal_fov, found.intrinsics is None) == (path.horizontal_fov, path.intrinsics is None)
        if path.intrinsics is not None:
            np.testing.assert_array_equal(found.intrinsics, path.intrinsics)
        np.testing.assert_allclose(found.c2w, path.c2w, atol=1e-12)
    content = json.loads((place / "camera.json").read_text())
    # what the release reads stays where it looks for it
    assert list(content["cond_cam"]) == list(content["tgt_cam"]) == [str(i) for i in range(6)]
    assert ("intrinsics" in content) == (case in ("zoom", "constant"))
    if case == "constant":
        assert content["intrinsics"]["cond_cam"] == [0.7, 0.9, 0.5, 0.4]  # one row for all


def test_different_angles_alone_cannot_be_written(tmp_path: Path) -> None:
    paths = [CameraPath(turning(2), horizontal_fov=fov) for fov in (60.0, 70.0)]
    with pytest.raises(LayoutError, match=r"60 degrees and 70 degrees.*with_intrinsics"):
        write_clip(sample(*paths), tmp_path)
    with_size = [path.with_intrinsics(path.intrinsics_for(16, 16)) for path in paths]
    clip = read_clip(write_clip(sample(*with_size), tmp_path))
    assert clip.context_cameras.horizontal_fov == pytest.approx(60.0)
    assert clip.target_cameras.horizontal_fov == pytest.approx(70.0)


@pytest.mark.parametrize(
    ("lens", "words"),
    [
        ({"intrinsics": [1, 1, 0.5, 0.5]}, "expected an object with cond_cam and tgt_cam"),
        ({"intrinsics": {"cond_cam": [1, 1, 0.5, 0.5]}}, "expected an object with cond_cam and tgt_cam"),
        ({"intrinsics": {"cond_cam": [1, 1, 0.5], "tgt_cam": [1, 1, 0.5, 0.5]}}, "cond_cam: expected four numbers"),
        ({"intrinsics": {"cond_cam": "wide", "tgt_cam": [1, 1, 0.5, 0.5]}}, "cond_cam: expected four numbers"),
        ({"intrinsics": {"cond_cam": [1, 1, 0.5, 0.5], "tgt_cam": [[1, 1, 0.5, 0.5]] * 2}}, r"expected \[1,4\]"),
        ({"intrinsics": {"cond_cam": [1, -1, 0.5, 0.5], "tgt_cam": [1, 1, 0.5, 0.5]}}, "fx and fy above 0"),
        (
            {"intrinsics": {"cond_cam": [0.5, 1, 0.5, 0.5], "tgt_cam": [0.5, 1, 0.5, 0.5]}, "horizontal_fov": 60},
            "both given and differ",
        ),
    ],
)
def test_malformed_lenses_in_files(lens: dict[str, Any], words: str, tmp_path: Path) -> None:
    pose = {"0": np.eye(4).tolist()}
    file = tmp_path / "cam.json"
    file.write_text(json.dumps({"cond_cam": pose, "tgt_cam": pose, **lens}))
    with pytest.raises(CameraError, match=words) as caught:
        load_camera_file(file)
    assert re.search(str(file), str(caught.value))


# --- geometry ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_rays_land_in_their_pixels(kind: str) -> None:
    lens: Any = np.array([[0.7, 1.1, 0.4, 0.55], [0.5, 0.5, 0.5, 0.5]])
    lens = torch.from_numpy(lens) if kind == "torch" else lens
    found = rays(lens, 4, 6)
    assert found.shape == (2, 4, 6, 3)
    assert found.dtype == lens.dtype
    place, depth = project(found * 3.0, lens[:, None, None])
    y, x = np.meshgrid((np.arange(4) + 0.5) / 4, (np.arange(6) + 0.5) / 6, indexing="ij")
    np.testing.assert_allclose(np.asarray(place), np.stack([np.stack([x, y], -1)] * 2), atol=1e-12)
    np.testing.assert_allclose(np.asarray(depth), 3.0)
    # by hand: pixel (row 0, column 0) of the second lens
    np.testing.assert_allclose(np.asarray(found[1, 0, 0]), [(1 / 12 - 0.5) / 0.5, (1 / 8 - 0.5) / 0.5, 1])
    np.testing.assert_allclose(np.asarray(fov_from_intrinsics(lens))[1], 90.0)
    left, right = edge_slopes(lens)
    np.testing.assert_allclose([float(left[0]), float(right[0])], [-0.4 / 0.7, 0.6 / 0.7])


# --- view overlap -----------------------------------------------------------------------------------------------


def test_overlap_of_a_zoom_is_that_of_each_frames_lens() -> None:
    angles = [50.0, 60.0, 80.0]
    lens = np.stack([CameraPath(turning(1), horizontal_fov=a).intrinsics_for(9, 16)[0] for a in angles])
    bank = CameraPath(turning(3, 15.0), intrinsics=lens)
    query = CameraPath(turning(1), horizontal_fov=60.0)
    found = view_overlap(query, bank)
    alone = [view_overlap(query, CameraPath(bank.c2w[i : i + 1], horizontal_fov=a)) for i, a in enumerate(angles)]
    torch.testing.assert_close(found, torch.cat(alone, dim=1), rtol=0, atol=1e-6)
    assert found[0, 1].item() == pytest.approx(0.75)
    back = view_overlap(bank, query)
    alone = [view_overlap(CameraPath(bank.c2w[i : i + 1], horizontal_fov=a), query) for i, a in enumerate(angles)]
    torch.testing.assert_close(back, torch.cat(alone, dim=0), rtol=0, atol=1e-6)


def test_overlap_knows_on_which_side_an_off_centre_lens_looks() -> None:
    # cx = 0: the picture begins at the axis, so it shows the right half of what a lens of cx = 0.5, fx halved shows
    whole = CameraPath(turning(1), horizontal_fov=90.0)
    right = CameraPath(turning(1), intrinsics=[1.0, 1.0, 0.0, 0.5])
    assert view_overlap(right, whole).item() == 1.0
    assert view_overlap(whole, right).item() == pytest.approx(0.5)
    # turned by its own width to the right or to the left it shares nothing, or the other half
    turned_left = CameraPath(turning(1, 0.0), intrinsics=[1.0, 1.0, 0.0, 0.5])
    c2w = turning(2, -45.0)[1:]
    assert view_overlap(turned_left, CameraPath(c2w, intrinsics=right.intrinsics)).item() == 0.0
    assert view_overlap(whole, CameraPath(c2w, intrinsics=right.intrinsics)).item() == pytest.approx(0.5)


def test_overlap_takes_one_kind_of_lens() -> None:
    path = CameraPath(turning(3, 10.0), horizontal_fov=60.0)
    vectors, _ = relative_pose_vectors(path, path, stride=1)
    lens = torch.from_numpy(path.intrinsics_for(9, 16)).float()
    same = pose_view_overlap(vectors[None], vectors[None], intrinsics=lens[None], bank_intrinsics=lens[None])
    torch.testing.assert_close(same, pose_view_overlap(vectors[None], vectors[None], 60.0), rtol=0, atol=0.01)
    for given in ({}, {"intrinsics": lens}, {"horizontal_fov": 60.0, "intrinsics": lens, "bank_intrinsics": lens}):
        with pytest.raises(CameraError, match="either"):
            pose_view_overlap(vectors, vectors, **given)
    with pytest.raises(CameraError, match=r"expected \[..., 3, 4\]"):
        pose_view_overlap(vectors, vectors, intrinsics=lens[:2], bank_intrinsics=lens)
