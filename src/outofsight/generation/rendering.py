"""From a run's video and cameras to the rendered target that a transformer is told (``rendered``)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from ..errors import CameraError
from ..experiments.rendered import SubjectFinder, Truth, condition, render
from .codec import VideoGeometry


def check_cameras(context: CameraPath, target: CameraPath, horizontal_fov: float | None) -> None:
    """Raises CameraError where no target can be rendered: that needs two frames, a pose for each, and a lens."""
    for what, path in (("context", context), ("target", target)):
        if path.frame_stride != 1:
            raise CameraError(
                f"the {what} cameras hold a pose every {path.frame_stride} frames, and this model renders what each "
                "frame saw: give a pose for every video frame (outofsight encode --no-render does without)"
            )
    if len(context.c2w) < 2:
        raise CameraError(
            "this model renders the target from what several context frames show, and the context has a single one: "
            "give at least 2 frames"
        )
    if horizontal_fov is None:
        raise CameraError(
            "this model renders the target from the context and needs the horizontal field of view: give "
            "horizontal_fov in degrees (--horizontal-fov; outofsight encode --no-render does without)"
        )


@torch.no_grad()
def rendered_target(
    finder: SubjectFinder,
    encode: Callable[[Tensor], Tensor],
    frames: np.ndarray,
    context: CameraPath,
    target: CameraPath,
    horizontal_fov: float | None,
    target_frames: int,
    geometry: VideoGeometry,
    truth: Truth | None = None,
) -> Tensor:
    """``[c + 4, ft, h, w]`` of ``rendered.condition``, from uint8 ``frames [f, h, w, 3]`` of the context.

    Args:
        encode: uint8 video ``[t, h, w, 3]`` -> normalised latents ``[c, f, h, w]``.
        target_frames: latent frames of the target.
        truth: for training, where subjects truly are.

    Raises:
        CameraError: a path without a pose for each frame, or no field of view.
    """
    check_cameras(context, target, horizontal_fov)
    assert horizontal_fov is not None
    first = geometry.first_frames(target_frames)
    shown = (target_frames - 1) * geometry.frame_stride + 1
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
    made = render(finder, pictures, context.c2w, target.c2w[:shown], horizontal_fov, truth=truth)
    return condition(made, encode, list(first))
