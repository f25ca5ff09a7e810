"""How much of what one camera sees another sees too: the horizontal overlap of their fields of view.

Context-as-Memory (SIGGRAPH Asia 2025) retrieves frames by crossing the four bounding rays of two cameras in
the ground plane and rejects crossings that are too near or too far. That answers yes or no. Ours keeps the
intent and is a measure: the share of the query's view sector, between two distances, that lies in the other
camera's sector. It is taken on a fixed polar grid whose points stand for equal areas, so it is deterministic,
needs no case analysis, and is 1 for a camera with itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CameraError
from .geometry import edge_slopes
from .poses import check_one_world, right_handed

if TYPE_CHECKING:
    import torch

    from .path import CameraPath

NEAR, FAR = 0.5, 20.0  # metres: what is nearer or farther hardly helps to draw a frame; our choice
_RINGS, _BEARINGS = 16, 32  # even, so that no point lies on another camera's edge after a turn by half a view


def pose_view_overlap(
    query: torch.Tensor,
    bank: torch.Tensor,
    horizontal_fov: float | torch.Tensor | None = None,
    *,
    near: float = NEAR,
    far: float = FAR,
    bank_fov: float | torch.Tensor | None = None,
    intrinsics: torch.Tensor | None = None,
    bank_intrinsics: torch.Tensor | None = None,
) -> torch.Tensor:
    """Share of each query camera's view sector that each bank camera sees too.

    query [..., Fq, 12] and bank [..., Fb, 12]: pose vectors (3x4 camera-to-world, row-major, OpenCV axes) in
    one right-handed world whose y axis is vertical, as `relative_pose_vectors` gives where the first target
    camera is level. The lens is given in one way: horizontal_fov in degrees, a number or [...] per batch entry, and
    bank_fov likewise (None: the same lens); or intrinsics [..., Fq, 4] and bank_intrinsics [..., Fb, 4] as
    `CameraPath.intrinsics_for` gives them, which may change over time and lie off centre. Returns [..., Fq, Fb] in
    [0, 1]. Raises CameraError for wrong shapes, angles or distances.
    """
    import torch

    if query.shape[-1:] != (12,) or bank.shape[-1:] != (12,) or query.ndim < 2 or bank.ndim < 2:
        raise CameraError(
            f"expected pose vectors [..., F, 12], got {list(query.shape)} and {list(bank.shape)}; "
            "relative_pose_vectors makes them"
        )
    if not 0 <= near < far:
        raise CameraError(f"near {near:g} and far {far:g} m: expected 0 <= near < far")
    dtype = torch.promote_types(query.dtype, torch.float32)
    query, bank = query.to(dtype), bank.to(device=query.device, dtype=dtype)
    place, facing = _ground_view(bank)
    position, heading = _ground_view(query)
    if horizontal_fov is not None and intrinsics is None and bank_intrinsics is None:
        half = _half_angle(horizontal_fov, query)
        bank_half = half if bank_fov is None else _half_angle(bank_fov, query)
    elif horizontal_fov is None and bank_fov is None and intrinsics is not None and bank_intrinsics is not None:
        heading, half = _lens_sector(heading, intrinsics)
        facing, bank_half = _lens_sector(facing, bank_intrinsics)
    else:
        raise CameraError("expected either horizontal_fov (and bank_fov), or intrinsics and bank_intrinsics")

    points = position.unsqueeze(-2) + _sector(heading, half, near, far)  # [..., Fq, P, 2]
    offset = points.unsqueeze(-3) - place[..., None, :, None, :]  # [..., Fq, Fb, P, 2]
    distance = offset.norm(dim=-1)
    ahead = (offset * facing[..., None, :, None, :]).sum(dim=-1)
    seen = (distance >= near) & (distance <= far) & (ahead >= distance * bank_half.cos()[..., None, :, None])
    return seen.to(dtype).mean(dim=-1)


def _half_angle(fov: float | torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Degrees, a number or [...] -> half the angle in radians [..., 1], for all frames."""
    import torch

    angle = torch.as_tensor(fov, dtype=like.dtype, device=like.device)
    if not bool(((angle > 0) & (angle < 180)).all()):
        raise CameraError(f"horizontal field of view {fov}: expected degrees between 0 and 180")
    return torch.deg2rad(angle / 2).unsqueeze(-1)


def _lens_sector(heading: torch.Tensor, intrinsics: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The middle [..., F, 2] of the view sectors of cameras with this heading, and half their angles [..., F]."""
    import torch

    if intrinsics.shape[-2:] != (heading.shape[-2], 4) or not bool((intrinsics[..., 0] > 0).all()):
        raise CameraError(
            f"intrinsics {list(intrinsics.shape)}: expected [..., {heading.shape[-2]}, 4] of fx, fy, cx, cy, fx above 0"
        )
    left, right = (slope.atan() for slope in edge_slopes(intrinsics.to(heading)))
    aside = ((left + right) / 2).unsqueeze(-1)  # 0 where the principal point lies in the centre
    to_right = torch.stack([heading[..., 1], -heading[..., 0]], dim=-1)
    return aside.cos() * heading + aside.sin() * to_right, (right - left) / 2


def _ground_view(poses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[..., F, 12] -> position and unit heading in the ground plane (x, z), [..., F, 2] each."""
    import torch

    c2w = poses.unflatten(-1, (3, 4))[..., [0, 2], :]  # rows x and z
    forward, right = c2w[..., 2], c2w[..., 0]
    # A camera that looks straight down has no forward direction on the ground: its x axis still has one.
    sideways = torch.stack([-right[..., 1], right[..., 0]], dim=-1)
    length = forward.norm(dim=-1, keepdim=True)
    return c2w[..., 3], torch.nn.functional.normalize(torch.where(length > 1e-6, forward, sideways), dim=-1)


def _sector(heading: torch.Tensor, half: torch.Tensor, near: float, far: float) -> torch.Tensor:
    """Points of equal area in each view sector, from the camera: [..., F, P, 2] for heading [..., F, 2]."""
    import torch

    ring = (torch.arange(_RINGS, dtype=heading.dtype, device=heading.device) + 0.5) / _RINGS
    radius = (near**2 + (far**2 - near**2) * ring).sqrt()
    spread = (torch.arange(_BEARINGS, dtype=heading.dtype, device=heading.device) + 0.5) / _BEARINGS * 2 - 1
    bearing = (half.unsqueeze(-1) * spread).unsqueeze(-1)  # [..., 1, A, 1]
    right = torch.stack([heading[..., 1], -heading[..., 0]], dim=-1)
    direction = bearing.cos() * heading.unsqueeze(-2) + bearing.sin() * right.unsqueeze(-2)  # [..., F, A, 2]
    return (radius[:, None, None] * direction.unsqueeze(-3)).flatten(-3, -2)


def view_overlap(
    query: CameraPath,
    bank: CameraPath,
    *,
    near: float = NEAR,
    far: float = FAR,
    horizontal_fov: float | None = None,
) -> torch.Tensor:
    """Share [Fq,Fb] in [0,1] of each query camera's view sector, in the ground plane, that each bank camera
    sees.

    See `pose_view_overlap` for the measure and its source. The sector reaches from `near` to `far` metres.
    horizontal_fov (degrees) is used for both paths; None takes each path's own lens, frame by frame.
    Raises CameraError where a path has no field of view, or the paths lie in different worlds.
    """
    import torch

    check_one_world(query.c2w, bank.c2w)
    lenses = []
    for name, path in (("query", query), ("bank", bank)):
        if horizontal_fov is None and not path.has_lens:
            raise CameraError(
                f"the {name} path has no horizontal field of view, and none is guessed: pass "
                "horizontal_fov=DEGREES, or set it by path.with_fov(DEGREES)"
            )
        lens = path if horizontal_fov is None else path.with_fov(horizontal_fov)
        lenses.append(torch.from_numpy(lens.intrinsics_for(1, 1).copy()))  # the ground plane needs fx and cx alone
    poses = [right_handed(path.c2w)[:, :3].copy() for path in (query, bank)]
    origin = poses[0][0, :, 3].copy()
    for pose in poses:
        pose[:, :, 3] -= origin
    mine, others = (torch.from_numpy(pose.reshape(-1, 12)) for pose in poses)
    overlap = pose_view_overlap(mine, others, near=near, far=far, intrinsics=lenses[0], bank_intrinsics=lenses[1])
    return overlap.float()
