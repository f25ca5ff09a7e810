"""How much a video moves: the figure to print beside every score of consistency, which a still video wins.

No network and no trained weight. Flow: each pair of successive frames is cut into square tiles (of the power of two
that is a third of the short side at most, half overlapping); the displacement of each tile is the peak of its phase
correlation, to a fraction of a pixel; a frame's flow is the mean length of the displacements in pixels per frame,
weighed by the height of the peaks, which measures how sure they are. Phase correlation, because cameras here turn by
several pixels a frame, where gradient methods, which take motion for less than a pixel, fail; and because brightness
and contrast cancel, so a faded video does not pass for a still one. It sees up to half a tile.

Change: the mean absolute difference of successive frames, in percent of the range; known for every pixel, so it can
be given inside and outside of the subjects, but it is less where contrast is less. Source of phase correlation: Kuglin
and Hines 1975.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from ..metric import Metric, Value, register_metric
from ..regions import mean_where
from .preprocess import check_video

if TYPE_CHECKING:
    from ..measure import Sample

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SURE = 1e-6  # spectra below this share of a grey level are no texture


def frame_flow(frames: np.ndarray) -> np.ndarray:
    """Pixels by which each frame's tiles have moved since the frame before: float64 ``[f]``, NaN for the first."""
    check_video(frames)
    side = 1 << max(int(min(frames.shape[1:3]) // 3).bit_length() - 1, 2)
    side = min(side, *frames.shape[1:3])
    found = np.full(len(frames), np.nan)
    before = _spectra(frames[0], side)
    for number, frame in enumerate(frames[1:], start=1):
        now = _spectra(frame, side)
        found[number] = _mean_displacement(before, now, side)
        before = now
    return found


def frame_change(frames: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Mean absolute difference to the frame before, in percent of 255: float64 ``[f]``, NaN for the first.

    where: bool ``[f, h, w]``, the pixels that count; a frame without any is NaN.
    """
    check_video(frames)
    change = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=-1, dtype=np.float32) / 2.55
    means = change.mean(axis=(1, 2), dtype=np.float64) if where is None else mean_where(change, where[1:])
    return np.concatenate([[np.nan], means])


def _spectra(frame: np.ndarray, side: int) -> np.ndarray:
    """Windowed tiles of a frame ``[h, w, 3]`` in frequencies: complex ``[n, side, side // 2 + 1]``."""
    tiles = np.lib.stride_tricks.sliding_window_view(frame.astype(np.float32) @ _LUMA, (side, side))
    tiles = tiles[:: side // 2, :: side // 2].reshape(-1, side, side)
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) * window * window[:, None]
    return np.asarray(fft.rfft2(tiles))


def _mean_displacement(before: np.ndarray, now: np.ndarray, side: int) -> float:
    cross = now * before.conj()
    strength = np.abs(cross)
    phases = np.divide(cross, strength, out=np.zeros_like(cross), where=strength > _SURE)
    peaks = fft.irfft2(phases, s=(side, side))
    places = peaks.reshape(len(peaks), -1).argmax(axis=1)
    rows, columns = np.unravel_index(places, (side, side))
    every = np.arange(len(peaks))
    height = np.clip(peaks[every, rows, columns], 0, None).astype(np.float64)
    down = _signed(rows, side) + _between(
        peaks[every, rows - 1, columns], height, peaks[every, (rows + 1) % side, columns]
    )
    across = _signed(columns, side) + _between(
        peaks[every, rows, columns - 1], height, peaks[every, rows, (columns + 1) % side]
    )
    lengths = np.hypot(down, across)
    return float((lengths * height).sum() / height.sum()) if height.sum() > 0 else 0.0


def _signed(places: np.ndarray, side: int) -> np.ndarray:
    return np.where(places > side // 2, places - side, places)


def _between(left: np.ndarray, middle: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where the parabola through a peak and its neighbours is highest, -.5 to .5 of a pixel."""
    bend = left - 2 * middle + right
    return np.divide(left - right, 2 * bend, out=np.zeros(len(middle)), where=bend < 0)


def _flow(sample: Sample) -> np.ndarray:
    return frame_flow(sample.frames)


def _change(sample: Sample) -> Value:
    return sample.by_region(frame_change(sample.frames), lambda where: frame_change(sample.frames, where))


register_metric(Metric(
    "flow", frozenset(), "pixels/frame", "like the truth", _flow,
    "phase correlation of half-overlapping tiles of successive frames, mean length weighed by peak height",
))  # fmt: skip
register_metric(Metric(
    "change", frozenset(), "%", "like the truth", _change,
    "mean absolute difference of successive frames, of 255", "pixel",
))  # fmt: skip
