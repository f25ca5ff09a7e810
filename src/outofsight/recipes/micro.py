"""A model small enough to compare memories by training each of them several times."""

from __future__ import annotations

from pathlib import Path

from ..training.config import TrainConfig
from ..training.objective import ObjectiveOptions


def micro(data: Path, out: Path) -> TrainConfig:
    """One run of the study (:mod:`outofsight.study`), which sets memory and seed.

    Command::

        outofsight train micro --data latents --set parts=PARTS --set seed=1 --out runs/micro-1

    The shipped model's recipe at a smaller size, without reprojections: what a target frame is told of the past comes
    through the memory alone. HyDRA's options are the paper's, as far as 13 latent frames of 6x10 tokens allow.

    Expected: docs/results.md. 12 to 15 minutes on one CPU core.
    """
    return TrainConfig(
        data=data,
        out=out,
        model="tiny",
        model_options={
            "num_attention_heads": 2,
            "num_layers": 3,
            "ffn_dim": 384,
            "memory_options": {"kernel": (2, 2, 2), "top_k": 4, "window": 5, "queries": "target", "affinity": "pooled"},
            "conditioners": ("pose", "rays", "anchors", "clock"),
        },
        steps=600,
        batch_size=4,
        draws=2,
        lr=4e-3,
        warmup=50,
        cooldown=150,
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
        ),
        checkpoint_every=200,
        keep=1,
        log_every=25,
    )
