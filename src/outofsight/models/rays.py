"""Where each token looks, relative to the first target camera: directions, and anchors for rotary positions."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import GeometryError
from ..memory import FrameLayout

BY_VIEW = ("rays", "anchors", "reprojections")  # the transformer's camera_inputs that need the field of view


def ray_directions(layout: FrameLayout, queries: range) -> Tensor:
    """Unit ray through the centre of each token of the query frames, ``[b, f, n, 3]`` in first-target-camera axes.

    Pixels are square and the principal point is the image centre, so the vertical field of view follows from
    the horizontal one and the token grid.

    Raises:
        GeometryError: the cameras have no field of view.
    """
    if layout.horizontal_fov is None:
        raise GeometryError(
            "this model takes ray directions and needs the horizontal field of view: "
            "pass horizontal_fov (degrees) with the cameras"
        )
    rows, columns = layout.grid
    poses = layout.poses[:, queries.start : queries.stop].float()
    device = poses.device
    # tangent units per token: the outer edges of the grid lie at half the field of view
    scale = 2 * torch.tan(torch.deg2rad(layout.horizontal_fov.float()) / 2) / columns
    x = (torch.arange(columns, device=device) + 0.5 - columns / 2)[None, None, :] * scale[:, None, None]
    y = (torch.arange(rows, device=device) + 0.5 - rows / 2)[None, :, None] * scale[:, None, None]
    x, y = torch.broadcast_tensors(x, y)
    local = torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(1, 2)
    local = torch.nn.functional.normalize(local, dim=-1)
    rotation = poses.unflatten(-1, (3, 4))[..., :3]
    with torch.autocast(device.type, enabled=False):  # directions rounded to bfloat16 are off by a quarter of a degree
        return torch.einsum("bfij,bnj->bfni", rotation, local)


def anchor_points(layout: FrameLayout, rays: Tensor, queries: range, disparities: tuple[float, ...]) -> Tensor:
    """Points that stand for what tokens look at, one per disparity: ``[b, f, n, len(disparities), 3]``.

    ``rays [b, f, n, 3]`` of the query frames. A point at distance 1 / disparity along the ray, in units of that
    distance: r + disparity * o for a ray r from a camera at o. With disparity 0 it is the direction alone, the same for
    all cameras at all places; with others, tokens of different cameras meet where their rays cross at that distance.
    """
    poses = layout.poses[:, queries.start : queries.stop].float()
    places = poses.unflatten(-1, (3, 4))[..., 3]
    scales = torch.tensor(disparities, device=rays.device)
    return rays[..., None, :] + scales[:, None] * places[:, :, None, None, :]
