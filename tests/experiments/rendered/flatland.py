"""A small world whose pictures are known exactly: a patterned wall, and somebody who walks before it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from outofsight.experiments.rendered.sighting import Sighting
from outofsight.experiments.rendered.sweep import tangents
from outofsight.experiments.rendered.tracks import project

HEIGHT, WIDTH, FOV, WALL = 48, 80, 70.0, 4.0
RED = torch.tensor([1.0, 0.0, 0.0])


def camera(x: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    """c2w at height 0, ``x`` metres to the right, turned by ``yaw`` radians to the right."""
    c2w = np.eye(4)
    c2w[:3, 0], c2w[:3, 2] = [np.cos(yaw), 0, -np.sin(yaw)], [np.sin(yaw), 0, np.cos(yaw)]
    c2w[0, 3] = x
    return c2w


def wall(cameras: np.ndarray) -> Tensor:
    """``[n, 3, h, w]``: a wall across the world's third axis, ``WALL`` metres away, never red."""
    rays = tangents(HEIGHT, WIDTH, FOV).double()
    rays = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    shown = []
    for c2w in torch.from_numpy(cameras):
        world = rays @ c2w[:3, :3].T
        x, y = ((c2w[:3, 3] + world * ((WALL - c2w[2, 3]) / world[..., 2:]))[..., i] for i in (0, 1))
        green, blue = 0.5 + 0.4 * torch.sin(3 * x + y), 0.5 + 0.4 * torch.cos(2 * x - 3 * y)
        shown.append(torch.stack([torch.zeros_like(green), green, blue]))
    return torch.stack(shown).float()


def walker(cameras: np.ndarray, positions: np.ndarray, tall: float = 1.0) -> tuple[Tensor, Sighting]:
    """The wall with a red block standing at each frame's position, and what a perfect finder says."""
    pictures, half = wall(cameras), float(np.tan(np.deg2rad(FOV) / 2))
    subject = torch.full((len(cameras), HEIGHT, WIDTH), -9.0)
    foot, depth = torch.zeros(len(cameras), 2, HEIGHT, WIDTH), torch.ones(len(cameras), HEIGHT, WIDTH)
    for i, (c2w, at) in enumerate(zip(cameras, positions, strict=True)):
        (x, y), away = project(c2w, at, (HEIGHT, WIDTH), half)
        size = tall / away / half * WIDTH / 2
        if away < 0.3:
            continue
        rows, columns = torch.arange(HEIGHT)[:, None] + 0.5, torch.arange(WIDTH)[None] + 0.5
        inside = (rows < y) & (rows > y - size) & ((columns - x).abs() < size / 4)
        pictures[i][:, inside] = RED[:, None]
        subject[i][inside] = 9.0
        foot[i][:, inside] = torch.tensor([[x], [y]], dtype=torch.float32)
        depth[i][inside] = away
    return pictures, Sighting(subject, foot, depth)
