"""One clip learned by heart: whether the loop, the data and the machine work at all."""

from __future__ import annotations

from pathlib import Path

from ..training.config import TrainConfig
from ..training.objective import ObjectiveOptions


def debug(data: Path, out: Path) -> TrainConfig:
    """Learn the first clip of a folder by heart.

    Command::

        outofsight worlds --clips 1 --out worlds
        outofsight encode worlds --model random:debug --out latents
        outofsight train debug --data latents --out runs/debug

    Expected: the loss falls below 5 % of its start (from about 1.2 to about 0.02 on a clip of the worlds) in 320 steps,
    about a minute on one CPU core.
    """
    return TrainConfig(
        data=data,
        out=out,
        model="debug",
        model_options={"num_attention_heads": 4, "attention_head_dim": 24, "ffn_dim": 256},
        clips=1,
        steps=320,
        batch_size=2,
        lr=4e-3,
        warmup=20,
        cooldown=120,
        betas=(0.9, 0.99),
        ema=0.98,
        objective=ObjectiveOptions(noise="even"),
        checkpoint_every=160,
        log_every=10,
    )
