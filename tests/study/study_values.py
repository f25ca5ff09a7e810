"""Made-up values of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from outofsight.study.rows import ROWS, Run
from outofsight.study.values import Floors, RunValues

DATA = {"train": "a" * 64, "test": "b" * 64, "judging": "1 steps"}


def run_values(row: str, seed: int, gain: float = 0.0, clips: int = 40, **other: Any) -> RunValues:
    """Clips of 10 to 20 dB, ``gain`` dB above those of a row of gain 0, and up to 0.01 dB of noise of the seed's."""
    noise = np.random.default_rng([seed, len(row)]).uniform(-0.01, 0.01, clips)
    base = np.linspace(10, 20, clips)
    scores = {
        f"clip-{n:02d}": {
            "psnr": float(base[n] + gain / 2 + noise[n]),
            "psnr hidden": float(base[n]) if n % 2 else None,
            "psnr re-entered": float(base[n] + gain + noise[n]),
            "psnr re-entered inside": float(base[n] - 3),
            "fate": ("true", "vanished", "vanished", "frozen")[n % 4],
            "retrieval_hit_rate": 0.75,
            "retrieval_chance": 0.5,
        }
        for n in range(clips)
    }
    facts = {"parameters": 1_200_000, "steps": 600, "seconds": 900.0, "machine": "1 of 2 CPUs", "versions": {},
             "finished": "2026-01-02T03:04:05+00:00"}  # fmt: skip
    settings = Run(ROWS[row], seed).config(Path("data"), Path("out"), Path("parts")).to_json()
    curve = ((25, 2.0, 2.5), (50, 1.5, None), (75, 1.0, 1.25))
    return RunValues(**{
        "row": row, "seed": seed, "settings": settings, "data": DATA, "facts": facts, "curve": curve, "clips": scores,
        **other,
    })  # fmt: skip


def floors(clips: int = 40) -> Floors:
    low, high = run_values("full", 7, -5, clips).clips, run_values("full", 8, 9, clips).clips
    return Floors({"last frame held": low, "best view copied": low, "VAE reconstruction": high}, {"test": DATA["test"]})
