"""What a run is given, checked before any network runs."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath, relative_pose_vectors
from ..cameras.geometry import SAME_FOV
from ..errors import CameraError, OutOfSightError, VideoError
from ..framing import Fitted, Framing, fit
from ..memory import make_memory
from ..models.conditioners import conditioner_class
from .codec import VideoGeometry
from .results import PartialRun

# Of the picture's size: a principal point that is nearer to the centre counts as there. A crop rounds to whole pixels,
# and half a pixel of the smallest pictures (16 rows) is 0.03.
_CENTRED = 0.05


@dataclass(frozen=True, eq=False)
class ContextInputs:
    """What was seen so far, checked and in the size that the model computes in.

    ``frames`` uint8 ``[f, h, w, 3]``; ``cameras`` of them; ``framing`` that made them; ``grid`` latent rows and
    columns; ``latent_frames`` that the frames make; ``horizontal_fov`` degrees, or None where nobody knows it (yet);
    ``note``: what was done to the frames, in words.
    """

    frames: np.ndarray
    cameras: CameraPath
    framing: Framing
    grid: tuple[int, int]
    latent_frames: int
    horizontal_fov: float | None
    note: str | None = None

    def joined(self, path: CameraPath) -> CameraPath:
        """Cameras of what was seen, then a path, at the rate of what was seen; each frame keeps its own lens.

        Where nobody knows the lens of one of the two, it has ``horizontal_fov``; where that is not known either,
        neither keeps one (only models that take no lens get so far, see :func:`field_of_view`).
        """
        fov, known, path = self.horizontal_fov, self.cameras, replace(path, fps=self.cameras.fps)
        if known.intrinsics is None and path.intrinsics is None:
            return known.with_fov(fov).concatenate(path.with_fov(fov))
        both = [one if one.has_lens else one.with_fov(fov) for one in (known, path)]
        if not all(one.has_lens for one in both):
            return known.with_fov(None).concatenate(path.with_fov(None))
        height, width = self.frames.shape[1:3]
        first, then = (one.with_intrinsics(one.intrinsics_for(height, width)) for one in both)
        return first.concatenate(then)


def context_inputs(
    video: np.ndarray | Tensor,
    cameras: CameraPath,
    size: tuple[int | None, int | None],
    horizontal_fov: float | None,
    geometry: VideoGeometry,
) -> ContextInputs:
    """Check a context video and its cameras; ``size``: height and width asked for.

    Raises:
        GeometryError, VideoError, CameraError: what does not fit.
    """
    made = fitted_inputs(video, [cameras], size, horizontal_fov)
    frames, (path,) = made.frames, made.cameras
    grid = geometry.latent_size(frames.shape[1], frames.shape[2], "the context video")
    latent_frames = _context_latents(path, len(frames), geometry)
    return ContextInputs(frames, path, made.framing, grid, latent_frames, path.horizontal_fov, made.note)


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


def covered_frames(cameras: CameraPath, after: bool = False) -> int:
    """Video frames a path covers: one per pose, or ``frame_stride`` from each pose to the next; ``after``: and as many
    before the first pose, for a path that continues another one."""
    return (len(cameras.c2w) - (not after)) * cameras.frame_stride + (not after)


def _context_latents(cameras: CameraPath, frames: int, geometry: VideoGeometry) -> int:
    latents = geometry.latent_frames(frames, "the context video")
    if covered_frames(cameras) != frames:
        raise CameraError(
            f"the context video has {frames} frames and the context cameras cover {covered_frames(cameras)} "
            f"({len(cameras.c2w)} poses, one per {cameras.frame_stride} frames): cut one to the other"
        )
    _check_rate("context", cameras, geometry)
    return latents


def _check_rate(what: str, path: CameraPath, geometry: VideoGeometry) -> None:
    if geometry.frame_stride % path.frame_stride:
        raise CameraError(
            f"the {what} cameras hold a pose every {path.frame_stride} frames and the model needs one every "
            f"{geometry.frame_stride}: give them at a rate that divides it"
        )


def target_latents(cameras: CameraPath, target_frames: int | None, geometry: VideoGeometry, after: bool = False) -> int:
    """Latent frames of a target: of all that its cameras cover, or of the first so many video frames.

    ``after``: the target continues another one, so that its first latent frame has as many video frames as
    the others.

    Raises:
        GeometryError: a count that the model cannot take.
        CameraError: poses that are too few, or at a rate that does not meet the latent frames.
    """
    _check_rate("target", cameras, geometry)
    available = covered_frames(cameras, after)
    wanted = available if target_frames is None else target_frames
    if wanted > available:
        raise CameraError(
            f"{wanted} target frames are asked for and the target cameras cover {available}: give a longer path, "
            "no pose is made up"
        )
    if after:
        latents = geometry.latent_frames(wanted + 1, "the target, with the frame before it,") - 1
    else:
        latents = geometry.latent_frames(wanted, "the target")
    return latents


def camera_inputs(
    context: CameraPath, target: CameraPath, frames: int, geometry: VideoGeometry
) -> tuple[Tensor, Tensor]:
    """Pose vectors ``[fc, 12]`` and ``[ft, 12]``, one per latent frame, relative to the first target frame.

    ``frames``: of the context video, which the context cameras must match. Raises as :func:`context_inputs` and
    :func:`target_latents`.
    """
    context_count = _context_latents(context, frames, geometry)
    target_count = target_latents(target, None, geometry)
    vectors = relative_pose_vectors(context, target, stride=geometry.frame_stride)
    return vectors[0][:context_count], vectors[1][:target_count]


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
    known = [path.horizontal_fov for path in (context, target) if path.horizontal_fov is not None]
    if given is None and known and max(known) - min(known) > SAME_FOV:
        raise CameraError(
            "context and target cameras have different fields of view "
            f"({' and '.join(map(str, sorted(known)))} "
            "degrees): give horizontal_fov to decide"
        )
    fov = given if given is not None else next(iter(known), None)
    if fov is not None and not (math.isfinite(fov) and 0 < fov < 180):
        raise CameraError(f"horizontal_fov is {fov}, expected degrees between 0 and 180")
    if (fov is None or fault) and (needs := needs_intrinsics(config)):
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


def needs_intrinsics(config: Mapping[str, Any]) -> list[str]:
    """The parts of a transformer's configuration that cannot work without a field of view."""
    kinds = [conditioner_class(path) for path in config.get("conditioners", ())]
    users = [f"conditioner {kind.name!r}" for kind in kinds if "intrinsics" in kind.needs]
    if "memory" not in config:  # a folder of coding parts, without a transformer
        return users
    memory = make_memory(config["memory"], config.get("memory_options"), config.get("context_attention", "joint"))
    if "intrinsics" in memory.needs:
        users.append(f"memory {memory.name!r}, which goes by view overlap")
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
    check_seed(seed)
    return seed, torch.Generator("cpu").manual_seed(seed)


def check_seed(seed: int) -> None:
    """Raises OutOfSightError for a seed that no generator takes."""
    if not 0 <= seed < 2**63:
        raise OutOfSightError(f"seed is {seed}, expected 0 .. 2**63 - 1")


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
