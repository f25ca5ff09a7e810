"""Rotary positions from where tokens look: what they are, and what attention makes of them."""

from __future__ import annotations

import math

import pytest
import torch

from models import CACHEABLE, lens, narrow_inputs, narrow_model
from outofsight.errors import GeometryError, MemoryOptionError
from outofsight.memory import make_layout
from outofsight.memory.rotary import apply_rotary, point_rotary
from outofsight.models.conditioners import anchors as anchors_module
from outofsight.models.conditioners import square_intrinsics
from outofsight.models.conditioners.anchors import anchor_points


def turned_layout(*degrees: float, places: tuple[tuple[float, float, float], ...] | None = None, fov: float = 60.0):
    """Cameras on a level head, turned to the right by so many degrees; one row of four tokens."""
    poses = torch.zeros(1, len(degrees), 3, 4)
    for i, angle in enumerate(map(math.radians, degrees)):
        poses[0, i, :, :3] = torch.tensor(
            [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
        )
        poses[0, i, :, 3] = torch.tensor((places or [(0.0, 0.0, 0.0)] * len(degrees))[i])
    poses = poses.flatten(2)
    return make_layout(
        (1, 4),
        poses[:, :-1],
        poses[:, -1:],
        torch.zeros(1, len(degrees)),
        square_intrinsics(fov, 1, len(degrees), (1, 4)),
    )


def test_a_point_s_rotary_depends_on_differences_alone() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 1, 2, 24)
    here, there, moved = torch.randn(3, 1, 1, 2, 3).unbind()
    products = [
        (apply_rotary(x, point_rotary(a, 24)) * apply_rotary(x, point_rotary(b, 24))).sum()
        for a, b in ((here, there), (here + moved, there + moved), (here, here))
    ]
    torch.testing.assert_close(products[0], products[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(products[2], (x * x).sum())
    assert products[0] < products[2]


def test_equal_tokens_attend_to_what_lies_in_the_same_direction() -> None:
    # the last camera is turned by 30 degrees: its left half shows what the right half of the others shows
    layout = turned_layout(0.0, 0.0, 30.0)
    points = anchor_points(layout, range(3), (0.0,)).flatten(1, 2)
    x = apply_rotary(torch.ones(1, 12, 1, 24), point_rotary(points, 24))[0, :, 0]
    nearest = (x[8:] @ x[:8].T).argmax(dim=1) % 4
    assert nearest.tolist()[:2] == [2, 3]
    angles = torch.rad2deg(torch.atan2(points[0, :, 0, 0], points[0, :, 0, 2]))
    torch.testing.assert_close(angles[8:] - angles[:4], torch.full((4,), 30.0), rtol=0, atol=1e-3)


def test_anchors_at_a_distance_meet_where_rays_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    # both cameras see the point 5 m ahead of the first in the middle of their picture
    turn = math.degrees(math.atan2(1.0, 5.0))
    layout = turned_layout(0.0, -turn, places=((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)))
    axes = layout.poses.unflatten(-1, (3, 4))[..., 2][:, :, None]  # the rays along the optical axes
    distance = math.hypot(1.0, 5.0)
    monkeypatch.setattr(anchors_module, "ray_directions", lambda *_: axes)
    near = anchor_points(layout, range(2), (1 / 5, 1 / distance, 0.0))
    torch.testing.assert_close(near[0, 0, 0, 0] * 5, torch.tensor([0.0, 0.0, 5.0]))
    torch.testing.assert_close(near[0, 1, 0, 1] * distance, torch.tensor([0.0, 0.0, 5.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(near[..., 2, :], axes)


def test_a_model_with_anchors_depends_on_the_lens_and_needs_it() -> None:
    model = narrow_model(**CACHEABLE, memory="hydra", conditioners=("pose", "anchors"))
    inputs = {name: value for name, value in narrow_inputs(3, 2, (2, 3)).items() if name != "conditions"}
    narrow, wide = (model(**inputs, conditions=lens(fov, 1, 5, (4, 6))).sample for fov in (40.0, 80.0))
    assert not torch.allclose(narrow, wide, atol=1e-4)
    with pytest.raises(GeometryError, match="horizontal field of view"):
        model(**inputs)


@pytest.mark.parametrize(
    "options",
    [
        {"num_attention_heads": 1, "attention_head_dim": 24},
        {"conditioners": {"anchors": {"disparities": ()}}},
        {"conditioners": {"anchors": {"disparities": (0.0, -1.0)}}},
        {"conditioners": {"anchors": {"planes": 3}}},
        {"conditioners": ("no such conditioner",)},
        {"conditioners": ("os:path",)},
    ],
)
def test_impossible_anchors_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(MemoryOptionError):
        narrow_model(**{"conditioners": ("pose", "anchors"), **options})
