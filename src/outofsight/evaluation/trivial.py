"""Answers that need no model, and that a model with memory must beat: the last frame, and the best view."""

from __future__ import annotations

import numpy as np
import torch

from ..cameras import CameraPath, pose_view_overlap, relative_pose_vectors
from ..errors import CameraError


def hold_last(context: np.ndarray, frames: int) -> np.ndarray:
    """The last context frame, held: ``[F, h, w, 3] -> [frames, h, w, 3]``."""
    return np.repeat(context[-1:], frames, axis=0)


def best_views(context: CameraPath, target: CameraPath) -> np.ndarray:
    """For each target frame the context frame whose view overlaps most with it, the latest of equals: int ``[Ft]``.

    Overlap is that of :func:`cameras.pose_view_overlap`. Raises CameraError where the cameras have no field of view or
    not one pose per frame.
    """
    if context.frame_stride != 1 or target.frame_stride != 1:
        raise CameraError("the best view is sought frame by frame: give cameras of one pose per video frame")
    if target.horizontal_fov is None:
        raise CameraError("views cannot be compared without the cameras' horizontal field of view")
    bank, query = relative_pose_vectors(context, target, stride=1)
    with torch.no_grad():
        overlap = pose_view_overlap(query, bank, target.horizontal_fov, bank_fov=context.horizontal_fov)
    # argmax gives the first of equals: of the reversed order, the latest
    return len(bank) - 1 - overlap.flip(1).argmax(dim=1).numpy()
