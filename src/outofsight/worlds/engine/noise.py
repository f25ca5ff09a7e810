"""Smooth steps, and the periodic noise that textures and clouds are made of."""

from __future__ import annotations

import numpy as np

SIZE = 256  # pixels along a texture


def smoothstep(value: np.ndarray | float) -> np.ndarray:
    """3 v^2 - 2 v^3 between 0 and 1, constant outside."""
    clipped = np.clip(value, 0.0, 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


def noise(seed: int, power: float = 1.6, stretch: tuple[float, float] = (1.0, 1.0), low: float = 0.0) -> np.ndarray:
    """Periodic noise [256,256] of mean 0 and deviation 1; amplitude falls as frequency ** -power.

    stretch: above 1 draws the noise out along x, or along y. low: frequencies below this many cycles are left out,
    so that repeats do not show.
    """
    rng = np.random.default_rng(seed)
    fx = np.fft.fftfreq(SIZE, 1 / SIZE)[None, :] * stretch[0]
    fy = np.fft.fftfreq(SIZE, 1 / SIZE)[:, None] * stretch[1]
    frequency = np.hypot(fx, fy)
    gain = np.where(frequency > low, np.maximum(frequency, 1.0) ** -power, 0.0)
    gain[0, 0] = 0.0
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIZE, SIZE))) * gain).real
    return field / field.std()
