"""Peak signal-to-noise ratio, per frame first: of uint8 frames, on [0, 1].

Source: spec/metrics.md, "PSNR": per frame, mean over target frames, then over clips. Pooling the squared errors of all
frames first gives other numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import GeometryError
from ..metric import Metric, Value, register_metric
from ..regions import mean_where

if TYPE_CHECKING:
    from ..measure import Sample

_PIECE = 8  # frames at once, where whole videos in float would take memory by the gigabyte
LARGEST = 100.0  # dB: what equal frames count; a single level in one pixel of a small frame gives some 95


def squared_errors(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Squared error of uint8 videos ``[f, h, w, 3]`` on [0, 1], meaned over the colours: float32 ``[f, h, w]``.

    Raises GeometryError where they are not two uint8 videos of one shape.
    """
    if prediction.shape != truth.shape or truth.ndim != 4 or {prediction.dtype, truth.dtype} != {np.dtype(np.uint8)}:
        raise GeometryError(
            f"prediction is {prediction.dtype} {list(prediction.shape)}, truth {truth.dtype} {list(truth.shape)}: "
            "expected two uint8 videos [f, h, w, 3] of one shape"
        )
    difference = (prediction.astype(np.float32) - truth.astype(np.float32)) / 255
    return (difference * difference).mean(axis=-1)


def frame_psnr(prediction: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """dB of every frame, float64 ``[f]``.

    Args:
        prediction, truth: uint8 ``[f, h, w, 3]``.
        where: bool ``[f, h, w]``, the pixels that count (inside a subject's box, say); a frame without any is NaN.
    """
    errors = squared_errors(prediction, truth)
    return decibels(errors.mean(axis=(1, 2), dtype=np.float64) if where is None else mean_where(errors, where))


def decibels(mean: np.ndarray) -> np.ndarray:
    """Mean squared errors on [0, 1] to dB, LARGEST at most; NaN stays."""
    with np.errstate(divide="ignore"):
        return np.minimum(-10 * np.log10(mean), LARGEST)


def _psnr(sample: Sample) -> Value:
    frames, truth = sample.frames, sample.clip.truth
    cuts = [slice(cut, cut + _PIECE) for cut in range(0, len(frames), _PIECE)]
    maps = np.concatenate([squared_errors(frames[cut], truth[cut]) for cut in cuts])
    whole = decibels(maps.mean(axis=(1, 2), dtype=np.float64))
    return sample.by_region(whole, lambda where: decibels(mean_where(maps, where)))


register_metric(Metric(
    "psnr", frozenset({"truth"}), "dB", "higher", _psnr,
    "uint8 frames on [0, 1], per frame, then the mean; equal frames count 100 dB", "pixel",
))  # fmt: skip
