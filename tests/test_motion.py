"""Where subjects went: known ways, and against a plain loop. In the model: test_painter.py."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models import narrow_model
from outofsight.errors import GeometryError, MemoryOptionError
from outofsight.memory.layout import FrameLayout, make_layout
from outofsight.models.motion import ground_velocities, motion_channels, sweep_motions

DISTANCES = (2.0, 5.0)


def poses(yaws: list[float], x: list[float]) -> Tensor:
    """[1, f, 12] cameras that look ``yaws`` degrees to the right from ``x`` metres to the right."""
    rows = []
    for yaw, place in zip(yaws, x, strict=True):
        c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
        rows.append([c, 0.0, s, place, 0.0, 1.0, 0.0, 0.0, -s, 0.0, c, 0.0])
    return torch.tensor(rows)[None]


def layout(context: Tensor, target: Tensor, fov: float) -> FrameLayout:
    frames = context.shape[1] + target.shape[1]
    return make_layout((1, 1), context, target, torch.zeros(1, frames), fov)


def test_velocities_stand_or_go_each_way_over_the_ground() -> None:
    found = ground_velocities((0.5, 2.0), 4)
    assert found.shape == (9, 3) and (found[0] == 0).all() and (found[:, 1] == 0).all()
    torch.testing.assert_close(found[1:5].norm(dim=1), torch.full((4,), 0.5))
    torch.testing.assert_close(found[6], torch.tensor([0.0, 0.0, 2.0]), atol=1e-6, rtol=0)


def test_someone_who_walked_on_is_found_where_the_way_leads() -> None:
    """Four cells a metre at 5 m; a walker crosses at half a metre a frame; the camera looks away from the last two."""
    rows, columns, fov = 8, 40, 2 * math.degrees(math.atan(1.0))
    presence, context = torch.zeros(1, 5, rows, columns), torch.zeros(1, 3, 5, rows, columns)
    for frame in range(3):
        presence[0, frame, 3:6, 8 + 2 * frame : 10 + 2 * frame] = 1.0
        context[0, :, frame, 3:6, 8 + 2 * frame : 10 + 2 * frame] = torch.tensor([1.0, -2.0, 3.0])[:, None, None]
    cameras = poses([0.0] * 3 + [60.0] * 2, [0.0] * 5)
    read = sweep_motions(
        context, presence, layout(cameras, poses([0.0], [0.0]), fov), (5.0,), ground_velocities((0.5,), 4)
    )
    votes, shown, amount = read[0, :, 0].split([5, 3, 1])
    votes, amount = votes / 5, amount / 5
    # frames 3 and 4 look away, so five frames after the first the walker is ten cells further on
    assert votes[1, 4, 18] > 0.9 and votes[1, 4, 19] > 0.9  # the first direction is to the right
    assert int(votes.amax(dim=0).argmax()) // columns in (3, 4, 5) and votes[1].argmax() % columns in (18, 19)
    assert votes[0, 4, 18] < 0.1 and votes[3, 4, 18] < 0.1  # not who stands, nor who goes to the left
    torch.testing.assert_close(shown[:, 4, 18], torch.tensor([1.0, -2.0, 3.0]), atol=0.1, rtol=0)
    assert amount[0, 4, 18] == pytest.approx(3 / 5, abs=0.02)
    assert shown[:, 4, 30].abs().max() < 0.1 and amount[0, 4, 30] < 0.02


def test_against_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    presence = torch.rand(1, 3, 4, 5, generator=generator)
    context = torch.randn(1, 2, 3, 4, 5, generator=generator)
    velocities = ground_velocities((0.3,), 3)
    cameras, target = poses([-20.0, 5.0, 14.0], [0.3, -0.2, 1.0]), poses([0.0, 9.0], [0.0, 0.5])
    read = sweep_motions(context, presence, layout(cameras, target, 70.0), DISTANCES, velocities)
    assert read.shape == (1, motion_channels(2, 2, 4), 2, 4, 5)
    for frame in range(2):
        for row in range(4):
            for column in range(5):
                ways = [
                    _plain(context[0], presence[0], cameras[0], target[0, frame], frame, row, column, *way)
                    for way in ((d, v) for d in DISTANCES for v in velocities)
                ]
                best = max(ways, key=lambda way: way[0])
                wanted = torch.cat([torch.tensor([vote for vote, _, _ in ways]), best[1], torch.tensor([best[2]])])
                torch.testing.assert_close(read[0, :, frame, row, column], wanted, atol=2e-4, rtol=1e-3)


def _plain(
    context: Tensor,
    presence: Tensor,
    cameras: Tensor,
    target: Tensor,
    frame: int,
    row: int,
    column: int,
    distance: float,
    velocity: Tensor,
) -> tuple[float, Tensor, float]:
    """Vote, what is shown and how much of it, along one way from one cell."""
    frames, rows, columns = presence.shape
    focal = columns / 2 / math.tan(math.radians(70.0) / 2)
    pose = target.view(3, 4)
    ray = torch.tensor([(column + 0.5 - columns / 2) / focal, (row + 0.5 - rows / 2) / focal, 1.0])
    here = pose[:, :3] @ (ray * distance) + pose[:, 3]
    inside, found, shown = 0, 0.0, torch.zeros(len(context))
    for index, camera in enumerate(cameras):
        matrix = camera.view(3, 4)
        before = here - velocity * (frames + frame - index)
        x, y, z = (matrix[:, :3].T @ (before - matrix[:, 3])).tolist()
        u, v = x / max(z, 1e-9) * focal + columns / 2 - 0.5, y / max(z, 1e-9) * focal + rows / 2 - 0.5
        if z <= 0.05 or not (-0.5 < u < columns - 0.5 and -0.5 < v < rows - 0.5):
            continue
        left, top = math.floor(u), math.floor(v)
        here_now, what = 0.0, torch.zeros(len(context))
        for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            share = (1 - abs(u - j)) * (1 - abs(v - i))
            i, j = min(max(i, 0), rows - 1), min(max(j, 0), columns - 1)
            here_now += share * float(presence[index, i, j])
            what += share * context[:, index, i, j]
        inside, found, shown = inside + 1, found + here_now, shown + here_now * what
    return 5 * found / (inside + 0.1), shown / (found + 0.05), 5 * found / frames


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"presence": False}, "presence=True is missing"),
        ({"motion_distances": ()}, r"motion_distances \(\)"),
        ({"motion_distances": (0.0, 2.0)}, "all above 0"),
        ({"motion_speeds": (-1.0,)}, "speeds above 0"),
        ({"motion_directions": 0}, "motion_directions 0"),
        ({"painter_width": 0}, "painter_width 0"),
    ],
)
def test_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(MemoryOptionError, match=words):
        narrow_model(**{"camera_inputs": ("pose", "motions"), "presence": True, **options})


def test_no_field_of_view() -> None:
    blind = make_layout((1, 1), poses([0.0], [0.0]), poses([0.0], [0.0]), torch.zeros(1, 2))
    with pytest.raises(GeometryError, match="field of view"):
        sweep_motions(torch.zeros(1, 1, 1, 2, 2), torch.zeros(1, 1, 2, 2), blind, (1.0,), ground_velocities((), 1))
