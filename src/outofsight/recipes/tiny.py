"""The small model that is shipped."""

from __future__ import annotations

from pathlib import Path

from ..training.config import TrainConfig
from ..training.objective import ObjectiveOptions


def tiny(data: Path, out: Path) -> TrainConfig:
    """The shipped model, on the worlds' train split.

    Command::

        outofsight worlds --clips 1600 --seed 100 --preset tiny-15fps --out worlds
        outofsight encode worlds --model tiny --out latents
        torchrun --nproc-per-node 2 -m outofsight train tiny --data latents --set parts=PARTS --out runs/tiny

    Expected: docs/tiny.md. The shipped weights began from older ones (``--set model=...``); its card has the commands.
    """
    return TrainConfig(
        data=data,
        out=out,
        model="tiny",
        steps=20000,
        batch_size=4,
        lr=4e-3,
        warmup=50,
        optimizer="muon",
        adamw_lr=0.25,
        betas=(0.9, 0.95),
        ema=0.998,
        precision="bf16",
        objective=ObjectiveOptions(
            shift=12.0,
            noise="even",
            weighting="none",
            sigma_range=(0.6, 1.0),
            subject_weight=32.0,
            reentry_weight=1.0,
            presence_weight=1.0,
            text_dropout=0.1,
            reprojection_dropout=0.15,
        ),
        checkpoint_every=100,
        log_every=25,
    )
