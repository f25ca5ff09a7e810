"""Peak signal-to-noise ratio, per frame first: of uint8 frames, on [0, 1].

Source: spec/metrics.md, "PSNR": per frame, mean over target frames, then over clips. Pooling the squared errors of all
frames first gives other numbers.
"""

from __future__ import annotations

import numpy as np

from ..errors import GeometryError

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
    errors = squared_errors(prediction, truth).astype(np.float64)
    if where is None:
        mean = errors.mean(axis=(1, 2))
    else:
        counts = where.sum(axis=(1, 2))
        summed = np.where(where, errors, 0.0).sum(axis=(1, 2))
        mean = np.divide(summed, counts, out=np.full(len(errors), np.nan), where=counts > 0)
    return decibels(mean)


def decibels(mean: np.ndarray) -> np.ndarray:
    """Mean squared errors on [0, 1] to dB, LARGEST at most; NaN stays."""
    with np.errstate(divide="ignore"):
        return np.minimum(-10 * np.log10(mean), LARGEST)


def mean_psnr(per_frame: np.ndarray, chosen: np.ndarray | None = None) -> float | None:
    """Mean dB over the chosen frames (bool ``[f]``; None: all), frames of NaN left out; None where there are none."""
    values = per_frame if chosen is None else per_frame[chosen]
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def box_mask(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """bool ``[f, h, w]``: inside the boxes ``[f, 4]`` (x0, y0, x1, y1 in pixels; NaN: no box).

    A pixel is inside where its centre is.
    """
    x0, y0, x1, y1 = (boxes[:, n, None, None] for n in range(4))
    x, y = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None]
    with np.errstate(invalid="ignore"):
        return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
