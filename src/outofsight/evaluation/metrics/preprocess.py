"""Frames to the pixels that each extractor was trained on. Every choice here changes the scores: spec/metrics.md.

Three ways, none of them another's:

- :func:`vbench_dino_pixels`: short side to 224, bilinear without antialiasing, no crop, ImageNet norm.
- :func:`vbench_clip_pixels`: short side to 224, bicubic without antialiasing and without clamping, the middle 224x224
  (offset as Python rounds), CLIP norm. VBench holds its frames as float32, so nothing is rounded in between.
- :func:`clip_processor_pixels`: what the processor of transformers' CLIP does and DSC was released with: Pillow's
  antialiased bicubic on uint8, the middle 224x224 (offset rounded down), CLIP norm.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import GeometryError

SIDE = 224
IMAGENET_NORM = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP_NORM = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

Prepare = Callable[[np.ndarray], Tensor]  # uint8 [n, h, w, 3] -> pixels [n, 3, h', w']
Extractor = Callable[[Tensor], Tensor]  # pixels [n, 3, h', w'] -> features [n, ...]


def check_video(frames: np.ndarray, what: str = "the video") -> np.ndarray:
    """The video itself; GeometryError where it is no uint8 ``[f, h, w, 3]`` with a frame in it."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise GeometryError(f"{what} is {frames.dtype} {list(frames.shape)}, expected uint8 [f, h, w, 3]")
    return frames


def check_pair(prediction: np.ndarray, truth: np.ndarray) -> None:
    """GeometryError where these are not two uint8 videos of one shape."""
    check_video(prediction, "the prediction")
    check_video(truth, "the truth")
    if prediction.shape != truth.shape:
        raise GeometryError(
            f"the prediction is {list(prediction.shape)}, the truth {list(truth.shape)}: expected one shape; cut or "
            "resize one of them first, and note it beside the score"
        )


def to_tensor(frames: np.ndarray) -> Tensor:
    """uint8 ``[n, h, w, 3]`` to float32 ``[n, 3, h, w]``, still on 0 to 255."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()


def resized_shape(height: int, width: int, side: int = SIDE) -> tuple[int, int]:
    """Height and width with the short side at ``side`` and the long one in proportion, rounded down."""
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def vbench_dino_pixels(frames: np.ndarray) -> Tensor:
    """uint8 ``[n, h, w, 3]`` to ``[n, 3, h', w']``, the short side 224."""
    size = resized_shape(*frames.shape[1:3])
    pixels = F.interpolate(to_tensor(frames), size, mode="bilinear", align_corners=False, antialias=False)
    return normalised(pixels / 255, IMAGENET_NORM)


def vbench_clip_pixels(frames: np.ndarray) -> Tensor:
    """uint8 ``[n, h, w, 3]`` to ``[n, 3, 224, 224]``."""
    height, width = resized_shape(*frames.shape[1:3])
    pixels = F.interpolate(to_tensor(frames), (height, width), mode="bicubic", align_corners=False, antialias=False)
    top, left = (round((side - SIDE) / 2) for side in (height, width))
    return normalised(pixels[..., top : top + SIDE, left : left + SIDE] / 255, CLIP_NORM)


def clip_processor_pixels(frames: np.ndarray) -> Tensor:
    """uint8 ``[n, h, w, 3]`` to ``[n, 3, 224, 224]``."""
    from PIL import Image

    height, width = resized_shape(*frames.shape[1:3])
    top, left = crop_corner(*frames.shape[1:3])
    resized = [Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC) for frame in frames]
    cropped = np.stack([np.asarray(image)[top : top + SIDE, left : left + SIDE] for image in resized])
    return normalised(to_tensor(cropped) / 255, CLIP_NORM)


def crop_corner(height: int, width: int) -> tuple[int, int]:
    """Top and left, in pixels of the resized frame, of the part that :func:`clip_processor_pixels` keeps."""
    resized = resized_shape(height, width)
    return (resized[0] - SIDE) // 2, (resized[1] - SIDE) // 2


def normalised(pixels: Tensor, norm: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    """``[n, 3, h, w]`` on [0, 1], less the mean, by the deviation."""
    mean, deviation = (torch.tensor(values, dtype=pixels.dtype).view(3, 1, 1) for values in norm)
    return (pixels - mean) / deviation


@torch.no_grad()
def extract(frames: np.ndarray, prepare: Prepare, extractor: Extractor, batch: int = 16) -> Tensor:
    """Features of every frame of a uint8 video ``[f, h, w, 3]``: float32 ``[f, ...]`` on the CPU."""
    check_video(frames)
    parts = [extractor(prepare(frames[i : i + batch])).float().cpu() for i in range(0, len(frames), batch)]
    features = torch.cat(parts)
    if len(features) != len(frames):
        raise GeometryError(f"the extractor gave {len(features)} features of {len(frames)} frames, expected one each")
    return features
