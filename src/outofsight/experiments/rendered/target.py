"""From a run's video and cameras to the rendered target that a transformer is conditioned on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...cameras import CameraPath
from ...errors import CameraError
from ...models.conditioners import Seen
from .conditioning import condition
from .finder import SubjectFinder
from .renderer import render
from .truth import Truth


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
    finder: SubjectFinder, encode: Callable[[Tensor], Tensor], seen: Seen, truth: Truth | None = None
) -> Tensor:
    """``[c + 4, ft, h, w]`` of ``rendered.condition``, from what the context shows; the segmenter works on the CPU.

    Args:
        encode: uint8 video ``[t, h, w, 3]`` -> normalised latents ``[c, f, h, w]``.
        truth: for training, where subjects truly are.

    Raises:
        CameraError: a path without a pose for each frame, or no field of view.
    """
    check_cameras(seen.context, seen.target, seen.horizontal_fov)
    assert seen.horizontal_fov is not None
    pictures = torch.from_numpy(np.ascontiguousarray(seen.frames)).permute(0, 3, 1, 2).float() / 255
    poses = seen.context.c2w, seen.target.c2w
    made = render(_on_cpu(finder), pictures, *poses, seen.horizontal_fov, truth=truth)
    return condition(made, encode, list(seen.starts))


def _on_cpu(finder: SubjectFinder) -> SubjectFinder:
    """The segmenter in float32 on the CPU: a copy, where hooks that offload or a pipeline's precision changed it."""
    if all(p.device.type == "cpu" and p.dtype == torch.float32 for p in finder.parameters()):
        return finder
    copy = SubjectFinder(widths=finder.config.widths, follower_widths=finder.config.follower_widths).eval()
    copy.load_state_dict({name: x.to("cpu", torch.float32) for name, x in finder.state_dict().items()})
    return copy
