"""The paper's model: Wan2.1-T2V-1.3B with HyDRA's memory, trained as reported."""

from __future__ import annotations

from pathlib import Path

from ..training.config import TrainConfig
from ..training.objective import ObjectiveOptions


def hydra_1_3b(data: Path, out: Path) -> TrainConfig:
    """HyDRA on Wan2.1-T2V-1.3B: 10,000 steps of 32 clips (docs/hydra.md, "Training as released").

    Command::

        outofsight convert --base WAN_FOLDER --out models/hydra-start
        outofsight encode HM-World/train --model models/hydra-start --height 480 --width 832 --out latents
        torchrun --nproc-per-node 8 -m outofsight train hydra_1_3b --data latents --out runs/hydra

    Noise has one level for each clip, which is what the release draws on 32 GPUs of one clip each. Kept beside it,
    and not in the paper: a running mean of the weights.

    Expected, as the paper reports it on HM-World's test clips: PSNR 20.36, SSIM 0.606, LPIPS 0.289. We have not run it.
    Computed: about 36 GiB on each GPU, 34 hours on 8 at 400 TFLOP/s (docs/training.md).
    """
    return TrainConfig(
        data=data,
        out=out,
        model="models/hydra-start",
        steps=10_000,
        batch_size=32,
        lr=1e-5,
        weight_decay=0.01,
        ema=0.999,
        precision="bf16",
        gradient_checkpointing=True,
        trainable="hydra",
        objective=ObjectiveOptions(noise="clip"),
        checkpoint_every=500,
        keep=3,
    )
