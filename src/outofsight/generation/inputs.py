"""What a run is given, checked before any network runs."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath, relative_pose_vectors
from ..errors import CameraError, OutOfSightError, VideoError
from ..framing import Fitted, fit
from ..models.rays import BY_VIEW
from .codec import VideoGeometry
from .results import PartialRun

# Of the picture's size: a principal point that is nearer to the centre counts as there. A crop rounds to whole pixels,
# and half a pixel of the smallest pictures (16 rows) is 0.03.
_CENTRED = 0.05


@dataclass(frozen=True, eq=False)
class RunInputs:
    """The inputs of a run, checked and in the form the models take.

    ``frames`` uint8 ``[f, h, w, 3]``; ``grid`` latent rows and columns; poses ``[fc, 12]``, ``[ft, 12]``;
    tokens are ids and mask ``[1, l]``.
    """

    frames: np.ndarray
    grid: tuple[int, int]
    context_poses: Tensor
    target_poses: Tensor
    horizontal_fov: float | None
    tokens: tuple[Tensor, Tensor]
    negative_tokens: tuple[Tensor, Tensor]


def fitted_inputs(
    video: np.ndarray | Tensor,
    cameras: Sequence[CameraPath],
    size: tuple[int | None, int | None],
    horizontal_fov: float | None = None,
) -> Fitted:
    """A context video at the asked height and width (None: its own), and its cameras and the target's with it.

    horizontal_fov: degrees, of the lens that took the video as it is given, before any crop; None takes the cameras'
    own.

    Raises:
        VideoError: not uint8, or not of that shape.
        CameraError: not an angle.
    """
    frames = video.detach().cpu().numpy() if isinstance(video, Tensor) else np.asarray(video)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise VideoError(
            f"context_video is {frames.dtype} {list(frames.shape)}, expected uint8 [frames, height, width, 3]"
        )
    if horizontal_fov is not None:
        cameras = [path.with_fov(horizontal_fov) for path in cameras]
    return fit(frames, cameras, (size[0] or frames.shape[1], size[1] or frames.shape[2]))


def checked_frames(video: np.ndarray | Tensor, height: int | None, width: int | None) -> np.ndarray:
    """The frames of :func:`fitted_inputs`, for videos whose cameras were fitted with them already."""
    return fitted_inputs(video, (), (height, width)).frames


def covered_frames(cameras: CameraPath) -> int:
    """Video frames a path covers: one per pose, or ``frame_stride`` from each pose to the next."""
    return (len(cameras.c2w) - 1) * cameras.frame_stride + 1


def camera_inputs(
    context: CameraPath, target: CameraPath, frames: int, target_frames: int | None, geometry: VideoGeometry
) -> tuple[Tensor, Tensor]:
    """Pose vectors ``[fc, 12]`` and ``[ft, 12]``, one per latent frame, relative to the first target frame.

    Args:
        frames: of the context video, which the context cameras must match.
        target_frames: the first so many frames of the target cameras; None takes all.

    Raises:
        GeometryError: frame counts the model cannot take.
        CameraError: poses that are too few, too many, or at a rate that does not meet the latent frames.
    """
    context_latents = geometry.latent_frames(frames, "the context video")
    if covered_frames(context) != frames:
        raise CameraError(
            f"the context video has {frames} frames and the context cameras cover {covered_frames(context)} "
            f"({len(context.c2w)} poses, one per {context.frame_stride} frames): cut one to the other"
        )
    available = covered_frames(target)
    wanted = available if target_frames is None else target_frames
    if wanted > available:
        raise CameraError(
            f"{wanted} target frames are asked for and the target cameras cover {available}: give a longer "
            "path, "
            "no pose is made up"
        )
    target_latents = geometry.latent_frames(wanted, "the target")
    for what, path in (("context", context), ("target", target)):
        if geometry.frame_stride % path.frame_stride:
            raise CameraError(
                f"the {what} cameras hold a pose every {path.frame_stride} frames and the model needs one "
                "every "
                f"{geometry.frame_stride}: give them at a rate that divides it"
            )
    vectors = relative_pose_vectors(context, target, stride=geometry.frame_stride)
    return vectors[0][:context_latents], vectors[1][:target_latents]


def field_of_view(
    context: CameraPath, target: CameraPath, given: float | None, config: Mapping[str, Any]
) -> float | None:
    """Horizontal field of view in degrees: the given one, else the cameras'; None where none is known.

    Cameras and ``given`` are those of the frames that the model gets, so after a crop (see :func:`fitted_inputs`).

    Raises:
        CameraError: not an angle, the two paths differ, or the model needs one and none is known, or a lens zooms or
            looks to one side of its axis.
    """
    faults = [_lens_fault(what, path) for what, path in (("context", context), ("target", target))]
    fault = None if given is not None else faults[0] or faults[1]
    known = {path.horizontal_fov for path in (context, target) if path.horizontal_fov is not None}
    if given is None and len(known) > 1:
        raise CameraError(
            "context and target cameras have different fields of view "
            f"({' and '.join(map(str, sorted(known)))} "
            "degrees): give horizontal_fov to decide"
        )
    fov = given if given is not None else next(iter(known), None)
    if fov is not None and not (math.isfinite(fov) and 0 < fov < 180):
        raise CameraError(f"horizontal_fov is {fov}, expected degrees between 0 and 180")
    if (fov is None or fault) and (needs := fov_users(config)):
        raise CameraError(
            fault
            or f"this model needs the horizontal field of view (for its {' and '.join(needs)}) and the cameras "
            "do not "
            "hold one: give horizontal_fov in degrees (--horizontal-fov)"
        )
    return fov


def _lens_fault(what: str, path: CameraPath) -> str | None:
    """Why one field of view does not say all of a path's lens; None where it does."""
    if path.intrinsics is None:
        return None
    if path.horizontal_fov is None:
        return (
            f"the {what} cameras zoom ({path.lens}) and this model takes one field of view: give cameras of one lens, "
            "or horizontal_fov to decide"
        )
    aside = float(np.abs(path.intrinsics[:, 2:] - 0.5).max())
    if aside > _CENTRED:
        return (
            f"the principal point of the {what} cameras lies {aside:.1%} of the picture off its centre and this model "
            "takes it in the centre: crop the frames around it"
        )
    return None


def fov_users(config: Mapping[str, Any]) -> list[str]:
    """The parts of a transformer's configuration that cannot work without a field of view."""
    options = config.get("memory_options") or {}
    users = ["camera rays"] if set(BY_VIEW) & set(config.get("camera_inputs", ())) else []
    if config.get("memory") == "fov" or options.get("affinity") == "fov":
        users.append("memory, which goes by view overlap")
    return users


def noise_source(
    seed: int | None, generator: torch.Generator | None, resume: PartialRun | None
) -> tuple[int | None, torch.Generator]:
    """The generator of the noise and the seed it started from (None for one that was passed in).

    A resumed run has the seed it was begun with.

    Raises:
        OutOfSightError: both a seed and a generator, a seed out of range, or another than the resumed run's.
    """
    if resume is not None and seed is not None and seed != resume.seed:
        raise OutOfSightError(f"seed is {seed} and the run to resume was begun with {resume.seed}: leave it out")
    if generator is not None:
        if seed is not None:
            raise OutOfSightError(f"both seed={seed} and a generator are given: give one of them")
        return None, generator
    if resume is not None:
        return resume.seed, torch.Generator("cpu")
    if seed is None:
        seed = secrets.randbits(32)
    if not 0 <= seed < 2**63:
        raise OutOfSightError(f"seed is {seed}, expected 0 .. 2**63 - 1")
    return seed, torch.Generator("cpu").manual_seed(seed)


def check_numerics(components: Mapping[str, Any], numerics: str) -> None:
    """Whether a pipeline's parts can compute with these numerics.

    Raises:
        OutOfSightError: an unknown kind, or "reference" for parts that are not in bfloat16 throughout.
    """
    if numerics not in ("accurate", "reference"):
        raise OutOfSightError(f"numerics is {numerics!r}, expected 'accurate' or 'reference'")
    for name, part in components.items():
        if numerics == "accurate" or not isinstance(part, torch.nn.Module):
            continue
        kept = {p.dtype for p in part.parameters() if p.is_floating_point()} - {torch.bfloat16}
        if kept:
            raise OutOfSightError(
                f"numerics='reference' computes everything in bfloat16, and {name} holds "
                f"{', '.join(sorted(map(str, kept)))} (from_pretrained keeps some layers in float32): "
                "call pipe.to(torch.bfloat16) first"
            )


class Clock:
    """Wall-clock seconds of each named part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds[part] = time.perf_counter() - start
