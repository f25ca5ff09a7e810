"""What the context showed where target tokens look: exact cases, against a plain loop, and in the model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models import CACHEABLE, lens, narrow_model
from outofsight.errors import GeometryError, MemoryOptionError
from outofsight.memory.layout import FrameLayout, make_layout
from outofsight.models.conditioners import square_intrinsics
from outofsight.models.conditioners.reprojection import EDGE_WEIGHT, reproject_context, reprojection_channels


def poses(yaws: list[float], x: list[float] | None = None) -> Tensor:
    """[1, f, 12] cameras that look ``yaws`` degrees to the right from ``x`` metres to the right."""
    rows = []
    for yaw, place in zip(yaws, x or [0.0] * len(yaws), strict=True):
        c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
        rows.append([c, 0.0, s, place, 0.0, 1.0, 0.0, 0.0, -s, 0.0, c, 0.0])
    return torch.tensor(rows)[None]


def layout(context: Tensor, target: Tensor, fov: float = 60.0, size: tuple[int, int] = (6, 10)) -> FrameLayout:
    frames = context.shape[1] + target.shape[1]
    return make_layout((1, 1), context, target, torch.zeros(1, frames), square_intrinsics(fov, 1, frames, size))


def test_a_camera_that_looks_the_same_way_reads_the_frame_itself() -> None:
    context = torch.randn(1, 4, 2, 6, 10, generator=torch.Generator().manual_seed(0))
    read = reproject_context(context, layout(poses([0.0, 180.0]), poses([0.0])), (0.0,))
    assert read.shape == (1, reprojection_channels(4, 1), 1, 6, 10)
    mean, latest, differ, share, age = read[0, :, 0].split([4, 4, 1, 1, 1])
    torch.testing.assert_close(mean, context[0, :, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(latest, context[0, :, 0], atol=1e-4, rtol=1e-4)
    assert differ.abs().max() < 1e-3
    assert (share == 0.5).all() and (age == 0.5).all()  # the second of the two looks away


def test_nothing_is_read_where_no_frame_has_looked() -> None:
    read = reproject_context(torch.ones(1, 4, 3, 6, 10), layout(poses([90.0] * 3), poses([0.0])), (0.0,))
    assert (read[:, :10] == 0).all() and (read[:, 10] == 1).all()  # age: none


def test_against_a_plain_loop_over_cells() -> None:
    generator = torch.Generator().manual_seed(1)
    context = torch.randn(1, 2, 3, 5, 7, generator=generator)
    cameras, target = poses([-20.0, 5.0, 14.0], [0.3, -0.2, 1.0]), poses([0.0, 9.0], [0.0, 0.5])
    for disparity in (0.0, 0.2):
        read = reproject_context(context, layout(cameras, target, 70.0, (5, 7)), (disparity,))
        for frame in range(2):
            for row in range(5):
                for column in range(7):
                    wanted = _plain(context[0], cameras[0], target[0, frame], row, column, disparity, 70.0)
                    torch.testing.assert_close(read[0, :, frame, row, column], wanted, atol=2e-4, rtol=1e-3)


def _plain(
    context: Tensor, cameras: Tensor, target: Tensor, row: int, column: int, disparity: float, fov: float
) -> Tensor:
    channels, frames, rows, columns = context.shape
    focal = columns / 2 / math.tan(math.radians(fov) / 2)
    ray = torch.tensor([(column + 0.5 - columns / 2) / focal, (row + 0.5 - rows / 2) / focal, 1.0])
    pose = target.view(3, 4)
    point = pose[:, :3] @ (ray / ray.norm()) + disparity * pose[:, 3]  # times the distance
    values, weights, latest, last = [], [], torch.zeros(channels), 0
    for index, camera in enumerate(cameras):
        matrix = camera.view(3, 4)
        x, y, z = matrix[:, :3].T @ (point - disparity * matrix[:, 3])
        u, v = x / z * focal + columns / 2 - 0.5, y / z * focal + rows / 2 - 0.5  # in cells, centres at whole numbers
        across, down = (u + 0.5) / columns * 2 - 1, (v + 0.5) / rows * 2 - 1
        if z <= 0.05 or max(abs(across), abs(down)) >= 1:
            continue
        left, top = math.floor(u), math.floor(v)
        value = torch.zeros(channels)
        for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            share = (1 - abs(u - j)) * (1 - abs(v - i))
            value += share * context[:, index, min(max(i, 0), rows - 1), min(max(j, 0), columns - 1)]
        values.append(value)
        weights.append(1 + EDGE_WEIGHT - max(abs(across), abs(down)))
        latest, last = value, index + 1
    mean = sum((v * w for v, w in zip(values, weights, strict=True)), torch.zeros(channels))
    mean = mean / sum(weights) if weights else mean
    spread = sum(w * float((v - mean).square().mean()) for v, w in zip(values, weights, strict=True))
    differ = math.sqrt(spread / sum(weights)) if weights else 0.0
    return torch.cat([mean, latest, torch.tensor([differ, len(values) / frames, 1 - last / frames])])


def test_near_things_move_against_far_ones() -> None:
    """A camera 1 m to the right sees what is 5 m away a fifth of a unit to the left."""
    context = torch.arange(40.0).expand(1, 1, 1, 8, 40)
    both = layout(poses([0.0], [1.0]), poses([0.0]), 90.0, (8, 40))
    far, near = (reproject_context(context, both, (d,))[0, 0, 0, 4, 20] for d in (0.0, 0.2))
    assert near - far == pytest.approx(-20 * 0.2, abs=0.1)


def model() -> torch.nn.Module:
    memory = {"memory": "hydra", "memory_options": {"kernel": (1, 1, 1), "top_k": 2, "window": 3}}
    return narrow_model(**CACHEABLE, **memory, conditioners=("pose", "rays", "reprojection"))


def test_the_model_is_told_and_the_cached_context_tells_the_same() -> None:
    net = model()
    generator = torch.Generator().manual_seed(4)
    channels = net.config.in_channels
    latents = torch.randn(2, channels, 6, 4, 6, generator=generator)
    context, target = poses([0.0, 10.0, 20.0, 30.0]).expand(2, -1, -1), poses([0.0, 10.0]).expand(2, -1, -1)
    text, level = torch.randn(2, 3, net.config.text_dim, generator=generator), torch.tensor([900.0, 400.0])

    conditions = lens(60.0, 2, 6, (4, 6))

    def velocity() -> Tensor:
        with torch.no_grad():
            return net(latents, level, text, context, target, conditions=conditions, target_only=True).sample

    whole = velocity()
    cache = net.encode_context(latents[:, :, :4], context, target, conditions=conditions)
    with torch.no_grad():
        cached = net(latents[:, :, 4:], level, text, context, target, conditions=conditions, context_cache=cache).sample
    torch.testing.assert_close(cached, whole, atol=1e-5, rtol=1e-4)
    net.conditioning["reprojection"].conv.weight.data.zero_()
    assert (velocity() - whole).abs().max() > 1e-3


def test_refused() -> None:
    with pytest.raises(MemoryOptionError, match=r"disparities are \(\)"):
        narrow_model(conditioners={"reprojection": {"disparities": ()}})
    blind = make_layout((1, 1), poses([0.0]), poses([0.0]), torch.zeros(1, 2))
    with pytest.raises(GeometryError, match="field of view"):
        reproject_context(torch.zeros(1, 1, 1, 2, 2), blind, (0.0,))
