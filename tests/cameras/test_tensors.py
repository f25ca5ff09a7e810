"""Cameras as tensors: anchors, lenses, and a batch of them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from outofsight.cameras import CameraPath, Cameras, relative_pose_vectors
from outofsight.errors import CameraError


def path(frames: int, seed: int, **lens: object) -> CameraPath:
    c2w = np.tile(np.eye(4), (frames, 1, 1))
    c2w[:, :3, :3] = Rotation.random(frames, random_state=seed).as_matrix()
    c2w[:, :3, 3] = np.random.default_rng(seed).normal(size=(frames, 3)) * 50 + 200
    return CameraPath(c2w, **lens)  # type: ignore[arg-type]


def test_first_target_is_what_the_release_computes() -> None:
    context, target = path(9, 0, horizontal_fov=70.0), path(5, 1, horizontal_fov=70.0)
    made = Cameras.of(context, target, stride=4, size=(96, 160))
    for cameras, vectors in zip(made, relative_pose_vectors(context, target, 4), strict=True):
        assert torch.equal(cameras.poses[0], vectors)
    assert [len(cameras) for cameras in made] == [3, 2]
    assert made[0].intrinsics is not None
    assert made[0].intrinsics.shape == (1, 3, 4)
    assert made[0].intrinsics[0, 1].tolist() == pytest.approx([0.714074, 0.714074 * 160 / 96, 0.5, 0.5], abs=1e-6)
    fov = made[1].horizontal_fov
    assert fov is not None
    assert fov.shape == (1, 2)
    torch.testing.assert_close(fov, torch.full((1, 2), 70.0))


def test_session_is_relative_to_the_first_context_camera() -> None:
    context, target = path(9, 0, horizontal_fov=70.0), path(5, 1, horizontal_fov=70.0)
    first, second = Cameras.of(context, target, stride=4, size=(96, 160), anchor="session")
    torch.testing.assert_close(first.poses[0, 0], torch.eye(4)[:3].reshape(12), rtol=0, atol=1e-7)
    exact = np.linalg.inv(context[0]) @ target[4]
    torch.testing.assert_close(second.poses[0, 1].double(), torch.from_numpy(exact[:3].reshape(12)), rtol=0, atol=1e-5)
    # what comes later does not move what is known: the anchor of a longer session is the same
    again, _ = Cameras.of(context, path(13, 7, horizontal_fov=70.0), stride=4, size=(96, 160), anchor="session")
    assert torch.equal(again.poses, first.poses)
    with pytest.raises(CameraError, match="first_target, session"):
        Cameras.of(context, target, stride=4, size=(96, 160), anchor="world")


def test_lenses_zoom_and_are_shared_only_where_they_are_one() -> None:
    zoom = path(9, 0, intrinsics=np.stack([np.array([f, f, 0.5, 0.5]) for f in np.linspace(0.5, 1, 9)]))
    blind = path(5, 1)
    made, _ = Cameras.of(zoom, path(5, 1, horizontal_fov=60.0), stride=4, size=(96, 96))
    assert made.horizontal_fov is not None
    torch.testing.assert_close(made.horizontal_fov[0, 0], torch.tensor(90.0))
    torch.testing.assert_close(made.horizontal_fov[0, 2], torch.tensor(53.130102))
    with pytest.raises(CameraError, match=r"53.1301 to 90 degrees.*give both"):
        Cameras.of(zoom, blind, stride=4, size=(96, 96))
    for known in ({"horizontal_fov": 60.0}, {"intrinsics": [0.8, 0.9, 0.4, 0.5]}):
        first, second = Cameras.of(path(9, 0, **known), blind, stride=4, size=(96, 96))
        assert first.intrinsics is not None
        assert second.intrinsics is not None
        assert torch.equal(first.intrinsics[:, :2], second.intrinsics)
    assert Cameras.of(path(9, 0), blind, stride=4, size=(96, 96))[0].horizontal_fov is None


def test_batches_are_cut_joined_and_moved() -> None:
    poses, lens = torch.arange(72.0).view(2, 3, 12), torch.arange(24.0).view(2, 3, 4) + 1
    cameras = Cameras(poses, lens)
    head, tail = cameras.frames(slice(0, 1)), cameras.frames(slice(1, None))
    joint = Cameras.cat([head, tail])
    assert torch.equal(joint.poses, poses)
    assert joint.intrinsics is not None
    assert torch.equal(joint.intrinsics, lens)
    picked = cameras.frames(torch.tensor([2, 0]))
    assert torch.equal(picked.poses, poses[:, [2, 0]])
    assert len(Cameras.cat([cameras, cameras], dim=0).poses) == 4
    one = Cameras(poses[:1], lens[:1]).expand(5)
    assert one.poses.shape == (5, 3, 12)
    assert one.intrinsics is not None
    assert torch.equal(one.intrinsics[4], lens[0])
    moved = cameras.to("cpu", torch.float64)
    assert moved.poses.dtype == torch.float64
    assert moved.intrinsics is not None
    assert moved.intrinsics.dtype == torch.float64
    with pytest.raises(CameraError, match="some have intrinsics"):
        Cameras.cat([head, Cameras(poses[:, 1:])])
    for wrong in ((poses[0], None), (poses, lens[:, :2]), (poses[..., :9], None)):
        with pytest.raises(CameraError, match=r"expected \[b, f, 12\]"):
            Cameras(*wrong)


def test_camera_paths_do_not_load_torch() -> None:
    code = "import sys; from outofsight.cameras import CameraPath; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
