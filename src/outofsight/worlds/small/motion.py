"""How subjects move over the drum: displacements in cells over times in latent frames."""

from __future__ import annotations

import numpy as np


def displacement(
    kind: str, times: np.ndarray, start: float, speed: float, flat: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cells across and down [F] from where the subject is at ``start``; it goes to the right, at a mean of ``speed``.

    flat: it cannot move up or down, so it turns by walking back. "bouncing" and "behind" are constant here.
    """
    since = times - start
    nowhere = np.zeros_like(since)
    if kind == "turning":
        rate = rng.uniform(0.12, 0.3)
        if flat:
            return speed / rate * np.sin(rate * since), nowhere
        rate *= 1 if rng.random() < 0.5 else -1
        first = rng.uniform(-0.6, 0.6)
        across = np.sin(first + rate * since) - np.sin(first)
        return speed / rate * across, speed / rate * (np.cos(first) - np.cos(first + rate * since))
    if kind == "stop-and-go":
        period, share, phase = rng.uniform(4.0, 8.0), rng.uniform(0.45, 0.65), rng.uniform(0.0, 8.0)
        return speed / share * (_gone(times + phase, period, share) - _gone(start + phase, period, share)), nowhere
    return speed * since, nowhere


def _gone(times: np.ndarray | float, period: float, share: float) -> np.ndarray:
    """How long it has been moving, of periods that begin with a share of moving."""
    whole = np.floor(np.asarray(times) / period)
    return np.asarray(whole * share * period + np.minimum(times - whole * period, share * period))


def reflected(values: np.ndarray, limit: float) -> np.ndarray:
    """Values thrown back at -limit and limit, as often as it takes."""
    phase = (values + limit) % (4 * limit)
    return np.where(phase > 2 * limit, 4 * limit - phase, phase) - limit
