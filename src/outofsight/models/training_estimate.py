"""What training costs, computed from a model's sizes: memory of each device, operations, bytes sent, seconds.

Nothing here is measured on a GPU. Two facts are counted rather than computed: the bytes that a block keeps for its
backward pass, per token (tests/training/test_training_estimate.py counts them again).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .estimate import estimate_transformer

GIB = 2**30
# Bytes that a block keeps per token for its backward pass, as multiples of (width, feed-forward width): by precision
# and whether the feed-forward is trained. A frozen layer need not keep its input.
KEPT: Mapping[tuple[str, bool], tuple[float, float]] = {
    ("bf16", True): (92.0, 4.6),
    ("bf16", False): (66.0, 2.6),
    ("no", True): (99.0, 8.0),
    ("no", False): (71.0, 4.0),
}
# Flash attention's backward makes five products where its forward makes two (Dao 2023, FlashAttention-2, 3.2).
_ATTENTION_BACKWARD = 2.5


@dataclass(frozen=True)
class Machine:
    """Speeds to compute with: sustained FLOP/s, and bytes/s of collectives within a node and between nodes, per GPU."""

    flops: float = 400e12
    inside: float = 300e9
    between: float = 40e9
    node: int = 8

    def bandwidth(self, processes: int) -> float:
        return self.inside if processes <= self.node else self.between


@dataclass(frozen=True)
class TrainingCost:
    """One device's part of a run. Bytes, operations and seconds are computed, not measured.

    Args:
        processes, sharding, clips, parts: devices; "ddp" or "fsdp2"; clips of a step on each; how many parts they
            are accumulated in.
        weights, gradients, optimizer, ema: bytes held between steps.
        gathered: bytes of whole layers beside their shards (FSDP2), or of autocast's bf16 copies of trained weights.
        activations: bytes at the most in one part's forward and backward.
        operations: of one step on one device.
        sent: bytes that one device sends in a step.
    """

    processes: int
    sharding: str
    clips: int
    parts: int
    weights: float
    gradients: float
    optimizer: float
    ema: float
    gathered: float
    activations: float
    operations: float
    sent: float

    @property
    def memory(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.ema + self.gathered + self.activations

    def seconds(self, machine: Machine) -> tuple[float, float]:
        """A step's computing and sending, one after the other: the longest it can take at these speeds."""
        return self.operations / machine.flops, self.sent / machine.bandwidth(self.processes)


def estimate_training(
    model: torch.nn.Module,
    trained: Sequence[str],
    *,
    context_frames: int,
    target_frames: int,
    latent_height: int,
    latent_width: int,
    batch_size: int,
    processes: int = 1,
    sharding: str = "ddp",
    precision: str = "bf16",
    checkpointing: bool = True,
    ema: bool = True,
    text_tokens: int = 512,
) -> TrainingCost:
    """Cost of training ``model`` (which may be on the meta device) with AdamW, one clip at a time on each device.

    Args:
        trained: parts of the names of trained parameters.
        context_frames, target_frames, latent_height, latent_width: latent sizes of a clip.
        batch_size: clips of a step over all devices.
        processes, sharding: devices, and how the model lies on them.
        precision, checkpointing, ema: as in ``TrainConfig``.

    Raises:
        ValueError: a batch that does not divide among the devices.
    """
    if batch_size % processes:
        raise ValueError(f"batch_size {batch_size} does not divide into {processes} processes")
    config: Any = model.config
    named = list(model.named_parameters())
    count = sum(p.numel() for _, p in named)
    learned = sum(p.numel() for name, p in named if any(part in name for part in trained))
    blocks = config["num_layers"]
    in_blocks = sum(p.numel() for name, p in named if name.startswith("blocks."))
    clips = batch_size // processes
    shards = processes if sharding == "fsdp2" else 1
    tokens = _tokens(config, context_frames + target_frames, latent_height, latent_width)
    half = 2 if precision == "bf16" else 4
    if shards > 1:  # two layers at a time, one computed and one on its way, and the layers outside the blocks
        gathered = half * (2 * in_blocks / blocks + count - in_blocks)
    else:
        gathered = 2.0 * learned if precision == "bf16" else 0.0
    forward, backward = _operations(
        config, named, trained, tokens, context_frames, target_frames, latent_height, latent_width, text_tokens
    )
    passes = forward * (2 if checkpointing else 1) + backward
    return TrainingCost(
        processes=processes,
        sharding=sharding,
        clips=clips,
        parts=clips,
        weights=4 * count / shards,
        # whole until the last of several accumulated parts
        gradients=4 * learned / (shards if clips == 1 else 1),
        optimizer=8 * learned / shards,
        ema=4 * learned / shards if ema else 0.0,
        gathered=gathered,
        activations=_activations(
            config, tokens, precision, checkpointing, any("ffn" in n for n in _of(named, trained))
        ),
        operations=clips * passes,
        sent=_sent(count, learned, processes, shards, clips, half),
    )


def _of(named: Sequence[tuple[str, Any]], trained: Sequence[str]) -> list[str]:
    return [name for name, _ in named if any(part in name for part in trained)]


def _tokens(config: Mapping[str, Any], frames: int, height: int, width: int) -> int:
    _, rows, columns = config["patch_size"]
    return int(frames * (height // rows) * (width // columns))


def _activations(config: Mapping[str, Any], tokens: int, precision: str, checkpointing: bool, whole: bool) -> float:
    """Kept for the backward pass: every block's, or every block's input and one block's; gradients on the way back."""
    dim, blocks = config["num_attention_heads"] * config["attention_head_dim"], config["num_layers"]
    by_width, by_inner = KEPT[precision, whole]
    block = tokens * (by_width * dim + by_inner * config["ffn_dim"])
    size = 2 if precision == "bf16" else 4
    returning = tokens * (4 * dim + config["ffn_dim"]) * size
    kept = blocks * tokens * dim * size + block if checkpointing else blocks * block
    return float(kept + returning)


def _operations(
    config: Mapping[str, Any],
    named: Sequence[tuple[str, Any]],
    trained: Sequence[str],
    tokens: int,
    context: int,
    target: int,
    height: int,
    width: int,
    text_tokens: int,
) -> tuple[float, float]:
    """Operations of one clip's forward pass and of its backward pass."""
    cost = estimate_transformer(
        config,
        context_frames=context,
        target_frames=target,
        latent_height=height,
        latent_width=width,
        steps=1,
        branches=1,
        text_tokens=text_tokens,
        cache_context=False,
    )
    attention = cost.blocks * cost.attention
    products = cost.forward - attention  # linear layers: as much again for the gradients of their inputs
    learned = 0.0
    for name, parameter in named:
        if parameter.ndim < 2 or not any(part in name for part in trained) or "cam_encoder" in name:
            continue
        rows = text_tokens if ".attn2.to_k" in name or ".attn2.to_v" in name or "text_embedder" in name else tokens
        if parameter.ndim == 5 and "tokenizer" in name:
            rows = tokens // (parameter.shape[2] * parameter.shape[3] * parameter.shape[4])
        learned += 2.0 * rows * parameter.numel()
    return cost.forward, _ATTENTION_BACKWARD * attention + products + learned


def _sent(count: int, learned: int, processes: int, shards: int, parts: int, half: int) -> float:
    """Ring collectives: DDP sums the gradients once a step, FSDP2 gathers weights twice and shares out gradients."""
    if processes == 1:
        return 0.0
    share = (processes - 1) / processes
    if shards == 1:
        return 2 * share * 4 * learned
    # gathered for the forward and again for the backward pass of every part; gradients are kept whole until the last
    return share * (2 * half * count * parts + 4 * learned)
