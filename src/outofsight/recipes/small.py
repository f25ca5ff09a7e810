"""The small world's models: memory that is learned in minutes on one core."""

from __future__ import annotations

from pathlib import Path

from ..training.config import TrainConfig
from ..training.objective import ObjectiveOptions


def small(data: Path, out: Path) -> TrainConfig:
    """A model of 1.1 million parameters that learns to keep a hidden subject in mind.

    Command::

        outofsight train small --data small-easy --out runs/small
        outofsight train small --data small-easy --set model_options.memory=full --out runs/small-full

    Clips are drawn as training goes. What makes it learn (docs/small_world.md): the target is regressed from zeros,
    errors count more where subjects are, an auxiliary head is asked where they are, and Muon takes large steps.

    Expected: docs/small_world.md. Half an hour of one shared CPU core for HyDRA, less for the others.
    """
    return TrainConfig(
        data=data,
        out=out,
        model="small",
        parts=Path("random:small"),
        steps=2400,
        batch_size=8,
        lr=1e-2,
        warmup=20,
        cooldown=840,
        optimizer="muon",
        adamw_lr=0.25,
        betas=(0.9, 0.95),
        weight_decay=0.0,
        ema=0.98,
        precision="bf16",
        objective=ObjectiveOptions(
            noise="clip",
            weighting="none",
            sigma_range=(0.999, 1.0),
            subject_weight=8.0,
            presence_weight=1.0,
        ),
        checkpoint_every=200,
        keep=1,
        log_every=25,
    )
