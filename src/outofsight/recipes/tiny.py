"""The small model that is shipped."""

from __future__ import annotations

from pathlib import Path

from ..training.config import TrainConfig
from ..training.objective import ObjectiveOptions


def tiny(data: Path, out: Path) -> TrainConfig:
    """The shipped model, on the worlds' train split.

    Command::

        outofsight worlds --clips 2000 --out worlds --preset tiny-30fps
        outofsight encode worlds --model PARTS --out latents --true-places  # with finder/
        outofsight train tiny --data latents --set parts=PARTS --out runs/tiny

    Expected: see docs/tiny.md.
    """
    return TrainConfig(
        data=data,
        out=out,
        model="tiny",
        steps=20000,
        batch_size=4,
        draws=2,
        lr=4e-3,
        warmup=50,
        optimizer="muon",
        adamw_lr=0.25,
        betas=(0.9, 0.95),
        ema=0.998,
        precision="bf16",
        objective=ObjectiveOptions(
            shift=5.0,
            noise="even",
            weighting="none",
            sigma_range=(0.4, 1.0),
            subject_weight=16.0,
            presence_weight=1.0,
            text_dropout=0.1,
            condition_dropout={"reprojection": 0.5},
        ),
        checkpoint_every=100,
        log_every=25,
    )
