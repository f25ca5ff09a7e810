"""Structural similarity of uint8 frames, as torchmetrics 1.9 defines it.

On [0, 1]: Gaussian window of 11 pixels and deviation 1.5, K1 .01, K2 .03, per colour; frames are reflected at their
edges, so the map covers the whole frame; the mean is over map and colours. Source: Wang et al. 2004, "Image quality
assessment"; the window, edges and mean are torchmetrics'. Other libraries halve large frames first, or leave the edges
out: their numbers are others.

The window runs along one axis after the other in scipy, which takes an eighth of the time of torch's convolutions of
one channel on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import correlate1d

from ...errors import GeometryError
from ..metric import Metric, Value, register_metric
from ..regions import mean_where
from .preprocess import check_pair

if TYPE_CHECKING:
    from ..measure import Sample

WINDOW, DEVIATION = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim_maps(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """SSIM around every pixel, meaned over the colours: uint8 ``[f, h, w, 3]`` twice, to float32 ``[f, h, w]``.

    Raises GeometryError where they are not two videos of one shape, or frames of less than 6 pixels a side.
    """
    check_pair(prediction, truth)
    if min(truth.shape[1:3]) <= WINDOW // 2:
        raise GeometryError(f"frames of {truth.shape[1]}x{truth.shape[2]} pixels are too small for SSIM's window of 11")
    return np.stack([_map(*pair) for pair in zip(prediction, truth, strict=True)])


def frame_ssim(prediction: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """SSIM of every frame, float64 ``[f]``.

    where: bool ``[f, h, w]``, the pixels of the map that count; a frame without any is NaN. The window still sees what
    lies around them.
    """
    maps = ssim_maps(prediction, truth)
    return maps.mean(axis=(1, 2), dtype=np.float64) if where is None else mean_where(maps, where)


def _map(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of one frame: uint8 ``[h, w, 3]`` twice, to float32 ``[h, w]``."""
    x, y = (frame.transpose(2, 0, 1).astype(np.float32) / 255 for frame in (prediction, truth))
    mean_x, mean_y, squares, products = _blurred(np.stack([x, y, x * x + y * y, x * y]))
    both = mean_x * mean_x + mean_y * mean_y
    cross = mean_x * mean_y
    variances = np.maximum(squares - both, 0)  # rounding may take them below
    upper = (2 * cross + C1) * (2 * (products - cross) + C2)
    return np.asarray((upper / ((both + C1) * (variances + C2))).mean(axis=0))


def _blurred(pictures: np.ndarray) -> np.ndarray:
    """``[..., h, w]`` under the window."""
    window = np.exp(-(((np.arange(WINDOW) - WINDOW // 2) / DEVIATION) ** 2) / 2)
    window /= window.sum()
    return correlate1d(correlate1d(pictures, window, axis=-2, mode="mirror"), window, axis=-1, mode="mirror")


def _ssim(sample: Sample) -> Value:
    maps = ssim_maps(sample.frames, sample.clip.truth)
    return sample.by_region(maps.mean(axis=(1, 2), dtype=np.float64), lambda where: mean_where(maps, where))


register_metric(Metric(
    "ssim", frozenset({"truth"}), "", "higher", _ssim,
    "Gaussian window 11, deviation 1.5, K .01/.03, reflected edges, per colour (as torchmetrics)", "pixel",
))  # fmt: skip
