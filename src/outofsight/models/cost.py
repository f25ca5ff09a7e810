"""What a model costs: operations as torch counts them, and memory.

The real model runs on fake tensors: shapes without numbers, on their way through the CPU's kernels, forward and
backward. On torch's meta device it cannot: memories read camera poses to choose frames, and autocast does not know that
device. Poses are therefore real and all else is fake. A multiply and an add are two operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from diffusers.models.attention_dispatch import attention_backend
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from .attention import BlockInputs
from .cache import ContextCache
from .conditioners import Conditions, square_intrinsics
from .transformer import WorldTransformer3DModel

_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
# torch counts the GPU's attention kernels only; the CPU's makes the same products
_KERNELS: dict[Any, Callable[..., int]] = {
    _FLASH: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v)
    ),
}
_ANY_FOV = 90.0  # what a memory or conditioner costs does not depend on it
_VAE_FEATURES = 8  # held at once in a residual block: input, norm, activation, convolution and their caches


class ClipSize(NamedTuple):
    """Latent frames, rows and columns of a clip, and the tokens of its text."""

    context_frames: int
    target_frames: int
    height: int
    width: int
    text_tokens: int = 512


@dataclass(frozen=True)
class SamplingCost:
    """A sampling run. Every block is counted whole; where no context is cached, sampling asks the last one for less.

    Args:
        tokens: of the whole sequence (context and target).
        attention, feed_forward, rest: operations of one block in one forward pass; ``outside``: of what is no block's.
        blocks, forwards: how many blocks there are, and forward passes in the run.
        once: operations done once a run (the context, where it is cached).
        activation_bytes: most memory beside the weights in one forward pass, by the rule of ``_working_bytes``.
        cache_bytes: kept of a cached context over all steps.
    """

    tokens: int
    attention: int
    feed_forward: int
    rest: int
    outside: int
    blocks: int
    forwards: int
    once: int
    activation_bytes: int
    cache_bytes: int

    @property
    def forward(self) -> int:
        """Operations of one forward pass."""
        return self.blocks * (self.attention + self.feed_forward + self.rest) + self.outside

    @property
    def total(self) -> int:
        """Operations of the whole run."""
        return self.once + self.forwards * self.forward


@dataclass(frozen=True)
class TrainingCost:
    """One clip's forward and backward pass.

    Args:
        parameters, learned, in_a_block, outside: how many the model has, trains, has in one block, and in none.
        operations: of both passes, with the blocks' forward passes twice where activations are checkpointed.
        activations: bytes at the most: what autograd keeps (counted), and gradients on their way back (by rule: four
            of the model's width and one of the feed-forward's, for every token).
    """

    parameters: int
    learned: int
    in_a_block: int
    outside: int
    operations: int
    activations: int


def sampling_cost(
    config: Mapping[str, Any],
    clip: ClipSize,
    *,
    steps: int = 50,
    branches: int = 2,
    cache_context: bool = True,
    bytes_per_value: int = 2,
) -> SamplingCost:
    """Cost of sampling: one block is counted and taken ``num_layers`` times.

    Args:
        config: a ``WorldTransformer3DModel``'s config, or all arguments of its constructor.
        branches: forward passes per step: 2 with guidance, 1 without.
        cache_context: encode the context once, where the model allows it.
        bytes_per_value: of activations: 2 for bfloat16, 4 for float32.

    Raises:
        MemoryOptionError, GeometryError: options or sizes that the model refuses.
    """
    run, blocks = _Run(config, 1, clip), config["num_layers"]
    run.model.requires_grad_(False)
    cache, once, kept = None, 0, dict[int, Tensor]()
    if cache_context and run.model.cacheable:
        with _counting() as counter:
            cache = run.encode()
        once = counter.get_total_flops() + (blocks - 1) * sum(_in_block(counter).values())
        cache.blocks[0].map(lambda x: kept.setdefault(id(x), x))
    with _counting() as counter:
        run.forward(cache)
    block, feed_forward = (sum(_in_block(counter, part).values()) for part in ("", ".ffn"))
    attention = _in_block(counter, ".attn1").get(_FLASH, 0)
    return SamplingCost(
        tokens=run.tokens,
        attention=attention,
        feed_forward=feed_forward,
        rest=block - attention - feed_forward,
        outside=counter.get_total_flops() - block,
        blocks=blocks,
        forwards=steps * branches,
        once=once,
        activation_bytes=_working_bytes(run, bytes_per_value),
        cache_bytes=blocks * bytes_per_value * sum(x.numel() for x in kept.values()),
    )


def training_cost(
    config: Mapping[str, Any],
    trained: Sequence[str],
    clip: ClipSize,
    *,
    precision: str = "bf16",
    checkpointing: bool = True,
) -> TrainingCost:
    """Cost of training on one clip: what the second of two blocks adds is taken for every further block.

    Args:
        config: as for :func:`sampling_cost`.
        trained: parts of the names of trained parameters.
        precision, checkpointing: as in ``TrainConfig``.
    """
    one, two = (_step(config, layers, trained, clip, precision) for layers in (1, 2))
    blocks, dim = config["num_layers"], config["num_attention_heads"] * config["attention_head_dim"]
    _, again, _, kept_in_block, in_a_block, _ = (two - one).tolist()
    tokens, forward, backward, kept, parameters, learned = (one + (blocks - 1) * (two - one)).tolist()
    size, operations = 2 if precision == "bf16" else 4, forward + backward
    if checkpointing:  # every block's input is kept, and one block at a time run again and kept whole
        operations += blocks * again
        kept += blocks * tokens * dim * size - (blocks - 1) * kept_in_block
    kept += tokens * (4 * dim + config["ffn_dim"]) * size
    return TrainingCost(parameters, learned, in_a_block, parameters - blocks * in_a_block, operations, kept)


def count_parameters(model: torch.nn.Module) -> int:
    """Parameters of a model, which may be on the meta device."""
    return sum(parameter.numel() for parameter in model.parameters())


def vae_decode_bytes(config: Mapping[str, Any], height: int, width: int, bytes_per_value: int = 2) -> int:
    """Most memory of decoding without tiles, by rule: eight features of one latent frame's pictures at full size.

    Wan's decoder goes through a video one latent frame at a time, so its length does not enter beside the frames.
    """
    pictures = 2 ** sum(map(bool, config["temperal_downsample"])) * height * width
    return int(_VAE_FEATURES * config["base_dim"] * config["dim_mult"][0] * pictures * bytes_per_value)


class _Run:
    """A model of so many blocks and a clip, on fake tensors. Gradients are on even where nothing is trained: without
    them a CPU works on a few frames at a time, which makes the same products and takes ten times as long to count."""

    inputs: BlockInputs  # of the first block, in the latest pass

    def __init__(self, config: Mapping[str, Any], layers: int, clip: ClipSize) -> None:
        arguments = {name: value for name, value in config.items() if not name.startswith("_")}
        context, target, *size, words = clip
        with FakeTensorMode(allow_non_fake_inputs=True):
            self.model = WorldTransformer3DModel(**{**arguments, "num_layers": layers})
            parts: Any = self.model
            latents = torch.empty(1, config["in_channels"], context + target, *size)
            # an extra input has as many channels as its conditioner's first convolution
            readers = {name: kind for name, kind in parts.conditioning.items() if "extra" in kind.needs}
            first = {name: next(p for p in kind.parameters() if p.ndim == 5) for name, kind in readers.items()}
            extra = {name: torch.empty(1, weight.shape[1], target, *size) for name, weight in first.items()}
            self.given = torch.empty(1), torch.empty(1, words, config["text_dim"])
        self.context, self.target = latents.split([context, target], dim=2)
        poses = torch.eye(4)[:3].reshape(1, 1, 12)
        self.poses = poses.expand(1, context, 12), poses.expand(1, target, 12)
        self.conditions = Conditions(square_intrinsics(_ANY_FOV, 1, context + target, (size[0], size[1])), extra)
        parts.blocks[0].register_forward_pre_hook(lambda _, given: setattr(self, "inputs", given[3]))

    def encode(self) -> ContextCache:
        return self.model.encode_checked(self.context, *self.poses, conditions=self.conditions)

    def forward(self, cache: ContextCache | None = None) -> Tensor:
        latents = self.target if cache else torch.cat([self.context, self.target], dim=2)
        sample: Tensor = self.model(
            latents, *self.given, *self.poses, conditions=self.conditions, context_cache=cache
        ).sample
        return sample

    @property
    def tokens(self) -> int:
        return self.inputs.layout.frames * self.inputs.layout.tokens_per_frame


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """Count with torch's own attention, whatever else is chosen."""
    counter = FlopCounterMode(display=False, custom_mapping=_KERNELS)
    with attention_backend("native"), torch.enable_grad(), counter:
        yield counter


def _in_block(counter: FlopCounterMode, part: str = "") -> Mapping[Any, int]:
    """Operations by kernel of the first block, or of one of its modules."""
    ends = (f".blocks.0{part}", f"TransformerBlock{part}")
    return next(found for name, found in counter.get_flop_counts().items() if name.endswith(ends))


def _working_bytes(run: _Run, size: int) -> int:
    """The larger of the two peaks of a block: at the attention and in the feed-forward.

    At the attention: the residual stream, the normed input, queries, keys, values and output, memory keys and
    values and their gathered copies. In the feed-forward: stream, normed input (float32), two hidden layers.
    """
    config: Any = run.model.config
    plan, dim, recalled = run.inputs.plan, config.num_attention_heads * config.attention_head_dim, 0
    if plan.memory is not None:
        recalled = plan.memory.grid[0] * plan.memory.grid[1] * (plan.memory.count + int(plan.counts.sum()))
    queries = len(plan.queries) * run.inputs.layout.tokens_per_frame
    attention = (3 * queries + 3 * run.tokens + 2 * recalled) * dim * size
    return int(max(attention, queries * (dim * (2 * size + 4) + 2 * config.ffn_dim * size)))


def _step(config: Mapping[str, Any], layers: int, trained: Sequence[str], clip: ClipSize, precision: str) -> Tensor:
    """Tokens, operations forward and backward, bytes that autograd keeps, parameters, and those that are trained."""
    run = _Run(config, layers, clip)
    for name, parameter in run.model.named_parameters():
        parameter.requires_grad_(any(part in name for part in trained))
    weights = {parameter.untyped_storage()._cdata for parameter in run.model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(x: Tensor) -> Tensor:
        if (storage := x.untyped_storage())._cdata not in weights and not _from_one_weight(x):
            kept[storage._cdata] = storage
        return x

    saved = torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x)
    with _counting() as counter:
        with saved, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = run.forward()
        forward, held = counter.get_total_flops(), sum(storage.nbytes() for storage in kept.values())
        out.sum().backward()
    learned = sum(parameter.numel() for parameter in run.model.parameters() if parameter.requires_grad)
    backward = counter.get_total_flops() - forward
    return torch.tensor([run.tokens, forward, backward, held, count_parameters(run.model), learned])


def _from_one_weight(x: Tensor) -> bool:
    """Whether it is a copy of one trained weight, such as autocast's: those are no activations."""
    node: Any = x.grad_fn
    while node is not None and len(node.next_functions) == 1:
        node = node.next_functions[0][0]
    return hasattr(node, "variable")
